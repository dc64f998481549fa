//! What EC2 does on a bad day.

use std::time::{Duration, Instant};

use ec2_fake::Throttle;
use serde_json::json;

use crate::harness::{World, until};

/// What is mounted goes on: neither a second task nor Docker's questions need EC2.
#[test]
fn mounted_volumes_are_served_while_ec2_is_away_also_by_a_new_daemon() {
    let mut world = World::on_ebs();
    world.start();
    let path = world.mount("name=v,size=1GiB", "a");
    world.ec2().away(true);

    world.crash();
    assert_eq!(world.mount("v", "b"), path);
    world.get("v");
    world.call("List", &json!({})).ok();
    world.call("Path", &json!({ "Name": "v" })).ok();
    for id in ["a", "b"] {
        world.unmount("v", id);
    }
    world.until_unmounted("v");

    world.ec2().away(false);
    world.remove("v");
    world.finish();
}

#[test]
fn a_start_does_not_wait_for_ec2() {
    let mut world = World::on_ebs();
    world.start();
    world.with_data("name=v,size=1GiB", "precious");
    world.until_unmounted("v");
    world.stop();
    world.ec2().away(true);

    let start = Instant::now();
    world.start();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    world.get("v");

    world.ec2().away(false);
    until("it can be mounted again", || {
        world.call("Mount", &json!({ "Name": "v", "ID": "a" })).status == 200
    });
    world.unmount("v", "a");
    world.remove("v");
    world.finish();
}

/// The call was carried out, and nobody heard of it.
#[test]
fn an_answer_that_is_lost_makes_no_second_volume() {
    let mut world = World::on_ebs();
    world.start();
    for action in ["CreateVolume", "AttachVolume", "DetachVolume", "DeleteVolume"] {
        world.ec2().lose_response(action, 1);
    }
    world.create("name=v,attach=follow");
    assert_eq!(world.ec2().volumes().len(), 1);
    world.with_data("v", "precious");
    world.until_released("v");
    assert_eq!(world.data_of("v"), "precious");
    world.remove("v");
    world.finish();
}

#[test]
fn a_creation_that_fails_leaves_nothing_and_says_what_aws_said() {
    let mut world = World::on_ebs();
    world.start();
    world.ec2().fail_next("CreateVolume", "VolumeLimitExceeded", "You have exceeded 100 TiB", 1);
    let error = world.call("Create", &json!({ "Name": "v", "Opts": null })).err();
    assert!(error.contains("VolumeLimitExceeded") && error.contains("100 TiB"), "{error}");
    assert!(world.ec2().volumes().is_empty());
    world.call("Get", &json!({ "Name": "v" })).err();

    // The name is free, and the next attempt is not the old one to EC2.
    world.create("v");
    world.remove("v");
    world.create("v");
    world.with_data("v", "new");
    world.remove("v");
    world.finish();
}

#[test]
fn a_burst_of_throttling_is_waited_out_and_slows_only_its_own_kind() {
    let mut world = World::on_ebs();
    world.start();
    world.create("ready");
    world.ec2().throttle("CreateVolume", Throttle::Next(4));
    std::thread::scope(|scope| {
        let create = scope.spawn(|| world.create("throttled"));
        let start = Instant::now();
        world.mount("ready", "a");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        create.join().unwrap();
    });
    world.unmount("ready", "a");
    for name in ["ready", "throttled"] {
        world.remove(name);
    }
    world.finish();
}

/// REX-Ray makes two volumes of one name, or fails seven of eight mounts.
#[test]
fn parallel_creations_and_mounts_of_one_name_are_one_volume_and_one_attachment() {
    let mut world = World::on_ebs();
    world.start();
    std::thread::scope(|scope| {
        let world = &world;
        for id in 0..8 {
            scope.spawn(move || world.mount("name=v,size=1GiB", &format!("task-{id}")));
        }
    });
    assert_eq!((world.ec2().count("CreateVolume"), world.ec2().count("AttachVolume")), (1, 1));
    for id in 0..8 {
        world.unmount("v", &format!("task-{id}"));
    }
    world.remove("v");
    world.finish();
}

#[test]
fn another_zone_is_refused_with_both_zones_named_and_the_daemon_lives() {
    let mut world = World::on_ebs();
    world.start();
    world.create("name=v,zone=us-east-1b");
    let error = world.mount_fails("v", "a");
    assert!(error.contains("us-east-1b") && error.contains("us-east-1a"), "{error}");
    world.remove("v");
    world.finish();
}

#[test]
fn options_that_ebs_does_not_have_are_refused_before_any_call() {
    let mut world = World::on_ebs();
    world.start();
    for (name, word) in [
        ("name=v,encrypted=maybe", "encrypted"),
        ("name=v,siz=1", "size"),
        ("name=v,type=gp3,iops=1000000", "iops"),
        ("name=v,type=st1,size=1GiB", "125"),
        ("name=v,type=io2,size=10GiB", "iops"),
    ] {
        let error = world.call("Create", &json!({ "Name": name, "Opts": null })).err();
        assert!(error.contains(word), "{name}: {error}");
    }
    assert_eq!(world.ec2().count("CreateVolume"), 0);
    world.finish();
}

/// What is created is what was asked for, or nothing is.
#[test]
fn encryption_and_type_are_what_was_asked_for() {
    let mut world = World::on_ebs();
    world.start();
    world.create(
        "name=v,type=io2,iops=500,size=10GiB,encrypted=true,kms_key=alias/k,label.team=web",
    );
    let volume = world.ec2().volume(&world.vol("v")).unwrap();
    assert_eq!((volume.volume_type.as_str(), volume.iops), ("io2", Some(500)));
    assert!(volume.encrypted);
    assert_eq!(volume.tags["hawser:cluster"], "test");
    assert_eq!(volume.tags["hawser:name"], "v");
    assert_eq!(volume.tags["team"], "web");
    world.remove("v");
    world.finish();
}

/// What somebody else tagged, or did not tag, is not hawser's to see or delete.
#[test]
fn other_peoples_volumes_are_never_touched() {
    let mut world = World::on_ebs();
    world.start();
    world.create("v");
    let vol = world.vol("v");
    let foreign =
        world.ec2().add_volume(&[("hawser:cluster", "other"), ("Name", "v")], 1, &[]).unwrap();
    assert!(!world.hawser(["volume", "import", "--list"]).contains(&foreign));
    let error = world.hawser_fails(["volume", "import", &foreign, "--yes", "--name", "x"]);
    assert!(error.contains("cluster"), "{error}");
    world.remove("v");
    until("its own is deleted", || world.ec2().volume(&vol).is_none());
    assert!(world.ec2().volume(&foreign).is_some());
}
