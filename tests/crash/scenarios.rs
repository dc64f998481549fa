//! What is interrupted.

use std::fs;

use serde_json::json;

use crate::{harness::World, scenario::Scenario};

const BASE: Scenario = Scenario {
    name: "",
    world: World::new,
    // Each mostly waits for fsync and mkfs.
    workers: 4,
    settings: &[],
    prepare: |_| {},
    steps: |_| Ok(()),
    recovered: |_| {},
    finish: |world| world.remove("v"),
};

/// A volume with a file on it, not mounted.
fn with_data(world: &mut World) {
    world.call("Create", &json!({ "Name": "v", "Opts": { "size": "64MiB" } })).ok();
    world.with_data("v", "precious");
    world.until_released("v");
}

/// One held by `task`, with a file on it.
fn held(world: &mut World) {
    with_data(world);
    world.mount("v", "task");
}

/// The file is there, and the holders are those that must be.
#[track_caller]
fn intact(world: &World) {
    assert_eq!(world.data_of("v"), "precious");
}

/// One volume, one image, one loop device, two mounts: nothing twice.
#[track_caller]
fn mounted_once(world: &World) {
    assert_eq!(world.images().len(), 1, "{:?}", world.images());
    assert_eq!(world.loops().len(), 1, "{:?}", world.loops());
    assert_eq!(world.mounts().len(), 2, "{:?}", world.mounts());
}

fn first_mount(world: &World) -> Result<(), crate::scenario::Interrupted> {
    world.step("Mount", &json!({ "Name": "v", "ID": "task" })).map(|_| ())
}

fn use_and_remove(world: &mut World) {
    mounted_once(world);
    let path = world.mount("v", "second");
    fs::write(path.join("file"), "precious").unwrap();
    world.unmount("v", "second");
    // However often the interrupted Mount was repeated, its id is mounted at least once.
    while !world.holders("v").is_empty() {
        world.unmount("v", "task");
    }
    world.until_released("v");
    intact(world);
    world.remove("v");
}

#[test]
fn create() {
    Scenario {
        name: "create",
        steps: |world| {
            world.step("Create", &json!({ "Name": "v", "Opts": { "size": "64MiB" } }))?;
            Ok(())
        },
        finish: |world| {
            assert_eq!(world.images().len(), 1, "{:?}", world.images());
            world.remove("v");
        },
        ..BASE
    }
    .run();
}

#[test]
fn first_mount_of_an_inline_spec_on_ext4() {
    Scenario {
        name: "first mount, ext4",
        steps: |world| {
            world.step("Mount", &json!({ "Name": "name=v,size=64MiB", "ID": "task" }))?;
            Ok(())
        },
        finish: use_and_remove,
        ..BASE
    }
    .run();
}

#[test]
fn first_mount_on_xfs() {
    Scenario {
        name: "first mount, xfs",
        prepare: |world| {
            let options = json!({ "size": "300MiB", "fs": "xfs", "provision": "thin" });
            world.call("Create", &json!({ "Name": "v", "Opts": options })).ok();
        },
        steps: first_mount,
        finish: use_and_remove,
        ..BASE
    }
    .run();
}

#[test]
fn mount_of_a_volume_with_data() {
    Scenario {
        name: "mount with data",
        prepare: with_data,
        steps: first_mount,
        finish: |world| {
            intact(world);
            use_and_remove(world);
        },
        ..BASE
    }
    .run();
}

#[test]
fn second_mount() {
    Scenario {
        name: "second mount",
        prepare: held,
        steps: |world| {
            world.step("Mount", &json!({ "Name": "v", "ID": "other" }))?;
            Ok(())
        },
        finish: |world| {
            mounted_once(world);
            let ids: Vec<_> = world.holders("v").into_iter().map(|(id, _)| id).collect();
            assert_eq!(ids, ["other", "task"]);
            intact(world);
            while world.holders("v").iter().any(|(id, _)| id == "other") {
                world.unmount("v", "other");
            }
            mounted_once(world);
            use_and_remove(world);
        },
        ..BASE
    }
    .run();
}

#[test]
fn unmount() {
    Scenario {
        name: "unmount",
        prepare: held,
        steps: |world| {
            world.step("Unmount", &json!({ "Name": "v", "ID": "task" }))?;
            world.until_released_or_dead("v")
        },
        finish: |world| {
            assert!(world.holders("v").is_empty());
            intact(world);
            world.remove("v");
        },
        ..BASE
    }
    .run();
}
