//! What an event changes in a volume's record, or why it is refused. Pure: the clock, the boot id
//! and what other mount namespaces hold are passed in.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{CallerEpoch, Contents, Holder, MountId, Phase, Purge, Record};
use crate::spec::{Bytes, OnRemove, Sticky, VolumeName};

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
    Provisioned,
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
    /// A larger size is asked for.
    Grow {
        /// The size to reach.
        to: Bytes,
    },
    /// The storage has that size.
    StorageGrown {
        /// The size reached.
        to: Bytes,
    },
    /// The storage could not be grown.
    GrowFailed,
    /// The file system fills the storage.
    FileSystemGrown,
    /// The volume is removed by its user.
    Remove {
        /// What becomes of the data where the spec does not say.
        purge: Purge,
    },
    /// A removed volume's data is deleted now.
    Purge,
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
}

/// New values for what can be changed at any time; what is not said stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Protection against removal.
    pub sticky: Option<Sticky>,
    /// What Remove does with the data.
    pub on_remove: Option<OnRemove>,
    /// Used from the next mount on.
    pub mount_options: Option<Vec<String>>,
    /// Added, or given a new value.
    pub labels: BTreeMap<String, String>,
}

/// Why an event is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody uses it.
    #[error("it is in use here by {0}")]
    Held(String),
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
    #[error("it is sticky: hawser volume set NAME -o sticky=false allows its removal")]
    Sticky,
    /// A smaller size was asked for.
    #[error("it has {present} and cannot shrink to {asked}")]
    Shrink {
        /// Its size.
        present: Bytes,
        /// The size asked for.
        asked: Bytes,
    },
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
        Event::Provisioned => {
            if record.phase == Phase::Creating {
                next.phase = Phase::Ready;
            }
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
        Event::Formatted => next.contents = Contents::Formatted,
        Event::Mount { id, epoch, inherited } => {
            refuse_removed(record)?;
            mount(&mut next, id, epoch, inherited, now);
        }
        Event::Unmount { id, inherited, outside } => {
            let drop = match inherited {
                Inherited::Yes => u32::MAX,
                Inherited::No => 1,
            };
            unmount(&mut next, &id, drop, outside, now);
        }
        Event::Abandon { id, epoch, outside } => {
            if record.holder(&id).is_some_and(|holder| holder.epoch == epoch) {
                unmount(&mut next, &id, 1, outside, now);
            }
        }
        Event::Swept { dead, outside, orphaned_before } => {
            sweep(&mut next, &dead, outside, orphaned_before, now);
        }
        Event::Booted { boot_id } => next.holders.retain(|h| h.epoch.boot_id == boot_id),
        Event::Grow { to } => {
            refuse_removed(record)?;
            if to < record.wanted_size() {
                return Err(Refusal::Shrink { present: record.wanted_size(), asked: to });
            }
            next.growing_to = (to > record.spec.size).then_some(to);
        }
        Event::StorageGrown { to } => {
            next.spec.size = to;
            next.growing_to = record.growing_to.filter(|wanted| *wanted > to);
            next.file_system_behind = record.contents == Contents::Formatted;
        }
        Event::GrowFailed => next.growing_to = None,
        Event::FileSystemGrown => next.file_system_behind = false,
        Event::Remove { purge } => remove(&mut next, purge, now)?,
        Event::Purge => match record.phase {
            Phase::Removed { at, .. } => next.phase = Phase::Removed { at, purge: Purge::At(now) },
            Phase::Creating | Phase::Ready => return Err(Refusal::NotRemoved),
        },
        Event::Undelete { name } => match record.phase {
            // Its storage may be gone already, or be on its way.
            Phase::Removed { purge: Purge::At(due), .. } if due <= now => {
                return Err(Refusal::Purged);
            }
            Phase::Removed { .. } => {
                next.phase = Phase::Ready;
                next.name = name;
            }
            Phase::Creating | Phase::Ready => return Err(Refusal::NotRemoved),
        },
        Event::Rename { to } => {
            refuse_removed(record)?;
            refuse_held(record)?;
            next.name = to;
        }
        Event::Set(changes) => {
            refuse_removed(record)?;
            set(&mut next, changes);
        }
    }
    Ok(next)
}

/// Whether the step from `before` to `after` gave `id` a reference that it did not have.
///
/// The one reference that a new dockerd begins with is such a one: what was inherited was worth
/// nothing, and a dockerd whose Mount failed sends no Unmount. A container that did live on is
/// seen in its own mount namespace, and keeps the holder parked.
#[must_use]
pub fn added_reference(before: &Record, after: &Record, id: &MountId) -> bool {
    let count = |record: &Record| record.holder(id).map_or(0, |holder| holder.count);
    let epoch = |record: &Record| record.holder(id).map(|holder| holder.epoch.clone());
    // Callers without an id are a new process every time, and one holder all the same.
    let adopted = !id.is_anonymous() && epoch(after) != epoch(before);
    count(after) > count(before) || adopted
}

fn mount(
    record: &mut Record,
    id: MountId,
    epoch: CallerEpoch,
    inherited: Inherited,
    now: Timestamp,
) {
    let Some(holder) = record.holders.iter_mut().find(|holder| holder.id == id) else {
        record.holders.push(Holder::new(id, epoch, now));
        return;
    };
    holder.count = match inherited {
        // A killed dockerd never sends its Unmounts: the new one starts counting at one.
        Inherited::Yes => {
            holder.since = now;
            1
        }
        // Mesos mounts once per container and unmounts once for all of them.
        Inherited::No if holder.id.is_anonymous() => 1,
        Inherited::No => holder.count.saturating_add(1),
    };
    holder.epoch = epoch;
    holder.parked_since = None;
    holder.orphaned_since = None;
}

fn unmount(record: &mut Record, id: &MountId, drop: u32, outside: Outside, now: Timestamp) {
    if let Some(holder) = record.holders.iter_mut().find(|holder| holder.id == *id) {
        holder.count = holder.count.saturating_sub(drop);
        if holder.count == 0 {
            holder.parked_since.get_or_insert(now);
            // From here on it goes as soon as no other namespace has it, and not before.
            holder.orphaned_since = None;
        }
    }
    drop_parked(record, outside);
}

/// Lets go of parked holders: all of them when no other namespace has the file system, and all but
/// the last when one has, since one is enough to say that the volume is not free. While others
/// hold the volume, what another namespace has may well be theirs, and nobody needs to be parked.
fn drop_parked(record: &mut Record, outside: Outside) {
    let held = record.holders.iter().any(|holder| holder.count > 0);
    let mut keep = usize::from(outside == Outside::Held && !held);
    record.holders.retain(|holder| {
        if holder.count > 0 {
            return true;
        }
        let kept = keep > 0;
        keep = keep.saturating_sub(1);
        kept
    });
}

fn sweep(
    record: &mut Record,
    dead: &[MountId],
    outside: Outside,
    orphaned_before: Timestamp,
    now: Timestamp,
) {
    for holder in record.holders.iter_mut().filter(|holder| holder.count > 0) {
        let orphan = outside == Outside::Free && dead.contains(&holder.id);
        holder.orphaned_since = orphan.then(|| holder.orphaned_since.unwrap_or(now));
    }
    record
        .holders
        .retain(|holder| holder.orphaned_since.is_none_or(|since| since > orphaned_before));
    drop_parked(record, outside);
}

fn remove(record: &mut Record, purge: Purge, now: Timestamp) -> Result<(), Refusal> {
    if record.is_removed() {
        return Ok(());
    }
    refuse_held(record)?;
    if record.spec.sticky == Sticky::Yes {
        return Err(Refusal::Sticky);
    }
    let purge = match record.spec.on_remove {
        Some(OnRemove::Retain) => Purge::Never,
        Some(OnRemove::Delete) | None => purge,
    };
    record.phase = Phase::Removed { at: now, purge };
    Ok(())
}

fn set(record: &mut Record, changes: Changes) {
    let Changes { sticky, on_remove, mount_options, labels } = changes;
    let spec = &mut record.spec;
    spec.sticky = sticky.unwrap_or(spec.sticky);
    spec.on_remove = on_remove.or(spec.on_remove);
    if let Some(options) = mount_options {
        spec.mount_options = options;
    }
    spec.labels.extend(labels);
}

fn refuse_removed(record: &Record) -> Result<(), Refusal> {
    if record.is_removed() { Err(Refusal::Removed) } else { Ok(()) }
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
