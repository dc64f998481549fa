//! Machines that die.

use std::time::Instant;

use ec2_fake::InstanceState;
use serde_json::json;

use super::{A, B, World};

#[test]
fn the_volume_of_a_killed_machine_is_on_another_one_with_every_acknowledged_write() {
    let world = World::start("cluster-killed");
    let World { lab, cluster, nodes, .. } = &world;

    lab.step("a task writes to an EBS volume");
    world.create(A, "pg", json!({}));
    let before = world.run(A, "pg");
    world.goes_on(&before);

    lab.step("its machine is killed, and terminated");
    let since = Instant::now();
    nodes[A].crash();
    cluster.cloud.says(&nodes[A], InstanceState::Terminated);
    let after = world.run(B, "pg");
    assert!(after.epoch > before.epoch, "{} comes after {}", after.epoch, before.epoch);
    world.measured("owner killed, instance terminated", "it ends with its machine", since, &after);
    world.assert_mounted_only_on(B, "pg");
    world.goes_on(&after);

    lab.step("it lets go, and the image is looked at");
    world.end(&after);
    world.assert_image("pg");
}

#[test]
#[ignore = "a part of `make lab`"]
fn a_machine_that_was_stopped_leaves_what_was_taken_over_alone_when_it_starts_again() {
    let world = World::start("cluster-stopped");
    let World { lab, cluster, nodes, states, .. } = &world;
    world.create(A, "pg", json!({}));
    let before = world.run(A, "pg");
    world.goes_on(&before);

    lab.step("the power fails, and EC2 does not know: another node waits, and says why");
    nodes[A].lose_power(&[&states[A]]);
    let mount = world.begin_mount(B, "pg");
    world.wait_said(B, "but its machine runs and its tasks may be writing");
    world.assert_unmoved(B, &before);

    lab.step("EC2 says that it is stopped");
    let since = Instant::now();
    cluster.cloud.says(&nodes[A], InstanceState::Stopped);
    let after = world.run_mounted(B, "pg", &mount);
    assert!(after.epoch > before.epoch, "{} comes after {}", after.epoch, before.epoch);
    let fault = "owner's power lost, EC2 sees it once the session is over (counted from there)";
    world.measured(fault, "it ends with its machine", since, &after);

    lab.step("it starts again, and does not use what was taken over");
    nodes[A].boot();
    cluster.cloud.says(&nodes[A], InstanceState::Running);
    world.join(&[A]);
    world.wait_alive(B, 3);
    let why = world.refused(A, &world.begin_mount(A, "pg"));
    assert!(why.contains("it is in use on node b by"), "{why}");
    world.goes_on(&after);
    world.assert_mounted_only_on(B, "pg");

    lab.step("it has it again when the other has let go");
    world.end(&after);
    let again = world.run(A, "pg");
    world.goes_on(&again);
    world.assert_mounted_only_on(A, "pg");
    world.end(&again);
    world.assert_image("pg");
}
