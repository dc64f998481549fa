//! Attachments: kept, given up, quick to come back, stuck.

use std::{fs, time::Duration};

use ec2_fake::{Delays, FakeConfig, Transition};

use crate::harness::{World, until};

fn attached(world: &World, vol: &str) -> bool {
    world.ec2().attach_path(vol).is_some()
}

#[test]
fn what_stays_attached_is_unmounted_and_mounted_again_with_its_data() {
    let mut world = World::on_ebs();
    world.start();
    world.with_data("name=v,size=2GiB", "precious");
    world.until_unmounted("v");
    let vol = world.vol("v");
    assert!(attached(&world, &vol));
    assert!(world.mounts().is_empty());

    world.crash();
    assert_eq!(world.data_of("v"), "precious");
    assert_eq!(world.ec2().count("AttachVolume"), 1, "it was attached all the time");

    world.remove("v");
    world.finish();
}

#[test]
fn what_follows_its_task_is_detached_after_the_last_one() {
    let mut world = World::on_ebs();
    world.start();
    world.with_data("name=v,attach=follow", "precious");
    world.until_released("v");
    assert!(!attached(&world, &world.vol("v")));

    assert_eq!(world.data_of("v"), "precious");
    assert_eq!(world.ec2().count("AttachVolume"), 2);
    world.until_released("v");
    world.remove("v");
    world.finish();
}

#[test]
fn a_quick_mount_cancels_the_detach() {
    let mut world = World::on_ebs();
    world.set("volumes.linger", "2s").start();
    world.with_data("name=v,attach=follow", "precious");
    assert_eq!(world.data_of("v"), "precious");
    assert_eq!(world.data_of("v"), "precious");
    assert_eq!((world.ec2().count("AttachVolume"), world.ec2().count("DetachVolume")), (1, 0));
    world.until_released("v");
    assert_eq!(world.ec2().count("DetachVolume"), 1);
    world.remove("v");
    world.finish();
}

/// Unmount answers at once, and a detach that sticks keeps only its own volume waiting; nobody uses
/// the device, so after the limit it is forced.
#[test]
fn a_stuck_detach_delays_nobody_and_is_forced_after_the_limit() {
    let mut world = World::on_ebs();
    world.set("backends.ebs.force_detach_after", "4s").start();
    world.with_data("name=warm,size=1GiB", "x");
    let path = world.mount("name=v,attach=follow", "a");
    fs::write(path.join("file"), "precious").unwrap();
    world.ec2().stick(&world.vol("v"), Transition::Detach);
    world.unmount("v", "a");
    until("the detach is asked for", || world.ec2().count("DetachVolume") > 0);

    world.create("other");
    let start = std::time::Instant::now();
    world.mount("warm", "b");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    world.mount("other", "b");
    // A detach cannot be taken back: who wants the volume waits for its end.
    assert_eq!(world.data_of("v"), "precious");

    let forced = |call: &ec2_fake::Call| {
        call.action == "DetachVolume"
            && call.params.iter().any(|(key, value)| key == "Force" && value == "true")
    };
    assert!(world.ec2().calls().iter().any(forced), "it was not forced");
    for name in ["warm", "other"] {
        world.unmount(name, "b");
    }
    for name in ["v", "warm", "other"] {
        world.remove(name);
    }
    world.finish();
}

/// A container that still has the file system holds the device: EC2 is not even asked.
#[test]
fn a_device_that_is_in_use_is_never_asked_to_detach() {
    let mut world = World::on_ebs();
    world.start();
    world.mount("name=v,attach=follow", "a");
    let copy = world.copy_mounts();
    world.unmount("v", "a");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(world.ec2().count("DetachVolume"), 0);
    assert!(attached(&world, &world.vol("v")));

    world.kill_background(copy);
    world.until_released("v");
    assert_eq!(world.ec2().count("DetachVolume"), 1);
    world.remove("v");
    world.finish();
}

#[test]
fn an_attachment_that_sticks_is_given_up_and_made_under_another_name() {
    let mut world = World::on_ebs();
    world.set("backends.ebs.attach_timeout", "3s").start();
    world.create("v");
    let vol = world.vol("v");
    world.ec2().stick(&vol, Transition::Attach);
    // Only the first one.
    let controls = world.ec2().controls();
    let waiting = vol.clone();
    let unstick = std::thread::spawn(move || {
        while controls.count("DetachVolume") == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        controls.unstick(&waiting);
    });

    world.mount("v", "a");

    unstick.join().unwrap();
    let names: Vec<_> = world
        .ec2()
        .calls()
        .into_iter()
        .filter(|call| call.action == "AttachVolume")
        .filter_map(|call| call.params.into_iter().find(|(key, _)| key == "Device"))
        .map(|(_, name)| name)
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_ne!(names[0], names[1], "a name that stuck is not used again");
    world.unmount("v", "a");
    world.remove("v");
    world.finish();
}

/// Nobody waits for it any more: it need not be waited for until the limit.
#[test]
fn an_attachment_that_nobody_wants_any_more_is_called_off() {
    let mut world = World::on_ebs();
    world.start();
    world.create("v");
    let vol = world.vol("v");
    world.ec2().stick(&vol, Transition::Attach);
    let body = serde_json::json!({ "Name": "v", "ID": "gone" }).to_string();
    let mut connection = world.connect();
    connection.send("VolumeDriver.Mount", "Host: x\r\n", &body).unwrap();
    until("it attaches", || world.ec2().count("AttachVolume") == 1);
    world.unmount("v", "gone");
    drop(connection);

    world.ec2().unstick(&vol);
    world.remove("v");
    world.finish();
}

#[test]
fn the_volume_that_is_idle_for_longest_gives_its_slot_up() {
    let world = World::new();
    let mut config = FakeConfig::new(world.path("ec2"));
    // The root volume takes one.
    config.instance.max_attachments = 3;
    let mut world = world.on(config);
    world.start();
    for name in ["first", "second"] {
        world.create(name);
        world.with_data(name, name);
        world.until_unmounted(name);
        std::thread::sleep(Duration::from_millis(50));
    }
    world.create("third");
    world.mount("third", "a");
    assert!(!attached(&world, &world.vol("first")), "idle for longest");
    assert!(attached(&world, &world.vol("second")));

    world.mount("second", "b");
    let error = world.mount_fails("first", "c");
    assert!(error.contains("attach"), "{error}");
    world.unmount("third", "a");
    until("the slot is free", || {
        let answer = world.call("Mount", &serde_json::json!({ "Name": "first", "ID": "c" }));
        answer.status == 200
    });
    world.unmount("first", "c");
    assert_eq!(world.data_of("first"), "first");
    world.unmount("second", "b");
    for name in ["first", "second", "third"] {
        world.remove(name);
    }
    world.finish();
}

#[test]
fn a_daemon_that_died_while_a_volume_was_attached_finishes_it_when_it_comes_back() {
    let world = World::new();
    let mut config = FakeConfig::new(world.path("ec2"));
    config.delays = Delays { attach: Duration::from_secs(3), ..Delays::all(Duration::ZERO) };
    let mut world = world.on(config);
    world.start();
    world.create("v");
    let body = serde_json::json!({ "Name": "v", "ID": "a" }).to_string();
    let mut connection = world.connect();
    connection.send("VolumeDriver.Mount", "Host: x\r\n", &body).unwrap();
    until("it attaches", || world.ec2().count("AttachVolume") == 1);
    world.crash();

    world.mount("v", "b");
    assert_eq!(world.ec2().count("AttachVolume"), 1, "the first one was waited for");
    for id in ["a", "b"] {
        world.unmount("v", id);
    }
    world.remove("v");
    world.finish();
}
