//! One EBS volume, tasks on three machines: the owner's own on its file system, the others by way of it.

use std::time::Instant;

use ec2_fake::InstanceState;
use serde_json::json;

use super::{A, B, C, World, row};
use crate::harness::{PATIENCE, Service, eventually};

#[test]
#[ignore = "a part of `make lab`"]
fn tasks_of_three_nodes_share_a_volume_and_outlive_its_owner() {
    let world = World::start("cluster-shared");
    let World { lab, cluster, nodes, .. } = &world;

    lab.step("the first node attaches it, the others reach it through that one");
    world.create(A, "shared", json!({"shared": "true"}));
    let of_a = world.mount_shared(A, "task-a");
    nodes[A].sh_with("echo precious >$1/file", &[&of_a]).ok();
    let of_b = world.mount_shared(B, "task-b");
    let of_c = world.mount_shared(C, "task-c");
    assert_eq!(world.kind(A, &of_a), "xfs", "no NFS for the owner's own tasks");
    for (node, path) in [(B, &of_b), (C, &of_c)] {
        assert_eq!(world.kind(node, path), "nfs4");
        assert_eq!(nodes[node].sh_with("cat $1/file", &[path]).ok(), "precious");
    }
    let found = world.whereabouts(B, "shared");
    assert_eq!(found["owner"], "a", "{found}");

    lab.step("locks hold across nodes, and on the owner");
    let hold = world.share_task(C, &of_c, "hold", "/lock");
    nodes[C].wait_acknowledged(&hold.tag, 2);
    let local = world.share_task(A, &of_a, "try", "/lock");
    nodes[A].wait_acknowledged(&local.tag, 3);
    let files = world.share_task(B, &of_b, "files", "");
    nodes[B].wait_acknowledged(&files.tag, 10);

    lab.step("it is not removed under them");
    let refused = nodes[C].hawser(&["volume", "rm", "--yes", "shared"]);
    assert!(refused.code != 0 && refused.stderr.contains("in use"), "{refused}");

    lab.step("hawser is killed on one node after the other, and started again: nobody notices");
    for (node, whose) in [(A, "the owner's"), (B, "another node's")] {
        let killed = Instant::now();
        nodes[node].kill_hawser();
        let took = world.pause(killed, &[&local, &files, &hold]).as_secs_f32();
        nodes[node].start_hawser("");
        world.all_go_on(&[&local, &files, &hold], 3);
        let fault = format!("shared: {whose} hawser killed, and started again");
        row(&fault, "nothing", &format!("{took:.1} s until each task's next two writes"), "-");
    }

    lab.step("it is killed on every node at once");
    for node in nodes {
        node.kill_hawser();
    }
    world.all_go_on(&[&local, &files, &hold], 3);
    for node in nodes {
        node.start_hawser("");
    }
    world.wait_alive(A, 3);
    world.all_go_on(&[&local, &files, &hold], 3);

    lab.step("the owner's NFS server is killed: it is started again");
    // Until then nothing keeps a task of the owner's own from its locks (docs/sharing.md, Limits).
    nodes[A].kill(&local.job);
    let killed = Instant::now();
    nodes[A].sh("kill -KILL $(pidof ganesha.nfsd)").ok();
    let took = world.pause(killed, &[&files]).as_secs_f32();
    row(
        "shared: the owner's NFS server killed",
        "a pause, and no error",
        &format!("{took:.1} s"),
        "-",
    );
    world.all_go_on(&[&hold], 3);

    lab.step("the tunnels are killed: they are started again");
    let killed = Instant::now();
    for node in nodes {
        // The brackets keep the shell from finding itself.
        node.sh("kill -KILL $(pgrep -f 'tunnel[ ]--table')").ok();
    }
    let took = world.pause(killed, &[&files, &hold]).as_secs_f32();
    let took = format!("{took:.1} s until each task's next two writes");
    row("shared: the tunnels of all nodes killed", "a pause, and no error", &took, "-");
    world.all_go_on(&[&files, &hold], 3);

    lab.step("the owner's machine dies");
    let dead = Instant::now();
    nodes[A].crash();
    cluster.cloud.says(&nodes[A], InstanceState::Terminated);
    let took = world.pause(dead, &[&files, &hold]).as_secs_f32();
    row("shared: owner killed", "a pause, and no error", &format!("{took:.1} s"), "-");
    world.all_go_on(&[&files, &hold], 5);
    let refused = nodes[B].sh_with("cd $1; /lab/lock.py try lock", &[&of_b]).ok();
    assert_eq!(refused, "refused", "the lock was lost, and nobody was told");
    world.files_are_there(C, &of_c, &files);
    let lines = world.last_of(&hold);
    nodes[B].assert_has_lines(&format!("{of_b}/lock"), lines);
    let owner = world.owner(B);
    assert!(owner == B || owner == C, "it is still the dead one's");
    world.assert_attached_once();
}

#[test]
#[ignore = "a part of `make lab`"]
fn a_node_comes_to_a_volume_whose_owner_is_cut_off_and_is_all_that_is_left_of_three() {
    let world = World::start("cluster-shared-users");
    let World { lab, cluster, nodes, .. } = &world;

    lab.step("two nodes use a volume, and its owner is cut off from ZooKeeper");
    world.create(A, "shared", json!({"shared": "true"}));
    let of_a = world.mount_shared(A, "task-a");
    nodes[A].sh_with("echo precious >$1/file; sync $1/file", &[&of_a]).ok();
    let of_b = world.mount_shared(B, "task-b");
    let hold = world.share_task(B, &of_b, "hold", "/lock");
    world.all_go_on(&[&hold], 2);
    let epoch = world.whereabouts(B, "shared")["epoch"].clone();
    lab.cut(&nodes[A], Service::ZooKeeper);
    world.wait_alive(B, 2);

    lab.step("a third one comes, and reaches it through the owner all the same");
    let of_c = world.mount_shared(C, "task-c");
    assert_eq!(world.kind(C, &of_c), "nfs4");
    assert_eq!(nodes[C].sh_with("cat $1/file", &[&of_c]).ok(), "precious");
    let refused = nodes[C].sh_with("cd $1; /lab/lock.py try lock", &[&of_c]).ok();
    assert_eq!(refused, "refused", "two have the lock");
    let files = world.share_task(C, &of_c, "files", "");
    world.all_go_on(&[&hold, &files], 3);
    let found = world.whereabouts(C, "shared");
    assert_eq!((&found["owner"], &found["epoch"]), (&json!("a"), &epoch), "{found}");

    lab.step("the owner takes part again, and hears of it");
    lab.heal(&nodes[A], Service::ZooKeeper);
    world.wait_alive(B, 3);
    eventually("it knows both", PATIENCE, || world.users(A) == ["b", "c"]);
    world.all_go_on(&[&hold, &files], 3);

    lab.step("the owner and one of the two die at once");
    let dead = Instant::now();
    for node in [A, B] {
        nodes[node].crash();
        cluster.cloud.says(&nodes[node], InstanceState::Terminated);
    }
    let took = world.pause(dead, &[&files]).as_secs_f32();
    row(
        "shared: owner and one of two other nodes killed at once",
        "a pause, and no error",
        &format!("{took:.1} s"),
        "-",
    );
    eventually("the dead one is no user", PATIENCE, || world.users(C) == ["c"]);
    world.files_are_there(C, &of_c, &files);
    let lock = nodes[C].sh_with("cd $1; /lab/lock.py try lock", &[&of_c]).ok();
    assert_eq!(lock, "taken", "the lock of a machine that is gone is free");

    lab.step("its task ends, and nothing keeps the volume");
    nodes[C].kill(&files.job);
    nodes[C].unmount_volume("shared", "task-c");
    let removed = nodes[C].hawser(&["volume", "rm", "--yes", "shared"]);
    assert_eq!(removed.code, 0, "{removed}");
}
