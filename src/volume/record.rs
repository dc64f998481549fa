//! What is kept durably about a volume: the record.
//!
//! ```text
//!   Creating ──storage made──▶ Ready ──Remove──▶ Removed ──purge time──▶ (forgotten)
//!      └──────── failed ───────────────────────────▲
//!                                 Ready ◀─undelete─┘
//!
//!   contents:  Blank ──intent──▶ Formatting ──mkfs, data/, sync──▶ Formatted
//!              Inherited ──file system recognised───────────────────▲
//! ```
//!
//! Nobody was ever given a volume that is not `Formatted`, so what lies on a volume that is still
//! `Formatting` after a crash is hawser's own half-made file system and nothing else.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Epoch, Handle, Holder, Lease, Membership, MountId, NodeName, VolumeId};
use crate::spec::{BackendSpec, Bytes, Sharing, Spec, VolumeName};

/// The directory in a volume that tasks see, where the record does not name another one.
pub const DATA: &str = "data";

/// A volume's durable record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The identity, for ever.
    pub id: VolumeId,
    /// The name, unique among volumes that are not removed.
    pub name: VolumeName,
    /// What was asked, with the defaults filled in. `spec.size` follows a grow.
    pub spec: Spec,
    /// When it was first asked for.
    pub created_at: Timestamp,
    /// Where in its life it is.
    pub phase: Phase,
    /// What is on its storage.
    pub contents: Contents,
    /// What the backend calls the storage, once it is known to exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<Handle>,
    /// How often storage was made for this volume before and deleted again: a cloud that makes
    /// the same request only once must be able to tell them apart.
    #[serde(default, skip_serializing_if = "is_first")]
    pub generation: u32,
    /// The file system's UUID where it is not the volume's id: the file system came with a
    /// snapshot, or with a volume that was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_system_uuid: Option<Uuid>,
    /// The directory of the file system that tasks see, where it is not hawser's `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<String>,
    /// The backend's settings that a change is on its way to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changing_to: Option<BackendSpec>,
    /// Its file system is held still for a snapshot, or was when hawser ended.
    #[serde(default, skip_serializing_if = "is_not")]
    pub frozen: bool,
    /// The cluster's store lost it when it was restored, and could not be told of it again yet: until then
    /// it is known to this node alone.
    #[serde(default, skip_serializing_if = "is_not")]
    pub untold: bool,
    /// The size that a grow is on its way to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growing_to: Option<Bytes>,
    /// The storage was grown and the file system on it was not yet.
    #[serde(default)]
    pub file_system_behind: bool,
    /// Which node has its storage. Unused outside a cluster.
    #[serde(default, skip_serializing_if = "Lease::is_unused")]
    pub lease: Lease,
    /// The nodes that have it mounted and are not its owner: of a directory on a server, which needs
    /// none, and of what is reached through its owner. Of what is not shared it is one at the most, and
    /// that is the writer claim.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub users: BTreeSet<NodeName>,
    /// Of which group of volumes it is, and whose there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Membership>,
    /// How often the cluster's store has changed it: what its next change is compared with.
    #[serde(default, skip_serializing_if = "is_unnumbered")]
    pub revision: Revision,
    /// Who uses it on this node.
    #[serde(default)]
    pub holders: Vec<Holder>,
}

/// The number of a record's state in the cluster's store.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(u64);

impl Revision {
    /// The number of the state after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The number; 0 is a record that the cluster's store has not seen.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<u64> for Revision {
    fn from(revision: u64) -> Self {
        Self(revision)
    }
}

/// Where in its life a volume is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase", deny_unknown_fields)]
pub enum Phase {
    /// Asked for; its storage may not exist yet.
    Creating,
    /// It exists.
    Ready,
    /// Removed by the user: the name is free, the data waits for its purge.
    Removed {
        /// When it was removed.
        at: Timestamp,
        /// What becomes of the data.
        purge: Purge,
    },
}

/// What becomes of a removed volume's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Purge {
    /// Deleted at that time; until then `hawser volume undelete` brings it back.
    At(Timestamp),
    /// Kept until somebody purges it by hand (`on_remove=retain`).
    Never,
    /// It is being deleted, and nothing brings it back: said before it is done, where other nodes could
    /// still decide otherwise.
    Condemned(Timestamp),
}

/// What is on a volume's storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Contents {
    /// Never formatted.
    Blank,
    /// mkfs was about to run, or ran, and was not known to have finished.
    Formatting,
    /// A file system with its `data` directory; users may have data on it.
    Formatted,
    /// Somebody else's file system, of a snapshot or an imported volume: it is looked at before the
    /// first mount, and never formatted.
    Inherited,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_not(flag: &bool) -> bool {
    !*flag
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_unnumbered(revision: &Revision) -> bool {
    revision.get() == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_first(generation: &u32) -> bool {
    *generation == 0
}

impl Record {
    /// The record of a volume that was just asked for.
    #[must_use]
    pub const fn new(id: VolumeId, name: VolumeName, spec: Spec, now: Timestamp) -> Self {
        Self {
            id,
            name,
            spec,
            created_at: now,
            phase: Phase::Creating,
            contents: Contents::Blank,
            handle: None,
            generation: 0,
            file_system_uuid: None,
            data_dir: None,
            changing_to: None,
            frozen: false,
            untold: false,
            growing_to: None,
            file_system_behind: false,
            lease: Lease { epoch: Epoch::FIRST, owner: None, from: None },
            users: BTreeSet::new(),
            member: None,
            revision: Revision(0),
            holders: Vec::new(),
        }
    }

    /// True once it was removed by the user.
    #[must_use]
    pub const fn is_removed(&self) -> bool {
        matches!(self.phase, Phase::Removed { .. })
    }

    /// What the nodes of a cluster share of it: all but what is true of this node alone, and the
    /// number of its state.
    #[must_use]
    pub fn shared(&self) -> Self {
        let revision = Revision(0);
        Self { holders: Vec::new(), frozen: false, untold: false, revision, ..self.clone() }
    }

    /// The same volume as another node has stored it, with what is true of this node.
    #[must_use]
    pub fn with_shared(&self, shared: Self) -> Self {
        Self { holders: self.holders.clone(), frozen: self.frozen, untold: false, ..shared }
    }

    /// Tasks of other nodes reach it through its owner: it has a device, and either many tasks may write,
    /// or a node has the writer claim.
    #[must_use]
    pub fn is_served(&self) -> bool {
        let device = !self.spec.backend.is_directory();
        device && (self.spec.sharing == Sharing::Shared || !self.users.is_empty())
    }

    /// One node at a time writes to it; and where that is not its owner, the record says so.
    #[must_use]
    pub fn has_one_writer(&self) -> bool {
        self.spec.sharing == Sharing::Exclusive && !self.spec.backend.is_directory()
    }

    /// Who has the writer claim: the one node that reaches what is not shared, until its last task ended.
    #[must_use]
    pub fn writer(&self) -> Option<&NodeName> {
        self.users.first().filter(|_| self.has_one_writer())
    }

    /// The same, where that node does not own it as well, as it does after it took over what its tasks reached:
    /// an owner is asked as the owner, which may stay it.
    #[must_use]
    pub fn writer_elsewhere(&self) -> Option<&NodeName> {
        self.writer().filter(|writer| !self.lease.is_of(writer))
    }

    /// Whether that node reaches it through its owner, or may begin to.
    #[must_use]
    pub fn is_open_to(&self, node: &NodeName) -> bool {
        self.is_served() && (!self.has_one_writer() || self.users.contains(node))
    }

    /// True while somebody on this node uses it, parked holders included.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        !self.holders.is_empty()
    }

    /// The holder with that id.
    #[must_use]
    pub fn holder(&self, id: &MountId) -> Option<&Holder> {
        self.holders.iter().find(|holder| holder.id == *id)
    }

    /// Its storage is to be larger, or to have other settings.
    #[must_use]
    pub const fn is_growing(&self) -> bool {
        self.growing_to.is_some() || self.changing_to.is_some()
    }

    /// The size it has, or will have when the grow under way is done.
    #[must_use]
    pub fn wanted_size(&self) -> Bytes {
        self.growing_to.unwrap_or(self.spec.size)
    }
}
