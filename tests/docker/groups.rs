//! `scale=N`: a volume of its own for every container, under one name.

use std::{collections::BTreeSet, fs};

use crate::harness::World;

const INLINE: &str = "name=elk,scale=3,size=64MiB";
const STAYS: &str = "sleep 1000";

fn names() -> [String; 3] {
    ["c1", "c2", "c3"].map(str::to_owned)
}

/// Each of the containers writes its own name.
#[track_caller]
fn sign(world: &World, containers: &[String]) {
    for name in containers {
        world.exec(name, &format!("echo {name} > /data/owner"));
    }
}

#[track_caller]
fn owner(world: &World, container: &str) -> String {
    world.exec(container, "cat /data/owner")
}

/// What Docker does not know, so that its own list is empty at the end.
#[track_caller]
fn finish(world: World) {
    for name in names() {
        world.engine.run_ok(&["rm", "--force", &name]);
    }
    world.engine.run_ok(&["volume", "rm", "elk"]);
    assert_eq!(world.volumes(), Vec::<String>::new(), "the members went with it");
    world.finish();
}

#[test]
fn each_container_has_a_volume_of_its_own_and_finds_it_again() {
    let world = World::new();
    for name in names() {
        world.start(&name, INLINE, STAYS);
    }
    sign(&world, &names());
    let devices: BTreeSet<_> = names().map(|name| world.exec(&name, "stat -c %d /data")).into();
    assert_eq!(devices.len(), 3, "three file systems");
    assert_eq!(world.volumes(), ["elk", "elk_001", "elk_002", "elk_003"]);
    let fourth = world.engine.docker(&world.container(&[
        "run",
        "--rm",
        "-v",
        "name=elk,scale=3,size=64MiB:/data",
        "busybox",
        "true",
    ]));
    assert!(fourth.err().contains("no volume of the group is left"));

    // Docker makes a new mount id for each start.
    for name in names() {
        world.engine.run_ok(&["restart", "--time", "0", &name]);
        assert_eq!(owner(&world, &name), name);
    }
    finish(world);
}

#[test]
fn a_copy_reaches_the_volume_of_its_own_container() {
    let world = World::new();
    world.create_volume(&["-o", "scale=3", "-o", "size=64MiB", "elk"]);
    for name in names() {
        world.start(&name, "elk", STAYS);
    }
    sign(&world, &names());
    let file = world.dir.path().join("file");

    for name in names() {
        fs::write(&file, format!("for {name}\n")).unwrap();
        world.engine.run_ok(&["cp", file.to_str().unwrap(), &format!("{name}:/data/copied")]);
    }

    for name in names() {
        assert_eq!(world.exec(&name, "cat /data/copied"), format!("for {name}"));
        assert_eq!(owner(&world, &name), name, "it is still mounted, and the same one");
    }
    finish(world);
}

#[test]
fn containers_keep_their_volumes_over_the_end_of_hawser() {
    let mut world = World::new();
    for name in names() {
        world.start(&name, INLINE, STAYS);
    }
    sign(&world, &names());

    world.hawser.kill();
    world.hawser.up();

    let file = world.dir.path().join("back");
    for name in names() {
        assert_eq!(owner(&world, &name), name);
        let from = format!("{name}:/data/owner");
        world.engine.run_ok(&["cp", &from, file.to_str().unwrap()]);
        assert_eq!(fs::read_to_string(&file).unwrap().trim(), name);
        world.engine.run_ok(&["restart", "--time", "0", &name]);
        assert_eq!(owner(&world, &name), name);
    }
    finish(world);
}

#[test]
fn a_group_in_use_is_not_removed_and_an_unused_one_leaves_nothing() {
    let world = World::new();
    for name in names() {
        world.start(&name, INLINE, STAYS);
    }
    // Docker knows its own containers by another spelling of the name, and asks hawser.
    let told = world.engine.run_err(&["volume", "rm", "elk"]);
    assert!(told.contains("elk_001: mount"), "{told}");
    finish(world);
}
