//! A volume goes from node to node while all is well.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use crate::{
    harness::{HAWSER, until},
    nodes::{A, B, C, Cluster, measured},
};

#[test]
fn a_volume_in_use_elsewhere_is_refused_with_the_node_and_its_holder() {
    let cluster = Cluster::started(2);
    cluster[A].mount("name=v,size=1GiB", "task-1");
    cluster.until_known(B, "v");
    let begun = Instant::now();
    let error = cluster[B].mount_fails("v", "task-2");
    measured("refusal of a mount of what is in use elsewhere", begun.elapsed());
    assert!(error.contains("in use on node n1 by mount task-1"), "{error}");
    assert_eq!(cluster[B].holders("v"), []);
    assert_eq!(cluster[A].holders("v"), [("task-1".to_owned(), 1)]);
    cluster[A].unmount("v", "task-1");
    cluster[B].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn a_free_volume_that_stays_attached_is_released_when_another_node_asks() {
    let cluster = Cluster::started(2);
    cluster[A].with_data("name=v,size=1GiB", "precious");
    cluster[A].until_unmounted("v");
    cluster.until_known(B, "v");
    let vol = cluster[A].vol("v");
    assert_eq!(cluster.instance_with(&vol), Some(cluster[A].instance.clone()));
    let epoch = cluster[A].epoch_of("v");
    let begun = Instant::now();
    let path = cluster[B].mount("v", "b");
    measured("move of a free volume (attach=stay), EC2's own time excluded", begun.elapsed());
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "precious");
    assert_eq!(cluster[A].epoch_of("v"), epoch + 1);
    cluster[B].unmount("v", "b");
    cluster[A].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn a_volume_that_follows_its_task_is_nobodys_between_two_tasks() {
    let cluster = Cluster::started(2);
    cluster[A].with_data("name=v,size=1GiB,attach=follow", "precious");
    until("nobody owns it", || cluster[B].knows("v") && cluster[B].owner_of("v").is_empty());
    assert_eq!(cluster.instance_with(&cluster[A].vol("v")), None);
    assert_eq!(cluster[B].data_of("v"), "precious");
    assert_eq!(cluster[A].logged(["asked to let go"]), 0, "n1 was asked");
    cluster[A].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn a_mount_elsewhere_ends_the_linger() {
    let mut cluster = Cluster::of(2);
    cluster[A].set("volumes.linger", "60s");
    cluster.start();
    cluster[A].with_data("name=v,size=1GiB,attach=follow", "precious");
    cluster.until_known(B, "v");
    let begun = Instant::now();
    cluster[B].mount("v", "b");
    let took = begun.elapsed();
    measured("mount elsewhere during the linger", took);
    assert!(took < Duration::from_secs(30), "it waited for the linger: {took:?}");
    cluster[B].unmount("v", "b");
    assert_eq!(cluster[B].data_of("v"), "precious");
    cluster[A].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn a_volume_is_moved_from_any_node_to_any_node() {
    let cluster = Cluster::started(3);
    cluster[A].with_data("name=v,size=1GiB", "precious");
    cluster.until_known(C, "v");
    for (asked, to) in [(A, "n2"), (A, "n3"), (B, "n1"), (C, "n3"), (C, "n3")] {
        cluster[asked].hawser(["volume", "move", "v", "--to", to]);
        until("it is known to be there", || cluster[asked].owner_of("v") == to);
    }
    let error = cluster[A].hawser_fails(["volume", "move", "v", "--to", "n9"]);
    assert!(error.contains("n9"), "{error}");
    cluster[C].mount("v", "task-1");
    let error = cluster[A].hawser_fails(["volume", "move", "v", "--to", "n1"]);
    assert!(error.contains("in use on node n3 by mount task-1"), "{error}");
    cluster[C].unmount("v", "task-1");
    assert_eq!(cluster[C].data_of("v"), "precious");
    cluster[B].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn a_drained_node_gives_what_is_free_and_takes_nothing() {
    let mut cluster = Cluster::started(2);
    cluster[A].with_data("name=free,size=1GiB", "precious");
    cluster[A].mount("name=held,size=1GiB", "task-1");
    cluster[B].with_data("name=other,size=1GiB", "theirs");
    cluster.until_known(A, "other");

    let arguments = ["node", "drain", "n1"];
    let output = cluster[B].command(HAWSER).args(arguments).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("held: still there") && said.contains("task-1"), "{said}");
    until("the free one is nobody's", || cluster[B].owner_of("free").is_empty());
    let error = cluster[A].mount_fails("free", "x");
    assert!(error.contains("drained"), "{error}");
    assert!(cluster[A].mount_fails("other", "x").contains("drained"));
    assert!(cluster[A].mount_fails("name=new,size=1GiB", "x").contains("drained"));
    cluster[A].mount("held", "task-2");
    assert!(cluster[A].hawser_fails(["volume", "move", "free", "--to", "n1"]).contains("drained"));
    // Also after a restart.
    cluster[A].restart();
    assert!(cluster[A].mount_fails("free", "x").contains("drained"));
    assert_eq!(cluster[B].data_of("free"), "precious");

    cluster[A].hawser(["node", "drain", "--undo"]);
    assert_eq!(cluster[A].data_of("free"), "precious");
    for id in ["task-1", "task-2"] {
        cluster[A].unmount("held", id);
    }
    for name in ["free", "held", "other"] {
        cluster[B].remove(name);
    }
    cluster.until_nothing_is_left();
}

/// It had the volume all the same.
#[test]
fn a_drained_node_does_not_call_free_what_it_just_claims_anew() {
    let mut cluster = Cluster::of(2);
    for node in [A, B] {
        // A store that is slow for a while is not away.
        cluster[node].set("cluster.session", "20s");
    }
    cluster.start();
    cluster[A].mount("name=v,size=1GiB", "task-1");
    // Its next use of the storage is under a new epoch.
    cluster[A].restart();
    cluster.until_answered();
    let drain = ["node", "drain", "n1"];
    assert_eq!(cluster[A].cli(drain).status.code(), Some(1), "task-1 has it");
    cluster[A].unmount("v", "task-1");
    cluster[A].until_unmounted("v");
    let epoch = cluster[A].epoch_of("v");

    let (mounted, said) = thread::scope(|scope| {
        cluster[A].store.mute();
        let mounted = scope.spawn(|| cluster[A].mount("v", "task-2"));
        thread::sleep(Duration::from_secs(1));
        let said = scope.spawn(|| cluster[A].cli(drain));
        thread::sleep(Duration::from_secs(1));
        assert!(!mounted.is_finished() && !said.is_finished(), "the store was not waited for");
        cluster[A].store.heal();
        (mounted.join().unwrap(), said.join().unwrap())
    });
    let said = String::from_utf8(said.stdout).unwrap();
    assert_eq!((cluster[A].epoch_of("v"), &*cluster[A].owner_of("v")), (epoch + 1, "n1"));
    assert!(said.contains("v: still there") && said.contains("task-2"), "{said}");
    assert_eq!(fs::read_dir(mounted).unwrap().count(), 0);
    cluster[A].unmount("v", "task-2");
    cluster[B].remove("v");
    cluster.until_nothing_is_left();
}
