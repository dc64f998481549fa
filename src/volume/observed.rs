//! What was found (or just made) of a volume on this node. Never stored: after a restart it is
//! looked at again.

use std::path::PathBuf;

use serde::Serialize;
use uuid::Uuid;

use super::Epoch;
use crate::spec::FsType;

/// A block device that carries a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// The node in `/dev`.
    pub path: PathBuf,
    /// Major and minor number, as mountinfo shows them.
    pub number: (u32, u32),
}

/// What a probe found on the device of a volume that is not known to be formatted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceContent {
    /// Proven blank: everything that had to be read was read, and nothing was there.
    Blank,
    /// A file system that hawser can mount.
    FileSystem {
        /// Which.
        fs: FsType,
        /// Its UUID.
        uuid: Uuid,
    },
    /// Anything else.
    Something,
}

/// An attachment on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transit {
    /// To this node.
    Attaching,
    /// Away from this node, which cannot be taken back.
    Detaching,
}

/// How a volume is reached that another node has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Remote {
    /// The tunnel leads to the owner of that epoch.
    pub connected: Option<Epoch>,
    /// The owner's export is mounted.
    pub mounted: bool,
    /// It is what the published path shows.
    pub published: bool,
}

/// What exists of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Observed {
    /// Its storage exists.
    pub provisioned: bool,
    /// Its storage is out of the way, as a removed volume's is.
    pub aside: bool,
    /// The device that it is attached as.
    pub device: Option<Device>,
    /// An attachment to this node that is on its way, where there is no device.
    pub transit: Option<Transit>,
    /// What is on the device; looked at only while the record does not say `Formatted`.
    pub content: Option<DeviceContent>,
    /// The storage was deleted since the last look, whether it was seen or not.
    pub destroyed: bool,
    /// The storage holds a half-made file system of our own and must be made anew.
    pub half_made: bool,
    /// The file system is mounted at the stage.
    pub staged: bool,
    /// What is mounted at the stage was shut down: nothing that is written to it goes anywhere.
    pub shut_down: bool,
    /// The stage's data directory is bound to the published path.
    pub published: bool,
    /// It is served to other nodes, by the owner of that epoch.
    pub exported: Option<Epoch>,
    /// What there is of the way to another node's.
    pub remote: Remote,
    /// The file system could not be grown while mounted (ext4 without `CAP_SYS_RESOURCE`): it
    /// will be at the next mount.
    pub grow_at_next_mount: bool,
}

impl Observed {
    /// True when a task can use the volume.
    #[must_use]
    pub const fn is_mounted(&self) -> bool {
        self.staged && self.published || self.remote.mounted && self.remote.published
    }

    /// True when the published path shows it, by whichever way.
    #[must_use]
    pub const fn is_published(&self) -> bool {
        self.published || self.remote.published
    }

    /// True when nothing of it is in the kernel any more.
    #[must_use]
    pub const fn is_released(&self) -> bool {
        self.is_let_go() && !self.is_published() && !self.is_reached()
    }

    /// True when nothing keeps another node from its storage.
    #[must_use]
    pub const fn is_let_go(&self) -> bool {
        self.device.is_none()
            && self.transit.is_none()
            && self.exported.is_none()
            && !self.staged
            && !self.published
    }

    /// True when there is anything of the way to another node's.
    #[must_use]
    pub const fn is_reached(&self) -> bool {
        self.remote.mounted || self.remote.connected.is_some()
    }
}
