//! EC2 that is away or does not come to an end.

use std::{
    thread,
    time::{Duration, Instant},
};

use ec2_fake::{InstanceState, Transition};
use serde_json::json;

use super::{A, B, C, World};

/// How long it is stuck, or away.
const TROUBLE: Duration = Duration::from_secs(20);

#[test]
#[ignore = "a part of `make lab`"]
fn a_volume_waits_for_an_ec2_that_sticks_or_is_away_and_moves_afterwards() {
    let world = World::start("cluster-ec2");
    let World { lab, cluster, nodes, .. } = &world;
    world.create(A, "pg", json!({}));
    let before = world.run(A, "pg");
    world.goes_on(&before);

    lab.step("the task moves on, and its volume's detachment sticks");
    let id = world.ec2_id("pg");
    cluster.cloud.stick(&id, Transition::Detach);
    world.end(&before);
    let since = Instant::now();
    let mount = world.begin_mount(B, "pg");
    thread::sleep(TROUBLE);
    assert!(nodes[B].poll(&mount).is_none(), "it was mounted while it was detaching");
    cluster.cloud.unstick(&id);
    let second = world.run_mounted(B, "pg", &mount);
    world.assert_mounted_only_on(B, "pg");
    let fault = format!("a move whose detachment sticks for {} s", TROUBLE.as_secs());
    world.measured(&fault, "it starts later", since, &second);

    lab.step("the owner is killed, and EC2 is away when it is asked for it");
    world.goes_on(&second);
    let since = Instant::now();
    nodes[B].crash();
    let mount = world.begin_mount(C, "pg");
    world.wait_said(C, "but its machine runs and its tasks may be writing");
    let away = Instant::now();
    cluster.cloud.away(true);
    cluster.cloud.says(&nodes[B], InstanceState::Stopped);
    world.wait_said(C, "and the cloud does not say whether its machine runs");
    thread::sleep(TROUBLE.saturating_sub(away.elapsed()));
    world.assert_unmoved(C, &second);
    cluster.cloud.away(false);
    let third = world.run_mounted(C, "pg", &mount);
    assert!(third.epoch > second.epoch, "{} comes after {}", third.epoch, second.epoch);
    world.assert_mounted_only_on(C, "pg");
    let fault = format!(
        "owner killed, and EC2 away for {} s from when its session is over",
        TROUBLE.as_secs()
    );
    world.measured(&fault, "it ends with its machine", since, &third);

    lab.step("the next owner is killed, and the detachment from it sticks: it is forced");
    world.goes_on(&third);
    cluster.cloud.stick(&id, Transition::Detach);
    let since = Instant::now();
    nodes[C].crash();
    cluster.cloud.says(&nodes[C], InstanceState::Stopped);
    let fourth = world.run(A, "pg");
    assert!(fourth.epoch > third.epoch, "{} comes after {}", fourth.epoch, third.epoch);
    cluster.cloud.unstick(&id);
    world.assert_mounted_only_on(A, "pg");
    world.measured(
        "owner killed, and the detachment sticks until it is forced",
        "it ends with its machine",
        since,
        &fourth,
    );
    world.end(&fourth);
    world.assert_image("pg");
}
