//! `hawser doctor` on a node of a cluster whose daemon does not run.

use crate::nodes::{A, B, Cluster};

fn doctor(cluster: &Cluster, node: usize) -> String {
    String::from_utf8(cluster[node].cli(["doctor"]).stdout).unwrap()
}

#[test]
fn doctor_does_not_miss_what_other_nodes_have() {
    let mut cluster = Cluster::started(2);
    cluster[B].with_data("name=theirs,backend=local,size=64MiB", "precious");
    cluster[B].mount("name=attached,size=1GiB", "task-1");
    cluster[A].with_data("name=mine,backend=local,size=64MiB", "precious");
    for name in ["theirs", "attached"] {
        cluster.until_known(A, name);
    }
    cluster.until_known(B, "mine");
    cluster[A].until_released("mine");
    cluster[A].stop();

    let said = doctor(&cluster, A);
    let recovery: Vec<_> = said.lines().filter(|line| line.contains("recovery")).collect();
    assert_eq!(recovery.len(), 1, "{said}");
    assert!(recovery[0].contains("nothing to do for 3 volumes"), "{said}");

    // What is its own it misses all the same.
    let image = cluster[A].images().remove(0);
    let away = cluster[A].path("away");
    std::fs::rename(&image, &away).unwrap();
    let said = doctor(&cluster, A);
    assert!(said.contains("mine: would") && said.contains("its storage is missing"), "{said}");
    assert!(!said.contains("theirs: would"), "{said}");
    std::fs::rename(&away, &image).unwrap();

    // Without its cluster, it leaves the cluster's volumes alone, as the daemon does.
    cluster[A].leave();
    cluster[A].write_configuration();
    let said = doctor(&cluster, A);
    assert!(said.contains("3 volumes are of a cluster"), "{said}");
    assert!(!said.contains("would"), "{said}");

    cluster[A].join();
    cluster[A].start();
    cluster.until_all_live();
    cluster[B].unmount("attached", "task-1");
    for (node, name) in [(A, "mine"), (B, "theirs"), (B, "attached")] {
        cluster[node].remove(name);
    }
    cluster.until_nothing_is_left();
}
