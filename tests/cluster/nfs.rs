//! Directories on an NFS server, which need no owner. Mounting one needs a kernel with an NFS client
//! and is tested in the lab; their life is told by the export and by the records.

use std::{fs, thread};

use serde_json::{Value, json};

use crate::{
    harness::until,
    nodes::{A, B, C, Cluster},
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

/// The path that a volume was made at stays its own.
#[test]
fn the_name_that_a_renamed_volume_had_is_no_way_to_its_directory() {
    let mut cluster = Cluster::on_filer(2);
    cluster.start();
    cluster[A].create("name=v,size=1GiB");
    cluster.until_known(B, "v");
    fs::write(cluster.home.on_export("v/data/file"), "precious").unwrap();
    cluster[A].hawser(["volume", "rename", "v", "w"]);
    until("it is known there", || cluster[B].knows("w") && !cluster[B].knows("v"));

    let body = json!({ "Name": "name=v,size=1GiB", "Opts": null });
    let error = cluster[B].call("Create", &body).err();
    assert!(error.contains("`v` is the directory of the volume `w`"), "{error}");
    until("nothing is left of it", || [A, B].iter().all(|node| !cluster[*node].knows("v")));
    let error = cluster[B].call("Create", &json!({ "Name": "name=x,size=1GiB,path=v" })).err();
    assert!(error.contains("`v` is the directory of the volume `w`"), "{error}");
    cluster[B].create("name=v,size=1GiB,path=other");
    cluster.until_known(A, "v");

    cluster[B].remove("w");
    until("its directory is deleted", || cluster.home.exported() == ["other"]);
    cluster[A].remove("v");
    until("the directory is deleted", || cluster.home.exported().is_empty());
    cluster.until_nothing_is_left();
}

#[test]
fn a_volume_that_is_made_at_once_in_the_place_of_a_removed_one_has_nothing_of_it() {
    let mut cluster = Cluster::on_filer(3);
    cluster.start();
    for round in 0..6 {
        let (maker, remover, next) = (A, 1 + round % 2, (2 + round) % 3);
        cluster[maker].create("name=v,size=1GiB");
        for node in [A, B, C] {
            cluster.until_known(node, "v");
        }
        let id = cluster[maker].inspect("v")["id"].clone();
        fs::write(cluster.home.on_export("v/data/file"), "precious").unwrap();
        cluster[remover].remove("v");
        until("its name is free there", || !cluster[next].knows("v"));
        cluster[next].create("name=v,size=1GiB");
        assert_ne!(cluster[next].inspect("v")["id"], id, "round {round}");
        assert!(cluster.home.on_export("v/data").is_dir(), "round {round}");
        assert!(!cluster.home.on_export("v/data/file").exists(), "round {round}");
        cluster[next].remove("v");
        until("the directory is deleted", || cluster.home.exported().is_empty());
        until("it is removed", || [A, B, C].iter().all(|node| !cluster[*node].knows("v")));
    }
    cluster.until_nothing_is_left();
}

/// The name is free before the directory is: one that died in between has not put it aside.
#[test]
fn the_directory_of_a_volume_whose_removal_was_cut_short_is_not_the_next_ones() {
    let mut cluster = Cluster::on_filer(3);
    cluster.start();
    cluster[A].create("name=v,size=1GiB");
    cluster.until_known(B, "v");
    fs::write(cluster.home.on_export("v/data/file"), "precious").unwrap();
    for node in [A, B] {
        cluster[node].kill9();
        cluster[node].environment.insert("HAWSER_FAULT".into(), "destroy.before:1".into());
        cluster[node].start();
    }
    cluster.until_all_live();
    // It is killed before or after its answer.
    drop(cluster[B].try_call("VolumeDriver.Remove", &json!({ "Name": "v" })));
    until("who deletes it is killed", || [A, B].into_iter().any(|node| cluster[node].has_died()));
    until("the name is free", || !cluster[C].knows("v"));

    let body = json!({ "Name": "name=v,size=1GiB", "Opts": null });
    let answer = cluster[C].call("Create", &body);
    assert!(
        !cluster[C].knows("v") || !cluster.home.on_export("v/data/file").exists(),
        "{answer:?}"
    );
    for node in [A, B] {
        cluster[node].environment.clear();
        if !cluster[node].has_died() {
            cluster[node].kill9();
        }
        cluster[node].start();
    }
    cluster.until_all_live();
    until("the old one is deleted", || !cluster.home.on_export("v/data/file").exists());
    cluster[C].create("name=v,size=1GiB");
    assert!(cluster.home.on_export("v/data").is_dir());
    cluster[C].remove("v");
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
