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
mod reach;

pub use claim::can_be_lent;

use jiff::{SignedDuration, Timestamp};

use super::{
    Contents, DeviceContent, NodeName, Observed, Owner, Phase, Purge, Record, Transit,
    effect::{self, Effect},
    lease::Session,
    serving::{Serving, Unable},
    transition::{self, Event},
};
use crate::spec::{BackendKind, FsType};

/// Whether the volume is to be usable on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Somebody holds it, asks for it, or held it a moment ago (the linger).
    Mounted,
    /// Nobody does.
    Released,
    /// Nobody does, and its device is not to stay attached either: its slot is needed, or another
    /// node wants it.
    Detached,
    /// Nobody does, and something is to be done with it that only its owner may do.
    Owned,
}

/// Where a decision is made, and when.
#[derive(Debug, Clone, Copy)]
pub struct Here<'a> {
    /// This node, where it is in a cluster.
    pub me: Option<&'a Owner>,
    /// Whether it can grow a mounted ext4.
    pub ext4: Ext4OnlineGrow,
    /// The time.
    pub now: Timestamp,
    /// How long this node leaves to others what any node may do: they do not all begin at once.
    pub turn: SignedDuration,
    /// The session of the volume's owner.
    pub owner: Session,
    /// Whether this node could serve the volume to others, or does.
    pub serving: Serving,
    /// A user of the volume whose machine is gone for certain.
    pub departed: Option<&'a NodeName>,
    /// What it takes to reach what is not shared.
    pub lending: Lending<'a>,
    /// How it goes with what tasks of this node wrote by the way through the volume's owner, once they are gone.
    pub write_back: WriteBack,
}

/// Whether what was written by the way through a volume's owner gets to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteBack {
    /// For all that is known.
    Works,
    /// It was tried a moment ago, and failed.
    Fails,
}

/// What is known of the writer claim of a volume that is not shared.
#[derive(Debug, Clone, Copy)]
pub struct Lending<'a> {
    /// The session of the node that has it.
    pub writer: Session,
    /// A node that asks this one for it, and waits.
    pub asker: Option<&'a NodeName>,
    /// Whether this node could use it.
    pub way: Way,
    /// Whether a task of this node waits for the volume.
    pub task_waits: bool,
}

impl Lending<'_> {
    /// Nobody has it, and nobody wants it.
    pub const NONE: Self =
        Self { writer: Session::Over, asker: None, way: Way::Open, task_waits: false };
}

/// Whether a volume that is not shared can be reached through its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As far as is known.
    Open,
    /// It was tried a moment ago, and failed: the volume is to come here instead.
    Closed,
}

/// What the lease lets this node do with a volume's storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Anything: it is in no cluster, or the volume is not in the cluster yet.
    Alone,
    /// Anything: the lease is its own.
    Owner,
    /// Nothing but to fence the former owner.
    Fencing,
    /// Nothing but to let go of what it has.
    Other,
}

impl Standing {
    /// Of a node, with a record.
    #[must_use]
    pub fn of(me: Option<&Owner>, record: &Record) -> Self {
        match me {
            None => Self::Alone,
            // From before this node was in a cluster: its own, until the cluster knows it.
            Some(_) if record.lease.is_unused() => Self::Alone,
            Some(me) if !is_of(me, record) => Self::Other,
            Some(_) if record.lease.from.is_some() => Self::Fencing,
            Some(_) => Self::Owner,
        }
    }
}

/// Whether this node can grow a mounted ext4 (it takes `CAP_SYS_RESOURCE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ext4OnlineGrow {
    /// It can.
    Possible,
    /// It cannot: such volumes grow before they are mounted.
    NotPossible,
}

/// A machine under a name, where it could have something attached; else the name.
fn is_of(me: &Owner, record: &Record) -> bool {
    let backend = &record.spec.backend;
    if backend.kind() == BackendKind::Local || backend.is_directory() {
        return record.lease.is_of(&me.node);
    }
    record.lease.owner.as_ref().is_some_and(|owner| owner.is(me))
}

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
            Want::Mounted if grows(record) && record.lease.owner.is_none() => Step::Do(Effect::Own),
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

/// The steps that the engine would take now, each taken to succeed: for `hawser doctor`.
#[must_use]
pub fn foresee(mut record: Record, mut seen: Observed, here: &Here<'_>) -> Vec<String> {
    let want = if record.is_held() { Want::Mounted } else { Want::Released };
    let mut steps = Vec::new();
    // Every step brings it nearer to the end; the limit only guards against a plan that does not.
    while steps.len() < 20 {
        let event = match next(&record, Some(&seen), want, here) {
            Step::Record(event) => Some(event),
            Step::Do(effect) => {
                steps.push(effect.name().to_owned());
                if effect == Effect::Recall {
                    // It is the other node's answer that decides.
                    break;
                }
                let (after, event) =
                    effect::absorb(seen, effect, effect::Outcome::foreseen(effect, &record));
                seen = after;
                event
            }
            Step::Stuck(problem) => {
                steps.push(problem.to_string());
                break;
            }
            Step::Forget => {
                steps.push("forget".to_owned());
                break;
            }
            Step::Leave(why) => {
                steps.push(format!("leave it to other nodes ({why})"));
                break;
            }
            Step::Wait(_) | Step::Idle => break,
        };
        if let Some(event) = event {
            record = transition::apply(&record, event, here.now).unwrap_or(record);
        }
    }
    steps
}

/// What a removed and released volume needs.
fn removal(record: &Record, purge: Purge, seen: &Observed, here: &Here<'_>) -> Step {
    let now = here.now;
    // Missing storage with data on it can come back: its directory may just not be mounted.
    let has_data = match record.contents {
        Contents::Formatted | Contents::Inherited => true,
        Contents::Blank | Contents::Formatting => false,
    };
    // Not seen is not deleted where the record says what it is called.
    let exists = seen.provisioned || record.handle.is_some();
    let due = match purge {
        Purge::At(at) => at <= now,
        Purge::Condemned(_) => true,
        Purge::Never => false,
    };
    if record.spec.backend.is_directory() && seen.provisioned && !seen.aside && !due {
        return Step::Do(Effect::SetAside);
    }
    match purge {
        Purge::Never => Step::Idle,
        Purge::At(at) if at > now && (exists || has_data || here.me.is_some()) => Step::Wait(at),
        // Before it is deleted, and for good: other nodes could bring it back until then.
        Purge::At(_) if here.me.is_some() => Step::Record(Event::Condemned),
        Purge::At(_) | Purge::Condemned(_) if exists => Step::Do(Effect::Destroy),
        // It may have been made without an answer, and not be seen yet: deleted all the same.
        Purge::At(_) | Purge::Condemned(_)
            if record.spec.backend.is_in_a_cloud() && !seen.destroyed =>
        {
            Step::Do(Effect::Destroy)
        }
        Purge::At(_) | Purge::Condemned(_) => Step::Forget,
    }
}

/// Steps towards storage of the right size.
fn storage(record: &Record, seen: &Observed) -> Option<Step> {
    if record.phase == Phase::Creating {
        // Also when it is there already: only who makes it knows what it is called.
        return Some(Step::Do(Effect::Provision));
    }
    if seen.aside {
        return Some(Step::Do(Effect::Provision));
    }
    if !seen.provisioned {
        return Some(match record.contents {
            Contents::Formatted | Contents::Inherited => Step::Stuck(Problem::StorageMissing),
            Contents::Blank | Contents::Formatting if record.handle.is_some() => {
                Step::Record(Event::StorageGone)
            }
            Contents::Blank | Contents::Formatting => Step::Do(Effect::Provision),
        });
    }
    grows(record).then(|| Step::Do(Effect::GrowStorage { to: record.wanted_size() }))
}

const fn grows(record: &Record) -> bool {
    record.growing_to.is_some() || record.changing_to.is_some()
}

/// Steps towards a device with a file system on it.
fn contents(record: &Record, seen: &Observed) -> Option<Step> {
    if record.spec.backend.is_directory() {
        return None;
    }
    if seen.device.is_none() {
        return Some(Step::Do(Effect::Attach));
    }
    match (record.contents, seen.content) {
        (Contents::Formatted, _) => None,
        // Also when formatting began before: this may be another device, made anew since.
        (Contents::Blank | Contents::Formatting, None) => Some(Step::Do(Effect::Probe)),
        (Contents::Inherited, None) => Some(Step::Do(Effect::Probe)),
        (Contents::Inherited, Some(DeviceContent::FileSystem { fs, uuid })) => {
            Some(Step::Record(Event::Recognised { fs, uuid }))
        }
        (Contents::Inherited, Some(DeviceContent::Blank | DeviceContent::Something)) => {
            Some(Step::Stuck(Problem::NothingInherited))
        }
        (
            Contents::Blank | Contents::Formatting,
            Some(DeviceContent::FileSystem { .. } | DeviceContent::Something),
        ) => Some(Step::Stuck(Problem::NotBlank)),
        (Contents::Blank, Some(DeviceContent::Blank)) => Some(Step::Record(Event::FormatBegun)),
        (Contents::Formatting, Some(DeviceContent::Blank)) => Some(Step::Do(Effect::Format)),
    }
}

/// Steps towards a published path. A grow comes after it where it can, so that no task waits.
const fn mount(record: &Record, seen: &Observed, ext4: Ext4OnlineGrow) -> Option<Step> {
    let online = match (record.spec.fs, ext4) {
        (FsType::Xfs, _) | (FsType::Ext4, Ext4OnlineGrow::Possible) => true,
        (FsType::Ext4, Ext4OnlineGrow::NotPossible) => false,
    };
    if !seen.staged {
        let offline = record.file_system_behind && !online;
        return Some(Step::Do(if offline { Effect::GrowOffline } else { Effect::Stage }));
    }
    if !seen.published {
        return Some(Step::Do(Effect::Publish));
    }
    if record.file_system_behind && !seen.grow_at_next_mount {
        return Some(Step::Do(Effect::GrowOnline));
    }
    None
}

#[cfg(test)]
mod tests;
