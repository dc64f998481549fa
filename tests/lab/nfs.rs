//! NFS volumes on several machines: one directory, its locks, and a filer that loses its power.
//!
//! All of it goes through Docker's plugin calls; what is on the filer is looked at on the filer.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Disk, Lab, Machine, PATIENCE, eventually};

const GIB: u64 = 1 << 30;
/// What an answer may take that asks nobody: the machine's processor is emulated.
const AT_ONCE: Duration = Duration::from_secs(5);
/// "Within seconds": three attempts to reach a filer that is not there.
const SOON: Duration = Duration::from_secs(30);
/// Docker gives up an Unmount after a minute.
const UNMOUNT: Duration = Duration::from_secs(55);
/// A client asks again only every minute, and the filer's first seconds are for its old clients.
const RECOVERY: Duration = Duration::from_secs(180);

fn configuration(filer: &Machine, settings: &str) -> String {
    let address = filer.address;
    format!(
        "[daemon]\ncluster = \"lab\"\n[volumes]\ndefault_backend = \"nfs\"\n\
         [backends.nfs.filer]\nserver = \"{address}:/export/apps\"\n{settings}\n"
    )
}

/// Creates a volume and mounts it: the path.
#[track_caller]
fn mount(node: &Machine, name: &str) -> String {
    node.create_volume(name, &json!({"backend": "nfs", "size": "100MiB"}));
    node.mount_volume(name, "task")
}

/// Where a file of a volume's is on the filer; there has to be exactly one of that name.
#[track_caller]
fn on_filer(filer: &Machine, file: &str) -> String {
    let found = filer.run(&["/usr/bin/find", "/disk/apps", "-name", file]).ok();
    assert_eq!(found.lines().count(), 1, "{file} on the filer: {found}");
    found
}

/// What NFSv3's locks need on the clients' side.
#[track_caller]
fn start_lock_client(node: &Machine) {
    node.sh("rpcbind -w && rpc.statd").ok();
}

#[test]
#[ignore = "a part of `make lab`"]
fn two_nodes_share_one_directory_and_exclude_each_other_with_nfs_4() {
    two_nodes_share("nfs-shared-4", "versions = \"4.2,4.1,4.0,3\"");
}

#[test]
#[ignore = "a part of `make lab`"]
fn two_nodes_share_one_directory_and_exclude_each_other_with_nfs_3() {
    two_nodes_share("nfs-shared-3", "versions = \"3\"\nlocks = \"refuse\"");
}

#[track_caller]
fn two_nodes_share(test: &str, settings: &str) {
    let (lab, [filer, one, other]) = Lab::start(test, ["filer", "one", "other"]);
    let disk = lab.disk("export", 8 * GIB);
    filer.serve_nfs(&filer.attach(&disk));
    let configuration = configuration(&filer, settings);
    for node in [&one, &other] {
        start_lock_client(node);
        node.start_hawser(&configuration);
    }

    lab.step("both mount one volume");
    let (here, there) = (mount(&one, "pg"), mount(&other, "pg"));
    one.sh(&format!("echo from-one >{here}/first; sync {here}/first")).ok();
    assert_eq!(other.sh(&format!("cat {there}/first")).ok(), "from-one");
    other.sh(&format!("echo from-other >{there}/second; sync {there}/second")).ok();
    assert_eq!(one.sh(&format!("cat {here}/second")).ok(), "from-other");
    on_filer(&filer, "first");

    lab.step("a lock that one takes is refused to the other");
    let holder = one.spawn(&["/lab/lock.py", "hold", &format!("{here}/lock")]);
    let try_lock = || other.run(&["/lab/lock.py", "try", &format!("{there}/lock")]).ok();
    eventually("the lock is taken", PATIENCE, || {
        assert!(one.poll(&holder).is_none(), "the holder ended");
        filer.sh("find /disk/apps -name lock.held | grep -q .").code == 0
    });
    assert_eq!(try_lock(), "refused");
    one.kill(&holder);
    eventually("the lock is free again", PATIENCE, || try_lock() == "taken");

    lab.step("one leaves, the other goes on");
    one.unmount_volume("pg", "task");
    other.sh(&format!("echo more >>{there}/first")).ok();
    other.unmount_volume("pg", "task");
}

#[test]
#[ignore = "a part of `make lab`"]
fn nfs_3_without_a_lock_manager_is_refused_or_has_local_locks_as_configured() {
    let (lab, [filer, node]) = Lab::start("nfs-locks", ["filer", "node"]);
    let disk = lab.disk("export", 8 * GIB);
    filer.serve_nfs_without_locks(&filer.attach(&disk));

    lab.step("refused");
    start_lock_client(&node);
    node.start_hawser(&configuration(&filer, "versions = \"3\"\nlocks = \"refuse\""));
    node.create_volume("pg", &json!({"backend": "nfs", "size": "100MiB"}));
    let error = node.plugin_err("VolumeDriver.Mount", &json!({"Name": "pg", "ID": "task"}));
    let filer_named = error.contains(&filer.address.to_string());
    assert!(error.contains("lock") && filer_named, "the reason is missing: {error}");
    assert!(!error.contains("this node"), "what the node has is not the reason: {error}");
    assert_eq!(node.sh("grep -c ' nfs' /proc/mounts").stdout.trim(), "0", "something is mounted");
    node.stop_hawser();

    lab.step("local locks");
    node.start_hawser(&configuration(&filer, "versions = \"3\"\nlocks = \"local\""));
    let path = node.mount_volume("pg", "task");
    node.sh("grep ' nfs ' /proc/mounts | grep -q local_lock=all").ok();
    assert_eq!(node.run(&["/lab/lock.py", "try", &format!("{path}/lock")]).ok(), "taken");
    node.unmount_volume("pg", "task");
}

#[test]
#[ignore = "a part of `make lab`"]
fn a_filer_that_loses_its_power_under_load_is_a_pause_with_nfs_4() {
    filer_dies_and_comes_back("nfs-dies-4", "versions = \"4.2,4.1,4.0\"");
}

#[test]
#[ignore = "a part of `make lab`"]
fn a_filer_that_loses_its_power_under_load_is_a_pause_with_nfs_3() {
    filer_dies_and_comes_back("nfs-dies-3", "versions = \"3\"\nlocks = \"local\"");
}

#[track_caller]
fn filer_dies_and_comes_back(test: &str, settings: &str) {
    let (lab, [filer, node]) = Lab::start(test, ["filer", "node"]);
    let disk = lab.disk("export", 8 * GIB);
    filer.serve_nfs(&filer.attach(&disk));
    node.start_hawser(&configuration(&filer, settings));

    lab.step("a task writes, and every line is fsynced");
    let path = mount(&node, "pg");
    mount(&node, "idle");
    node.create_volume("cold", &json!({"backend": "nfs", "size": "100MiB"}));
    let writer = node.start_writer(&format!("{path}/lines"), "lines");
    node.wait_acknowledged("lines", 50);

    lab.step("the filer loses its power");
    filer.lose_power(&[&disk]);
    let before = node.acknowledged("lines").last;
    while_it_is_dead(&node);
    assert!(node.poll(&writer).is_none(), "the writer did not wait");

    lab.step("the filer comes back");
    start_again(&filer, &disk);
    let what = "the writer goes on";
    eventually(what, RECOVERY, || node.acknowledged("lines").last >= before + 50);
    assert!(node.poll(&writer).is_none(), "the writer ended");
    node.kill(&writer);
    let lines = node.acknowledged("lines");
    filer.assert_has_lines(&on_filer(&filer, "lines"), lines.last);
    eprintln!("           {} lines acknowledged, longest pause {:.1?}", lines.last, lines.longest);

    lab.step("what was refused works again");
    node.mount_volume("cold", "task");
    for volume in ["cold", "pg"] {
        node.unmount_volume(volume, "task");
    }
}

/// The daemon answers within bounds, whatever the filer does not.
#[track_caller]
fn while_it_is_dead(node: &Machine) {
    let call = |method: &str, body: serde_json::Value, limit: Duration| {
        let since = Instant::now();
        let answer = node.try_plugin(method, &body, limit);
        eprintln!("           {method} after {:.1?}: {answer}", since.elapsed());
        answer
    };
    let get = call("VolumeDriver.Get", json!({"Name": "pg"}), AT_ONCE);
    assert_eq!(get["Volume"]["Name"], "pg");
    let mount = call("VolumeDriver.Mount", json!({"Name": "cold", "ID": "task"}), SOON);
    let reason = mount["Err"].as_str().unwrap_or_default();
    assert!(!reason.is_empty(), "a dead filer's volume was mounted");
    // Whatever comes of it, it is answered.
    call("VolumeDriver.Unmount", json!({"Name": "idle", "ID": "task"}), UNMOUNT);
    call("VolumeDriver.Get", json!({"Name": "idle"}), AT_ONCE);
}

#[track_caller]
fn start_again(filer: &Machine, disk: &Disk) {
    filer.boot();
    filer.serve_nfs(&filer.attach(disk));
}
