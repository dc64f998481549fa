//! Nodes of one cluster on one export, each with a store of its own: the export is what they have in
//! common.

use std::fs;

use serde_json::json;

use crate::harness::{World, until};

/// Another node of `first`'s cluster, on its server; not started yet.
fn second_node(first: &mut World) -> World {
    let mut second = World::new();
    let settings: Vec<_> = crate::harness::filer_settings(first.filer());
    for (key, value) in settings {
        second.set(key, &value);
    }
    first.set("daemon.node", "n1");
    second.set("daemon.node", "n2");
    second
}

#[test]
fn a_volume_that_is_created_on_two_nodes_is_one_directory_until_both_have_removed_it() {
    let mut one = World::on_nfs();
    let mut two = second_node(&mut one);
    one.start();
    two.start();
    one.create("name=shared,size=1GiB");
    fs::write(one.on_export("shared/data/file"), "precious").unwrap();
    two.create("name=shared,size=1GiB");
    assert_eq!(one.names_on_export("shared/.hawser/users").len(), 2);

    one.remove("shared");
    let gone = || one.names_on_export("shared/.hawser/users").len() == 1;
    until("the first node has left", gone);
    assert!(one.on_export("shared/data/file").exists(), "the other node has it");
    assert_eq!(two.inspect("shared")["state"], "ready");

    two.remove("shared");
    until("the last one deletes it", || one.exported().is_empty());
    two.finish();
}

#[test]
fn another_clusters_volume_is_neither_joined_nor_deleted() {
    let mut one = World::on_nfs();
    let mut two = second_node(&mut one);
    two.set("daemon.cluster", "staging");
    one.start();
    two.start();
    one.create("v");
    let refused = two.call("Create", &json!({ "Name": "v" })).err();
    assert!(refused.contains("is the cluster test's"), "{refused}");
    assert!(
        two.hawser(["volume", "import", "--list"]).lines().all(|line| !line.contains("fast:v"))
    );
    assert!(one.on_export("v/data").exists());
}
