//! What to do next: the one decision that drives a volume from what is to what should be.
//!
//! ```text
//!  wanted:  Provision ▶ Attach ▶ Probe ▶ (record: Formatting) ▶ Format ─┐
//!                          └──── already formatted ───────────▶ Stage ──┴▶ Publish ▶ idle
//!  not:     Unpublish ▶ Unstage ▶ Detach ▶ idle
//!  removed: Unpublish ▶ Unstage ▶ Detach ▶ (purge time) ▶ Destroy ▶ forget
//!
//!  in a cluster, where another node has the storage, or nobody:
//!      wanted:  Own ▶ (record: Claimed) ▶ Fence, if the owner was dead ▶ as above
//!      not:     ShutDown, if it is mounted all the same ▶ as above ▶ (record: Disowned)
//!
//!  a directory, wanted:  Provision ▶ Stage ▶ Publish ▶ idle
//!              removed:  Unpublish ▶ Unstage ▶ SetAside ▶ (purge time) ▶ Destroy ▶ forget
//!
//!  shared, and another node's:  (record: Joined) ▶ Connect ▶ Reach ▶ Publish ▶ idle
//!  shared, with users on other nodes:  as above, without Publish ▶ Export ▶ idle
//!                 which fails again and again:  Unexport ▶ Unstage ▶ Detach ▶ (record: Disowned)
//!  not shared, and reached by one other node:  the same, see `claim`
//! ```
//!
//! The function is called after every event and every finished step, and at start: it keeps no
//! state of its own, so a crash between any two steps is nothing special.

mod claim;
mod facts;
mod foresee;
mod reach;
mod storage;

pub use claim::can_be_lent;
pub use facts::{Ext4OnlineGrow, Here, Lending, Standing, Want, Way, WriteBack};
pub use foresee::foresee;

use jiff::Timestamp;

use super::{
    Contents, Observed, Phase, Purge, Record, Transit,
    effect::Effect,
    lease::Session,
    serving::{Serving, Unable},
    transition::Event,
};
use crate::spec::BackendKind;
use storage::{contents, mount, removal, storage};

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Store this change of the record first.
    Record(Event),
    /// Do this.
    Do(Effect),
    /// Nothing can be done; the reason is for the callers.
    Stuck(Problem),
    /// Nothing to do before that time.
    Wait(Timestamp),
    /// Nothing: other nodes that use it are to have it, and not this one, for that reason.
    Leave(Unable),
    /// Nothing to do.
    Idle,
    /// Nothing is left of the volume: forget its record.
    Forget,
}

/// Why a volume cannot be served though nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The storage of a volume with data on it is not there.
    #[error(
        "its storage is missing: it was moved or deleted behind hawser's back (put it back, or remove the volume)"
    )]
    StorageMissing,
    /// The device of a volume that was never formatted is not blank.
    #[error(
        "its storage was never formatted by hawser and yet is not blank: hawser does not format over data it does not know"
    )]
    NotBlank,
    /// What was to come with a file system has none.
    #[error(
        "its storage came from a snapshot or from another plugin, and holds no file system that hawser mounts (ext4 or xfs on the whole disk): nothing was changed"
    )]
    NothingInherited,
}

/// Decides the next step.
#[must_use]
pub fn next(record: &Record, observed: Option<&Observed>, want: Want, here: &Here<'_>) -> Step {
    if record.is_group() {
        return of_group(record, here);
    }
    let Some(seen) = observed else { return Step::Do(Effect::Observe) };
    let standing = Standing::of(here.me, record);
    let step = match standing {
        Standing::Alone | Standing::Owner => as_owner(record, seen, want, here),
        Standing::Fencing => Step::Do(Effect::Fence),
        Standing::Other => as_other(record, seen, want, here),
    };
    let rests = matches!(step, Step::Idle | Step::Wait(_));
    let node = here.me.map(|me| &me.node);
    if rests && record.has_idle_claim(node) {
        // It is known what is here, and nothing of it holds the member.
        return Step::Record(Event::Unclaimed { node: node.cloned() });
    }
    if rests && standing == Standing::Owner && may_go(record, seen, want) {
        return Step::Record(Event::Disowned);
    }
    step
}

/// The next step with a group: there is nothing of it but its record.
fn of_group(record: &Record, here: &Here<'_>) -> Step {
    let Phase::Removed { purge: Purge::At(due) | Purge::Condemned(due), .. } = record.phase else {
        return Step::Idle;
    };
    let turn = due.checked_add(here.turn).unwrap_or(due);
    if turn <= here.now { Step::Forget } else { Step::Wait(turn) }
}

/// Whether another node may have it: it needs nobody now, and nothing of it is here.
fn may_go(record: &Record, seen: &Observed, want: Want) -> bool {
    let mobile = record.spec.backend.kind() != BackendKind::Local;
    let gone = record.spec.backend.is_directory() || seen.is_let_go();
    mobile && gone && want != Want::Owned
}

/// The next step with storage that is another node's, or nobody's.
fn as_other(record: &Record, seen: &Observed, want: Want, here: &Here<'_>) -> Step {
    if record.spec.backend.is_directory() && !record.is_removed() && want != Want::Owned {
        // Every node mounts it by itself; only what its life is made of needs an owner.
        return match want {
            // Whoever comes first grows it for all.
            Want::Mounted if record.is_growing() && record.lease.owner.is_none() => {
                Step::Do(Effect::Own)
            }
            // A removal that came to nothing, or an undelete, left it out of the way.
            Want::Mounted if seen.aside || !seen.provisioned => Step::Do(Effect::Own),
            Want::Mounted if record.phase == Phase::Ready => {
                join(record, here).or_else(|| mount(record, seen, here.ext4)).unwrap_or(Step::Idle)
            }
            Want::Mounted => Step::Do(Effect::Own),
            Want::Released | Want::Detached | Want::Owned => {
                release(seen).map(Step::Do).or_else(|| leave(record, here)).unwrap_or(Step::Idle)
            }
        };
    }
    if record.frozen {
        return if seen.staged { Step::Do(Effect::Thaw) } else { Step::Record(Event::Thawed) };
    }
    if seen.staged && !seen.shut_down && !record.spec.backend.is_directory() {
        return Step::Do(Effect::ShutDown);
    }
    if let Some(effect) = let_go(seen) {
        return Step::Do(effect);
    }
    if let Some(step) = reach::from_another_node(record, seen, want, here) {
        return step;
    }
    if let Some(step) = release(seen).map(Step::Do).or_else(|| leave(record, here)) {
        return step;
    }
    match (&record.phase, want) {
        (_, Want::Owned) | (Phase::Creating | Phase::Ready, Want::Mounted) => Step::Do(Effect::Own),
        (Phase::Creating | Phase::Ready, Want::Released | Want::Detached) => Step::Idle,
        (Phase::Removed { purge: Purge::Never, .. }, _) => Step::Idle,
        // Nobody else can delete what is on its node's own disk.
        (Phase::Removed { .. }, _) if record.spec.backend.kind() == BackendKind::Local => {
            Step::Idle
        }
        (Phase::Removed { purge: Purge::At(at) | Purge::Condemned(at), .. }, _) => {
            let turn = at.checked_add(here.turn).unwrap_or(*at);
            if turn <= here.now { Step::Do(Effect::Own) } else { Step::Wait(turn) }
        }
    }
}

/// Before a directory is mounted, the record says so.
fn join(record: &Record, here: &Here<'_>) -> Option<Step> {
    record.spec.backend.is_directory().then(|| join_as_user(record, here))?
}

fn join_as_user(record: &Record, here: &Here<'_>) -> Option<Step> {
    let node = &here.me?.node;
    let joined = record.users.contains(node);
    (!joined).then(|| Step::Record(Event::Joined { node: node.clone() }))
}

/// After it was unmounted, too.
fn leave(record: &Record, here: &Here<'_>) -> Option<Step> {
    let node = &here.me?.node;
    record.users.contains(node).then(|| Step::Record(Event::Left { node: node.clone() }))
}

/// The next step with storage that is this node's.
fn as_owner(record: &Record, seen: &Observed, want: Want, here: &Here<'_>) -> Step {
    if seen.transit == Some(Transit::Detaching) {
        // Asked for, and not to be taken back: whoever wants it waits for the end of it.
        return Step::Do(Effect::Detach);
    }
    if record.frozen {
        // Before all else: tasks may be waiting. Not mounted, there is nothing that could be frozen.
        return if seen.staged { Step::Do(Effect::Thaw) } else { Step::Record(Event::Thawed) };
    }
    if let Phase::Removed { purge, .. } = record.phase {
        return release(seen)
            .map(Step::Do)
            .or_else(|| leave(record, here))
            .unwrap_or_else(|| removal(record, purge, seen, here));
    }
    if seen.half_made && record.contents != Contents::Formatted {
        // Nobody was ever given this volume, so making its storage anew loses nothing, while
        // mkfs over half a file system would need the force flags that hawser never uses.
        return Step::Do(release(seen).unwrap_or(Effect::Destroy));
    }
    if let Some(step) = claim::changes(record, seen, want, here)
        .or_else(|| reach::as_its_server(record, seen, want, here))
    {
        return step;
    }
    match want {
        Want::Released | Want::Owned => {
            let stays = record.spec.backend.stays_attached();
            let step = if stays { unmount(seen) } else { release(seen) };
            let step = released(record, seen, step, here);
            let lent = || claim::lent(record, seen, want, here);
            if step == Step::Idle { lent().unwrap_or(step) } else { step }
        }
        Want::Detached => released(record, seen, release(seen), here),
        Want::Mounted => storage(record, seen)
            .or_else(|| contents(record, seen))
            .or_else(|| join(record, here))
            .or_else(|| mount(record, seen, here.ext4))
            .unwrap_or(Step::Idle),
    }
}

fn released(record: &Record, seen: &Observed, step: Option<Effect>, here: &Here<'_>) -> Step {
    step.map(Step::Do)
        .or_else(|| leave(record, here))
        .or_else(|| storage(record, seen))
        .unwrap_or(Step::Idle)
}

/// Steps towards nothing of the volume being in the kernel.
#[must_use]
pub const fn release(seen: &Observed) -> Option<Effect> {
    match reach::give_up(seen) {
        Some(effect) => Some(effect),
        None => let_go(seen),
    }
}

/// Steps towards nothing keeping another node from the storage.
const fn let_go(seen: &Observed) -> Option<Effect> {
    match unmount(seen) {
        Some(effect) => Some(effect),
        None if seen.device.is_some() || seen.transit.is_some() => Some(Effect::Detach),
        None => None,
    }
}

/// Steps towards the storage not being mounted. Nobody is served what is not there.
#[must_use]
pub const fn unmount(seen: &Observed) -> Option<Effect> {
    if seen.published {
        Some(Effect::Unpublish)
    } else if seen.exported.is_some() {
        Some(Effect::Unexport)
    } else if seen.staged {
        Some(Effect::Unstage)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
