//! Loop devices that other programs hold, free, or make.

use std::fs::{self, File};

use crate::harness::{World, run, until};

/// Udev or a backup has the device open while it is detached, and it goes to another volume then.
#[test]
fn a_volume_never_shows_the_data_of_another_that_got_its_device() {
    let mut world = World::started();
    for name in ["a", "b"] {
        world.create(name);
    }
    fs::write(world.mount("a", "task").join("file"), "of a").unwrap();
    let device = world.loops().remove(0);
    let holder = File::open(&device).unwrap();
    world.unmount("a", "task");
    until("the detach has failed", || !world.inspect("a")["failure"].is_null());
    drop(holder);

    // Freed by somebody, unless the daemon was faster; the next volume gets its number.
    let _ = world.command("losetup").args(["-d", device.to_str().unwrap()]).output().unwrap();
    fs::write(world.mount("b", "task").join("file"), "of b").unwrap();

    let path = world.mount("a", "task");
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "of a");
    for name in ["a", "b"] {
        world.unmount(name, "task");
        world.remove(name);
    }
    world.finish();
}

#[test]
fn a_device_that_was_kept_open_is_given_back_once_it_is_let_go() {
    let mut world = World::started();
    world.create("v");
    world.mount("v", "task");
    let holder = File::open(world.loops().remove(0)).unwrap();
    world.unmount("v", "task");
    until("the detach has failed", || !world.inspect("v")["failure"].is_null());

    drop(holder);

    world.until_released("v");
    world.remove("v");
    world.finish();
}

#[test]
fn an_image_that_somebody_attached_read_only_is_not_mounted_and_the_error_says_what_to_do() {
    let mut world = World::started();
    world.create("v");
    let image = world.images().remove(0);
    let device = run("losetup", ["--find", "--show", "--read-only", image.to_str().unwrap()]);
    let device = device.trim();

    let error = world.mount_fails("v", "task");

    assert!(error.contains("read-only"), "{error}");
    assert!(error.contains(&format!("losetup -d {device}")), "{error}");
    run("losetup", ["-d", device]);
    world.mount("v", "task");
    world.unmount("v", "task");
    world.remove("v");
    world.finish();
}
