//! Machines that lose their power while volumes are written to.

use serde_json::json;

use crate::harness::{Disk, Lab, Machine};

const GIB: u64 = 1 << 30;

/// What the other tests here stand on.
#[test]
#[ignore = "a part of `make lab`"]
fn a_power_loss_loses_what_no_flush_covered_and_nothing_else() {
    let (lab, [node]) = Lab::start("power-selftest", ["node"]);
    let disk = lab.disk("disk", GIB);
    let device = node.attach(&disk);

    lab.step("one block is flushed, another is only written");
    let write = "head -c 4096 /dev/zero | tr '\\0' $1 | dd of=$2 bs=4k seek=$3 oflag=direct $4";
    node.sh_with(write, &["F", &device, "0", "conv=fsync"]).ok();
    node.sh_with(write, &["W", &device, "1000", "conv=notrunc"]).ok();
    let read = |device: &str, block: &str| {
        let script =
            "dd if=$1 bs=4k skip=$2 count=1 iflag=direct status=none | head -c 1 | od -An -c";
        node.sh_with(script, &[device, block]).ok()
    };
    assert_eq!(
        [read(&device, "0"), read(&device, "1000")].map(|s| s.trim().to_owned()),
        ["F", "W"]
    );

    lab.step("the power fails");
    node.lose_power(&[&disk]);
    node.boot();
    let device = node.attach(&disk);
    assert_eq!(read(&device, "0").trim(), "F");
    assert_eq!(read(&device, "1000").trim(), "\\0", "the write cache was not lost");

    lab.step("a line is fsynced, nothing is done after it, and the power fails: three times");
    node.sh_with("mkfs.ext4 -q $1", &[&device]).ok();
    let mount = "mkdir -p /disk; mount $1 /disk; wc -l </disk/lines || :";
    let append = "import os; file = os.open('/disk/lines', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(file, b'line\\n'); os.fsync(file)";
    node.sh_with(mount, &[&device]).ok();
    for lines in ["1", "2", "3"] {
        node.run(&["/usr/bin/python3", "-c", append]).ok();
        node.lose_power(&[&disk]);
        node.boot();
        let device = node.attach(&disk);
        assert_eq!(node.sh_with(mount, &[&device]).ok(), lines, "an fsynced line is lost");
    }
}

#[test]
#[ignore = "a part of `make lab`"]
fn local_volumes_have_every_fsynced_line_after_a_power_loss() {
    let (lab, [node]) = Lab::start("power", ["node"]);
    let disk = lab.disk("state", 4 * GIB);
    start(&node, &disk);
    let volumes =
        [("e-thick", "ext4", "thick"), ("e-thin", "ext4", "thin"), ("x-thin", "xfs", "thin")];
    for (name, fs, provision) in volumes {
        let options = json!({"size": "400MiB", "fs": fs, "provision": provision});
        node.create_volume(name, &options);
    }

    for round in 1..=3 {
        lab.step(&format!("round {round}: writers on three volumes, and a volume that grows"));
        let tag = |name: &str| format!("{name}-{round}");
        for (name, ..) in volumes {
            let path = node.mount_volume(name, &format!("task-{round}"));
            node.start_writer(&format!("{path}/{}", tag(name)), &tag(name));
        }
        // What is asked for just before must be known afterwards, too.
        node.create_volume(&format!("late-{round}"), &json!({"size": "64MiB"}));
        let size = format!("{}MiB", 400 + 100 * round);
        node.hawser(&["volume", "grow", "e-thin", &size]).ok();
        for (name, ..) in volumes {
            node.wait_acknowledged(&tag(name), 20);
        }

        lab.step(&format!("round {round}: the power fails, and comes back"));
        node.lose_power(&[&disk]);
        start(&node, &disk);
        for (name, ..) in volumes {
            let last = node.acknowledged(&tag(name)).last;
            let path = node.mount_volume(name, &format!("check-{round}"));
            node.assert_has_lines(&format!("{path}/{}", tag(name)), last);
            eprintln!("           {name}: {last} lines were acknowledged, and are there");
        }
        let late = format!("late-{round}");
        node.mount_volume(&late, "check");
        node.unmount_volume(&late, "check");
    }
    let path = node.mount_volume("e-thin", "size");
    let blocks: u64 =
        node.sh(&format!("df -m --output=size {path} | tail -1")).ok().trim().parse().unwrap();
    assert!((600..=700).contains(&blocks), "{blocks} MiB after three grows to 700");
}

#[track_caller]
fn start(node: &Machine, disk: &Disk) {
    if node.is_off() {
        node.boot();
    }
    node.mount_state(&node.attach(disk));
    node.start_hawser("");
}
