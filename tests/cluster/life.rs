//! A volume's life over several nodes.

use std::{fs, thread, time::Duration};

use serde_json::json;

use crate::{
    harness::until,
    nodes::{A, B, Cluster, text},
};

#[test]
fn a_volume_of_one_node_is_listed_and_mounted_on_the_other_with_its_data() {
    let cluster = Cluster::started(2);
    cluster[A].create("v");
    cluster.until_known(B, "v");
    let path = cluster[A].mount("v", "a");
    fs::write(path.join("file"), "precious").unwrap();
    let found = cluster[B].whereabouts("v");
    assert_eq!(text(&found["owner"]), "n1");
    assert_eq!(found["nodes"][0]["presence"]["holders"], json!(["mount a"]), "{found}");
    cluster[A].unmount("v", "a");

    assert_eq!(cluster[B].data_of("v"), "precious");
    assert_eq!(cluster[A].owner_of("v"), "n2");
    let vol = cluster[B].vol("v");
    assert_eq!(cluster.instance_with(&vol), Some(cluster[B].instance.clone()));

    cluster[A].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn each_node_removes_what_another_one_made_and_not_what_another_one_uses() {
    let cluster = Cluster::started(2);
    cluster[A].with_data("name=v,size=1GiB", "precious");
    cluster.until_known(B, "v");
    cluster[A].mount("v", "task-1");
    let error = cluster[B].remove_fails("v");
    assert!(error.contains("in use on node n1") && error.contains("task-1"), "{error}");
    assert!(cluster[A].knows("v") && cluster[B].knows("v"));

    cluster[A].unmount("v", "task-1");
    cluster[B].remove("v");
    until("it is removed there", || !cluster[A].knows("v"));
    // Its name is free, on every node.
    cluster[A].create("name=v,size=2GiB");
    cluster.until_known(B, "v");
    cluster[B].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn what_one_node_removed_another_one_brings_back() {
    let mut cluster = Cluster::of(2);
    for node in [A, B] {
        cluster[node].set("volumes.undelete", "1h");
    }
    cluster.start();
    cluster[A].with_data("name=v,size=1GiB", "precious");
    cluster[A].remove("v");
    until("the removal is known there", || !cluster[B].removed_volumes().is_empty());
    cluster[B].hawser(["volume", "undelete", "v"]);

    assert_eq!(cluster[B].data_of("v"), "precious");
    cluster.until_known(A, "v");
    cluster[A].hawser(["volume", "rename", "v", "w"]);
    until("the new name is known there", || cluster[B].knows("w") && !cluster[B].knows("v"));
    assert_eq!(cluster[B].data_of("w"), "precious");
    cluster[A].remove("w");
    until("the removal is known there", || !cluster[B].removed_volumes().is_empty());
    cluster[B].hawser(["volume", "purge", "w", "--yes"]);
    cluster.until_nothing_is_left();
}

#[test]
fn a_volume_that_is_mounted_on_one_node_is_grown_online_from_the_other() {
    let cluster = Cluster::started(2);
    // Also where the daemon lacks the capability that a mounted ext4 takes.
    let path = cluster[A].mount("name=v,size=1GiB,fs=xfs", "a");
    fs::write(path.join("file"), "precious").unwrap();
    cluster.until_known(B, "v");
    let epoch = cluster[A].epoch_of("v");
    cluster[B].hawser(["volume", "grow", "v", "3GiB"]);

    let space = rustix::fs::statvfs(&path).unwrap();
    let gib = (space.f_blocks * space.f_frsize) >> 20;
    assert!(gib > 2800, "the file system has {gib} MiB");
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "precious");
    assert_eq!(cluster[B].epoch_of("v"), epoch, "its owner did not change");
    cluster[A].unmount("v", "a");
    cluster[B].remove("v");
    cluster.until_nothing_is_left();
}

/// Its owner alone hears why. What was asked for is over then: it is not tried again, some day, by a node
/// that takes the volume for it.
#[test]
fn a_grow_from_another_node_that_its_owner_was_refused_is_answered_and_over() {
    let cluster = Cluster::started(2);
    cluster[A].mount("name=v,size=1GiB", "a");
    cluster.until_known(B, "v");
    for change in [["volume", "grow", "v", "3GiB"], ["volume", "set", "v", "-othroughput=150"]] {
        let code = "VolumeModificationRateExceeded";
        cluster.ec2().fail_next("ModifyVolume", code, "Wait at least 6 hours", 1);
        let refused = cluster[B].cli(change);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success(), "{change:?}: {said}");
        assert!(said.contains("n1") && said.contains("its log says why"), "{said}");
    }
    assert_eq!(cluster[A].inspect("v")["spec"]["size"], json!(1_u64 << 30));

    // Nobody owns it: nobody has to, for what was refused.
    cluster[A].unmount("v", "a");
    cluster[A].hawser(["node", "drain"]);
    until("nobody owns it", || cluster[B].whereabouts("v")["owner"].is_null());
    let epoch = cluster[B].epoch_of("v");
    thread::sleep(Duration::from_secs(3));
    assert_eq!(cluster[B].epoch_of("v"), epoch, "it is owned for a grow that was refused");
    cluster[B].remove("v");
    cluster.until_nothing_is_left();
}

/// Nobody has it mounted, or its node cannot grow it online: that is an answer, too.
#[test]
fn a_grow_from_another_node_is_answered_when_the_file_system_follows_later() {
    let cluster = Cluster::started(2);
    cluster[A].with_data("name=v,size=1GiB", "precious");
    cluster[A].until_unmounted("v");
    cluster.until_known(B, "v");
    let said = cluster[B].hawser(["volume", "grow", "v", "2GiB"]);
    assert!(said.contains("when it is next mounted"), "{said}");
    let path = cluster[B].mount("v", "b");
    let space = rustix::fs::statvfs(&path).unwrap();
    let mib = (space.f_blocks * space.f_frsize) >> 20;
    assert!(mib > 1800, "the file system has {mib} MiB");
    cluster[B].unmount("v", "b");
    cluster[A].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn labels_that_two_nodes_set_at_once_are_all_there() {
    let cluster = Cluster::started(2);
    cluster[A].create("v");
    cluster.until_known(B, "v");
    thread::scope(|scope| {
        for node in [A, B] {
            let node = &cluster[node];
            scope.spawn(move || {
                for at in 0..10 {
                    let label = format!("label.{}-{at}={at}", node.name);
                    node.hawser(["volume", "set", "v", "-o", &label]);
                }
            });
        }
    });
    until("all are known on both", || {
        [A, B].iter().all(|node| {
            let info = cluster[*node].inspect("v");
            info["spec"]["labels"].as_object().is_some_and(|labels| labels.len() == 20)
        })
    });
    cluster[B].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn a_name_that_two_nodes_create_at_once_is_one_volume() {
    let cluster = Cluster::started(2);
    for round in 0..25 {
        let name = format!("v{round}");
        thread::scope(|scope| {
            for node in [A, B] {
                let (node, name) = (&cluster[node], &name);
                scope.spawn(move || node.create(name));
            }
        });
        let ids = [A, B].map(|node| text(&cluster[node].inspect(&name)["id"]));
        assert_eq!(ids[0], ids[1], "{name}");
    }
    assert_eq!(cluster.ec2().volumes().len(), 25);
    for round in 0..25 {
        cluster[if round % 2 == 0 { A } else { B }].remove(&format!("v{round}"));
    }
    cluster.until_nothing_is_left();
}

#[test]
fn a_volume_that_two_nodes_remove_at_once_is_removed_for_both() {
    let cluster = Cluster::started(2);
    for round in 0..15 {
        let name = format!("v{round}");
        cluster[A].create(&name);
        cluster.until_known(B, &name);
        thread::scope(|scope| {
            for node in [A, B] {
                let (node, name) = (&cluster[node], &name);
                scope.spawn(move || node.remove(name));
            }
        });
    }
    cluster.until_nothing_is_left();
}

/// What a scheduler does that starts two tasks of one app at once.
#[test]
fn a_volume_that_two_nodes_mount_at_once_is_mounted_on_one() {
    let cluster = Cluster::started(2);
    for round in 0..8 {
        let spec = format!("name=v{round},size=1GiB");
        let mount = |node: usize| {
            let body = json!({ "Name": spec, "ID": format!("task-{node}") });
            cluster[node].call("Mount", &body)
        };
        let (a, b) = thread::scope(|scope| {
            let a = scope.spawn(|| mount(A));
            let b = mount(B);
            (a.join().unwrap(), b)
        });
        let (won, lost) = if a.status == 200 { (A, b) } else { (B, a) };
        let error = lost.err();
        let holder = format!("in use on node {} by mount task-{won}", cluster[won].name);
        assert!(error.contains(&holder), "{error}");
        cluster[won].unmount(&spec, &format!("task-{won}"));
        cluster[B].remove(&format!("v{round}"));
    }
    cluster.until_nothing_is_left();
}
