//! Directories on a filer: two nodes have one mounted at the same time, and one of them dies.

use ec2_fake::InstanceState;
use serde_json::{Value, json};

use super::{A, B, C, GIB, World};
use crate::harness::{PATIENCE, eventually};

const MARK: &str = "/disk/apps/web/.hawser/volume";
const USERS: &str = "/disk/apps/web/.hawser/users";

#[test]
#[ignore = "a part of `make lab`"]
fn two_nodes_have_one_nfs_directory_and_the_use_of_one_that_dies_is_given_up() {
    let world = World::prepare("cluster-directory");
    let World { lab, nodes: [a, b, filer], .. } = &world;
    lab.step("a filer serves, and hawser starts on two machines");
    filer.serve_nfs_without_locks(&filer.attach(&lab.disk("export", 8 * GIB)));
    for node in [a, b] {
        node.set("HAWSER_NFS_SERVER", &format!("{}:/export/apps", filer.address));
        node.set("HAWSER_LINGER", "0s");
        node.set("HAWSER_UNDELETE", "0s");
    }
    world.join(&[A, B]);
    world.wait_alive(A, 2);

    lab.step("both mount it in the same moment");
    a.create_volume("web", &json!({"backend": "nfs", "size": "16MiB"}));
    wait_known(&world, B, "web");
    let [here, there] = [A, B].map(|node| world.begin_mount(node, "web"));
    let (here, there) = (a.mounted(&here), b.mounted(&there));
    for node in [A, B] {
        wait_users(&world, node, &["a", "b"]);
    }
    a.sh(&format!("echo from-a >{here}/first; sync {here}/first")).ok();
    assert_eq!(b.sh(&format!("cat {there}/first")).ok(), "from-a");

    lab.step("both grow it and label it at once: there is one mark, and it is as the record");
    change_at_once(&world);
    assert_eq!(filer.sh(&format!("ls {USERS} | wc -l")).ok(), "1", "the cluster's");

    lab.step("one unmounts it: the other goes on, and it is not removed");
    a.unmount_volume("web", "task-1");
    wait_users(&world, A, &["b"]);
    b.sh(&format!("echo from-b >{there}/second; sync {there}/second")).ok();
    let why = refused_removal(&world, "web");
    assert!(why.contains("it is mounted on node b:") && !why.contains("node a"), "{why}");

    dies(&world);
    comes_back(&world);
    dies_for_good(&world);
}

#[track_caller]
fn dies(world: &World) {
    let World { lab, nodes: [a, b, filer], states, .. } = world;
    lab.step("the other one's machine is killed: the first one goes on");
    let again = a.mount_volume("web", "task-1");
    let writer = a.start_writer(&format!("{again}/lines"), "web");
    a.wait_acknowledged("web", 20);
    b.lose_power(&[&states[B]]);
    world.wait_alive(A, 1);
    a.wait_acknowledged("web", a.acknowledged("web").last + 20);
    a.kill(&writer);
    let lines = a.acknowledged("web");
    filer.assert_has_lines("/disk/apps/web/data/lines", lines.last);
    let fault = "one of two nodes with an NFS directory killed";
    let longest = lines.longest.as_secs_f32();
    eprintln!(
        "measured: | {fault} | nothing, on the other | {longest:.1} s, its longest write | - | 0 | - |"
    );
    a.unmount_volume("web", "task-1");
    wait_users(world, A, &["b"]);
    let why = refused_removal(world, "web");
    assert!(why.contains("node b") && why.contains("`hawser node rm"), "{why}");
    let why = a.hawser(&["node", "rm", "b", "--yes"]);
    assert!(why.code != 0 && why.stderr.contains("runs: stop or terminate it first"), "{why}");
}

#[track_caller]
fn comes_back(world: &World) {
    let World { lab, nodes: [_, b, _], .. } = world;
    lab.step("it starts again, and gives its use up by itself");
    b.boot();
    world.join(&[B]);
    world.wait_alive(A, 2);
    wait_users(world, A, &[]);
    let there = b.mount_volume("web", "task-2");
    assert_eq!(b.sh(&format!("cat {there}/second")).ok(), "from-b");
    wait_users(world, A, &["b"]);
}

#[track_caller]
fn dies_for_good(world: &World) {
    let World { lab, cluster, nodes: [a, b, filer], states, .. } = world;
    lab.step("one that it made itself, and has mounted, is not removed elsewhere either");
    b.create_volume("hers", &json!({"backend": "nfs", "size": "16MiB"}));
    b.mount_volume("hers", "task-3");
    wait_known(world, A, "hers");
    assert!(refused_removal(world, "hers").contains("node b"));

    lab.step(
        "it is killed for good: with the node, its use is forgotten, and the other one removes it",
    );
    b.lose_power(&[&states[B]]);
    cluster.cloud.says(b, InstanceState::Terminated);
    world.wait_alive(A, 1);
    for volume in ["web", "hers"] {
        assert!(refused_removal(world, volume).contains("node b"));
    }
    a.hawser(&["node", "rm", "b", "--yes"]).ok();
    wait_users(world, A, &[]);
    for volume in ["web", "hers"] {
        a.plugin("VolumeDriver.Remove", &json!({"Name": volume}));
    }
    let gone = "! test -e /disk/apps/web && ! test -e /disk/apps/hers && \
        ! ls /disk/apps/.hawser-removed/* 2>/dev/null";
    eventually("their directories are deleted", PATIENCE, || filer.sh(gone).code == 0);
}

/// Waits until a node knows a volume that the other one made.
#[track_caller]
pub(super) fn wait_known(world: &World, node: usize, volume: &str) {
    eventually("it is known there", PATIENCE, || {
        let found =
            world.nodes[node].try_plugin("VolumeDriver.Get", &json!({"Name": volume}), PATIENCE);
        found["Volume"]["Name"] == volume
    });
}

/// Waits until the record says that these nodes have it mounted, and no others.
#[track_caller]
fn wait_users(world: &World, asked: usize, users: &[&str]) {
    eventually(&format!("it is used by {users:?}"), PATIENCE, || {
        world.whereabouts(asked, "web")["users"] == json!(users)
    });
}

#[track_caller]
fn refused_removal(world: &World, volume: &str) -> String {
    let why = world.nodes[A].plugin_err("VolumeDriver.Remove", &json!({"Name": volume}));
    eprintln!("           {why}");
    why
}

/// Whoever was later, the mark says in the end what the record says on both nodes.
#[track_caller]
fn change_at_once(world: &World) {
    let both = [&world.nodes[A], &world.nodes[B]];
    for round in 0..3 {
        let grown = [(0, 32 + round * 64), (1, 64 + round * 64)].map(|(at, size)| {
            both[at].spawn(&["/lab/hawser", "volume", "grow", "web", &format!("{size}MiB")])
        });
        let [smaller, larger] = grown;
        // The smaller one may come after the larger one, and is nothing to do then, or refused.
        both[0].wait(&smaller, PATIENCE);
        both[1].wait(&larger, PATIENCE).ok();
        let labelled = [0, 1].map(|at| {
            let label = format!("label.{}-{round}=x", both[at].name);
            both[at].spawn(&["/lab/hawser", "volume", "set", "web", "-o", &label])
        });
        both.iter().zip(labelled).for_each(|(node, set)| drop(node.wait(&set, PATIENCE).ok()));
    }
    let spec =
        |node: usize| world.nodes[node].hawser_json(&["volume", "inspect", "web"])["spec"].take();
    eventually("the mark and both nodes say the same", PATIENCE, || {
        let text = world.nodes[C].sh(&format!("head -n -1 {MARK}")).ok();
        let mark: Value = serde_json::from_str(&text).expect("a mark is JSON, and a signature");
        let labels = mark["spec"]["labels"].as_object().map_or(0, serde_json::Map::len);
        let size = mark["spec"]["size"].as_u64();
        size == Some(192 << 20)
            && labels == 6
            && [A, B].iter().all(|node| spec(*node) == mark["spec"])
    });
}
