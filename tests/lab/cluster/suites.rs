//! File-system test suites through a remote mount: the failures that plain NFS to the same server has,
//! and no other.

use std::{collections::BTreeMap, time::Duration};

use super::{
    A, B, C,
    plain::{Compared, WAYS},
};

/// A suite on an emulated processor.
const SUITE: Duration = Duration::from_secs(1800);

/// What became of each case.
type Outcomes = BTreeMap<String, String>;

#[test]
#[ignore = "a part of `make lab`"]
fn a_remote_mount_fails_in_file_system_suites_where_plain_nfs_does_and_nowhere_else() {
    let all = Compared::start("cluster-suites");
    for suite in ["fsx", "fio"] {
        for (way, outcomes) in run(&all, suite).iter().enumerate() {
            let failed = failures(outcomes);
            assert!(failed.is_empty(), "{suite}, {}: {failed:?}", WAYS[way]);
        }
    }
    fails_alike(&all, "holes");
}

#[test]
#[ignore = "a part of `make lab`"]
fn stressors_fail_on_a_remote_mount_where_they_do_on_plain_nfs_and_nowhere_else() {
    fails_alike(&Compared::start("cluster-stress"), "stress");
}

/// Not part of the rest: its cases, each with a wait for the clock, take more than six minutes.
#[test]
#[ignore = "measures; not a part of `make lab`"]
fn measure_a_posix_suite_through_a_remote_mount_beside_plain_nfs() {
    fails_alike(&Compared::start("cluster-posix"), "posix");
}

#[track_caller]
fn fails_alike(all: &Compared, suite: &str) {
    let outcomes = run(all, suite);
    for (way, outcomes) in outcomes.iter().enumerate() {
        let failed = failures(outcomes);
        eprintln!("measured-share: | {suite} | {} | {} | {failed:?} |", WAYS[way], outcomes.len());
    }
    assert_eq!(failures(&outcomes[B]), failures(&outcomes[C]), "{suite}: remote, and plain NFS");
}

/// Runs a suite in all three ways, at the same time.
#[track_caller]
fn run(all: &Compared, suite: &str) -> [Outcomes; 3] {
    all.world.lab.step(&format!("{suite} runs in each way"));
    let nodes = &all.world.nodes;
    let jobs = [A, B, C].map(|way| {
        let dir = format!("{}/of-{way}", all.paths[way]);
        nodes[way].spawn(&["/lab/suites.sh", suite, &dir])
    });
    [A, B, C].map(|way| {
        let said = nodes[way].wait(&jobs[way], SUITE).ok();
        let outcomes: Outcomes = said
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(case, outcome)| (case.to_owned(), outcome.trim().to_owned()))
            .collect();
        assert!(!outcomes.is_empty(), "{suite} did nothing, {}", WAYS[way]);
        outcomes
    })
}

fn failures(outcomes: &Outcomes) -> Outcomes {
    let good = |outcome: &str| outcome == "ok" || outcome == "skipped";
    outcomes
        .iter()
        .filter(|(_, is)| !good(is))
        .map(|(case, is)| (case.clone(), is.clone()))
        .collect()
}
