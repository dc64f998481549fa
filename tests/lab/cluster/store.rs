//! ZooKeeper that is away for everybody.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{A, B, C, Task, World, container};

/// Ten sessions long: no time-out of anything here is longer than that.
const AWAY: Duration = Duration::from_secs(60);
/// What an operator takes who is called at night. Nothing in hawser has a limit of this order.
const LONG_AWAY: Duration = Duration::from_secs(600);

#[test]
#[ignore = "a part of `make lab`"]
fn everything_goes_on_while_zookeeper_is_away_and_after_it_is_back() {
    zookeeper_is_away("cluster-store", AWAY);
}

#[test]
#[ignore = "a part of `make lab`: ten minutes of it"]
fn everything_goes_on_while_zookeeper_is_away_for_ten_minutes_and_after_it_is_back() {
    zookeeper_is_away("cluster-store-long", LONG_AWAY);
}

fn zookeeper_is_away(test: &str, time: Duration) {
    let mut world = World::start(test);
    world.create(A, "pg", json!({}));
    world.create(A, "app", json!({}));
    world.create(B, "idle", json!({"attach": "stay"}));
    let before = world.run(A, "pg");
    let other = world.run(B, "idle");
    world.end(&other);
    world.lab.step("a container writes to another volume");
    world.nodes[A].start_docker();
    container::run(&world.nodes[A]);
    let lines = container::wait_lines(&world.nodes[A], 5);
    let epochs = epochs(&world);

    world.lab.step("ZooKeeper is gone: tasks go on, and what is attached can be mounted");
    world.cluster.zookeeper.kill();
    let since = Instant::now();
    world.wait_said(B, "this node is not in the cluster");
    let again = world.run(B, "idle");
    world.goes_on(&before);
    world.goes_on(&again);

    world.lab.step("no volume gets a new owner");
    for (node, volume) in [(B, "pg"), (C, "idle")] {
        assert_refused_without_the_store(&world, node, volume);
    }
    world.end(&again);

    world.lab.step("a daemon starts without it, and its task goes on");
    world.nodes[A].kill_hawser();
    world.nodes[A].start_hawser("");
    let lines = goes_on_until(&world, since + time, &before, lines);

    world.lab.step("after all that time it is as in the beginning");
    let again = world.run(B, "idle");
    world.goes_on(&again);
    assert_refused_without_the_store(&world, B, "pg");
    world.end(&again);

    world.lab.step("it is back");
    world.cluster.zookeeper.restart();
    world.wait_alive(B, 3);
    assert_eq!(self::epochs(&world), epochs, "a volume got another owner");
    world.goes_on(&before);
    container::wait_lines(&world.nodes[A], lines + 5);
    let why = world.refused(B, &world.begin_mount(B, "pg"));
    assert!(why.contains("it is in use on node a by"), "{why}");
    world.assert_mounted_only_on(A, "pg");
    world.assert_mounted_only_on(A, "app");
    let (seconds, sessions) = (time.as_secs(), time.as_secs() / 6);
    let fault = format!("ZooKeeper away for {seconds} s, {sessions} times the session");
    world.undisturbed(&fault, &before);

    world.lab.step("volumes move again");
    world.nodes[A].docker(&["rm", "-f", "app"]);
    world.end(&before);
    let after = world.run(B, "pg");
    world.goes_on(&after);
    let moved = world.run(C, "idle");
    world.goes_on(&moved);
    world.assert_mounted_only_on(C, "idle");
    world.end(&after);
    world.end(&moved);
    world.assert_image("pg");
    world.cluster.cloud.wait_for(&world.ec2_id("app"), "available");
}

/// Owner and epoch of each volume, as the node says that has nothing of them.
fn epochs(world: &World) -> Vec<serde_json::Value> {
    let found = ["pg", "app", "idle"].map(|volume| world.whereabouts(C, volume));
    found.map(|found| json!([found["name"], found["owner"], found["epoch"]])).into()
}

#[track_caller]
fn assert_refused_without_the_store(world: &World, node: usize, volume: &str) {
    let why = world.refused(node, &world.begin_mount(node, volume));
    assert!(why.contains("the cluster's store does not answer"), "{why}");
}

/// Until then a task writes, a container writes, further ones are given its volume, and the node answers
/// what it is asked. The container's lines at the end.
fn goes_on_until(world: &World, end: Instant, task: &Task, lines: u64) -> u64 {
    let machine = &world.nodes[A];
    let (mut lines, mut rounds) = (lines, 0);
    while Instant::now() < end || rounds == 0 {
        world.goes_on(task);
        lines = container::wait_lines(machine, lines + 1);
        let seen = container::read_by_another(machine);
        assert!(
            seen >= lines,
            "{lines} lines were acknowledged, and another container sees {seen}"
        );
        let listed = machine.hawser_json(&["volume", "ls"]);
        assert_eq!(listed.as_array().map(Vec::len), Some(3), "{listed}");
        let found = machine.hawser_json(&["volume", "inspect", "app"]);
        assert_eq!(found["name"], "app", "{found}");
        thread::sleep(Duration::from_secs(1));
        rounds += 1;
    }
    eprintln!("           {rounds} rounds of questions and mounts");
    lines
}
