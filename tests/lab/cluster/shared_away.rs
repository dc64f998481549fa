//! A node that reaches a shared volume whose owner does not answer for a long time, and from which nothing may
//! be taken: whatever is done there comes to an end.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    A, B, C, World, row,
    shared_cuts::{cut_off, healed},
};
use crate::harness::{Job, PATIENCE, eventually};

/// Docker gives up a call after 120 s, and says nothing of why.
const DOCKER: Duration = Duration::from_secs(115);

#[test]
#[ignore = "a part of `make lab`"]
fn while_a_shared_volume_s_owner_is_away_whatever_is_done_on_other_nodes_comes_to_an_end() {
    let world = World::prepare("cluster-shared-away");
    let World { lab, nodes, .. } = &world;
    lab.step("two nodes use a volume, and its owner is cut off from everything");
    for node in nodes {
        node.set("HAWSER_LINGER", "0s");
    }
    world.join(&[A, B, C]);
    world.wait_alive(A, 3);
    world.create(A, "shared", json!({"shared": "true"}));
    let of_a = world.mount_shared(A, "task");
    let of_b = world.mount_shared(B, "task");
    let files = [(A, &of_a), (B, &of_b)].map(|(node, path)| {
        let task = world.share_task(node, path, "files", "");
        nodes[node].wait_acknowledged(&task.tag, 3);
        task
    });
    let cut = Instant::now();
    cut_off(lab, &nodes[A]);
    world.wait_alive(B, 2);
    let mount = (Instant::now(), nodes[C].begin_mount("shared", "task"));

    lab.step("hawser is asked about it, killed, and started: it waits for nobody");
    is_answered(&world, "before");
    nodes[B].kill_hawser();
    let since = Instant::now();
    nodes[B].start_hawser("");
    told("hawser starts on another node", "nothing", since);
    is_answered(&world, "after");

    lab.step("the task there is killed, and unmounted");
    nodes[B].kill(&files[1].job);
    eventually("it has ended", PATIENCE, || nodes[B].poll(&files[1].job).is_some());
    let since = Instant::now();
    nodes[B].try_plugin("VolumeDriver.Unmount", &json!({"Name": "shared", "ID": "task"}), DOCKER);
    told("Docker unmounts on another node", "its answer", since);

    lab.step("a task on a third node is refused, and told why");
    refused_in_time(&world, mount);

    lab.step("hawser ends in order, and lets go of what it can");
    let since = Instant::now();
    nodes[B].stop_hawser();
    let released = nodes[B].release();
    eprintln!("           {released}");
    told(
        "hawser ends and releases on another node",
        "what cannot be written back stays, and is said",
        since,
    );
    nodes[B].start_hawser("");

    lab.step("the owner is back: nothing is missing, and nothing is left on the node that went");
    eprintln!("           it was away for {:.0} s", cut.elapsed().as_secs_f32());
    healed(lab, &nodes[A]);
    world.wait_alive(B, 3);
    world.all_go_on(&[&files[0]], 3);
    let of_c = world.mount_shared(C, "task");
    world.files_are_there(C, &of_c, &files[0]);
    world.files_are_there(C, &of_c, &files[1]);
    assert_eq!(world.owner(C), A);
    eventually("b reaches it no more", PATIENCE * 2, || world.users(A) == ["c"]);
    nodes[B].sh("! grep ' nfs4 ' /proc/mounts").ok();
    world.assert_attached_once();
}

/// The row of the table: how long this took.
fn told(what: &str, sees: &str, since: Instant) {
    let took = since.elapsed().as_secs_f32();
    row(&format!("shared: owner away, {what}"), sees, &format!("{took:.1} s"), "-");
}

/// What people and Docker ask is answered on the node that has a mount of it.
#[track_caller]
fn is_answered(world: &World, when: &str) {
    let b = &world.nodes[B];
    let since = Instant::now();
    let listed = b.hawser(&["volume", "ls"]).ok();
    assert!(listed.contains("shared"), "{listed}");
    assert_eq!(world.whereabouts(B, "shared")["owner"], "a");
    let found = b.plugin("VolumeDriver.Get", &json!({"Name": "shared"}));
    assert_eq!(found["Volume"]["Name"], "shared", "{found}");
    let took = since.elapsed();
    eprintln!("           {when}: three answers after {:.1} s", took.as_secs_f32());
    assert!(took < PATIENCE, "{took:?}");
}

#[track_caller]
fn refused_in_time(world: &World, (since, mount): (Instant, Job)) {
    let why = world.refused(C, &mount);
    let took = since.elapsed();
    assert!(took < DOCKER, "{took:?}");
    assert!(why.contains("mount shared") && why.contains("node a"), "{why}");
    told("a task's mount on a node that did not reach it yet", "refused, with the reason", since);
}
