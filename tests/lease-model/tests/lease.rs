//! The lease protocol holds whatever happens, and the model finds what goes wrong without its rules.

use std::{collections::BTreeSet, time::Instant};

use hawser::volume::lease::{Mobility, Preempt};
use lease_model::{Late, Protocol, Slip};
use stateright::{Checker, HasDiscoveries, Model};

/// Visits every state.
#[track_caller]
fn holds(what: &str, protocol: Protocol) {
    let started = Instant::now();
    let checker = protocol.checker().spawn_bfs().join();
    let states = checker.unique_state_count();
    println!("{what}: {states} states, {:.1} s", started.elapsed().as_secs_f64());
    checker.assert_properties();
    assert!(checker.is_done(), "{what}: the search did not end");
}

/// Without that rule, that property is violated.
#[track_caller]
fn fails(slip: Slip, protocol: Protocol, expected: &'static str) {
    let started = Instant::now();
    let found = HasDiscoveries::AnyOf(BTreeSet::from([expected]));
    let checker = protocol.without(slip).checker().finish_when(found).spawn_bfs().join();
    let path = checker.discovery(expected);
    assert!(path.is_some(), "{slip:?}: the model did not see that {expected:?} is violated");
    let (states, spent) = (checker.unique_state_count(), started.elapsed().as_secs_f64());
    println!("without {slip:?}, violated: {expected} ({states} states, {spent:.1} s)");
}

#[test]
fn the_protocol_holds_for_two_nodes() {
    for preempt in [Preempt::Never, Preempt::DeadOnly, Preempt::Force] {
        holds(&format!("two nodes, {preempt:?}"), Protocol::of(2, preempt));
    }
}

#[test]
fn the_protocol_holds_for_two_nodes_with_more_crashes() {
    let protocol =
        Protocol { epochs: 2, crashes: 2, late: Late::Never, ..Protocol::of(2, Preempt::DeadOnly) };
    holds("two nodes, DeadOnly, two crashes", protocol);
}

#[test]
fn the_protocol_holds_for_three_nodes() {
    let protocol =
        Protocol { crashes: 1, epochs: 2, late: Late::Never, ..Protocol::of(3, Preempt::DeadOnly) };
    holds("three nodes, DeadOnly", protocol);
}

#[test]
fn the_protocol_holds_for_three_nodes_by_force() {
    let protocol =
        Protocol { crashes: 0, epochs: 2, late: Late::Never, ..Protocol::of(3, Preempt::Force) };
    holds("three nodes, Force, no crash", protocol);
}

#[test]
fn the_protocol_holds_for_two_machines_of_one_name() {
    holds("one name, DeadOnly", Protocol::namesakes(Preempt::DeadOnly));
}

#[test]
fn what_no_fence_protects_is_never_taken() {
    for mobility in [Mobility::Handed, Mobility::Fixed] {
        let protocol = Protocol { mobility, crashes: 0, ..Protocol::of(2, Preempt::Force) };
        holds(&format!("two nodes, {mobility:?}"), protocol);
    }
}

const RECORD: &str = "who can write is the record's owner, or is to be fenced";
const STALE: &str = "no write lands after one of a newer owner";
const FREE: &str = "what is free is attached to nobody that was sure of it";
const CLAIMED: &str = "no volume is claimed from a machine that uses it, but by force";
const CUT: &str = "no machine that uses a volume is cut off, but by force";

#[test]
fn without_the_fence_the_model_fails() {
    fails(Slip::NoFence, force(), RECORD);
}

#[test]
fn without_compare_and_set_the_model_fails() {
    fails(Slip::BlindClaim, dead_only(1), RECORD);
}

#[test]
fn with_a_release_before_the_detach_is_complete_the_model_fails() {
    fails(Slip::EarlyRelease, dead_only(1), FREE);
}

#[test]
fn with_an_attach_before_the_fence_is_stored_the_model_fails() {
    fails(Slip::FenceNotStored, force(), RECORD);
}

#[test]
fn without_a_look_between_attach_and_mount_the_model_fails() {
    fails(Slip::NoConfirm, force(), STALE);
}

#[test]
fn with_a_boot_that_claims_nothing_anew_the_model_fails() {
    fails(Slip::TrustAtBoot, dead_only(1), CLAIMED);
}

#[test]
fn with_an_eviction_on_old_knowledge_the_model_fails() {
    fails(Slip::BlindEvict, dead_only(1), CUT);
}

#[test]
fn with_a_fence_on_old_knowledge_the_model_fails() {
    fails(Slip::FenceFromCopy, dead_only(2), CUT);
}

#[test]
fn with_a_mount_of_what_happens_to_be_attached_the_model_fails() {
    fails(Slip::TrustAttached, dead_only(1), STALE);
}

fn dead_only(crashes: u8) -> Protocol {
    Protocol { crashes, ..Protocol::of(2, Preempt::DeadOnly) }
}

fn force() -> Protocol {
    Protocol { crashes: 0, ..Protocol::of(2, Preempt::Force) }
}
