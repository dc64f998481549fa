//! Volumes that move in order: with their task, by an operator, and from a node that is drained.

use std::time::Instant;

use serde_json::json;

use super::{A, B, C, World};

#[test]
#[ignore = "a part of `make lab`"]
fn volumes_move_in_order_with_their_tasks_by_hand_and_from_a_drained_node() {
    let world = World::start("cluster-moves");
    let World { lab, nodes, .. } = &world;

    lab.step("a task moves on, and its volume, which is to follow, comes after");
    for attach in ["follow", "stay"] {
        world.create(A, attach, json!({"attach": attach}));
    }
    let before = world.run(A, "follow");
    world.goes_on(&before);
    let why = world.refused(B, &world.begin_mount(B, "follow"));
    assert!(why.contains("it is in use on node a by"), "{why}");
    let since = Instant::now();
    world.end(&before);
    let after = world.run(B, "follow");
    assert!(after.epoch > before.epoch, "{} comes after {}", after.epoch, before.epoch);
    world.measured("a task moves on, `attach=follow`", "-", since, &after);
    world.assert_mounted_only_on(B, "follow");
    world.goes_on(&after);
    world.end(&after);
    // The other one's tasks: see `remote`.
    let stays = world.run(A, "stay");
    world.end(&stays);

    lab.step("an operator moves one, and the next task finds it there");
    let moved = nodes[A].hawser(&["volume", "move", "stay", "--to", "c"]).ok();
    eprintln!("           {moved}");
    let found = world.whereabouts(C, "stay");
    assert_eq!(found["owner"], "c", "{found}");
    let since = Instant::now();
    let task = world.run(C, "stay");
    world.measured("a task starts where its volume was moved to before", "-", since, &task);
    world.assert_mounted_only_on(C, "stay");
    let refused = nodes[A].hawser(&["volume", "move", "stay", "--to", "a"]);
    assert!(refused.code != 0 && refused.stderr.contains("in use on node c"), "{refused}");
    world.end(&task);

    lab.step("its node is drained: it gives it free, and takes no more");
    let drained = nodes[A].hawser(&["node", "drain", "c"]).ok();
    eprintln!("           {drained}");
    let found = world.whereabouts(A, "stay");
    assert!(found["owner"].is_null(), "{found}");
    let why = world.refused(C, &world.begin_mount(C, "stay"));
    assert!(why.contains("drained"), "{why}");
    let since = Instant::now();
    let task = world.run(A, "stay");
    world.measured("a task starts whose volume a drained node gave free", "-", since, &task);
    world.assert_mounted_only_on(A, "stay");
    world.end(&task);
    nodes[A].hawser(&["node", "drain", "c", "--undo"]).ok();
    let task = world.run(C, "stay");
    world.end(&task);
    nodes[B].hawser(&["volume", "move", "stay", "--to", "b"]).ok();
    nodes[B].hawser(&["node", "drain"]).ok();
    world.assert_image("stay");
    world.assert_image("follow");
}
