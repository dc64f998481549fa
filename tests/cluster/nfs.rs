//! Directories on an NFS server, which need no owner. Mounting one needs a kernel with an NFS client
//! and is tested in the lab; their life is told by the export and by the records.

use std::fs;

use ganesha::{Options, Server};

use crate::{
    harness::{filer_settings, until},
    nodes::{A, B, Cluster},
};

/// The server, and a cluster whose nodes have its export; not started yet.
fn cluster_on_filer() -> (Server, Cluster) {
    let mut cluster = Cluster::of(2);
    let export = cluster[A].path("export");
    fs::create_dir(&export).unwrap();
    let server = Server::start(&export, Options::default());
    for node in [A, B] {
        for (key, value) in filer_settings(&server) {
            cluster[node].set(key, &value);
        }
    }
    (server, cluster)
}

#[test]
fn a_directory_that_one_node_made_is_one_volume_for_all_and_any_node_removes_it() {
    let (_server, mut cluster) = cluster_on_filer();
    cluster.start();
    cluster[A].create("name=shared,size=1GiB");
    cluster.until_known(B, "shared");
    fs::write(cluster[A].on_export("shared/data/file"), "precious").unwrap();
    cluster[B].create("name=shared,size=1GiB");
    let ids = [A, B].map(|node| cluster[node].inspect("shared")["id"].clone());
    assert_eq!(ids[0], ids[1]);
    assert_eq!(cluster[A].names_on_export("shared/.hawser/users").len(), 1, "the cluster's");
    assert_eq!(cluster[A].exported(), ["shared"]);

    cluster[B].remove("shared");
    until("the directory is deleted", || cluster[A].exported().is_empty());
    until("it is removed there", || !cluster[A].knows("shared"));
    // Its path is free, too.
    cluster[B].create("name=shared,size=1GiB");
    cluster.until_known(A, "shared");
    assert!(!cluster[A].on_export("shared/data/file").exists());
    cluster[A].remove("shared");
    until("the directory is deleted", || cluster[A].exported().is_empty());
    cluster.until_nothing_is_left();
}

#[test]
fn a_directory_is_renamed_and_its_size_is_the_same_on_all_nodes() {
    let (_server, mut cluster) = cluster_on_filer();
    cluster.start();
    cluster[A].create("name=shared,size=1GiB");
    cluster.until_known(B, "shared");
    cluster[B].hawser(["volume", "grow", "shared", "2GiB"]);
    until("it is known there", || cluster[A].inspect("shared")["spec"]["size"] == 2_u64 << 30);
    cluster[B].hawser(["volume", "rename", "shared", "renamed"]);
    until("it is known there", || cluster[A].knows("renamed") && !cluster[A].knows("shared"));
    cluster[A].remove("renamed");
    until("the directory is deleted", || cluster[A].exported().is_empty());
    cluster.until_nothing_is_left();
}
