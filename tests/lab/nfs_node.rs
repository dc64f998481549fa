//! NFS volumes on one machine: mounted, mounted once more, found again by a new daemon, released; and
//! volumes that are images on an export.

use serde_json::json;

use crate::harness::{Lab, Machine, PATIENCE, eventually};

const GIB: u64 = 1 << 30;

/// The configuration of a node with the filer's export.
pub(crate) fn configuration(filer: &Machine, settings: &str) -> String {
    let address = filer.address;
    format!(
        "[daemon]\ncluster = \"lab\"\n[volumes]\ndefault_backend = \"nfs\"\nundelete = \"0s\"\nlinger = \"0s\"\n\
         [backends.nfs.filer]\nserver = \"{address}:/export/apps\"\n{settings}\n"
    )
}

/// How many NFS mounts the node has, but for those of hawser's own.
fn mounts(node: &Machine) -> usize {
    let own = "grep ' nfs4\\? ' /proc/mounts | grep -vc '/mnt/control/\\|/mnt/exports/'";
    node.sh(own).stdout.trim().parse().unwrap()
}

fn all_mounts(node: &Machine) -> usize {
    node.sh("grep -c ' nfs4\\? ' /proc/mounts").stdout.trim().parse().unwrap()
}

#[track_caller]
fn crash_and_restart(node: &Machine, configuration: &str) {
    node.sh("pid=$(cat /run/hawser.pid); kill -9 $pid; while kill -0 $pid; do sleep 0.1; done")
        .ok();
    node.start_hawser(configuration);
}

/// The life of a directory; the daemon does not run before, nor afterwards.
#[track_caller]
pub(crate) fn a_directory(lab: &Lab, filer: &Machine, node: &Machine, settings: &str) {
    let configuration = configuration(filer, settings);
    lab.step(&format!("a directory is made and mounted ({settings})"));
    node.start_hawser(&configuration);
    node.create_volume("web", &json!({"size": "16MiB", "uid": "33", "mode": "0750"}));
    let path = node.mount_volume("web", "one");
    assert_eq!(node.sh(&format!("stat -c '%u %a' {path}")).ok(), "33 750");
    node.sh(&format!("echo kept >{path}/file; sync {path}/file")).ok();
    assert_eq!(filer.sh("cat /disk/apps/web/data/file").ok(), "kept");
    assert!(node.sh(&format!("ls -A {path}")).ok().lines().eq(["file"]), "no marks in sight");

    lab.step("a second task, and a new daemon, find it mounted");
    assert_eq!(node.mount_volume("web", "two"), path);
    assert_eq!(mounts(node), 2, "stage and published path");
    crash_and_restart(node, &configuration);
    assert_eq!(node.mount_volume("web", "three"), path);
    assert_eq!(node.sh(&format!("cat {path}/file")).ok(), "kept");
    assert_eq!(mounts(node), 2);

    lab.step("released when the last task has gone, and deleted with the volume");
    for task in ["one", "two", "three"] {
        node.unmount_volume("web", task);
    }
    eventually("it is unmounted", PATIENCE, || mounts(node) == 0);
    node.mount_volume("web", "four");
    node.stop_hawser();
    assert_eq!(mounts(node), 2, "a stopped daemon leaves its mounts");
    node.hawser(&["release"]).ok();
    assert_eq!(mounts(node), 0, "released");
    node.start_hawser(&configuration);
    node.unmount_volume("web", "four");
    node.plugin("VolumeDriver.Remove", &json!({"Name": "web"}));
    let gone = "! test -e /disk/apps/web && ! ls /disk/apps/.hawser-removed/* 2>/dev/null";
    eventually("its directory is deleted", PATIENCE, || filer.sh(gone).code == 0);
    node.stop_hawser();
}

#[test]
#[ignore = "a part of `make lab`"]
fn a_directory_lives_by_every_version_and_by_both_ways_of_control() {
    let (lab, [filer, node]) = Lab::start("nfs-node", ["filer", "node"]);
    let disk = lab.disk("export", GIB);
    filer.serve_nfs(&filer.attach(&disk));
    for settings in [
        "versions = \"4.2\"\ncontrol = \"mount\"",
        "versions = \"4.1\"",
        "versions = \"4.0\"\nnconnect = \"4\"",
        "versions = \"3\"\nlocks = \"local\"",
    ] {
        a_directory(&lab, &filer, &node, settings);
        node.hawser(&["release"]).ok();
        assert_eq!(all_mounts(&node), 0, "what hawser had mounted for itself, too");
    }
}

#[test]
#[ignore = "a part of `make lab`"]
fn an_image_is_strictly_sized_and_grows() {
    let (lab, [filer, node]) = Lab::start("nfs-image", ["filer", "node"]);
    let disk = lab.disk("export", GIB);
    filer.serve_nfs(&filer.attach(&disk));
    let configuration = configuration(&filer, "versions = \"4.2\"");
    node.start_hawser(&configuration);

    lab.step("it has the size that it was given, for root, too");
    node.create_volume("db", &json!({"layout": "image", "size": "64MiB", "fs": "ext4"}));
    let path = node.mount_volume("db", "one");
    node.sh(&format!("echo kept >{path}/file; sync {path}/file")).ok();
    let full = node.sh(&format!("dd if=/dev/zero of={path}/full bs=1M count=100 conv=fsync"));
    assert!(full.code != 0 && full.stderr.contains("No space left"), "{full}");
    node.sh(&format!("rm {path}/full")).ok();

    lab.step("it grows while it is mounted");
    node.hawser(&["volume", "grow", "db", "256MiB"]).ok();
    node.sh(&format!("dd if=/dev/zero of={path}/full bs=1M count=150 conv=fsync")).ok();

    lab.step("a new daemon finds it, and it is let go");
    crash_and_restart(&node, &configuration);
    assert_eq!(node.mount_volume("db", "two"), path);
    for task in ["one", "two"] {
        node.unmount_volume("db", task);
    }
    eventually("its device is free", PATIENCE, || node.sh("losetup -a").stdout.trim().is_empty());
    let path = node.mount_volume("db", "three");
    assert_eq!(node.sh(&format!("cat {path}/file")).ok(), "kept");
    node.unmount_volume("db", "three");
    node.plugin("VolumeDriver.Remove", &json!({"Name": "db"}));
    let gone = "! ls /disk/apps/.hawser-images/*.img 2>/dev/null";
    eventually("its file is deleted", PATIENCE, || filer.sh(gone).code == 0);
    node.stop_hawser();
    node.hawser(&["release"]).ok();
    assert_eq!(all_mounts(&node), 0);
}
