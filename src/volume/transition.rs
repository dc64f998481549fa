//! What an event changes in a volume's record, or why it is refused. Pure: the clock, the boot id
//! and what other mount namespaces hold are passed in.

mod event;
mod holders;
mod members;
mod refusal;

use jiff::Timestamp;

pub use event::{Changes, Event, Inherited, Outside};
pub use holders::added_reference;
pub use refusal::Refusal;

use super::{Contents, Handle, Phase, Purge, Record};
use crate::spec::{BackendSpec, OnRemove, Sticky, VolumeName};

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
