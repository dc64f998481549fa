//! EBS volumes that move between machines: in order by hawser, and by force while a machine stands
//! still. The cluster's faults stand on this.

use std::{fs::File, os::unix::fs::FileExt, time::Duration};

use ec2_fake::{InstanceState, Transition};
use serde_json::json;

use crate::harness::{Cloud, Detach, Disk, Lab, Machine, PATIENCE, Stamps, eventually};

const GIB: u64 = 1 << 30;

#[test]
#[ignore = "a part of `make lab`"]
fn hawsers_ebs_volume_moves_to_another_machine_with_its_data() {
    let (lab, [a, b]) = Lab::start("ebs", ["a", "b"]);
    let cloud = Cloud::start(&lab, [&a, &b]);
    let states = [&a, &b].map(|machine| lab.disk(&format!("state-{}", machine.name), GIB));

    lab.step("a volume is made, attached, formatted and written to");
    start(&a, &states[0]);
    a.create_volume("pg", &json!({"backend": "ebs", "size": "1GiB", "attach": "follow"}));
    let path = a.mount_volume("pg", "task");
    let volume = cloud.volumes().pop().expect("EC2 has the volume").id;
    let writer = a.start_stamps(&path, 1);
    a.wait_stamps(1, 20);

    lab.step("the daemon stands still, goes on, is killed and comes back: the task sees nothing");
    a.freeze_hawser();
    let limit = Duration::from_secs(1);
    let frozen = a.sh_within(
        PATIENCE,
        &format!(
            "curl -sf --max-time {} \
        --unix-socket /run/docker/plugins/hawser.sock -d '' http://plugin/Plugin.Activate",
            limit.as_secs()
        ),
    );
    assert_ne!(frozen.code, 0, "a daemon that stands still answers");
    a.wait_stamps(1, 20);
    a.wake_hawser();
    a.kill_hawser();
    a.start_hawser("");
    a.wait_stamps(1, 20);
    a.kill(&writer);

    lab.step("it is released, and attached to the other machine");
    a.unmount_volume("pg", "task");
    cloud.wait_for(&volume, "available");
    start(&b, &states[1]);
    b.hawser(&["volume", "import", &volume, "--yes"]).ok();
    let path = b.mount_volume("pg", "task");
    b.stamps(&path).assert_has(&a, 1);
    b.start_stamps(&path, 2);
    b.wait_stamps(2, 20);

    lab.step(
        "the power fails: EC2 keeps the volume attached, and the machine has it when it is back",
    );
    b.lose_power(&[&states[1]]);
    cloud.says(&b, InstanceState::Stopped);
    b.boot();
    cloud.says(&b, InstanceState::Running);
    start(&b, &states[1]);
    let path = b.mount_volume("pg", "task-2");
    let there = b.stamps(&path);
    there.assert_one_writer_at_a_time();
    there.assert_has(&a, 1);
    there.assert_has(&b, 2);

    lab.step("the machine is terminated: the volume is free by itself");
    b.lose_power(&[&states[1]]);
    cloud.says(&b, InstanceState::Terminated);
    cloud.wait_for(&volume, "available");
}

#[test]
fn a_machine_that_stood_still_cannot_write_to_a_disk_that_was_taken_away() {
    let (lab, [a, b]) = Lab::start("fence", ["a", "b"]);
    let cloud = Cloud::start(&lab, [&a, &b]);
    let volume = cloud.add_volume(&[], 1, b"").unwrap();
    let image = cloud.image(&volume);

    lab.step("a machine writes past its page cache, and stands still in the middle of it");
    let device = attach(&cloud, &volume, &a);
    a.start_stamps_on_disk(&device, 1);
    a.wait_stamps(1, 50);
    a.pause();

    lab.step("it cannot let go, so an orderly detach does not end, and a forced one does");
    cloud.detach(&volume, Detach::InOrder);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(cloud.volume(&volume).unwrap().attachment.unwrap().state, "detaching");
    cloud.detach(&volume, Detach::ByForce);
    cloud.wait_for(&volume, "available");
    let fenced = Stamps::on_disk(&image, 1);
    fenced.assert_one_writer_at_a_time();
    fenced.assert_has(&a, 1);

    lab.step("another machine has it, and writes");
    let device = attach(&cloud, &volume, &b);
    let writer = b.start_stamps_on_disk(&device, 2);
    b.wait_stamps(2, 50);

    lab.step("the first one goes on, and gets errors");
    a.resume();
    eventually("its writer gives up", PATIENCE, || a.stamps_failed(1).is_some());
    eprintln!("           {}", a.stamps_failed(1).unwrap_or_default());
    b.wait_stamps(2, 50);
    b.kill(&writer);
    assert_eq!(Stamps::on_disk(&image, 1), fenced, "the old machine wrote to the image");
    let there = Stamps::on_disk(&image, 2);
    there.assert_one_writer_at_a_time();
    there.assert_has(&b, 2);

    lab.step("it loses the disk by and by, and can have it again, once the other has let go");
    a.sh(&format!(
        "while grep -qs {} /sys/block/nvme*/device/serial; do sleep 0.1; done",
        serial(&volume)
    ))
    .ok();
    cloud.detach(&volume, Detach::InOrder);
    cloud.wait_for(&volume, "available");
    let device = attach(&cloud, &volume, &a);
    let read =
        format!("dd if={device} bs=1M skip=128 count=1 iflag=direct status=none | sha256sum");
    let mut written = vec![0; 1 << 20];
    File::open(&image).unwrap().read_exact_at(&mut written, 128 << 20).unwrap();
    let expected = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&written));
    assert_eq!(a.sh(&read).ok().trim_end_matches([' ', '-']), expected);

    lab.step("a detachment sticks while it writes, and force helps");
    a.start_stamps_on_disk(&device, 3);
    cloud.stick(&volume, Transition::Detach);
    cloud.detach(&volume, Detach::InOrder);
    a.wait_stamps(3, 50);
    assert_eq!(cloud.volume(&volume).unwrap().attachment.unwrap().state, "detaching");
    cloud.detach(&volume, Detach::ByForce);
    cloud.wait_for(&volume, "available");
    let fenced = Stamps::on_disk(&image, 3);
    eventually("its writer gives up", PATIENCE, || a.stamps_failed(3).is_some());
    eprintln!("           {}", a.stamps_failed(3).unwrap_or_default());
    a.sh(&format!("while test -e {device}; do sleep 0.1; done")).ok();
    assert_eq!(Stamps::on_disk(&image, 3), fenced, "a machine wrote after `available`");
    fenced.assert_one_writer_at_a_time();
    fenced.assert_has(&a, 3);
}

#[track_caller]
fn start(machine: &Machine, state: &Disk) {
    machine.mount_state(&machine.attach(state));
    machine.start_hawser("");
}

/// The device, once it is there.
#[track_caller]
fn attach(cloud: &Cloud, volume: &str, machine: &Machine) -> String {
    cloud.attach(volume, machine);
    machine.run(&["/lab/find-disk.sh", &serial(volume)]).ok()
}

fn serial(volume: &str) -> String {
    volume.replace('-', "")
}
