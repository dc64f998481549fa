//! Parts of the network that are cut, and healed.

use serde_json::json;

use super::{A, B, C, World};
use crate::harness::Service;

#[test]
#[ignore = "a part of `make lab`"]
fn nothing_is_taken_from_an_owner_that_is_cut_off_from_a_part_of_the_cluster() {
    let world = World::start("cluster-cuts");
    let World { lab, nodes, .. } = &world;
    world.create(A, "pg", json!({"preempt": "force"}));
    let before = world.run(A, "pg");

    lab.step("the owner is cut off from ZooKeeper: nobody takes it, not even by force");
    lab.cut(&nodes[A], Service::ZooKeeper);
    world.wait_alive(B, 2);
    let why = world.refused(B, &world.begin_mount(B, "pg"));
    assert!(why.contains("node a, which has it, is cut off from the cluster's store"), "{why}");
    let forced = nodes[B].hawser(&["volume", "move", "pg", "--to", "b", "--force"]);
    assert!(forced.code != 0 && forced.stderr.contains("is cut off from"), "{forced}");
    world.assert_unmoved(B, &before);
    world.goes_on(&before);

    lab.step("it is healed");
    lab.heal(&nodes[A], Service::ZooKeeper);
    world.wait_alive(B, 3);
    world.assert_unmoved(B, &before);
    world.goes_on(&before);
    world.assert_mounted_only_on(A, "pg");
    world.undisturbed("owner cut off from ZooKeeper alone, and healed", &before);

    lab.step("the owner and one node do not see each other: that one waits, a third is refused");
    lab.cut_between(&nodes[A], &nodes[B]);
    let mount = world.begin_mount(B, "pg");
    world.wait_said(B, "its session with the store is not over yet");
    let why = world.refused(C, &world.begin_mount(C, "pg"));
    assert!(why.contains("it is in use on node a by"), "{why}");
    world.assert_unmoved(C, &before);
    world.goes_on(&before);

    lab.step("they see each other again");
    lab.heal_between(&nodes[A], &nodes[B]);
    let why = world.refused(B, &mount);
    assert!(why.contains("it is in use on node a by"), "{why}");
    world.assert_mounted_only_on(A, "pg");
    world.goes_on(&before);
    world.undisturbed("cut between owner and another node alone, and healed", &before);

    lab.step("the task ends, and the next one is on the other node");
    world.end(&before);
    let after = world.run(B, "pg");
    world.goes_on(&after);
    world.end(&after);
    world.assert_image("pg");
}
