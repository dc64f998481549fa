//! Directories on an NFS server, which need no owner. Mounting one needs a kernel with an NFS client
//! and is tested in the lab; their life is told by the export and by the records.

use std::fs;

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
