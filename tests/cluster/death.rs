//! A node dies, stands still, or only its daemon does.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use ec2_fake::InstanceState;
use rustix::process::Signal;
use serde_json::json;

use crate::{
    harness::{is_mount_point, until},
    nodes::{A, B, Cluster, measured},
};

/// What a task has on its disk when its `fsync` returns.
fn write_synced(path: &Path, text: &str) {
    let mut file = File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.sync_all().unwrap();
}

#[test]
fn what_a_dead_node_had_is_mounted_elsewhere_with_all_that_was_synced() {
    let mut cluster = Cluster::started(2);
    let path = cluster[A].mount("name=v,size=1GiB", "task-1");
    write_synced(&path.join("file"), "precious");
    cluster.until_known(B, "v");
    let epoch = cluster[B].epoch_of("v");
    cluster[A].kill9();
    cluster.ec2().instance_state(&cluster[A].instance, InstanceState::Stopped);
    let begun = Instant::now();

    let path = cluster[B].mount("v", "task-2");

    measured("takeover from a machine that is off (session 4 s)", begun.elapsed());
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "precious");
    assert_eq!(cluster[B].epoch_of("v"), epoch + 1);
    let vol = cluster[B].vol("v");
    assert_eq!(cluster.instance_with(&vol), Some(cluster[B].instance.clone()));
    write_synced(&path.join("file"), "newer");

    // The machine comes back, with nothing of it mounted.
    cluster[A].undo_mounts();
    cluster.ec2().instance_state(&cluster[A].instance, InstanceState::Running);
    cluster[A].start();
    cluster.until_all_live();
    until("it knows whose it is", || cluster[A].owner_of("v") == "n2");
    let error = cluster[A].mount_fails("v", "task-3");
    assert!(error.contains("in use on node n2 by mount task-2"), "{error}");
    assert!(cluster[A].mounts().is_empty());
    assert_eq!(cluster.instance_with(&vol), Some(cluster[B].instance.clone()));
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "newer");
    cluster[B].unmount("v", "task-2");
    cluster[A].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn a_terminated_machines_volumes_are_taken_over_too() {
    let mut cluster = Cluster::started(2);
    let path = cluster[A].mount("name=v,size=1GiB,attach=follow", "task-1");
    write_synced(&path.join("file"), "precious");
    cluster.until_known(B, "v");
    cluster[A].kill9();
    cluster.ec2().instance_state(&cluster[A].instance, InstanceState::Terminated);
    let begun = Instant::now();
    assert_eq!(cluster[B].data_of("v"), "precious");
    measured("takeover from a terminated machine (session 4 s)", begun.elapsed());
    cluster[B].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn a_node_that_stood_still_while_its_volume_was_taken_by_force_writes_nothing_after_it() {
    let cluster = Cluster::started(2);
    let path = cluster[A].mount("name=v,size=1GiB,preempt=force", "task-1");
    write_synced(&path.join("file"), "precious");
    let mut open = File::create(path.join("open")).unwrap();
    cluster.until_known(B, "v");
    cluster[A].signal(Signal::STOP);
    let begun = Instant::now();
    let there = cluster[B].mount("v", "task-2");
    measured("takeover by force from a node that stands still (session 4 s)", begun.elapsed());
    assert_eq!(fs::read_to_string(there.join("file")).unwrap(), "precious");
    write_synced(&there.join("file"), "newer");
    // Its daemon stands still and its tasks do not: they write to a disk that is not there.
    let _ = open.write_all(b"stale");

    cluster[A].signal(Signal::CONT);
    let begun = Instant::now();
    let stage = cluster[A].path("mnt/stage").join(cluster[B].inspect("v")["id"].as_str().unwrap());
    until("its mounts are cleared away", || !is_mount_point(&stage) && !is_mount_point(&path));
    measured("clean-up of a node that went on after a takeover", begun.elapsed());
    let failed = open.write_all(b"stale").and_then(|()| open.sync_all());
    assert!(failed.is_err(), "a task of the former owner still writes");
    drop(open);
    assert!(fs::write(path.join("file"), "stale").is_err(), "the empty directory is written to");
    assert_eq!(fs::read_to_string(there.join("file")).unwrap(), "newer");
    assert!(!there.join("open").exists() || fs::read(there.join("open")).unwrap().is_empty());
    let error = cluster[A].mount_fails("v", "task-3");
    assert!(error.contains("in use on node n2 by mount task-2"), "{error}");

    cluster[B].unmount("v", "task-2");
    assert_eq!(cluster[A].data_of("v"), "newer");
    cluster[A].unmount("v", "task-1");
    cluster[B].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn from_a_machine_that_runs_nothing_is_taken_while_its_daemon_is_down() {
    let mut cluster = Cluster::started(2);
    let path = cluster[A].mount("name=v,size=1GiB", "task-1");
    write_synced(&path.join("file"), "precious");
    cluster.until_known(B, "v");
    let epoch = cluster[B].epoch_of("v");
    cluster[A].kill9();

    let begun = Instant::now();
    let error = cluster[B].mount_fails("v", "task-2");
    measured("refusal while the owner's daemon is down and its machine runs", begun.elapsed());
    let reason = "node n1, which has it, does not answer, but its machine runs";
    assert!(error.contains(reason), "{error}");
    assert_eq!(cluster[B].epoch_of("v"), epoch);
    assert_eq!(cluster.ec2().count("DetachVolume"), 0);
    fs::write(path.join("file"), "its task goes on").unwrap();

    cluster[A].start();
    cluster.until_all_live();
    let error = cluster[B].mount_fails("v", "task-2");
    assert!(error.contains("in use on node n1 by mount task-1"), "{error}");
    cluster[A].unmount("v", "task-1");
    assert_eq!(cluster[B].data_of("v"), "its task goes on");
    cluster[B].remove("v");
    cluster.until_nothing_is_left();
}

/// What an operator may do with a machine that runs, and what its daemon finds when it starts again,
/// at first without its store.
#[test]
fn a_volume_that_was_moved_by_force_is_cleared_away_when_its_former_node_starts_again() {
    let mut cluster = Cluster::started(2);
    let path = cluster[A].mount("name=v,size=1GiB", "task-1");
    write_synced(&path.join("file"), "precious");
    cluster.until_known(B, "v");
    cluster[A].kill9();
    let begun = Instant::now();
    cluster[B].hawser(["volume", "move", "v", "--to", "n2", "--force"]);
    measured("move by force from a machine that runs (session 4 s)", begun.elapsed());
    let there = cluster[B].mount("v", "task-2");
    assert_eq!(fs::read_to_string(there.join("file")).unwrap(), "precious");
    write_synced(&there.join("file"), "newer");

    cluster[A].store.cut();
    cluster[A].start();
    let _ = cluster[A].call("Mount", &json!({ "Name": "v", "ID": "task-3" }));
    let _ = fs::write(path.join("file"), "stale");
    cluster[A].store.heal();
    cluster.until_all_live();
    until("its mounts are cleared away", || cluster[A].mounts().is_empty());
    assert_eq!(cluster[A].holders("v"), []);
    assert_eq!(fs::read_to_string(there.join("file")).unwrap(), "newer");
    cluster[B].unmount("v", "task-2");
    assert_eq!(cluster[A].data_of("v"), "newer");
    cluster[B].remove("v");
    cluster.until_nothing_is_left();
}

/// Who waits gets it as soon as the owner lets go.
#[test]
fn a_mount_that_waits_for_a_daemon_that_is_down_succeeds_when_it_is_back() {
    let mut cluster = Cluster::started(2);
    cluster[A].with_data("name=v,size=1GiB", "precious");
    cluster[A].until_unmounted("v");
    cluster.until_known(B, "v");
    cluster[A].kill9();
    std::thread::scope(|scope| {
        let (a, b) = cluster.pair();
        let mount = scope.spawn(move || b.mount("v", "task-2"));
        until("it waits", || b.logged(["waiting for the volume", "n1"]) > 0);
        std::thread::sleep(Duration::from_secs(5));
        assert!(!mount.is_finished(), "it was taken from a machine that runs");
        let begun = Instant::now();
        a.start();
        mount.join().unwrap();
        measured("mount after the owner's daemon came back", begun.elapsed());
    });
    cluster[B].unmount("v", "task-2");
    assert_eq!(cluster[B].data_of("v"), "precious");
    cluster[A].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn a_daemon_that_is_killed_and_started_again_keeps_its_session_and_its_volumes() {
    let mut cluster = Cluster::started(2);
    let path = cluster[A].mount("name=v,size=1GiB", "task-1");
    let mut open = File::create(path.join("file")).unwrap();
    cluster.until_known(B, "v");
    let epoch = cluster[A].epoch_of("v");
    let calls = cluster.ec2().count("AttachVolume");
    cluster[A].crash();
    cluster.until_all_live();
    open.write_all(b"not interrupted").unwrap();
    open.sync_all().unwrap();
    assert_eq!(cluster[A].logged(["the session with the store is over"]), 0);
    assert_eq!(cluster[A].epoch_of("v"), epoch);
    assert_eq!(cluster.ec2().count("AttachVolume"), calls);
    assert_eq!(cluster[A].holders("v"), [("task-1".to_owned(), 1)]);
    cluster[A].mount("v", "task-2");
    cluster[A].call("Path", &json!({ "Name": "v" })).ok();
    assert!(cluster[B].mount_fails("v", "task-3").contains("in use on node n1"));
    drop(open);
    for id in ["task-1", "task-2"] {
        cluster[A].unmount("v", id);
    }
    assert_eq!(cluster[B].data_of("v"), "not interrupted");
    cluster[B].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn preempt_never_leaves_a_dead_nodes_volume_to_an_operator() {
    let mut cluster = Cluster::started(2);
    cluster[A].with_data("name=v,size=1GiB,preempt=never", "precious");
    cluster[A].until_unmounted("v");
    cluster.until_known(B, "v");
    cluster[A].kill9();
    cluster.ec2().instance_state(&cluster[A].instance, InstanceState::Terminated);
    let error = cluster[B].mount_fails("v", "task-2");
    assert!(error.contains("preempt=never"), "{error}");
    cluster[B].hawser(["volume", "move", "v", "--to", "n2"]);
    assert_eq!(cluster[B].data_of("v"), "precious");
    cluster[B].remove("v");
    cluster.until_nothing_is_left();
}
