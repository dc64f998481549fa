//! Calls that meet in the middle of a step.

use std::{
    fs::{self, File},
    thread::{self, JoinHandle},
};

use serde_json::json;

use crate::harness::{Connection, Reply, World, until};

/// A Mount in a thread of its own.
fn mount(world: &World, id: &'static str) -> JoinHandle<Reply> {
    let socket = world.path("hawser.sock");
    thread::spawn(move || {
        let body = json!({ "Name": "v", "ID": id }).to_string();
        Connection::open(&socket).unwrap().post("VolumeDriver.Mount", &body).unwrap()
    })
}

/// A volume that is being unmounted, which takes a second while that file is open.
fn being_unmounted(world: &World) -> File {
    world.create("v");
    let path = world.mount("v", "first");
    fs::write(path.join("file"), "x").unwrap();
    let open = File::open(path.join("file")).unwrap();
    world.unmount("v", "first");
    until("it is being unmounted", || world.get("v")["Status"]["doing"] == "unpublish");
    open
}

#[track_caller]
fn release(mut world: World) {
    world.unmount("v", "second");
    world.until_released("v");
    world.remove("v");
    world.finish();
}

#[test]
fn a_mount_that_meets_an_unmount_waits_for_it_and_mounts_again() {
    let world = World::started();
    let open = being_unmounted(&world);

    let second = mount(&world, "second");
    until("the second mount has come", || {
        assert!(!second.is_finished(), "answered while it is being unmounted");
        world.holders("v") == [("second".into(), 1)]
    });
    drop(open);

    let path = second.join().unwrap().ok()["Mountpoint"].as_str().unwrap().to_owned();
    assert!(fs::exists(format!("{path}/file")).unwrap());
    assert_eq!(world.logged(["step=\"publish\"", "done"]), 2);
    release(world);
}

#[test]
fn a_mount_that_meets_an_unmount_that_fails_finds_the_volume_mounted() {
    let world = World::started();
    let open = being_unmounted(&world);

    let path = mount(&world, "second").join().unwrap().ok()["Mountpoint"].clone();

    assert!(fs::exists(format!("{}/file", path.as_str().unwrap())).unwrap());
    assert_eq!(world.get("v")["Status"]["state"], "mounted");
    drop(open);
    release(world);
}

#[test]
fn a_mount_that_meets_a_removal_is_not_unmounted_under_its_holder() {
    for _ in 0..10 {
        let mut world = World::new();
        world.set("volumes.linger", "1h").start();
        world.create("v");
        world.mount("v", "first");
        world.unmount("v", "first");

        let second = mount(&world, "second");
        let removed = world.call("Remove", &json!({ "Name": "v" }));
        let mounted = second.join().unwrap();

        // One of them won, or both lost; never both.
        assert!(mounted.status != 200 || removed.status != 200, "{mounted:?} {removed:?}");
        if mounted.status == 200 {
            let path = mounted.ok()["Mountpoint"].as_str().unwrap().to_owned();
            assert!(crate::harness::is_mount_point(path.as_ref()), "not mounted");
            world.unmount("v", "second");
        }
        world.remove("v");
        world.finish();
    }
}

#[test]
fn mounts_and_unmounts_without_a_linger_always_give_a_mounted_path() {
    let mut world = World::started();
    world.with_data("name=v,size=64MiB", "precious");

    thread::scope(|scope| {
        for id in ["a", "b", "c"] {
            let world = &world;
            scope.spawn(move || {
                for _ in 0..15 {
                    let path = world.mount("v", id);
                    let text = fs::read_to_string(path.join("file"));
                    assert_eq!(text.expect("a mounted path"), "precious");
                    world.unmount("v", id);
                }
            });
        }
    });

    world.until_released("v");
    world.remove("v");
    world.finish();
}
