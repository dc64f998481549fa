//! Sharing: what a node does to reach a volume that another one has, and what the owner does for those.
//!
//! A node that changes from the one to the other keeps both for a while: the tasks that came by the
//! way through the former owner stay on it until the last of them is gone, and only then is the file
//! system itself published.

use super::{
    Effect, Here, Observed, Record, Session, Step, Want, Way, contents, join_as_user, leave, mount,
    storage,
};
use crate::volume::Phase;

/// The next step with what another node has. `None`: by another way than through its owner.
pub(super) fn from_another_node(
    record: &Record,
    seen: &Observed,
    want: Want,
    here: &Here<'_>,
) -> Option<Step> {
    let open = here.me.is_some_and(|me| record.is_open_to(&me.node));
    if !open || record.phase != Phase::Ready || want != Want::Mounted {
        return None;
    }
    if record.has_one_writer() && here.lending.way == Way::Closed && !seen.remote.published {
        // It comes here, then.
        return None;
    }
    if record.lease.owner.is_none() || here.owner == Session::Over {
        // Nobody serves it: this node will, unless another one is faster.
        return Some(Step::Do(Effect::Own));
    }
    Some(join_as_user(record, here).unwrap_or_else(|| {
        if seen.remote.connected != Some(record.lease.epoch) {
            Step::Do(Effect::Connect)
        } else if !seen.remote.mounted {
            Step::Do(Effect::Reach)
        } else if !seen.remote.published {
            Step::Do(Effect::Publish)
        } else {
            Step::Idle
        }
    }))
}

/// The owner's next step with what tasks of other nodes use, or tasks of this one that came by that
/// way. `None` where there are none of them, or it is to go to another node.
pub(super) fn as_its_server(
    record: &Record,
    seen: &Observed,
    want: Want,
    here: &Here<'_>,
) -> Option<Step> {
    let me = &here.me?.node;
    let used = record.users.iter().any(|user| user != me);
    let reached = seen.is_reached() || seen.remote.published || record.users.contains(me);
    if !record.is_served() || want == Want::Detached || !(used || reached) {
        return None;
    }
    // Another node writes: the owner's own tasks wait.
    let want = if used && record.has_one_writer() { Want::Released } else { want };
    let epoch = record.lease.epoch;
    let leads_here = !seen.remote.mounted || seen.remote.connected == Some(epoch);
    storage(record, seen)
        .or_else(|| contents(record, seen))
        .or_else(|| (!seen.staged).then(|| stage(record, seen, here)))
        .or_else(|| (seen.exported != Some(epoch)).then_some(Step::Do(Effect::Export)))
        .or_else(|| (!leads_here).then_some(Step::Do(Effect::Connect)))
        .or_else(|| grows_online(record, seen).then_some(Step::Do(Effect::GrowOnline)))
        .or_else(|| tasks(record, seen, want, here, used))
}

/// Whether a file system that is mounted is to fill its storage.
const fn grows_online(record: &Record, seen: &Observed) -> bool {
    record.file_system_behind && !seen.grow_at_next_mount
}

/// Mounted for the tasks of other nodes: grown as if for a task of this one.
fn stage(record: &Record, seen: &Observed, here: &Here<'_>) -> Step {
    mount(record, seen, here.ext4).unwrap_or(Step::Idle)
}

/// For the tasks of the owner's own node.
fn tasks(
    record: &Record,
    seen: &Observed,
    want: Want,
    here: &Here<'_>,
    used: bool,
) -> Option<Step> {
    match want {
        // They came while another node had it.
        Want::Mounted if seen.remote.published => Some(Step::Idle),
        Want::Mounted => {
            let way = if seen.is_reached() { Some(Step::Do(Effect::Unreach)) } else { None };
            way.or_else(|| leave(record, here)).or_else(|| mount(record, seen, here.ext4))
        }
        Want::Released | Want::Owned | Want::Detached => {
            let unpublished = seen.published.then_some(Effect::Unpublish);
            let gone = give_up(seen).or(unpublished).map(Step::Do);
            gone.or_else(|| leave(record, here)).or(used.then_some(Step::Idle))
        }
    }
}

/// Steps towards nothing being left of the way to another node's.
pub(super) const fn give_up(seen: &Observed) -> Option<Effect> {
    if seen.remote.published {
        Some(Effect::Unpublish)
    } else if seen.is_reached() {
        Some(Effect::Unreach)
    } else {
        None
    }
}
