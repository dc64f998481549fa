//! Volumes on a node's own disk, nodes that come from elsewhere, and nodes that go for good.

use std::time::Duration;

use ec2_fake::InstanceState;

use crate::{
    harness::until,
    nodes::{A, B, Cluster},
};

#[test]
fn a_local_volume_is_used_on_its_own_node_only_and_is_back_when_that_is() {
    let mut cluster = Cluster::started(2);
    cluster[A].with_data("name=v,backend=local,size=64MiB", "precious");
    cluster.until_known(B, "v");
    let error = cluster[B].mount_fails("v", "task-2");
    assert!(error.contains("stored on a disk of node n1: local volumes"), "{error}");
    let error = cluster[B].hawser_fails(["volume", "move", "v", "--to", "n2"]);
    assert!(error.contains("stored on a disk of node n1"), "{error}");

    cluster[A].kill9();
    until("its session is over", || cluster[B].live_nodes() == ["n2"]);
    let error = cluster[B].mount_fails("v", "task-2");
    assert!(error.contains("disk of node n1, which is away"), "{error}");

    cluster[A].start();
    cluster.until_all_live();
    assert_eq!(cluster[A].data_of("v"), "precious");
    cluster[A].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn a_node_is_forgotten_when_it_is_off_and_its_local_volumes_only_by_word() {
    let mut cluster = Cluster::started(2);
    cluster[A].create("name=mine,backend=local,size=64MiB");
    cluster[A].with_data("name=v,size=1GiB", "precious");
    cluster[A].until_unmounted("v");
    for name in ["mine", "v"] {
        cluster.until_known(B, name);
    }
    let rm = ["node", "rm", "n1", "--yes"];
    let error = cluster[B].hawser_fails(rm);
    assert!(error.contains("it lives"), "{error}");
    cluster[A].kill9();
    until("its session is over", || cluster[B].live_nodes() == ["n2"]);
    let error = cluster[B].hawser_fails(rm);
    assert!(error.contains("runs: stop or terminate it first"), "{error}");
    cluster.ec2().instance_state(&cluster[A].instance, InstanceState::Terminated);
    let error = cluster[B].hawser_fails(rm);
    assert!(error.contains("would be lost with it: mine"), "{error}");
    assert!(cluster[B].knows("mine"));

    let said = cluster[B].hawser(["node", "rm", "n1", "--yes", "--forget-local"]);
    assert!(said.contains("n1 is forgotten"), "{said}");
    until("its record is gone", || !cluster[B].knows("mine"));
    until("it is not listed", || cluster[B].nodes().len() == 1);
    assert_eq!(cluster[B].data_of("v"), "precious");
    cluster[B].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn a_node_brings_the_volumes_that_it_had_alone_into_the_cluster() {
    let mut cluster = Cluster::of(2);
    cluster[A].leave();
    cluster[A].start();
    cluster[A].with_data("name=v,size=1GiB", "precious");
    cluster[A].with_data("name=mine,backend=local,size=64MiB", "precious");
    cluster[A].mount("name=held,size=1GiB", "task-1");
    let error = cluster[A].hawser_fails(["node", "ls"]);
    assert!(error.contains("cluster"), "{error}");
    cluster[A].stop();
    cluster[A].join();
    cluster.start();
    for name in ["v", "mine", "held"] {
        cluster.until_known(B, name);
    }
    assert_eq!(cluster[A].holders("held"), [("task-1".to_owned(), 1)]);
    assert!(cluster[B].mount_fails("held", "x").contains("in use on node n1 by mount task-1"));
    assert!(cluster[B].mount_fails("mine", "x").contains("disk of node n1"));
    assert_eq!(cluster[B].data_of("v"), "precious");
    assert_eq!(cluster[A].data_of("mine"), "precious");
    cluster[A].unmount("held", "task-1");
    for name in ["v", "held"] {
        cluster[B].remove(name);
    }
    cluster[A].remove("mine");
    cluster.until_nothing_is_left();
}

#[test]
fn what_a_node_brings_in_under_a_name_that_is_taken_stays_its_own_and_is_said() {
    let mut cluster = Cluster::of(2);
    cluster[A].leave();
    cluster[A].start();
    cluster[A].with_data("name=v,size=1GiB", "of n1");
    cluster[A].stop();
    cluster[A].join();
    cluster[B].start();
    until("it is in the cluster", || cluster[B].live_nodes() == ["n2"]);
    cluster[B].with_data("name=v,size=1GiB", "of n2");
    cluster[A].start();
    cluster.until_all_live();
    until("it is said", || cluster[A].logged(["cannot be brought into the cluster", "v"]) > 0);
    assert_eq!(cluster[A].data_of("v"), "of n1", "it serves on its own node");
    std::thread::sleep(Duration::from_secs(2));
    let said = cluster[A].logged(["cannot be brought into the cluster"]);
    assert!(said < 10, "it is tried again and again: {said} times");
    assert_eq!(cluster[B].data_of("v"), "of n2");
    assert_eq!(cluster.ec2().volumes().len(), 2, "nothing was deleted");

    // As the log says: alone, it is given another name.
    cluster[A].stop();
    cluster[A].leave();
    cluster[A].start();
    cluster[A].hawser(["volume", "rename", "v", "w"]);
    cluster[A].stop();
    cluster[A].join();
    cluster[A].start();
    cluster.until_known(B, "w");
    assert_eq!(cluster[B].data_of("w"), "of n1");
    for name in ["v", "w"] {
        cluster.until_known(A, name);
        cluster[A].remove(name);
    }
    cluster.until_nothing_is_left();
}
