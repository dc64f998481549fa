//! Directories on an NFS server, which need no owner. Mounting one needs a kernel with an NFS client
//! and is tested in the lab; their life is told by the export and by the records.

use std::{fs, thread};

use serde_json::Value;

use crate::{
    harness::until,
    nodes::{A, B, Cluster},
};

#[test]
fn a_directory_that_one_node_made_is_one_volume_for_all_and_any_node_removes_it() {
    let mut cluster = Cluster::on_filer(2);
    cluster.start();
    cluster[A].create("name=shared,size=1GiB");
    cluster.until_known(B, "shared");
    fs::write(cluster.home.on_export("shared/data/file"), "precious").unwrap();
    cluster[B].create("name=shared,size=1GiB");
    let ids = [A, B].map(|node| cluster[node].inspect("shared")["id"].clone());
    assert_eq!(ids[0], ids[1]);
    assert_eq!(cluster.home.names_on_export("shared/.hawser/users").len(), 1, "the cluster's");
    assert_eq!(cluster.home.exported(), ["shared"]);

    cluster[B].remove("shared");
    until("the directory is deleted", || cluster.home.exported().is_empty());
    until("it is removed there", || !cluster[A].knows("shared"));
    // Its path is free, too.
    cluster[B].create("name=shared,size=1GiB");
    cluster.until_known(A, "shared");
    assert!(!cluster.home.on_export("shared/data/file").exists());
    cluster[A].remove("shared");
    until("the directory is deleted", || cluster.home.exported().is_empty());
    cluster.until_nothing_is_left();
}

#[test]
fn a_directory_is_renamed_and_its_size_is_the_same_on_all_nodes() {
    let mut cluster = Cluster::on_filer(2);
    cluster.start();
    cluster[A].create("name=shared,size=1GiB");
    cluster.until_known(B, "shared");
    cluster[B].hawser(["volume", "grow", "shared", "2GiB"]);
    until("it is known there", || cluster[A].inspect("shared")["spec"]["size"] == 2_u64 << 30);
    cluster[B].hawser(["volume", "rename", "shared", "renamed"]);
    until("it is known there", || cluster[A].knows("renamed") && !cluster[A].knows("shared"));
    cluster[A].remove("renamed");
    until("the directory is deleted", || cluster.home.exported().is_empty());
    cluster.until_nothing_is_left();
}

/// Whoever writes the mark last, it says in the end what the record says.
#[test]
fn a_directory_that_two_nodes_change_at_once_has_one_mark_and_that_is_as_the_record() {
    let mut cluster = Cluster::on_filer(2);
    cluster.start();
    cluster[A].create("name=shared,size=1GiB");
    cluster.until_known(B, "shared");
    thread::scope(|scope| {
        for (at, node) in [A, B].into_iter().enumerate() {
            let node = &cluster[node];
            scope.spawn(move || {
                for round in 0..10 {
                    let label = format!("label.{}-{round}=x", node.name);
                    node.hawser(["volume", "set", "shared", "-o", &label]);
                    // The other one may have grown it further: then it is refused, or nothing to do.
                    let size = format!("{}MiB", 1100 + 100 * (2 * round + at));
                    node.cli(["volume", "grow", "shared", &size]);
                }
            });
        }
    });
    // Not by the node that made it, and nothing comes after it.
    cluster[B].hawser(["volume", "set", "shared", "-o", "label.last=x"]);
    assert_eq!(cluster.home.names_on_export("shared/.hawser/users").len(), 1, "the cluster's");
    until("the mark is as the record on both", || {
        let text = fs::read_to_string(cluster.home.on_export("shared/.hawser/volume")).unwrap();
        let (mark, _signature) = text.trim_end().rsplit_once('\n').unwrap();
        let mark: Value = serde_json::from_str(mark).unwrap();
        let whole = mark["spec"]["labels"].as_object().is_some_and(|labels| labels.len() == 21)
            && mark["spec"]["size"] == 3000_u64 << 20;
        whole && [A, B].iter().all(|node| cluster[*node].inspect("shared")["spec"] == mark["spec"])
    });
    cluster[B].remove("shared");
    until("the directory is deleted", || cluster.home.exported().is_empty());
    cluster.until_nothing_is_left();
}
