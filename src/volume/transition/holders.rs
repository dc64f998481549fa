//! What happens to the holders of a volume: see [`Holder`] for the diagram.

use jiff::Timestamp;

use super::{Event, Inherited, Outside};
use crate::volume::{CallerEpoch, Holder, MountId, Record};

/// Applies an event about holders; any other changes nothing.
pub(super) fn apply(record: &mut Record, event: Event, now: Timestamp) {
    match event {
        Event::Mount { id, epoch, inherited } => mount(record, id, epoch, inherited, now),
        Event::MountMember { claim, epoch, inherited, .. } => {
            mount(record, claim.id, epoch, inherited, now);
        }
        Event::Unmount { id, inherited, outside } => {
            let drop = match inherited {
                Inherited::Yes => u32::MAX,
                Inherited::No => 1,
            };
            unmount(record, &id, drop, outside, now);
        }
        Event::Abandon { id, epoch, outside } => {
            if record.holder(&id).is_some_and(|holder| holder.epoch == epoch) {
                unmount(record, &id, 1, outside, now);
            }
        }
        Event::Swept { dead, outside, orphaned_before } => {
            sweep(record, &dead, outside, orphaned_before, now);
        }
        Event::Booted { boot_id } => record.holders.retain(|h| h.epoch.boot_id == boot_id),
        Event::Provisioned { .. }
        | Event::Claimed { .. }
        | Event::Fenced
        | Event::Disowned
        | Event::NodeGone { .. }
        | Event::Joined { .. }
        | Event::Left { .. }
        | Event::StorageGone
        | Event::Recognised { .. }
        | Event::CreationFailed
        | Event::FormatBegun
        | Event::Formatted
        | Event::Grow { .. }
        | Event::StorageGrown { .. }
        | Event::GrowFailed
        | Event::FileSystemGrown
        | Event::FreezeBegun
        | Event::Thawed
        | Event::Remove { .. }
        | Event::Purge
        | Event::Condemned
        | Event::Undelete { .. }
        | Event::Rename { .. }
        | Event::Set(_)
        | Event::Unclaimed { .. }
        | Event::Raised { .. } => {}
    }
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
