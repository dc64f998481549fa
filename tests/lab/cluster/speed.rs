//! What sharing costs: the same work on the owner's file system, through hawser's remote mount, and by
//! plain NFS to the same server, by turns. Ratios count: the processors are emulated.

use std::time::Duration;

use super::{
    A, B, C,
    plain::{Compared, WAYS},
};

/// One piece of work.
const WORK: Duration = Duration::from_secs(240);
const ROUNDS: usize = 3;
const PARTS: [(&str, &str); 5] = [
    ("write", "writing 32 MiB in 1 MiB, with fsync, MiB/s"),
    ("read", "reading them, MiB/s"),
    ("random", "random reads of 4 KiB, 1/s"),
    ("sync", "random writes of 4 KiB, each with fsync, 1/s"),
    ("create", "new files of one line, 1/s"),
];

#[test]
#[ignore = "a part of `make lab`"]
fn a_remote_mount_is_measured_beside_plain_nfs_and_the_owner_s_file_system() {
    let all = Compared::start("cluster-speed");
    let mut found = PARTS.map(|_| [A, B, C].map(|_| Vec::new()));
    for round in 1..=ROUNDS {
        all.world.lab.step(&format!("round {round}"));
        for (part, (name, _)) in PARTS.iter().enumerate() {
            for way in [A, B, C] {
                found[part][way].push(measure(&all, name, way));
            }
        }
    }
    let [owner, remote, plain] = WAYS;
    eprintln!("measured-share: | | {owner} | {plain} | {remote} | of plain NFS | of the owner's |");
    for ((_, what), ways) in PARTS.iter().zip(found) {
        let [owner, remote, plain] = ways.map(median);
        let (of_plain, of_owner) = (100.0 * remote / plain, 100.0 * remote / owner);
        assert!(remote > 0.0 && plain > 0.0, "{what}");
        eprintln!(
            "measured-share: | {what} | {owner:.1} | {plain:.1} | {remote:.1} | {of_plain:.0} % | {of_owner:.0} % |"
        );
    }
}

/// How fast it is, with all caches empty that it could use.
#[track_caller]
fn measure(all: &Compared, part: &str, way: usize) -> f64 {
    for node in &all.world.nodes {
        node.sh("sync; echo 3 >/proc/sys/vm/drop_caches").ok();
    }
    let machine = &all.world.nodes[way];
    let dir = format!("{}/of-{way}", all.paths[way]);
    machine.run(&["/bin/mkdir", "-p", &dir]).ok();
    let said = machine.wait(&machine.spawn(&["/lab/speed.py", part, &dir]), WORK).ok();
    said.parse().unwrap_or_else(|_| panic!("{part}: {said}"))
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
