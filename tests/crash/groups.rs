//! A task's own member of a group, interrupted.

use std::fs;

use serde_json::{Value, json};

use crate::{
    harness::World,
    scenario::{Interrupted, Scenario},
};

const GROUP: &str = "name=elk,scale=3,size=64MiB";

const BASE: Scenario = Scenario {
    name: "",
    world: World::new,
    // Each mostly waits for fsync and mkfs.
    workers: 4,
    settings: &[],
    prepare: |_| {},
    steps: |_| Ok(()),
    recovered: |_| {},
    finish: |world| world.remove("elk"),
};

fn mount(world: &World, id: &str) -> Result<(), Interrupted> {
    world.step("Mount", &json!({ "Name": GROUP, "ID": id })).map(|_| ())
}

fn claims(world: &World) -> Vec<Value> {
    let members = world.inspect("elk")["members"].take();
    let members = members.as_array().unwrap().iter();
    members.map(|member| member["member"]["claim"]["id"].clone()).collect()
}

/// One task, one member, however often its Mount was repeated.
#[track_caller]
fn one_member(world: &mut World) {
    assert_eq!(claims(world), ["task"]);
    assert_eq!(world.images().len(), 1, "{:?}", world.images());
    let path = world.mount("elk", "task");
    assert!(path.ends_with("elk_001"), "{}", path.display());
    while !world.holders("elk_001").is_empty() {
        world.unmount("elk", "task");
    }
    assert_eq!(claims(world), [Value::Null], "nothing is left claimed");
    world.remove("elk");
}

#[test]
fn a_task_whose_mount_is_interrupted_gets_one_member() {
    Scenario {
        name: "mount of a group",
        steps: |world| mount(world, "task"),
        finish: one_member,
        ..BASE
    }
    .run();
}

#[test]
fn what_an_interrupted_unmount_leaves_is_free_in_the_end() {
    Scenario {
        name: "unmount of a group",
        prepare: |world| {
            let path = world.mount(GROUP, "task");
            fs::write(path.join("file"), "precious").unwrap();
            world.mount("elk", "other");
        },
        steps: |world| {
            world.step("Unmount", &json!({ "Name": "elk", "ID": "task" }))?;
            Ok(())
        },
        finish: |world| {
            assert_eq!(claims(world), [Value::Null, json!("other")]);
            let path = world.mount("elk", "again");
            assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "precious");
            for id in ["again", "other"] {
                world.unmount("elk", id);
            }
            world.remove("elk");
        },
        ..BASE
    }
    .run();
}

#[test]
fn a_group_that_was_half_removed_is_removed_by_the_next_call() {
    Scenario {
        name: "removal of a group",
        prepare: |world| {
            for id in ["a", "b"] {
                world.mount(GROUP, id);
            }
            for id in ["a", "b"] {
                world.unmount("elk", id);
            }
        },
        steps: |world| {
            world.step("Remove", &json!({ "Name": "elk" }))?;
            Ok(())
        },
        finish: |world| {
            let listed = world.call("List", &json!({})).ok();
            assert_eq!(listed["Volumes"], json!([]));
        },
        ..BASE
    }
    .run();
}
