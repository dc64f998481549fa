//! What a volume on the NFS backend is.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    choice::{Choice, choose},
    error::Why,
};

/// How a volume lies on an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NfsLayout {
    /// A directory: tasks on any node use it at the same time; its size is accounted for, not enforced.
    #[default]
    Directory,
    /// A file system in a file: its size is enforced, and one node has it at a time.
    Image,
}

/// Settings of the NFS backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NfsSpec {
    /// The configured name of the export: `[backends.nfs.NAME]`.
    pub export: String,
    /// The volume's directory below the export, such as `pgdata` or `team/pgdata`.
    pub path: String,
    /// How it lies there.
    #[serde(default)]
    pub layout: NfsLayout,
}

/// What stands in for what a user did not state of an NFS volume. Comes from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NfsDefaults {
    /// The names of the exports that this node has.
    pub exports: Vec<String>,
    /// The export of volumes that do not name one; `None` where there are several and none was chosen.
    pub export: Option<String>,
}

impl Choice for NfsLayout {
    const ALL: &'static [Self] = &[Self::Directory, Self::Image];

    fn word(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Image => "image",
        }
    }
}

impl FromStr for NfsLayout {
    type Err = Why;

    fn from_str(text: &str) -> Result<Self, Why> {
        choose(text)
    }
}

impl fmt::Display for NfsLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
