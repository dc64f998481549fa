//! ZooKeeper that is away for everybody.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{A, B, C, World};

/// Ten sessions long: no time-out of anything here is longer than that.
const AWAY: Duration = Duration::from_secs(60);

#[test]
#[ignore = "a part of `make lab`"]
fn everything_goes_on_while_zookeeper_is_away_and_after_it_is_back() {
    let mut world = World::start("cluster-store");
    world.create(A, "pg", json!({}));
    world.create(B, "idle", json!({"attach": "stay"}));
    let before = world.run(A, "pg");
    let other = world.run(B, "idle");
    world.end(&other);

    world.lab.step("ZooKeeper is gone: tasks go on, and what is attached can be mounted");
    world.cluster.zookeeper.kill();
    let since = Instant::now();
    world.wait_said(B, "this node is not in the cluster");
    let again = world.run(B, "idle");
    world.goes_on(&before);
    world.goes_on(&again);

    world.lab.step("no volume gets a new owner");
    for (node, volume) in [(B, "pg"), (C, "idle")] {
        let why = world.refused(node, &world.begin_mount(node, volume));
        assert!(why.contains("the cluster's store does not answer"), "{why}");
    }
    world.end(&again);

    world.lab.step("a daemon starts without it, and its task goes on");
    world.nodes[A].kill_hawser();
    world.nodes[A].start_hawser("");
    while since.elapsed() < AWAY {
        world.goes_on(&before);
        thread::sleep(Duration::from_secs(1));
    }

    world.lab.step("it is back");
    world.cluster.zookeeper.restart();
    world.wait_alive(B, 3);
    world.assert_unmoved(B, &before);
    world.goes_on(&before);
    let why = world.refused(B, &world.begin_mount(B, "pg"));
    assert!(why.contains("it is in use on node a by"), "{why}");
    world.assert_mounted_only_on(A, "pg");
    let fault = format!("ZooKeeper away for {} s, {} times the session", AWAY.as_secs(), 10);
    world.undisturbed(&fault, &before);

    world.lab.step("volumes move again");
    world.end(&before);
    let after = world.run(B, "pg");
    world.goes_on(&after);
    let moved = world.run(C, "idle");
    world.goes_on(&moved);
    world.assert_mounted_only_on(C, "idle");
    world.end(&after);
    world.end(&moved);
    world.assert_image("pg");
}
