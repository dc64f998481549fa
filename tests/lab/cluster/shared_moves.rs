//! A shared volume whose owner leaves in order: drained, released, and shut down.

use std::time::{Duration, Instant};

use ec2_fake::InstanceState;
use serde_json::json;

use super::{A, B, C, NAMES, World, row, shared_tasks::Shared};

/// A task with a lock on B, one that tries for it on C, and one on each that writes files.
#[track_caller]
fn start(world: &World) -> [Shared; 4] {
    let [_, of_b, of_c] = [A, B, C].map(|node| world.mount_shared(node, "task"));
    let hold = world.share_task(B, &of_b, "hold", "/lock");
    world.nodes[B].wait_acknowledged(&hold.tag, 2);
    let tries = world.share_task(C, &of_c, "try", "/lock");
    let files = [(B, of_b), (C, of_c)].map(|(node, path)| {
        let files = world.share_task(node, &path, "files", "");
        world.nodes[node].wait_acknowledged(&files.tag, 5);
        files
    });
    let [of_b, of_c] = files;
    [hold, tries, of_b, of_c]
}

#[track_caller]
fn nothing_is_missing(world: &World, hold: &Shared, files: [&Shared; 2]) {
    let path = "/var/lib/hawser/mnt/volumes/shared";
    world.nodes[C].assert_has_lines(&format!("{path}/lock"), world.last_of(hold));
    world.files_are_there(C, path, files[0]);
    world.files_are_there(B, path, files[1]);
}

/// How often a task had asked for what was done already: where its owner's server has not died, its last answers are
/// heard. (`hawser release` by itself stops it under its tasks.)
fn unheard(world: &World) -> usize {
    world.nodes.iter().map(|node| node.said("done before: ")).sum()
}

fn measured(fault: &str, took: Duration) {
    row(fault, "a pause, and no error", &format!("{:.1} s", took.as_secs_f32()), "-");
}

#[test]
#[ignore = "a part of `make lab`"]
fn a_shared_volume_s_owner_is_drained_released_and_shut_down_and_tasks_elsewhere_only_pause() {
    let world = World::start("cluster-shared-moves");
    let World { lab, nodes, .. } = &world;
    world.create(A, "shared", json!({"shared": "true"}));
    let [hold, tries, of_b, of_c] = start(&world);
    let all = [&hold, &tries, &of_b, &of_c];

    lab.step("the owner has no task of its own any more, and is drained: another one goes on");
    nodes[A].unmount_volume("shared", "task");
    world.all_go_on(&all, 2);
    assert_eq!(world.owner(C), A, "it stays with those that reach it");
    let since = Instant::now();
    let drained = nodes[A].hawser(&["node", "drain"]).ok();
    eprintln!("           {:.1} s: {drained}", since.elapsed().as_secs_f32());
    measured("shared: owner drained", world.pause(since, &all));
    world.all_go_on(&all, 5);
    assert_eq!(unheard(&world), 0, "an answer was lost");
    nothing_is_missing(&world, &hold, [&of_b, &of_c]);
    let owner = world.owner(A);
    assert_ne!(owner, A, "it was drained");
    nodes[A].hawser(&["node", "drain", "--undo"]).ok();

    lab.step(
        "the next owner has tasks of its own, and is drained: nothing happens, and it says why",
    );
    let held = nodes[owner].hawser(&["node", "drain"]);
    eprintln!("           {held}");
    assert!(held.code != 0 && held.stdout.contains("shared: still there: "), "{held}");
    assert_eq!(world.owner(A), owner);
    world.all_go_on(&all, 3);
    nodes[owner].hawser(&["node", "drain", "--undo"]).ok();

    let other = if owner == B { C } else { B };
    lab.step("hawser's release on a node that reaches it: what tasks have is left to them");
    nodes[other].stop_hawser();
    let released = nodes[other].release();
    eprintln!("           {released}");
    assert!(
        released.code != 0 && released.stderr.contains("in another mount namespace"),
        "{released}"
    );
    world.all_go_on(&all, 3);
    nodes[other].start_hawser("");
    world.all_go_on(&all, 3);

    lab.step("the same on its owner, and it starts again");
    nodes[owner].stop_hawser();
    let since = Instant::now();
    let released = nodes[owner].release();
    eprintln!("           {released}");
    assert!(released.stdout.contains("shared: released"), "{released}");
    nodes[owner].start_hawser("");
    measured("shared: `hawser release` on the owner under its tasks", world.pause(since, &all));
    world.all_go_on(&all, 3);

    lab.step("it is not removed by anybody, and nobody moves it");
    for node in [A, B, C] {
        let refused = nodes[node].hawser(&["volume", "rm", "--yes", "shared"]);
        let also = nodes[node].plugin_err("VolumeDriver.Remove", &json!({"Name": "shared"}));
        eprintln!("           {}: {}{also}", NAMES[node], refused.stderr);
        assert!(refused.code != 0, "{refused}");
        for why in [&refused.stderr, &also] {
            assert!(why.contains("in use") || why.contains("it is mounted on node"), "{why}");
        }
    }
    let (asked, to) = (NAMES[owner], NAMES[other]);
    let refused = nodes[A].hawser(&["volume", "move", "shared", "--to", to]);
    eprintln!("           {asked} to {to}: {}", refused.stderr);
    assert!(refused.code != 0, "{refused}");
    world.all_go_on(&all, 3);

    let before = unheard(&world);
    the_owner_is_shut_down(&world, all, owner, other);
    assert_eq!(unheard(&world), before, "an answer was lost");
    world.assert_attached_once();
}

/// As units order it: Docker and its containers, hawser, which hands over before, `hawser release`, the machine.
#[track_caller]
fn the_owner_is_shut_down(world: &World, tasks: [&Shared; 4], owner: usize, other: usize) {
    let World { lab, cluster, nodes, .. } = world;
    lab.step("the owner's machine is shut down in order");
    let (its, others): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|task| task.node == owner);
    for task in its {
        nodes[owner].kill(&task.job);
    }
    nodes[owner].unmount_volume("shared", "task");
    // A lock that another one tries for is free now.
    let others: Vec<_> = others.into_iter().filter(|task| !task.tag.starts_with("try")).collect();
    world.all_go_on(&others, 3);
    let since = Instant::now();
    let given = nodes[owner].hawser(&["node", "hand-over"]).ok();
    eprintln!("           {given}");
    assert!(given.contains("Given to nodes that use them: 1."), "{given}");
    nodes[owner].stop_hawser();
    let released = nodes[owner].release();
    eprintln!("           {released}");
    assert_eq!(released.code, 0, "{released}");
    nodes[owner].shut_down();
    cluster.cloud.says(&nodes[owner], InstanceState::Stopped);
    measured("shared: owner's machine shut down in order", world.pause(since, &others));
    world.all_go_on(&others, 5);
    assert_eq!(world.owner(A), other);
    for task in others.iter().filter(|task| task.tag.starts_with("files")) {
        world.mount_shared(A, "check");
        world.files_are_there(A, "/var/lib/hawser/mnt/volumes/shared", task);
    }
}
