//! One node's disk is full under its state directory: it cannot keep its copy of what others change.

use std::{fs, process::Command};

use serde_json::json;

use crate::{
    harness::until,
    nodes::{A, B, Cluster},
};

#[test]
fn a_node_whose_disk_is_full_follows_the_cluster_says_so_and_catches_up() {
    let mut cluster = Cluster::of(2);
    cluster[A].small_disk("state", 64);
    cluster.start();
    cluster[A].mount("name=held,size=1GiB", "task-1");
    cluster[B].with_data("name=v,size=1GiB", "precious");
    cluster.until_known(A, "v");
    cluster.until_known(B, "held");
    let filler = cluster[A].path("state/filler");
    // It ends when nothing more fits.
    let of = format!("of={}", filler.display());
    let filled = Command::new("dd").args(["if=/dev/zero", &of, "bs=4k"]).output().unwrap();
    assert!(!filled.status.success(), "the disk is not full");
    Command::new("sync").status().unwrap();

    // Enough that no free page in its file holds it.
    for at in 0..30 {
        let label = format!("label.l{at}={}", "x".repeat(200));
        cluster[B].hawser(["volume", "set", "v", "-o", &label]);
        cluster[B].create(&format!("new{at}"));
    }
    for at in 0..30 {
        cluster.until_known(A, &format!("new{at}"));
    }
    until("it follows", || {
        cluster[A].inspect("v")["spec"]["labels"].as_object().unwrap().len() == 30
    });
    cluster[A].get("held");
    let error = cluster[A].mount_fails("v", "task-2");
    assert!(error.contains("free some space"), "{error}");
    let refused = cluster[A].call("Create", &json!({ "Name": "more", "Opts": null })).err();
    assert!(refused.contains("free some space"), "{refused}");
    assert!(!cluster[B].knows("more"), "a creation that was refused is a volume");

    fs::remove_file(&filler).unwrap();
    assert_eq!(cluster[A].data_of("v"), "precious");
    cluster[A].store.cut();
    cluster[A].crash();
    assert_eq!(cluster[A].holders("held"), [("task-1".to_owned(), 1)]);
    assert!(cluster[A].knows("v"));
    cluster[A].store.heal();
    cluster.until_all_live();
    for at in 0..30 {
        cluster.until_known(A, &format!("new{at}"));
    }
    cluster[A].unmount("held", "task-1");
    for at in 0..30 {
        cluster[B].remove(&format!("new{at}"));
    }
    for name in ["v", "held"] {
        cluster[B].remove(name);
    }
    cluster.until_nothing_is_left();
}
