//! What every run of the tests shows of real machines: NFS mounts by the kernel and by hawser, a disk that
//! is plugged in, and a volume that grows while it is mounted (the hosts that tests run on may not have
//! the capability for that).

use serde_json::json;

use crate::{
    harness::{Lab, Machine},
    nfs_node::a_directory,
};

const GIB: u64 = 1 << 30;

#[test]
fn machines_mount_nfs_get_disks_and_grow_a_mounted_volume() {
    let (lab, [filer, node]) = Lab::start("smoke", ["filer", "node"]);

    lab.step("the machines are distinct and see each other");
    let hosts = [&filer, &node].map(|machine| machine.run(&["/usr/bin/hostname"]).ok());
    assert_eq!(hosts, ["filer", "node"]);
    node.sh(&format!("busybox ping -c 1 -W 10 {}", filer.address)).ok();

    lab.step("a disk is plugged in and found by its serial number");
    let disk = lab.disk("vol0123456789abcdef0", GIB);
    let device = node.attach(&disk);
    let size: u64 = node.sh(&format!("blockdev --getsize64 {device}")).ok().parse().unwrap();
    assert_eq!(size, GIB);
    node.detach(&disk);
    node.sh(&format!("! test -e {device}")).ok();

    lab.step("the filer exports a directory");
    let exported = lab.disk("export", GIB);
    filer.serve_nfs(&filer.attach(&exported));
    for version in ["3", "4.1", "4.2"] {
        lab.step(&format!("NFS {version}: what one machine writes the other has"));
        mounts_and_writes(&node, &filer, version);
    }

    lab.step("hawser starts");
    let state = lab.disk("state", 2 * GIB);
    node.mount_state(&node.attach(&state));
    node.start_hawser("");

    lab.step("an ext4 volume grows while it is mounted");
    node.create_volume("grows", &json!({"size": "64MiB", "fs": "ext4"}));
    let path = node.mount_volume("grows", "task");
    let size = || -> u64 {
        let blocks = node.sh(&format!("df -m --output=size {path} | tail -1")).ok();
        blocks.trim().parse().unwrap()
    };
    assert!((50..=64).contains(&size()), "{} MiB", size());
    let task = format!("echo kept >{path}/file; exec sleep 1000 3>>{path}/file");
    let task = node.spawn(&["/bin/sh", "-c", &task]);
    node.hawser(&["volume", "grow", "grows", "256MiB"]).ok();
    assert!((200..=256).contains(&size()), "{} MiB after the grow", size());
    node.sh(&format!("dd if=/dev/zero of={path}/full bs=1M count=150 conv=fsync")).ok();
    assert_eq!(node.sh(&format!("cat {path}/file")).ok(), "kept");
    assert!(node.poll(&task).is_none(), "the task still has its file open");
    node.kill(&task);
    node.unmount_volume("grows", "task");
    node.stop_hawser();

    a_directory(&lab, &filer, &node, "versions = \"4.2,4.1,4.0,3\"");
}

/// Mounts the export as the kernel's client does it, and leaves it.
#[track_caller]
fn mounts_and_writes(node: &Machine, filer: &Machine, version: &str) {
    let export = format!("{}:/export/apps", filer.address);
    let mount = "modprobe nfs; mkdir -p /mnt/nfs
        rpcbind -w 2>/dev/null; pidof rpc.statd >/dev/null || rpc.statd
        mount -t nfs -o vers=$1,retry=0,hard,timeo=50 $2 /mnt/nfs
        grep -o ',vers=[0-9.]*' /proc/mounts";
    let seen = node.sh_with(mount, &[version, &export]).ok();
    assert_eq!(seen, format!(",vers={version}"));
    node.sh_with("echo by-$1 >/mnt/nfs/$1; sync -f /mnt/nfs/$1; umount /mnt/nfs", &[version]).ok();
    let there = filer.sh_with("cat /disk/apps/$1", &[version]).ok();
    assert_eq!(there, format!("by-{version}"));
}
