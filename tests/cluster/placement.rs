//! What nodes say of their place in EC2: their zone, and how many more volumes they take.

use serde_json::{Value, json};

use crate::{
    harness::until,
    nodes::{A, B, Cluster},
};

/// What one node says of another: its zone, its free slots, and whether it is drained.
fn said(cluster: &Cluster, asked: usize, of: usize) -> Value {
    let nodes = cluster[asked].nodes();
    let found = nodes.iter().find(|node| node["name"] == *cluster[of].name).cloned();
    let found = found.unwrap_or_default();
    json!([found["zone"], found["free_slots"], found["drained"]])
}

fn until_said(cluster: &Cluster, of: usize, what: &Value) {
    for asked in [A, B] {
        until(&format!("node {asked} says {what}"), || said(cluster, asked, of) == *what);
    }
}

/// The instance takes 27, and has its root volume.
#[test]
fn zone_and_free_slots_of_a_node_are_known_to_all_before_and_after_an_attach() {
    let cluster = Cluster::started(2);
    for node in [A, B] {
        until_said(&cluster, node, &json!(["us-east-1a", 26, false]));
    }
    let table = cluster[A].hawser(["node", "ls"]);
    assert!(table.contains("FREE SLOTS") && table.contains("us-east-1a"), "{table}");

    cluster[A].mount("name=v,size=1GiB,attach=follow", "task-1");
    until_said(&cluster, A, &json!(["us-east-1a", 25, false]));
    assert_eq!(said(&cluster, A, B), json!(["us-east-1a", 26, false]));

    // What is said of one thing leaves the other as it is.
    cluster[B].hawser_fails(["node", "drain", "n1"]);
    until_said(&cluster, A, &json!(["us-east-1a", 25, true]));
    cluster[A].unmount("v", "task-1");
    until_said(&cluster, A, &json!(["us-east-1a", 26, true]));
    cluster[B].hawser(["node", "drain", "n1", "--undo"]);
    until_said(&cluster, A, &json!(["us-east-1a", 26, false]));

    cluster.until_known(B, "v");
    cluster[B].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn free_slots_are_told_once_an_ec2_that_was_away_answers_and_again_after_a_lost_session() {
    let mut cluster = Cluster::of(2);
    cluster.ec2().away(true);
    cluster.start();
    assert_eq!(said(&cluster, A, B), json!(["us-east-1a", null, false]));
    cluster.ec2().away(false);
    until_said(&cluster, B, &json!(["us-east-1a", 26, false]));

    cluster[B].store.cut();
    until("its session is over", || cluster[A].live_nodes().len() == 1);
    cluster[B].store.heal();
    cluster.until_all_live();
    until_said(&cluster, B, &json!(["us-east-1a", 26, false]));
    cluster.until_nothing_is_left();
}
