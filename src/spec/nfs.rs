//! What a volume on the NFS backend is.

mod stated;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub(super) use stated::{NO_FILE_SYSTEM, export, path};

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

/// The bytes of one read or write, as `rsize=` and `wsize=` take them: what a kernel would silently
/// round is refused (nfs(5)).
///
/// # Errors
///
/// What a kernel would take otherwise than it is written.
pub fn transfer_size(text: &str) -> Result<u32, &'static str> {
    let bytes = Some(text).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    match bytes.and_then(|text| text.parse().ok()) {
        Some(bytes @ 1024..=1_048_576) if bytes % 1024 == 0 => Ok(bytes),
        Some(_) | None => Err("must be a number of bytes from 1024 to 1048576, a multiple of 1024"),
    }
}

impl NfsDefaults {
    /// The export of a volume that does not name one: the default one, or the only one.
    #[must_use]
    pub fn chosen(&self) -> Option<&str> {
        match (&self.export, self.exports.as_slice()) {
            (Some(export), _) => Some(export),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
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
