//! A node that writes back to itself: it took a volume over whose tasks it has on NFS, and its memory is
//! short. What is written cannot leave memory but through its own tunnel and its own server.

use std::time::{Duration, Instant};

use ec2_fake::InstanceState;
use serde_json::json;

use super::{A, B, World, row};
use crate::harness::{Machine, eventually};

/// What is left of the machine's memory for everything, in MiB.
const LEFT: u64 = 120;
/// What is written by write(2) and by mmap(2), in MiB: more than the machine has (768).
const WRITTEN: u64 = 700;
const MAPPED: u64 = 300;
/// A deadlock is for ever; this is what emulation may take.
const LIMIT: Duration = Duration::from_secs(500);

const MAP: &str = "import mmap, os, sys
size = int(sys.argv[2]) << 20
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.ftruncate(file, size)
pages = mmap.mmap(file, size)
for at in range(0, size, 4096):
    pages[at] = 1
pages.flush()
os.fsync(file)";

/// Not part of the rest: it takes seven minutes.
#[test]
#[ignore = "measures; not a part of `make lab`"]
fn measure_a_node_that_writes_back_to_its_own_server_with_hardly_any_memory() {
    let world = World::start("cluster-shared-pressure");
    let World { lab, cluster, nodes, .. } = &world;
    world.create(A, "shared", json!({"shared": "true", "size": "2GiB"}));
    world.mount_shared(A, "task");
    let path = world.mount_shared(B, "task");
    let files = world.share_task(B, &path, "files", "");
    nodes[B].wait_acknowledged(&files.tag, 5);

    lab.step("to another node's");
    for mib in [1, 4, 16] {
        write(&world, &path, "to another node", mib);
    }

    lab.step("the owner dies, and the node whose tasks are on NFS takes it over");
    let since = Instant::now();
    nodes[A].crash();
    cluster.cloud.says(&nodes[A], InstanceState::Terminated);
    world.pause(since, &[&files]);
    assert_eq!((world.owner(B), &*world.kind(B, &path)), (B, "nfs4"));

    lab.step("with enough memory");
    for mib in [1, 4, 16] {
        write(&world, &path, "to itself", mib);
    }

    lab.step("its memory is eaten, and a task writes more than it has");
    let available = available(&nodes[B]);
    let eat = "mkdir /run/eaten && mount -t tmpfs -o size=100% tmpfs /run/eaten
        dd if=/dev/zero of=/run/eaten/all bs=1M count=$1 status=none";
    nodes[B].sh_with(eat, &[&available.saturating_sub(LEFT).to_string()]).ok();
    eprintln!("           {available} MiB were left, and now {}", self::available(&nodes[B]));
    let since = Instant::now();
    let written = WRITTEN.to_string();
    let dd = "exec dd if=/dev/zero of=/mnt/data/big bs=1M conv=fsync status=none count=$0";
    let mapped = MAPPED.to_string();
    let jobs = [
        nodes[B].spawn(&["/lab/task.sh", &path, "/bin/sh", "-c", dd, &written]),
        nodes[B].spawn(&[
            "/lab/task.sh",
            &path,
            "/usr/bin/python3",
            "-c",
            MAP,
            "/mnt/data/map",
            &mapped,
        ]),
    ];
    let mut said = Instant::now();
    let mut ended = [None, None];
    eventually("both are written and synced", LIMIT, || {
        for (job, ended) in jobs.iter().zip(&mut ended).filter(|(_, ended)| ended.is_none()) {
            *ended = nodes[B].poll(job).map(|outcome| (outcome.ok(), since.elapsed()));
        }
        if said.elapsed() > Duration::from_secs(20) {
            said = Instant::now();
            tell(&nodes[B], &path, since);
        }
        ended.iter().all(Option::is_some)
    });
    tell(&nodes[B], &path, since);
    let took = since.elapsed().as_secs_f32();
    let longest = nodes[B].acknowledged(&files.tag).longest.as_secs_f32();
    let sees = format!("{WRITTEN} + {MAPPED} MiB in {took:.0} s");
    let fault =
        format!("shared: {LEFT} MiB of memory left, on the owner that writes back to itself");
    row(&fault, &sees, &format!("{longest:.1} s, the longest step of another task"), "-");
    assert_eq!(nodes[B].said("Out of memory"), 0, "something was killed");

    lab.step("all of it goes on");
    world.all_go_on(&[&files], 3);
    let size = nodes[B].sh_with("stat -c %s $1/big $1/map", &[&path]).ok();
    assert_eq!(size, format!("{}\n{}", WRITTEN << 20, MAPPED << 20));
    world.files_are_there(B, &path, &files);
}

/// Writes a file on B and syncs it, and says how long that took.
#[track_caller]
fn write(world: &World, path: &str, to: &str, mib: u64) {
    let since = Instant::now();
    let dd = "dd if=/dev/zero of=$1/some bs=1M count=$2 conv=fsync status=none";
    let dd = world.nodes[B].spawn(&["/bin/sh", "-c", dd, "sh", path, &mib.to_string()]);
    world.nodes[B].wait(&dd, LIMIT / 4).ok();
    eprintln!("           {mib} MiB {to}: {:.1} s", since.elapsed().as_secs_f32());
}

fn available(machine: &Machine) -> u64 {
    let available = "awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo";
    machine.sh(available).ok().parse().unwrap()
}

/// How far it is, and that hawser answers meanwhile.
#[track_caller]
fn tell(machine: &Machine, path: &str, since: Instant) {
    let id = "du -m /var/lib/hawser/mnt/stage/*/data/big /var/lib/hawser/mnt/stage/*/data/map | cut -f1 | xargs
        grep -E '^(MemAvailable|Dirty|Writeback|NFS_Unstable):' /proc/meminfo | xargs";
    let known = machine.hawser_json(&["volume", "ls"]);
    assert!(known.as_array().is_some_and(|volumes| volumes.len() == 1), "{path}: {known}");
    let state = machine.sh(id).ok().replace('\n', "; ");
    eprintln!("           {:.0} s: {state}", since.elapsed().as_secs_f32());
    // Who waits for what, on the machine's console.
    let waits = "echo w >/proc/sysrq-trigger
        for task in /proc/[0-9]*/task/*; do
            read -r name <$task/comm || continue
            case $name in *ganesha*|hawser*|tunnel*|tokio*|work*|sockets*|dd|python3|share-task*)
                echo \"waits: $task $name $(cut -d' ' -f3,9 <$task/stat) $(head -n 8 $task/stack | sed 's/.* //' | xargs)\" ;;
            esac
        done >/dev/console 2>&1";
    machine.sh(waits).ok();
}
