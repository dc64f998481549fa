//! The identities of volumes and of those who hold them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// A volume's identity for as long as its data lives. A name can be used again; an id never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VolumeId(Uuid);

impl VolumeId {
    /// A new, random id.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The id of storage that others made and that a cluster takes over: the same on every node, so
    /// that two that import it at once make one volume of it.
    #[must_use]
    pub fn of_import(handle: &Handle) -> Self {
        let digest = Sha256::digest(format!("hawser import {handle}"));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The id as a UUID (also the UUID of the volume's file system).
    #[must_use]
    pub const fn uuid(&self) -> &Uuid {
        &self.0
    }
}

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for VolumeId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// What a backend calls a volume's storage, such as `vol-0abc…`. Backends that find it by the
/// volume's own id have none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Handle(String);

impl Handle {
    /// The text of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Handle {
    fn from(handle: String) -> Self {
        Self(handle)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Who mounted a volume, in the words of the caller: Docker's mount id, or nothing at all, which
/// is what Mesos sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MountId(String);

impl MountId {
    /// True for callers that send no id (dvdcli): one holder, however often it mounts, since it
    /// unmounts only once.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for MountId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl fmt::Display for MountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.is_anonymous() { "(no id)" } else { &self.0 })
    }
}
