//! What an event changes in a volume's record, or why it is refused. Pure: the clock, the boot id
//! and what other mount namespaces hold are passed in.

mod holders;
mod members;

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

pub use holders::added_reference;

use super::{CallerEpoch, Claim, Contents, Handle, Lease, MountId, NodeName, Phase, Purge, Record};
use crate::spec::{BackendSpec, Bytes, FsType, OnRemove, Preempt, Scale, Sticky, VolumeName};

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

/// Why an event is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody uses it.
    #[error("it is in use here by {0}")]
    Held(String),
    /// Another task was faster, or it is not to be claimed at all.
    #[error("it is another's: {0}")]
    Claimed(String),
    /// Members of the group are in use.
    #[error("volumes of the group are in use: {0}")]
    Members(String),
    /// It is a group.
    #[error(
        "it is a group of volumes, each of which is an ordinary volume: do this to a member (`hawser volume inspect` shows them)"
    )]
    Group,
    /// It is none.
    #[error(
        "it is one volume, and scale= makes a group only when it is created: use another volume name"
    )]
    NoGroup,
    /// It is removed.
    #[error("it was removed (hawser volume undelete brings it back)")]
    Removed,
    /// It is not removed.
    #[error("it is not removed")]
    NotRemoved,
    /// The time of its deletion has come.
    #[error("its data is being deleted: it is too late to bring it back")]
    Purged,
    /// Protected.
    #[error("it is sticky: `hawser volume set NAME -o sticky=false` allows its removal")]
    Sticky,
    /// A smaller size was asked for.
    #[error("it has {present} and cannot shrink to {asked}")]
    Shrink {
        /// Its size.
        present: Bytes,
        /// The size asked for.
        asked: Bytes,
    },
    /// Its owner could not grow it, or change its storage.
    #[error("{}; it is as it was", not_grown(.0.as_ref()))]
    NotGrown(Option<NodeName>),
    /// There is nothing on it.
    #[error("it was never mounted: there is nothing on it yet")]
    Unused,
    /// It has no file system of its own.
    #[error(
        "it is a directory on a server: it has no file system of its own that could be checked or trimmed"
    )]
    Directory,
    /// It holds more than its size.
    #[error(
        "it holds {used}, and its size is {size}: delete something in it, or grow it with `hawser volume grow`"
    )]
    Full {
        /// What it holds.
        used: Bytes,
        /// Its size.
        size: Bytes,
    },
    /// Other nodes have it mounted.
    #[error(
        "it is mounted on {0}: stop its tasks there first (`hawser volume where` shows them; `hawser node rm` forgets a node that is gone for good)"
    )]
    HeldElsewhere(String),
    /// It is another node's now.
    #[error("it is attached to node {0}, where its tasks are: ask hawser on that node")]
    Elsewhere(String),
    /// There are no unused blocks to give back.
    #[error("it is thick: its space is reserved and stays so; only thin volumes are trimmed")]
    Thick,
}

/// The record after `event`. The same record back means that there is nothing to store.
///
/// # Errors
///
/// A [`Refusal`] changes nothing.
pub fn apply(record: &Record, event: Event, now: Timestamp) -> Result<Record, Refusal> {
    let mut next = record.clone();
    match event {
        // These three decide about data, so they mean something only where there is none yet.
        Event::Provisioned { handle, backend } => provisioned(&mut next, handle, backend),
        Event::Claimed { lease } => next.lease = lease,
        Event::Fenced => next.lease = record.lease.fenced(),
        Event::Disowned => {
            // Who is not fenced yet may still write: that must not be forgotten.
            if record.lease.from.is_none() {
                next.lease = record.lease.released();
            }
        }
        Event::NodeGone { node } => {
            next.users.remove(&node);
            next.lease = record.lease.abandoned_by(&node);
        }
        Event::Joined { node } => {
            refuse_removed(record)?;
            if record.writer().is_some_and(|writer| *writer != node) {
                refuse_users(record)?;
            }
            if next.users.insert(node) && record.has_one_writer() {
                // Whoever had the claim before may have had the same name.
                next.lease.epoch = record.lease.epoch.next();
            }
        }
        Event::Left { node } => {
            next.users.remove(&node);
        }
        Event::CreationFailed => {
            if record.phase == Phase::Creating {
                next.phase = Phase::Removed { at: now, purge: Purge::At(now) };
            }
        }
        Event::FormatBegun => {
            if record.contents == Contents::Blank {
                next.contents = Contents::Formatting;
            }
        }
        Event::Formatted => {
            if record.contents != Contents::Inherited {
                next.contents = Contents::Formatted;
            }
        }
        Event::StorageGone => {
            next.generation += u32::from(record.handle.is_some());
            next.handle = None;
        }
        Event::Recognised { fs, uuid } => {
            if record.contents == Contents::Inherited {
                next.contents = Contents::Formatted;
                next.spec.fs = fs;
                next.file_system_uuid = (uuid != *record.id.uuid()).then_some(uuid);
                // It may be smaller than the volume that was made for it.
                next.file_system_behind = true;
            }
        }
        Event::Mount { .. } => {
            refuse_removed(record)?;
            members::refuse_group(record)?;
            holders::apply(&mut next, event, now);
        }
        Event::MountMember { ref claim, ref instead_of, .. } => {
            refuse_removed(record)?;
            next.member = Some(members::claimed(record, claim, instead_of.as_ref())?);
            holders::apply(&mut next, event, now);
        }
        Event::Unclaimed { node } => members::unclaim(&mut next, node.as_ref(), now),
        Event::Raised { to } => {
            refuse_removed(record)?;
            members::raise(&mut next, to)?;
        }
        Event::Unmount { .. }
        | Event::Abandon { .. }
        | Event::Swept { .. }
        | Event::Booted { .. } => {
            holders::apply(&mut next, event, now);
        }
        Event::Grow { to, backend } => {
            refuse_removed(record)?;
            if to < record.wanted_size() {
                return Err(Refusal::Shrink { present: record.wanted_size(), asked: to });
            }
            if record.is_group() {
                // It has no storage: this is what its next members are made as.
                next.spec.size = to;
                next.spec.backend = backend.unwrap_or_else(|| record.spec.backend.clone());
                return Ok(next);
            }
            next.growing_to = (to > record.spec.size).then_some(to);
            let wanted = backend.or_else(|| record.changing_to.clone());
            next.changing_to = wanted.filter(|wanted| *wanted != record.spec.backend);
        }
        Event::StorageGrown { to, backend } => {
            let grown = to > record.spec.size;
            next.spec.size = to;
            next.spec.backend = backend;
            next.growing_to = record.growing_to.filter(|wanted| *wanted > to);
            next.changing_to =
                record.changing_to.clone().filter(|wanted| *wanted != next.spec.backend);
            next.file_system_behind |= grown
                && record.contents == Contents::Formatted
                && !record.spec.backend.is_directory();
        }
        Event::GrowFailed => {
            next.growing_to = None;
            next.changing_to = None;
        }
        Event::FileSystemGrown => next.file_system_behind = false,
        Event::FreezeBegun => {
            refuse_removed(record)?;
            next.frozen = true;
        }
        Event::Thawed => next.frozen = false,
        Event::Remove { purge } => remove(&mut next, purge, now)?,
        Event::Purge => match record.phase {
            Phase::Removed { purge: Purge::Condemned(_), .. } => {}
            Phase::Removed { at, .. } => next.phase = Phase::Removed { at, purge: Purge::At(now) },
            Phase::Creating | Phase::Ready => return Err(Refusal::NotRemoved),
        },
        Event::Condemned => {
            if let Phase::Removed { at, purge: Purge::At(due) } = record.phase
                && due <= now
            {
                next.phase = Phase::Removed { at, purge: Purge::Condemned(due) };
            }
        }
        Event::Undelete { name } => undelete(&mut next, name, now)?,
        Event::Rename { to } => {
            refuse_removed(record)?;
            members::refuse_group(record)?;
            refuse_held(record)?;
            refuse_users(record)?;
            next.name = to;
        }
        Event::Set(changes) => {
            refuse_removed(record)?;
            set(&mut next, changes)?;
        }
    }
    Ok(next)
}

fn provisioned(record: &mut Record, handle: Option<Handle>, backend: BackendSpec) {
    if record.phase == Phase::Creating {
        record.phase = Phase::Ready;
    }
    match record.contents {
        // It has storage, and data on it.
        Contents::Formatted | Contents::Inherited => return,
        // What tasks see is made with it, or was there before.
        Contents::Blank if backend.is_directory() => record.contents = Contents::Formatted,
        Contents::Blank if backend.comes_with_data() => record.contents = Contents::Inherited,
        Contents::Blank | Contents::Formatting => {}
    }
    record.handle = handle;
    record.spec.backend = backend;
}

fn remove(record: &mut Record, purge: Purge, now: Timestamp) -> Result<(), Refusal> {
    if record.is_removed() {
        return Ok(());
    }
    refuse_held(record)?;
    refuse_users(record)?;
    if record.spec.sticky == Sticky::Yes {
        return Err(Refusal::Sticky);
    }
    let purge = match record.spec.on_remove {
        Some(OnRemove::Retain) => Purge::Never,
        Some(OnRemove::Delete) | None => purge,
    };
    record.phase = Phase::Removed { at: now, purge };
    members::removed(record);
    Ok(())
}

fn set(record: &mut Record, changes: Changes) -> Result<(), Refusal> {
    let Changes { sticky, on_remove, preempt, mount_options, labels, scale } = changes;
    let spec = &mut record.spec;
    if scale.is_some() && spec.scale.is_none() {
        return Err(Refusal::NoGroup);
    }
    spec.scale = scale.or(spec.scale);
    spec.sticky = sticky.unwrap_or(spec.sticky);
    spec.on_remove = on_remove.or(spec.on_remove);
    spec.preempt = preempt.unwrap_or(spec.preempt);
    if let Some(options) = mount_options {
        spec.mount_options = options;
    }
    spec.labels.extend(labels);
    Ok(())
}

fn undelete(record: &mut Record, name: VolumeName, now: Timestamp) -> Result<(), Refusal> {
    match record.phase {
        // Its storage may be gone already, or be on its way.
        Phase::Removed { purge: Purge::At(due), .. } if due <= now => Err(Refusal::Purged),
        Phase::Removed { purge: Purge::Condemned(_), .. } => Err(Refusal::Purged),
        Phase::Removed { .. } => {
            // Removed while it was being made: it is made now.
            let backend = &record.spec.backend;
            let unmade = (backend.is_in_a_cloud() || backend.is_directory())
                && record.handle.is_none()
                && record.contents == Contents::Blank;
            record.phase =
                if unmade && !record.is_group() { Phase::Creating } else { Phase::Ready };
            record.name = name;
            Ok(())
        }
        Phase::Creating | Phase::Ready => Err(Refusal::NotRemoved),
    }
}

fn not_grown(owner: Option<&NodeName>) -> String {
    owner.map_or_else(
        || "the node that owned it could not".into(),
        |node| format!("its owner, node {node}, could not: its log says why, and so does this command there"),
    )
}

fn refuse_removed(record: &Record) -> Result<(), Refusal> {
    if record.is_removed() { Err(Refusal::Removed) } else { Ok(()) }
}

/// This node's own use is over when it comes to this: it has unmounted the volume.
fn refuse_users(record: &Record) -> Result<(), Refusal> {
    if record.users.is_empty() {
        return Ok(());
    }
    let nodes: Vec<_> = record.users.iter().map(|node| format!("node {node}")).collect();
    Err(Refusal::HeldElsewhere(nodes.join(", ")))
}

fn refuse_held(record: &Record) -> Result<(), Refusal> {
    if !record.is_held() {
        return Ok(());
    }
    let holders: Vec<String> = record.holders.iter().map(ToString::to_string).collect();
    Err(Refusal::Held(holders.join(", ")))
}

#[cfg(test)]
mod tests;
