//! Owners that stand still and go on: the daemon alone, or all of the machine.

use std::time::Instant;

use serde_json::json;

use super::{A, B, World};
use crate::harness::{PATIENCE, eventually};

#[test]
#[ignore = "a part of `make lab`"]
fn a_daemon_that_stands_still_loses_nothing_to_another_node() {
    let world = World::start("cluster-frozen-daemon");
    let World { lab, nodes, .. } = &world;
    world.create(A, "pg", json!({}));
    let before = world.run(A, "pg");

    lab.step("its daemon stands still: another node waits, and says why");
    nodes[A].freeze_hawser();
    let mount = world.begin_mount(B, "pg");
    world.wait_said(B, "but its machine runs and its tasks may be writing");
    world.assert_unmoved(B, &before);
    world.goes_on(&before);

    lab.step("it goes on");
    nodes[A].wake_hawser();
    // Whichever comes first: the answer of the daemon that woke, or its next session.
    let why = world.refused(B, &mount);
    let early = why.contains("is cut off from the cluster's store");
    assert!(early || why.contains("it is in use on node a by"), "{why}");
    world.wait_alive(B, 3);
    let why = world.refused(B, &world.begin_mount(B, "pg"));
    assert!(why.contains("it is in use on node a by"), "{why}");
    world.assert_unmoved(B, &before);
    world.assert_mounted_only_on(A, "pg");
    world.goes_on(&before);
    world.undisturbed("owner's daemon stands still, and goes on", &before);

    lab.step("its daemon is killed, and starts again");
    nodes[A].kill_hawser();
    world.goes_on(&before);
    nodes[A].start_hawser("");
    world.wait_alive(B, 3);
    world.goes_on(&before);
    world.assert_mounted_only_on(A, "pg");
    world.undisturbed("owner's daemon killed, and started again", &before);

    lab.step("the task ends, and the next one is on the other node");
    world.end(&before);
    let after = world.run(B, "pg");
    world.goes_on(&after);
    world.assert_mounted_only_on(B, "pg");
    world.end(&after);
    world.assert_image("pg");
}

#[test]
#[ignore = "a part of `make lab`"]
fn a_machine_that_stood_still_while_its_volume_was_taken_by_force_writes_nothing_when_it_wakes() {
    let world = World::start("cluster-frozen-machine");
    let World { lab, nodes, .. } = &world;
    world.create(A, "pg", json!({"preempt": "force"}));
    let before = world.run(A, "pg");
    world.goes_on(&before);

    lab.step("its machine stands still, and another one takes the volume");
    nodes[A].pause();
    let since = Instant::now();
    let after = world.run(B, "pg");
    assert!(after.epoch > before.epoch, "{} comes after {}", after.epoch, before.epoch);
    world.goes_on(&after);

    lab.step("it goes on: its task gets an error, and the mount is cleared away");
    nodes[A].resume();
    let woken = Instant::now();
    eventually("its task gets an error", PATIENCE, || {
        nodes[A].stamps_failed(before.number).is_some()
    });
    let error = nodes[A].stamps_failed(before.number).unwrap_or_default();
    eprintln!("           {error}, {:.1} s after it woke", woken.elapsed().as_secs_f32());
    world.measured(
        "owner's machine stands still, `preempt=force`",
        "an I/O error when it goes on",
        since,
        &after,
    );
    let id = &world.ids.borrow()["pg"];
    let cleared = format!("while grep -q stage/{id} /proc/self/mountinfo; do sleep 0.2; done");
    nodes[A].sh(&cleared).ok();
    world.assert_mounted_only_on(B, "pg");
    world.goes_on(&after);
    world.wait_alive(B, 3);
    let why = world.refused(A, &world.begin_mount(A, "pg"));
    assert!(why.contains("it is in use on node b by"), "{why}");

    lab.step("it lets go, the image is looked at, and the first one can have it again");
    world.end(&after);
    world.assert_image("pg");
    let again = world.run(A, "pg");
    world.goes_on(&again);
    world.assert_mounted_only_on(A, "pg");
    world.end(&again);
    world.assert_image("pg");
}
