//! What can happen to a volume's record: by a step, by a request, by another node, or by time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    spec::{BackendSpec, Bytes, FsType, OnRemove, Preempt, Scale, Sticky, VolumeName},
    volume::{CallerEpoch, Claim, Handle, Lease, MountId, NodeName, Purge},
};

/// Whether the process that counted a holder's references is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inherited {
    /// It died (or the machine was restarted): its count means nothing any more.
    Yes,
    /// It lives.
    No,
}

/// Whether some other mount namespace has the volume's file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// One does: a container, or a copy of the host's mounts.
    Held,
    /// None does.
    Free,
}

/// Something that happened, or that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The storage exists.
    Provisioned {
        /// What the backend calls it.
        handle: Option<Handle>,
        /// The backend's settings as they are.
        backend: BackendSpec,
    },
    /// The storage was deleted, or vanished, before anybody was given the volume.
    StorageGone,
    /// What came with the storage is a file system that can be mounted.
    Recognised {
        /// Which.
        fs: FsType,
        /// Its UUID.
        uuid: Uuid,
    },
    /// This node takes the volume.
    Claimed {
        /// The lease that it decided on.
        lease: Lease,
    },
    /// The former owner cannot write to the storage any more.
    Fenced,
    /// This node let go of everything of the volume.
    Disowned,
    /// A node is gone for good, says an operator.
    NodeGone {
        /// Which.
        node: NodeName,
    },
    /// A node is about to mount what needs no owner, or what it reaches through one. Of what is not shared
    /// it gets the writer claim.
    Joined {
        /// Which.
        node: NodeName,
    },
    /// It has unmounted it.
    Left {
        /// Which.
        node: NodeName,
    },
    /// The storage could not be made: the volume never existed.
    CreationFailed,
    /// mkfs is about to run.
    FormatBegun,
    /// The file system and its data directory are there, durably.
    Formatted,
    /// A caller mounts.
    Mount {
        /// The caller's id for this use.
        id: MountId,
        /// The calling process.
        epoch: CallerEpoch,
        /// About the process that counted before.
        inherited: Inherited,
    },
    /// A caller of a group mounts this member of it, which is its own from now on.
    MountMember {
        /// The caller, and its node.
        claim: Claim,
        /// The claim that it was chosen by.
        instead_of: Option<Claim>,
        /// The calling process.
        epoch: CallerEpoch,
        /// About the process that counted before.
        inherited: Inherited,
    },
    /// Nothing holds the member any more on the node that had claimed it.
    Unclaimed {
        /// The node.
        node: Option<NodeName>,
    },
    /// A caller unmounts.
    Unmount {
        /// The id that it mounted with.
        id: MountId,
        /// About the process that counted before.
        inherited: Inherited,
        /// What other namespaces hold.
        outside: Outside,
    },
    /// The reference that an abandoned Mount added is dropped.
    Abandon {
        /// The id that it mounted with.
        id: MountId,
        /// The process that mounted. The reference is gone already where another one counts now.
        epoch: CallerEpoch,
        /// What other namespaces hold.
        outside: Outside,
    },
    /// The regular look at holders that nobody will ever release.
    Swept {
        /// Holders that nobody may ever release.
        dead: Vec<MountId>,
        /// What other namespaces hold.
        outside: Outside,
        /// Orphans found before this moment are collected.
        orphaned_before: Timestamp,
    },
    /// The machine was restarted since: nothing holds anything.
    Booted {
        /// The running kernel's boot id.
        boot_id: String,
    },
    /// A larger size is asked for, or other settings of the backend.
    Grow {
        /// The size to reach.
        to: Bytes,
        /// The settings to reach; `None` leaves them as they are.
        backend: Option<BackendSpec>,
    },
    /// The storage has that size and those settings.
    StorageGrown {
        /// The size reached.
        to: Bytes,
        /// The settings reached.
        backend: BackendSpec,
    },
    /// The storage could not be grown.
    GrowFailed,
    /// The file system fills the storage.
    FileSystemGrown,
    /// Its file system is about to be held still for a snapshot.
    FreezeBegun,
    /// It is not held still any more.
    Thawed,
    /// The volume is removed by its user.
    Remove {
        /// What becomes of the data where the spec does not say.
        purge: Purge,
    },
    /// A removed volume's data is deleted now.
    Purge,
    /// The time of a removed volume has come: its data is about to be deleted.
    Condemned,
    /// A removed volume comes back, under that name.
    Undelete {
        /// Its name from now on.
        name: VolumeName,
    },
    /// A new name.
    Rename {
        /// Its name from now on.
        to: VolumeName,
    },
    /// New values for what can be changed at any time.
    Set(Changes),
    /// A group is to have that many members, at least.
    Raised {
        /// How many.
        to: Scale,
    },
}

/// New values for what can be changed at any time; what is not said stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Protection against removal.
    pub sticky: Option<Sticky>,
    /// What Remove does with the data.
    pub on_remove: Option<OnRemove>,
    /// What is done about a node that does not let go of it.
    pub preempt: Option<Preempt>,
    /// Used from the next mount on.
    pub mount_options: Option<Vec<String>>,
    /// Added, or given a new value.
    pub labels: BTreeMap<String, String>,
    /// How many tasks of a group get a volume of their own.
    pub scale: Option<Scale>,
}
