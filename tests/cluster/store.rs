//! ZooKeeper is away: for everybody, or for one node.

use std::{
    fs::{self, File},
    io::Write,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    harness::until,
    nodes::{A, B, Cluster, SESSION, measured},
};

/// Docker's questions about a volume that is mounted, and a second task: at once, all of them.
#[track_caller]
fn serves(cluster: &Cluster, node: usize, name: &str) {
    let node = &cluster[node];
    let begun = Instant::now();
    node.get(name);
    node.call("List", &json!({})).ok();
    node.call("Path", &json!({ "Name": name })).ok();
    node.mount(name, "second");
    node.unmount(name, "second");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "Get, List, Path, Mount and Unmount took {took:?}");
}

/// What is mounted goes on, what needs a new owner is refused with the reason, and afterwards
/// everything goes on by itself.
#[track_caller]
fn lives_without_its_store(how: &str, go: impl Fn(&mut Cluster), come_back: impl Fn(&mut Cluster)) {
    let mut cluster = Cluster::started(2);
    let path = cluster[A].mount("name=v,size=1GiB", "task-1");
    cluster[A].with_data("name=free,size=1GiB", "precious");
    cluster[A].until_unmounted("free");
    cluster.until_known(B, "free");
    let mut open = File::create(path.join("file")).unwrap();
    let epoch = cluster[B].epoch_of("v");

    go(&mut cluster);
    // Before the session is over, and after it.
    serves(&cluster, A, "v");
    sleep(SESSION * 2);
    serves(&cluster, A, "v");
    open.write_all(b"goes on").unwrap();
    open.sync_all().unwrap();
    let begun = Instant::now();
    let error = cluster[B].mount_fails("free", "task-2");
    measured(&format!("refusal of a new owner, ZooKeeper {how}"), begun.elapsed());
    assert!(error.contains("store does not answer"), "{error}");
    let begun = Instant::now();
    let error = cluster[B].call("Create", &json!({ "Name": "new" })).err();
    measured(&format!("refusal of a creation, ZooKeeper {how}"), begun.elapsed());
    assert!(error.contains("does not answer"), "{error}");
    let error = cluster[B].remove_fails("free");
    assert!(error.contains("does not answer"), "{error}");
    // What this node owns already needs no new owner.
    cluster[A].mount("free", "task-3");
    cluster[A].unmount("free", "task-3");
    cluster[A].unmount("v", "task-1");
    cluster[A].mount("v", "task-4");

    come_back(&mut cluster);
    let begun = Instant::now();
    cluster.until_all_live();
    measured(&format!("all nodes live again, ZooKeeper was {how}"), begun.elapsed());
    assert!(!cluster[B].knows("new"), "a creation that was refused is a volume");
    assert_eq!(cluster[B].epoch_of("v"), epoch);
    let there = cluster[B].mount_at_last("free", "task-2");
    assert_eq!(fs::read_to_string(there.join("file")).unwrap(), "precious");
    cluster[B].unmount("free", "task-2");
    drop(open);
    cluster[A].unmount("v", "task-4");
    assert_eq!(cluster[B].data_of("v"), "goes on");
    cluster[A].create("new");
    for name in ["v", "free", "new"] {
        cluster[A].remove(name);
    }
    cluster.until_nothing_is_left();
}

#[test]
fn mounted_volumes_go_on_while_zookeeper_stands_still() {
    lives_without_its_store(
        "frozen",
        |cluster| cluster.zookeeper.freeze(),
        |cluster| cluster.zookeeper.thaw(),
    );
}

#[test]
fn mounted_volumes_go_on_while_zookeeper_is_stopped() {
    lives_without_its_store(
        "stopped",
        |cluster| cluster.zookeeper.stop(),
        |cluster| cluster.zookeeper.restart(),
    );
}

#[test]
fn mounted_volumes_go_on_while_nobody_reaches_zookeeper() {
    lives_without_its_store(
        "cut off",
        |cluster| [A, B].into_iter().for_each(|node| cluster[node].store.cut()),
        |cluster| [A, B].into_iter().for_each(|node| cluster[node].store.heal()),
    );
}

#[test]
fn an_owner_that_is_cut_off_from_zookeeper_keeps_its_volume_and_serves_it() {
    let cluster = Cluster::started(2);
    let path = cluster[A].mount("name=v,size=1GiB", "task-1");
    fs::write(path.join("file"), "precious").unwrap();
    cluster.until_known(B, "v");
    let epoch = cluster[B].epoch_of("v");
    cluster[A].store.cut();
    until("its session is over", || cluster[B].live_nodes() == ["n2"]);

    let begun = Instant::now();
    let error = cluster[B].mount_fails("v", "task-2");
    measured("refusal while the owner is cut off from ZooKeeper alone", begun.elapsed());
    assert!(
        error.contains("node n1, which has it, is cut off from the cluster's store"),
        "{error}"
    );
    assert_eq!(cluster[B].epoch_of("v"), epoch);
    assert_eq!(cluster.ec2().count("DetachVolume"), 0);
    serves(&cluster, A, "v");
    // A node that starts without its store knows what it has.
    let mut cluster = cluster;
    cluster[A].crash();
    serves(&cluster, A, "v");

    cluster[A].store.heal();
    cluster.until_all_live();
    assert!(cluster[B].mount_fails("v", "task-2").contains("in use on node n1 by mount task-1"));
    cluster[A].unmount("v", "task-1");
    assert_eq!(cluster[B].data_of("v"), "precious");
    cluster[A].remove("v");
    cluster.until_nothing_is_left();
}

/// What was removed and made meanwhile elsewhere is known as soon as it is back.
#[test]
fn a_node_that_was_cut_off_learns_what_it_missed() {
    let cluster = Cluster::started(2);
    cluster[A].with_data("name=old,size=1GiB", "x");
    cluster[A].with_data("name=moved,size=1GiB", "precious");
    for name in ["old", "moved"] {
        cluster[A].until_unmounted(name);
        cluster.until_known(B, name);
        cluster[B].hawser(["volume", "move", name, "--to", "n2"]);
    }
    cluster[A].store.cut();
    until("its session is over", || cluster[B].live_nodes() == ["n2"]);
    cluster[B].remove("old");
    cluster[B].create("new");
    cluster[B].mount("moved", "task-1");
    cluster[A].store.heal();
    until("it knows", || !cluster[A].knows("old") && cluster[A].knows("new"));
    assert!(cluster[A].mount_fails("moved", "x").contains("in use on node n2 by mount task-1"));
    cluster[B].unmount("moved", "task-1");
    for name in ["new", "moved"] {
        cluster[A].remove(name);
    }
    cluster.until_nothing_is_left();
}

/// Nothing is forgotten for it, nothing is shut down, and the nodes fill it again when they are told to.
#[test]
fn a_store_that_lost_its_data_is_left_alone_and_filled_again_by_its_nodes_when_they_are_told_to() {
    let mut cluster = Cluster::started(2);
    let path = cluster[A].mount("name=v,size=1GiB", "task-1");
    let mut open = File::create(path.join("file")).unwrap();
    cluster[B].with_data("name=w,size=1GiB", "precious");
    cluster[B].create("name=l,size=64MiB,backend=local");
    cluster.until_known(A, "l");
    cluster.until_known(B, "v");

    cluster.lose_the_store();
    for node in [A, B] {
        until("the other store is seen", || {
            cluster[node].logged(["the store of another cluster", "cluster-id"]) > 0
        });
        for name in ["v", "w", "l"] {
            assert!(cluster[node].knows(name), "{name} was forgotten");
        }
    }
    open.write_all(b"goes on").unwrap();
    open.sync_all().unwrap();

    for node in [A, B] {
        cluster[node].stop();
        fs::remove_file(cluster[node].path("state/cluster-id")).unwrap();
    }
    cluster.start();
    for (node, names) in [(A, ["v", "w", "l"]), (B, ["v", "w", "l"])] {
        names.iter().for_each(|name| cluster.until_known(node, name));
    }
    until("the owner is known", || cluster[B].owner_of("v") == "n1");
    open.write_all(b", and on").unwrap();
    open.sync_all().unwrap();
    let error = cluster[B].mount_fails("v", "task-2");
    assert!(error.contains("in use on node n1"), "{error}");
    drop(open);
    cluster[A].unmount("v", "task-1");
    assert_eq!(cluster[B].data_of("v"), "goes on, and on");
    assert_eq!(cluster[A].data_of("w"), "precious");
    for name in ["v", "w", "l"] {
        cluster[B].remove(name);
    }
    cluster.until_nothing_is_left();
}
