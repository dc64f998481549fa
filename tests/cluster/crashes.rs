//! The daemon is killed before and after each of its writes to the cluster's store, one after the
//! other: what it did is taken up by the next one, or by another node.

use serde_json::json;

use crate::{
    harness::until,
    nodes::{A, B, Cluster, Node},
};

/// More than any of the scenarios writes.
const MOST: usize = 30;

/// Kills the second node at each write of the steps, and has it recover each time. How often it died.
#[track_caller]
fn killed_at_each_write(
    cluster: &mut Cluster,
    prepare: impl Fn(&Cluster),
    steps: impl Fn(&Node),
    recovered: impl Fn(&Cluster),
) -> usize {
    let mut died = 0;
    for place in ["before", "after"] {
        for count in 1..=MOST {
            prepare(cluster);
            cluster[B].stop();
            let point = format!("cluster.write.{place}:{count}");
            println!("killed at {point}");
            cluster[B].environment.insert("HAWSER_FAULT".into(), point);
            cluster[B].start();
            cluster.until_all_live();
            steps(&cluster[B]);
            let dead = dies_soon(cluster);
            if !dead {
                cluster[B].stop();
            }
            cluster[B].environment.clear();
            cluster[B].start();
            cluster.until_all_live();
            recovered(cluster);
            if !dead {
                break;
            }
            assert!(count < MOST, "the steps have no end");
            died += 1;
        }
    }
    died
}

/// Whether it died: its connections end a moment before it does.
fn dies_soon(cluster: &mut Cluster) -> bool {
    (0..50).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        cluster[B].has_died()
    })
}

/// A call that may kill the daemon; if it does not, it must succeed.
fn step(node: &Node, call: &str, body: &serde_json::Value) {
    if let Ok(reply) = node.try_call(&format!("VolumeDriver.{call}"), body) {
        assert_eq!(reply.status, 200, "{call}: {}", reply.json());
    }
}

/// Waits until the daemon has come to rest over its volumes, or is dead.
fn until_at_rest(node: &Node) {
    until("nothing is going on, or it is dead", || {
        let output = node.cli(["volume", "ls", "--json"]);
        let removed = node.cli(["volume", "ls", "--removed", "--json"]);
        if !output.status.success() || !removed.status.success() {
            return true;
        }
        let parse = |bytes: &[u8]| serde_json::from_slice::<Vec<serde_json::Value>>(bytes).unwrap();
        let idle =
            |volume: &serde_json::Value| volume["doing"].is_null() && volume["device"].is_null();
        parse(&output.stdout).iter().all(idle) && parse(&removed.stdout).is_empty()
    });
}

#[test]
fn a_node_that_is_killed_at_any_write_of_a_mount_and_an_unmount_loses_nothing() {
    let mut cluster = Cluster::started(2);
    cluster[A].with_data("name=v,size=1GiB,attach=follow", "precious");
    cluster[A].until_released("v");
    cluster.until_known(B, "v");
    let epoch = std::cell::Cell::new(cluster[A].epoch_of("v"));
    let died = killed_at_each_write(
        &mut cluster,
        |_| {},
        |node| {
            step(node, "Mount", &json!({ "Name": "v", "ID": "task" }));
            step(node, "Unmount", &json!({ "Name": "v", "ID": "task" }));
            until_at_rest(node);
        },
        |cluster| {
            while !cluster[B].holders("v").is_empty() {
                cluster[B].unmount("v", "task");
            }
            assert_eq!(cluster[A].data_of("v"), "precious");
            cluster[A].until_released("v");
            let now = cluster[A].epoch_of("v");
            assert!(now > epoch.get(), "the epoch was {} and is {now}", epoch.get());
            epoch.set(now);
        },
    );
    // The claim, and the release.
    assert!(died >= 4, "it died {died} times");
    cluster[A].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn a_node_that_is_killed_at_any_write_of_a_first_mount_makes_one_volume() {
    let mut cluster = Cluster::started(2);
    let died = killed_at_each_write(
        &mut cluster,
        |_| {},
        |node| step(node, "Mount", &json!({ "Name": "name=v,size=1GiB", "ID": "task" })),
        |cluster| {
            cluster[B].mount("name=v,size=1GiB", "task");
            cluster.until_known(A, "v");
            let storage = cluster.ec2().volumes().len();
            assert_eq!(storage, 1, "one volume");
            while !cluster[B].holders("v").is_empty() {
                cluster[B].unmount("v", "task");
            }
            cluster[A].with_data("v", "precious");
            assert_eq!(cluster[B].data_of("v"), "precious");
            cluster[A].remove("v");
            cluster.until_nothing_is_left();
        },
    );
    // Its record, its storage, "formatting", "formatted".
    assert!(died >= 8, "it died {died} times");
}

#[test]
fn a_node_that_is_killed_at_any_write_of_a_removal_leaves_nothing() {
    let mut cluster = Cluster::started(2);
    let died = killed_at_each_write(
        &mut cluster,
        |cluster| {
            cluster[A].with_data("name=v,size=1GiB,attach=follow", "precious");
            cluster[A].until_released("v");
            cluster.until_known(B, "v");
        },
        |node| {
            step(node, "Remove", &json!({ "Name": "v" }));
            until_at_rest(node);
        },
        |cluster| {
            cluster[B].remove("v");
            until("it is removed there", || !cluster[A].knows("v"));
            cluster.until_nothing_is_left();
        },
    );
    // Removed, claimed, condemned, forgotten.
    assert!(died >= 6, "it died {died} times");
}
