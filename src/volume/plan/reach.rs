//! Sharing: what a node does to reach a volume that another one has, and what the owner does for those.
//!
//! A node that changes from the one to the other keeps both for a while: the tasks that came by the
//! way through the former owner stay on it until the last of them is gone, and only then is the file
//! system itself published.

use super::{
    Effect, Event, Here, Observed, Record, Serving, Session, Step, Want, Way, WriteBack, claim,
    contents, join_as_user, leave, let_go, mount, storage,
};
use crate::{spec::BackendKind, volume::Phase};

/// The next step with what another node has. `None`: by another way than through its owner.
pub(super) fn from_another_node(
    record: &Record,
    seen: &Observed,
    want: Want,
    here: &Here<'_>,
) -> Option<Step> {
    let open = here.me.is_some_and(|me| record.is_open_to(&me.node));
    if !open || record.phase != Phase::Ready {
        return None;
    }
    if want != Want::Mounted {
        return on_leaving(record, seen, here);
    }
    if record.has_one_writer() && here.lending.way == Way::Closed && !seen.remote.published {
        // It comes here, then.
        return None;
    }
    if record.lease.owner.is_none() || here.owner == Session::Over {
        return Some(take_over(record, seen, here));
    }
    if record.has_one_writer() && !here.lending.asked && !seen.is_reached() {
        // That of a machine before this one, perhaps, which may still write: given back, and asked for.
        return leave(record, here);
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

/// Who leaves writes back what its tasks wrote first: to the owner that there is by then. Where that failed for the
/// want of one, and nobody who needs the volume was faster, it is this node's to be it: else what was written
/// would stay in its memory for ever.
fn on_leaving(record: &Record, seen: &Observed, here: &Here<'_>) -> Option<Step> {
    let user = here.me.is_some_and(|me| record.users.contains(&me.node));
    if !user || !seen.remote.mounted {
        return None;
    }
    if record.lease.owner.is_some() && here.owner == Session::Lives {
        let led = seen.remote.connected == Some(record.lease.epoch);
        return (!led).then_some(Step::Do(Effect::Connect));
    }
    // Nobody else can have what is on a node's own disk.
    let fixed = record.spec.backend.kind() == BackendKind::Local;
    let fails = here.write_back == WriteBack::Fails;
    (fails && !fixed).then(|| take_over(record, seen, here))
}

/// Nobody serves it: this node will, unless another one is faster. But whoever has claimed it keeps all
/// others from it: a node that could not serve them leaves it to them.
fn take_over(record: &Record, seen: &Observed, here: &Here<'_>) -> Step {
    match here.serving {
        Serving::Unable(why) if seen.remote.mounted || has_other_users(record, here) => {
            Step::Leave(why)
        }
        Serving::Able | Serving::Unable(_) | Serving::Failing => Step::Do(Effect::Own),
    }
}

fn has_other_users(record: &Record, here: &Here<'_>) -> bool {
    record.users.iter().any(|user| here.me.is_none_or(|me| me.node != *user))
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
    let epoch = record.lease.epoch;
    let used = has_other_users(record, here);
    let reached = seen.is_reached() || seen.remote.published || record.users.contains(me);
    let leads_here = !seen.remote.mounted || seen.remote.connected == Some(epoch);
    // A user's way that leads elsewhere has to lead here first: it could not be written back.
    let goes = want == Want::Detached && (leads_here || !record.users.contains(me));
    if !record.is_served() || goes || !(used || reached) {
        return None;
    }
    let fixed = record.spec.backend.kind() == BackendKind::Local;
    if here.serving == Serving::Failing && used && !seen.published && !fixed {
        // Others may be able to. The mount that this node's tasks came by stays.
        return Some(let_go(seen).map_or(Step::Record(Event::Disowned), Step::Do));
    }
    // Another node writes: the owner's own tasks wait.
    let want = if used && record.has_one_writer() { Want::Released } else { want };
    storage(record, seen)
        .or_else(|| contents(record, seen))
        .or_else(|| (!seen.staged).then(|| stage(record, seen, here)))
        // What this node's tasks need does not wait for what others need, which may fail.
        .or_else(|| publish(record, seen, want, here))
        .or_else(|| (seen.exported != Some(epoch)).then_some(Step::Do(Effect::Export)))
        .or_else(|| (!leads_here).then_some(Step::Do(Effect::Connect)))
        // Through the server: what tasks wrote by the way through the former owner is written back first.
        .or_else(|| leave_the_way(record, seen, want, here))
        // Not before its server, which is told not to wait for it as long as it is a user.
        .or_else(|| forget_departed(record, here))
        .or_else(|| grows_online(record, seen).then_some(Step::Do(Effect::GrowOnline)))
        .or_else(|| claim::recall(record, here))
        .or_else(|| (used || want == Want::Mounted).then_some(Step::Idle))
}

/// A user that will never say that it has unmounted it.
fn forget_departed(record: &Record, here: &Here<'_>) -> Option<Step> {
    let node = here.departed.filter(|node| record.users.contains(*node))?;
    Some(Step::Record(Event::Left { node: node.clone() }))
}

/// Whether a file system that is mounted is to fill its storage.
const fn grows_online(record: &Record, seen: &Observed) -> bool {
    record.file_system_behind && !seen.grow_at_next_mount
}

/// Mounted for the tasks of other nodes: grown as if for a task of this one.
fn stage(record: &Record, seen: &Observed, here: &Here<'_>) -> Step {
    mount(record, seen, here.ext4).unwrap_or(Step::Idle)
}

/// What the tasks of the owner's own node see.
fn publish(record: &Record, seen: &Observed, want: Want, here: &Here<'_>) -> Option<Step> {
    match want {
        // Its tasks are on the way through the former owner. One that is not mounted is none.
        Want::Mounted if seen.remote.mounted || seen.published => None,
        Want::Mounted => mount(record, seen, here.ext4),
        Want::Released | Want::Owned | Want::Detached => {
            let shown = seen.remote.published || seen.published;
            shown.then_some(Step::Do(Effect::Unpublish))
        }
    }
}

/// The way through the former owner, once no task is on it any more.
fn leave_the_way(record: &Record, seen: &Observed, want: Want, here: &Here<'_>) -> Option<Step> {
    if want == Want::Mounted && seen.remote.published {
        return None;
    }
    let way = seen.is_reached().then_some(Step::Do(Effect::Unreach));
    way.or_else(|| leave(record, here)).or_else(|| publish(record, seen, want, here))
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
