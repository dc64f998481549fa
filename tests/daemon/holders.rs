//! Who holds a volume: counts, callers that die, and callers that hang up.

use std::path::Path;

use serde_json::json;

use crate::harness::{Caller, World, until};

#[test]
fn docker_cp_mounts_the_running_containers_id_again_and_lets_the_container_keep_it() {
    let mut world = World::started();
    world.create("v");
    let path = world.mount("v", "container");

    for _ in 0..2 {
        world.mount("v", "container");
        assert_eq!(world.holders("v"), [("container".into(), 2)]);
        world.unmount("v", "container");
    }

    assert_eq!(world.holders("v"), [("container".into(), 1)]);
    std::fs::write(path.join("file"), "x").unwrap();
    world.unmount("v", "container");
    world.until_released("v");
    world.remove("v");
    world.finish();
}

#[test]
fn copy_up_does_not_unmount_between_its_two_mounts() {
    let mut world = World::new();
    world.set("volumes.linger", "1h").start();
    world.create("v");

    for id in ["copy-up", "container"] {
        world.mount("v", id);
        world.unmount("v", id);
    }

    assert_eq!(world.logged(["step=\"publish\"", "done"]), 1);
    assert_eq!(world.logged(["step=\"unpublish\"", "done"]), 0);
    // And a removal does not wait for the linger.
    world.remove("v");
    world.finish();
}

#[test]
fn the_empty_id_is_one_holder_however_often_it_mounts() {
    let mut world = World::started();
    world.create("v");

    for _ in 0..3 {
        // As dvdcli: no ID at all, each time another process.
        Caller::start(&world).call("Mount", &json!({ "Name": "v" }));
    }
    assert_eq!(world.holders("v"), [(String::new(), 1)]);
    world.call("Unmount", &json!({ "Name": "v" })).ok();

    assert!(world.holders("v").is_empty());
    world.remove("v");
    world.finish();
}

#[test]
fn a_dead_dvdcli_is_no_orphan() {
    let mut world = World::new();
    world.set("volumes.orphan_after", "0s").start();
    world.create("v");
    world.create("w");

    Caller::start(&world).call("Mount", &json!({ "Name": "v" }));
    let engine = Caller::start(&world).call("Mount", &json!({ "Name": "w", "ID": "engine" }));
    assert_eq!(engine["Err"], "");

    // What is collected for the one, by the same sweep, is not for the other.
    until("the orphan is collected", || world.holders("w").is_empty());
    assert_eq!(world.holders("v"), [(String::new(), 1)]);
    world.unmount("v", "");
    world.remove("v");
    world.remove("w");
    world.finish();
}

#[test]
fn a_new_engine_readopts_the_ids_of_the_one_before() {
    let mut world = World::started();
    world.create("v");
    let body = json!({ "Name": "v", "ID": "container" });

    let mut first = Caller::start(&world);
    first.call("Mount", &body);
    first.call("Mount", &body);
    assert_eq!(world.holders("v"), [("container".into(), 2)]);
    drop(first);
    let mut second = Caller::start(&world);
    second.call("Mount", &body);

    assert_eq!(world.holders("v"), [("container".into(), 1)], "counting starts anew");
    second.call("Mount", &body);
    second.call("Unmount", &body);
    assert_eq!(world.holders("v"), [("container".into(), 1)]);
    second.call("Unmount", &body);
    assert!(world.holders("v").is_empty());
    world.remove("v");
    world.finish();
}

#[test]
fn an_unmount_after_live_restore_drops_all_that_the_dead_engine_counted() {
    let mut world = World::started();
    world.create("v");
    let body = json!({ "Name": "v", "ID": "container" });
    let mut first = Caller::start(&world);
    first.call("Mount", &body);
    first.call("Mount", &body);
    drop(first);

    Caller::start(&world).call("Unmount", &body);

    assert!(world.holders("v").is_empty());
    world.remove("v");
    world.finish();
}

#[test]
fn orphans_of_a_killed_engine_are_collected_and_others_are_not() {
    let mut world = World::new();
    world.set("volumes.orphan_after", "1s").start();
    world.create("v");
    let mut lives = Caller::start(&world);
    lives.call("Mount", &json!({ "Name": "v", "ID": "lives" }));
    Caller::start(&world).call("Mount", &json!({ "Name": "v", "ID": "orphan" }));

    until("the orphan is collected", || world.holders("v") == [("lives".into(), 1)]);
    lives.call("Unmount", &json!({ "Name": "v", "ID": "lives" }));
    world.until_released("v");
    world.remove("v");
    world.finish();
}

#[test]
fn orphans_of_a_volume_that_cannot_be_mounted_are_collected_too() {
    let mut world = World::new();
    world.set("volumes.orphan_after", "1s").start();
    world.with_data("name=v,size=64MiB", "x");
    Caller::start(&world).call("Mount", &json!({ "Name": "v", "ID": "orphan" }));
    // After a power cut the image is gone, and so is the engine.
    world.kill9();
    world.undo_mounts();
    std::fs::remove_file(&world.images()[0]).unwrap();
    world.start();

    until("the orphan is collected", || world.holders("v").is_empty());
    world.remove("v");
    world.finish();
}

#[test]
fn a_caller_that_hangs_up_during_the_mount_holds_nothing() {
    let mut world = World::started();
    let body = json!({ "Name": "name=v,size=64MiB", "ID": "gone" }).to_string();

    let mut connection = world.connect();
    connection.send("VolumeDriver.Mount", "Host: x\r\n", &body).unwrap();
    until("the mount is under way", || world.logged(["step=\"provision\"", "done"]) > 0);
    drop(connection);

    until("the volume is there", || world.cli(["volume", "inspect", "v"]).status.success());
    until("nobody holds it", || world.holders("v").is_empty());
    world.until_released("v");
    world.remove("v");
    world.finish();
}

#[test]
fn a_caller_that_hangs_up_takes_back_only_what_its_own_call_added() {
    let mut world = World::new();
    world.set("volumes.linger", "1h").start();
    world.create("v");
    world.mount("v", "container");
    let body = json!({ "Name": "v", "ID": "container" }).to_string();

    for _ in 0..50 {
        let mut connection = world.connect();
        connection.send("VolumeDriver.Mount", "Host: x\r\n", &body).unwrap();
        drop(connection);
    }

    // Some were answered before they hung up, as far as hawser can tell: those count.
    let (id, count) = world.holders("v").remove(0);
    assert_eq!(id, "container");
    assert!(count >= 1, "the container's own reference is there");
    for _ in 0..count {
        assert!(Path::new(world.get("v")["Mountpoint"].as_str().unwrap()).exists());
        world.unmount("v", "container");
    }
    world.remove("v");
    world.finish();
}

#[test]
fn a_volume_in_use_is_not_removed_and_the_error_names_the_holder() {
    let mut world = World::started();
    world.create("v");
    let id = "0123456789abcdef".repeat(4);
    world.mount("v", &id);

    let error = world.remove_fails("v");

    assert!(error.contains("mount 0123456789ab"), "{error}");
    assert_eq!(world.get("v")["Status"]["state"], "mounted");
    let error = world.hawser_fails(["volume", "rename", "v", "w"]);
    assert!(error.contains("in use"), "{error}");
    world.unmount("v", &id);
    world.remove("v");
    world.finish();
}

#[test]
fn a_mount_in_another_namespace_parks_the_holder_until_it_ends() {
    let mut world = World::started();
    world.create("v");
    let path = world.mount("v", "container");
    std::fs::write(path.join("file"), "x").unwrap();
    let pid = world.copy_mounts();

    world.unmount("v", "container");

    let error = world.remove_fails("v");
    assert!(error.contains("another mount namespace"), "{error}");
    assert!(error.contains(&format!("process {pid}")) && error.contains("sleep"), "{error}");
    world.crash();
    assert_eq!(world.holders("v"), [("container".into(), 0)], "parked");
    assert!(path.join("file").exists(), "and still mounted");

    world.kill_background(pid);
    until("the parked holder is gone", || world.holders("v").is_empty());
    world.until_released("v");
    world.remove("v");
    world.finish();
}
