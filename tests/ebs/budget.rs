//! How many calls to EC2 each operation costs: the ones that are paid for and throttled.

use crate::harness::{World, until};

/// The calls that change something.
fn mutating(world: &World) -> Vec<(String, usize)> {
    world.ec2_calls().into_iter().filter(|(action, _)| !action.starts_with("Describe")).collect()
}

fn describes(world: &World) -> usize {
    world.ec2_calls().iter().filter(|(a, _)| a.starts_with("Describe")).map(|(_, n)| n).sum()
}

#[test]
fn every_operation_keeps_its_budget() {
    let mut world = World::on_ebs();
    world.start();
    world.create("other");
    world.mount("other", "warm");

    world.ec2().reset_calls();
    world.create("v");
    assert_eq!(mutating(&world), [("CreateVolume".to_owned(), 1)]);
    assert_eq!(describes(&world), 1, "{:?}", world.ec2_calls());

    world.ec2().reset_calls();
    world.mount("v", "a");
    assert_eq!(mutating(&world), [("AttachVolume".to_owned(), 1)]);
    assert!(describes(&world) <= 2, "{:?}", world.ec2_calls());

    world.ec2().reset_calls();
    world.mount("v", "b");
    world.get("v");
    world.call("List", &serde_json::json!({})).ok();
    world.call("Path", &serde_json::json!({ "Name": "v" })).ok();
    world.unmount("v", "b");
    world.unmount("v", "a");
    world.until_unmounted("v");
    // It stays attached: the next task mounts it without EC2.
    world.mount("v", "c");
    world.unmount("v", "c");
    assert_eq!(world.ec2_calls(), [].into());

    world.unmount("other", "warm");
    for name in ["v", "other"] {
        world.remove(name);
    }
    world.finish();
}

/// A call that the policy lacks is one that fails on Amazon's EC2 only.
#[test]
fn a_whole_life_takes_no_right_that_the_policy_does_not_give() {
    let mut world = World::on_ebs();
    world.start();
    world.ec2().reset_calls();
    world.create("v");
    world.mount("v", "a");
    world.hawser(["volume", "grow", "v", "2GiB"]);
    let snapshot = world.hawser(["snapshot", "create", "v"]);
    world.hawser(["snapshot", "ls"]);
    world.hawser(["snapshot", "rm", "--yes", snapshot.trim()]);
    world.hawser(["volume", "import", "--list"]);
    world.unmount("v", "a");
    world.remove("v");
    until("it is deleted in EC2", || world.ec2().volumes().is_empty());

    let policy = world.hawser(["config", "iam-policy"]);
    let made = world.ec2_calls();
    for action in made.keys() {
        assert!(policy.contains(&format!("\"ec2:{action}\"")), "{action} is not in\n{policy}");
    }
    for action in ["DetachVolume", "DeleteVolume", "ModifyVolume", "DeleteSnapshot"] {
        assert!(made.contains_key(action), "{action}: {made:?}");
    }
    world.finish();
}
