//! The file systems that a volume can be formatted with.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A file system that hawser formats volumes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FsType {
    /// ext4: the default; grows online where the daemon has `CAP_SYS_RESOURCE`.
    Ext4,
    /// xfs: grows online everywhere; at least 300 MiB (a limit of mkfs.xfs since 5.19).
    Xfs,
}

impl FsType {
    /// Every file system, in the order in which errors list them.
    pub const ALL: [Self; 2] = [Self::Ext4, Self::Xfs];

    /// The name as the kernel and users write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }
}

impl fmt::Display for FsType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for FsType {
    type Err = UnknownFs;

    fn from_str(text: &str) -> Result<Self, UnknownFs> {
        Self::ALL
            .into_iter()
            .find(|fs| text.eq_ignore_ascii_case(fs.as_str()))
            .ok_or_else(|| UnknownFs(text.to_owned()))
    }
}

/// A file system name that hawser does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a file system that hawser formats: use ext4 or xfs")]
pub struct UnknownFs(String);
