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
