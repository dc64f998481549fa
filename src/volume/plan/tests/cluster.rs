//! The plan of a node of a cluster: what it does as the owner, and what it does not without.

use super::*;
use crate::volume::{Epoch, Lease};

fn owner(node: &str) -> Owner {
    Owner { node: node.parse().unwrap(), machine: None }
}

/// On node `a`, five seconds of whose turn are others'.
fn on_a(record: &Record, seen: &Observed, want: Want, now: Timestamp) -> Step {
    let me = owner("a");
    let here = Here { now, turn: SignedDuration::from_secs(5), ..here(Some(&me)) };
    super::super::next(record, Some(seen), want, &here)
}

fn planned(record: &Record, seen: &Observed, want: Want) -> Step {
    on_a(record, seen, want, START)
}

fn follows() -> Record {
    on_ebs(used_record(), AttachPolicy::Follow)
}

fn stays() -> Record {
    on_ebs(used_record(), AttachPolicy::Stay)
}

fn of(node: &str, record: Record) -> Record {
    Record { lease: Lease::first(owner(node)), ..record }
}

/// Of a cluster, and nobody's now.
fn free(record: Record) -> Record {
    Record { lease: Lease::first(owner("b")).released(), ..record }
}

const WANTS: [Want; 4] = [Want::Mounted, Want::Released, Want::Detached, Want::Owned];

#[test]
fn what_is_wanted_here_is_owned_before_it_is_touched() {
    for free in [free(follows()), of("b", follows())] {
        assert_eq!(planned(&free, &provisioned(), Want::Mounted), Step::Do(Effect::Own));
        assert_eq!(planned(&free, &provisioned(), Want::Owned), Step::Do(Effect::Own));
        assert_eq!(planned(&free, &provisioned(), Want::Released), Step::Idle);
    }
    let mine = of("a", follows());
    assert_eq!(planned(&mine, &provisioned(), Want::Mounted), Step::Do(Effect::Attach));
}

/// It was this node's before it was in the cluster, and tasks may have it mounted.
#[test]
fn what_the_cluster_does_not_have_yet_is_served_and_never_shut_down() {
    assert_eq!(planned(&follows(), &provisioned(), Want::Mounted), Step::Do(Effect::Attach));
    let staged = Observed { staged: true, ..attached() };
    assert_eq!(planned(&follows(), &staged, Want::Released), Step::Do(Effect::Unstage));
}

#[test]
fn nothing_is_done_before_the_former_owner_is_fenced() {
    let claimed = Lease::first(owner("b")).claimed_by(owner("a"));
    let record = Record { lease: claimed, ..follows() };
    for want in WANTS {
        for seen in [nothing(), provisioned(), attached()] {
            assert_eq!(planned(&record, &seen, want), Step::Do(Effect::Fence), "{want:?}");
        }
    }
    let fenced = Record { lease: record.lease.fenced(), ..record };
    assert_eq!(planned(&fenced, &provisioned(), Want::Mounted), Step::Do(Effect::Attach));
}

#[test]
fn what_another_node_took_over_is_shut_down_and_cleared_away_whoever_holds_it() {
    let lost = of("b", stays());
    for want in WANTS {
        assert_eq!(planned(&lost, &mounted(), want), Step::Do(Effect::ShutDown), "{want:?}");
        let down = Observed { shut_down: true, ..mounted() };
        assert_eq!(planned(&lost, &down, want), Step::Do(Effect::Unpublish), "{want:?}");
        let down = Observed { shut_down: true, ..staged() };
        assert_eq!(planned(&lost, &down, want), Step::Do(Effect::Unstage), "{want:?}");
        assert_eq!(planned(&lost, &attached(), want), Step::Do(Effect::Detach), "{want:?}");
    }
}

/// Its node was alone until now: databases are running on it.
#[test]
fn a_volume_from_before_the_cluster_goes_on_as_it_was() {
    for record in [follows(), stays(), used_record()] {
        assert_eq!(planned(&record, &mounted(), Want::Mounted), Step::Idle);
        assert_eq!(planned(&record, &staged(), Want::Released), Step::Do(Effect::Unstage));
        assert_eq!(planned(&record, &provisioned(), Want::Released), Step::Idle);
    }
}

#[test]
fn a_removed_volume_of_which_nothing_was_ever_made_waits_for_its_time_like_any_other() {
    let removed = removed_record(Purge::At(at(60)));
    let unmade = Record { contents: Contents::Blank, handle: None, ..removed };
    let local = of("a", unmade);
    assert_eq!(planned(&local, &nothing(), Want::Released), Step::Wait(at(60)));
    let on_ebs = Record { handle: None, ..on_ebs(local, AttachPolicy::Follow) };
    assert_eq!(planned(&on_ebs, &nothing(), Want::Released), Step::Record(Event::Disowned));
}

#[test]
fn a_removed_local_volume_is_left_to_its_own_node() {
    let theirs = of("b", removed_record(Purge::At(at(0))));
    assert_eq!(on_a(&theirs, &nothing(), Want::Released, at(1000)), Step::Idle);
}

#[test]
fn a_directory_that_was_left_out_of_the_way_is_brought_back_by_an_owner() {
    let free = free(on_nfs(used_record()));
    let aside = Observed { aside: true, ..provisioned() };
    assert_eq!(planned(&free, &aside, Want::Mounted), Step::Do(Effect::Own));
    assert_eq!(planned(&of("a", free), &aside, Want::Mounted), Step::Do(Effect::Provision));
}

#[test]
fn a_volume_of_which_nothing_is_here_is_given_free() {
    let disown = Step::Record(Event::Disowned);
    for record in [of("a", follows()), of("a", stays())] {
        assert_eq!(planned(&record, &provisioned(), Want::Released), disown);
    }
    // It keeps its device, and its owner with it, until another node asks.
    assert_eq!(planned(&of("a", stays()), &attached(), Want::Released), Step::Idle);
    let asked = planned(&of("a", stays()), &attached(), Want::Detached);
    assert_eq!(asked, Step::Do(Effect::Detach));
    assert_eq!(planned(&of("a", stays()), &provisioned(), Want::Detached), disown);
    // Something is to be done with it.
    assert_eq!(planned(&of("a", stays()), &provisioned(), Want::Owned), Step::Idle);
}

#[test]
fn a_local_volume_is_its_nodes_for_ever() {
    let local = of("a", used_record());
    assert_eq!(planned(&local, &provisioned(), Want::Released), Step::Idle);
    assert_eq!(planned(&local, &provisioned(), Want::Detached), Step::Idle);
}

#[test]
fn a_removed_volume_is_deleted_by_whoever_comes_first_when_its_time_has_come() {
    let removed =
        |lease| Record { lease, ..on_ebs(removed_record(Purge::At(at(60))), AttachPolicy::Follow) };
    let mine = removed(Lease::first(owner("a")));
    assert_eq!(planned(&mine, &provisioned(), Want::Released), Step::Record(Event::Disowned));
    let free = removed(mine.lease.released());
    let at_second = |seconds| on_a(&free, &provisioned(), Want::Released, at(seconds));
    assert_eq!(at_second(0), Step::Wait(at(65)), "the others' turn is over then");
    assert_eq!(at_second(65), Step::Do(Effect::Own));
    let due = on_a(&mine, &provisioned(), Want::Released, at(60));
    assert_eq!(due, Step::Record(Event::Condemned), "before it is deleted, and for good");
    let condemned = transition::apply(&mine, Event::Condemned, at(60)).unwrap();
    let deleted = on_a(&condemned, &provisioned(), Want::Released, at(60));
    assert_eq!(deleted, Step::Do(Effect::Destroy));
    let back = Event::Undelete { name: "back".parse().unwrap() };
    assert_eq!(transition::apply(&condemned, back, at(0)), Err(transition::Refusal::Purged));
}

#[test]
fn a_directory_is_mounted_by_every_node_that_says_so_in_the_record() {
    let free = free(on_nfs(used_record()));
    let join = Step::Record(Event::Joined { node: "a".parse().unwrap() });
    assert_eq!(planned(&free, &provisioned(), Want::Mounted), join);
    let joined = Record { users: ["a".parse().unwrap(), "b".parse().unwrap()].into(), ..free };
    assert_eq!(planned(&joined, &provisioned(), Want::Mounted), Step::Do(Effect::Stage));
    let staged = Observed { staged: true, ..provisioned() };
    let mounted = Observed { published: true, ..staged.clone() };
    assert_eq!(planned(&joined, &mounted, Want::Mounted), Step::Idle, "without an owner");
    assert_eq!(planned(&joined, &staged, Want::Released), Step::Do(Effect::Unstage));
    let leave = Step::Record(Event::Left { node: "a".parse().unwrap() });
    assert_eq!(planned(&joined, &provisioned(), Want::Released), leave);
}

#[test]
fn a_released_lease_keeps_its_epoch() {
    let mut record = of("a", follows());
    record.lease.epoch = Epoch::from(7);
    let free = transition::apply(&record, Event::Disowned, START).unwrap();
    assert_eq!(free.lease, Lease { epoch: Epoch::from(7), owner: None, from: None });
}
