//! Fifty shared volumes of one owner, all reached from another node: what they cost. On the owner's own disk,
//! since an instance has no room for fifty EBS volumes.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{A, B, GIB, NAMES, World};
use crate::harness::{Lab, Machine, PATIENCE, eventually};

const VOLUMES: usize = 50;
/// MiB: for fifty servers.
const MEMORY: u32 = 3072;

#[test]
#[ignore = "a part of `make lab`"]
fn fifty_shared_volumes_of_one_node_are_reached_from_another() {
    let world = World::on(Lab::start_with("cluster-many", NAMES, MEMORY), 3 * GIB);
    world.lab.step("hawser starts on two machines");
    world.join(&[A, B]);
    world.wait_alive(A, 2);

    world.lab.step("fifty volumes on one are mounted there, and on the other");
    let volumes: Vec<_> = (1..=VOLUMES).map(|number| share(&world, number)).collect();
    let median = |of: fn(&Shared) -> Duration| {
        let mut times: Vec<_> = volumes.iter().map(of).collect();
        times.sort();
        format!(
            "{:.1} s, {:.1} s at the longest",
            times[VOLUMES / 2].as_secs_f32(),
            times[VOLUMES - 1].as_secs_f32()
        )
    };
    eprintln!("measured-share: | made, and mounted on its owner | {} |", median(|it| it.mounted));
    eprintln!(
        "measured-share: | then served, and mounted on another node | {} |",
        median(|it| it.reached)
    );

    world.lab.step("each is another one, and what one node writes the other reads");
    let [a, b, _] = &world.nodes;
    for volume in &volumes {
        b.sh_with("echo $2 >$1/name", &[&volume.there, &volume.name]).ok();
    }
    let names: Vec<_> = volumes.iter().map(|it| &*it.name).collect();
    let files: Vec<_> = volumes.iter().map(|it| format!("{}/name", it.here)).collect();
    assert_eq!(a.sh(&format!("cat {}", files.join(" "))).ok(), names.join("\n"));
    costs(a, b);
}

struct Shared {
    name: String,
    here: String,
    there: String,
    /// How long it took.
    mounted: Duration,
    reached: Duration,
}

/// Makes a volume, mounts it on its owner, and on the other node.
#[track_caller]
fn share(world: &World, number: usize) -> Shared {
    let [a, b, _] = &world.nodes;
    let name = format!("many-{number}");
    let since = Instant::now();
    a.create_volume(
        &name,
        &json!({"backend": "local", "size": "20MiB", "fs": "ext4", "shared": "true"}),
    );
    let here = a.mount_volume(&name, "task");
    let mounted = since.elapsed();
    eventually("the other node knows it", PATIENCE, || {
        b.hawser(&["volume", "where", &name]).code == 0
    });
    let since = Instant::now();
    let there = b.mount_volume(&name, "task");
    let reached = since.elapsed();
    // It runs for those elsewhere, and is not there before them.
    assert_eq!(servers(a), number);
    world.keep(A, &here);
    world.keep(B, &there);
    Shared { name, here, there, mounted, reached }
}

#[track_caller]
fn servers(machine: &Machine) -> usize {
    machine.sh("pidof ganesha.nfsd | wc -w").ok().parse().unwrap()
}

/// Prints what all of it takes, and holds it to bounds that are far above it, and far below what a leak would be.
#[track_caller]
fn costs(owner: &Machine, other: &Machine) {
    let memory = |machine: &Machine, pids: &str| {
        let sum = "for pid in $(PIDS); do cat /proc/$pid/smaps_rollup; done |
            awk '/^Rss/ { rss += $2 } /^Pss:/ { pss += $2 } END { printf \"%.1f %.1f\", rss / 1024, pss / 1024 }'";
        let found = machine.sh(&sum.replace("PIDS", pids)).ok();
        let (rss, pss) = found.split_once(' ').unwrap();
        [rss, pss].map(|figure| figure.parse::<f64>().unwrap())
    };
    let [rss, pss] = memory(owner, "pidof ganesha.nfsd").map(|sum| sum / VOLUMES as f64);
    eprintln!(
        "measured-share: | memory of a server, MiB | {rss:.1}, and {pss:.1} where what they share is counted once |"
    );
    assert!(rss < 80.0, "a server takes {rss} MiB");
    let threads =
        owner.sh("cat /proc/$(pidof -s ganesha.nfsd)/status | awk '/^Threads/ { print $2 }'").ok();
    eprintln!("measured-share: | a server's threads | {threads} |");
    // The brackets keep the shell from finding itself.
    for (whose, machine) in [("the owner's", owner), ("the other node's", other)] {
        let [rss, _] = memory(machine, "pgrep -f 'tunnel[ ]--table'");
        let [daemon, _] = memory(machine, "cat /run/hawser.pid");
        let tcp = machine.sh("ss -Htn state established | grep -c :7421 || true").ok();
        assert_eq!(tcp, VOLUMES.to_string(), "a connection for each");
        eprintln!(
            "measured-share: | {whose} tunnel, MiB; connections between the nodes; hawser, MiB | {rss:.1}; {tcp}; {daemon:.1} |"
        );
    }
    let running = servers(owner);
    assert_eq!(running, VOLUMES, "a server for each");
    let mounts = other.sh("grep -c ' nfs4 ' /proc/mounts").ok();
    eprintln!(
        "measured-share: | NFS mounts on the other node, with those that tasks get | {mounts} |"
    );
}
