//! The lease protocol holds whatever happens, and the model finds what goes wrong without its rules.

use std::time::Instant;

use hawser::volume::lease::{Mobility, Preempt};
use lease_model::{Protocol, Slip};
use stateright::{Checker, Model};

/// Visits every state.
#[track_caller]
fn holds(what: &str, protocol: Protocol) {
    let started = Instant::now();
    let checker = protocol
        .checker()
        .threads(2)
        .timeout(std::time::Duration::from_secs(120))
        .spawn_bfs()
        .join();
    let states = checker.unique_state_count();
    println!("{what}: {states} states, {:.1} s", started.elapsed().as_secs_f64());
    checker.assert_properties();
    assert!(checker.is_done());
}

#[test]
fn two_nodes_dead_only() {
    holds(
        "two nodes, dead-only",
        Protocol { epochs: 3, crashes: 1, ..Protocol::of(2, Preempt::DeadOnly) },
    );
}
#[test]
fn two_nodes_force() {
    holds(
        "two nodes, force",
        Protocol { epochs: 3, crashes: 1, ..Protocol::of(2, Preempt::Force) },
    );
}
