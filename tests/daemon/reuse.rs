//! Names and paths that are used again, and what must not be mistaken for something else.

use std::{
    fs,
    os::unix::fs::symlink,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::harness::{World, until};

#[test]
fn a_refused_rename_gives_its_new_name_back() {
    let mut world = World::started();
    world.create("a");
    world.mount("a", "user");

    let error = world.hawser_fails(["volume", "rename", "a", "b"]);

    assert!(error.contains("in use"), "{error}");
    assert!(world.call("Get", &json!({ "Name": "b" })).err().contains("no volume"));
    world.create("b");
    assert_ne!(world.inspect("a")["id"], world.inspect("b")["id"]);
    world.remove("b");
    assert_eq!(world.holders("a"), [("user".to_owned(), 1)]);
    world.unmount("a", "user");
    world.remove("a");
    world.finish();
}

#[test]
fn a_removed_volume_comes_back_after_a_restart_though_its_name_is_mounted_again() {
    let mut world = World::new();
    world.set("volumes.undelete", "1h").start();
    for text in ["first", "second"] {
        world.with_data("name=v,size=64MiB", text);
        world.remove("v");
    }
    let removed: serde_json::Value =
        serde_json::from_str(&world.hawser(["volume", "ls", "--removed", "--json"])).unwrap();
    let ids: Vec<_> =
        removed.as_array().unwrap().iter().map(|v| v["id"].as_str().unwrap()).collect();
    let path = world.mount("name=v,size=64MiB", "user");
    fs::write(path.join("file"), "third").unwrap();

    world.crash();
    world.hawser(["volume", "undelete", ids[0], "--name", "rescued"]);
    world.hawser(["volume", "purge", "--yes", ids[1]]);

    let rescued = world.data_of("rescued");
    assert!(rescued == "first" || rescued == "second", "{rescued}");
    until("the other one is gone", || world.images().len() == 2);
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "third");
    world.unmount("v", "user");
    world.hawser(["volume", "rm", "--yes", "--now", "v", "rescued"]);
    world.finish();
}

#[test]
fn a_root_behind_a_symbolic_link_is_found_again_after_a_restart() {
    let mut world = World::new();
    fs::create_dir(world.path("elsewhere")).unwrap();
    symlink(world.path("elsewhere"), world.path("mnt")).unwrap();
    world.start();
    let path = world.mount("name=v,size=64MiB", "a");
    fs::write(path.join("file"), "kept").unwrap();

    world.crash();

    assert_eq!(world.mount("v", "b"), path);
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "kept");
    world.unmount("v", "a");
    world.unmount("v", "b");
    world.until_released("v");
    world.remove("v");
    world.finish();
}

#[test]
fn an_unmount_of_an_idle_volume_mounts_nothing() {
    let mut world = World::new();
    world.set("volumes.linger", "1h").start();
    world.create("v");
    world.restart();

    world.unmount("v", "");

    until("it was looked at, or left alone", || world.inspect("v")["doing"].is_null());
    assert!(world.inspect("v")["device"].is_null(), "{}", world.inspect("v"));
    assert_eq!(world.loops(), Vec::<std::path::PathBuf>::new());
    world.remove("v");
    world.finish();
}

/// The image is in the way of being looked at: a directory under its name.
#[test]
fn a_step_that_keeps_failing_is_tried_ever_less_often() {
    let mut world = World::started();
    world.create("v");
    let image = world.images().remove(0);
    let aside = world.path("aside");
    fs::rename(&image, &aside).unwrap();
    world.mount_fails("v", "a");

    // A holder that stays makes the daemon try by itself: the image is missing at its next start.
    fs::rename(&aside, &image).unwrap();
    world.mount("v", "a");
    world.kill9();
    world.command("umount").arg(world.path("mnt/volumes/v")).status().unwrap();
    let stage = fs::read_dir(world.path("mnt/stage")).unwrap().next().unwrap().unwrap().path();
    world.command("umount").arg(&stage).status().unwrap();
    for device in world.loops() {
        world.command("losetup").arg("-d").arg(device).status().unwrap();
    }
    fs::rename(&image, &aside).unwrap();
    world.start();
    let failures = |world: &World| world.logged(["a step failed", "missing"]);
    let before = failures(&world);
    let start = Instant::now();
    until("it was tried three times more", || failures(&world) >= before + 3);

    // After 1, 2 and 4 seconds, of which the first may have begun before.
    assert!(start.elapsed() > Duration::from_secs(3), "{:?}", start.elapsed());
    fs::rename(&aside, &image).unwrap();
    world.mount("v", "b");
    world.unmount("v", "a");
    world.unmount("v", "b");
    world.remove("v");
    world.finish();
}

#[test]
fn an_image_that_was_exchanged_is_not_mounted_as_the_volume() {
    let mut world = World::started();
    world.with_data("name=a,size=64MiB", "of a");
    world.with_data("name=b,size=64MiB", "of b");
    for name in ["a", "b"] {
        world.until_released(name);
    }
    let images = world.images();
    let swap = || {
        let aside = world.path("aside");
        fs::rename(&images[0], &aside).unwrap();
        fs::rename(&images[1], &images[0]).unwrap();
        fs::rename(&aside, &images[1]).unwrap();
    };

    swap();
    let error = world.mount_fails("a", "user");
    assert!(error.contains("not this volume's"), "{error}");

    swap();
    assert_eq!(world.data_of("a"), "of a");
    assert_eq!(world.data_of("b"), "of b");
    world.remove("a");
    world.remove("b");
    world.finish();
}
