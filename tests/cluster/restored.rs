//! ZooKeeper comes back with less than it had: its data was restored from a backup. Nothing is
//! forgotten, nothing deleted, and no epoch goes back.

use std::{collections::BTreeMap, fs::File, io::Write};

use crate::{
    harness::until,
    nodes::{A, B, Cluster, text},
};

const AFTER: [&str; 7] = ["held", "moved", "blank", "grown", "new", "new-local", "new-held"];

/// Volumes, the backup, and what happened since. The open file of a task.
fn lived_on(cluster: &mut Cluster) -> File {
    let path = cluster[A].mount("name=held,size=1GiB", "task-1");
    cluster[A].with_data("name=moved,size=1GiB", "precious");
    cluster[A].with_data("name=grown,size=1GiB", "precious");
    cluster[A].until_unmounted("moved");
    cluster[B].create("name=blank,size=1GiB");
    cluster[A].create("name=gone,size=1GiB");
    for name in ["held", "moved", "blank", "grown", "gone"] {
        cluster.until_known(A, name);
        cluster.until_known(B, name);
    }
    cluster.back_up_the_store();

    cluster[B].hawser(["volume", "move", "moved", "--to", "n2"]);
    cluster[B].with_data("blank", "precious");
    cluster[A].hawser(["volume", "grow", "grown", "2GiB"]);
    cluster[B].remove("gone");
    cluster[A].with_data("name=new,size=1GiB,attach=follow", "precious");
    cluster[A].until_released("new");
    cluster[B].with_data("name=new-local,backend=local,size=64MiB", "precious");
    cluster[B].mount("name=new-held,size=1GiB", "task-2");
    for name in AFTER {
        cluster.until_known(A, name);
        cluster.until_known(B, name);
    }
    until("it is removed there", || !cluster[A].knows("gone"));
    File::create(path.join("file")).unwrap()
}

fn ids_and_epochs(cluster: &Cluster) -> BTreeMap<&'static str, (String, u64)> {
    let of = |name| (name, (text(&cluster[A].inspect(name)["id"]), cluster[A].epoch_of(name)));
    AFTER.into_iter().map(of).collect()
}

#[track_caller]
fn nothing_was_lost(cluster: &Cluster, before: &BTreeMap<&'static str, (String, u64)>) {
    for (name, (id, epoch)) in before {
        for node in [A, B] {
            cluster.until_known(node, name);
            assert_eq!(text(&cluster[node].inspect(name)["id"]), *id, "{name}");
            let now = || cluster[node].epoch_of(name);
            until("the epoch is what it was, or higher", || now() >= *epoch);
        }
    }
    assert_eq!(cluster[A].holders("held"), [("task-1".to_owned(), 1)]);
    assert_eq!(cluster[B].holders("new-held"), [("task-2".to_owned(), 1)]);
    assert!(cluster[B].mount_fails("held", "x").contains("in use on node n1 by mount task-1"));
    for name in ["moved", "blank", "grown", "new"] {
        assert_eq!(cluster[A].data_of(name), "precious", "{name}");
        assert_eq!(cluster[B].data_of(name), "precious", "{name}");
    }
    assert_eq!(cluster[B].data_of("new-local"), "precious");
    assert_eq!(cluster[A].inspect("grown")["spec"]["size"], 2_u64 << 30);
}

#[track_caller]
fn all_of_it_goes(cluster: &Cluster) {
    cluster[A].unmount("held", "task-1");
    cluster[B].unmount("new-held", "task-2");
    for name in AFTER {
        cluster[B].remove(name);
    }
    // Its storage was deleted before the store forgot that.
    if cluster[A].knows("gone") {
        cluster[A].remove("gone");
    }
    cluster.until_nothing_is_left();
}

#[test]
fn a_store_that_was_restored_is_told_again_by_nodes_that_ran_on() {
    let mut cluster = Cluster::started(2);
    let mut open = lived_on(&mut cluster);
    let before = ids_and_epochs(&cluster);
    let deleted = cluster.ec2().count("DeleteVolume");

    cluster.restore_the_store();
    cluster.until_answered();
    cluster.until_all_live();

    nothing_was_lost(&cluster, &before);
    open.write_all(b"goes on").unwrap();
    open.sync_all().unwrap();
    drop(open);
    // What asks whether the store answers, and what was removed before, are deleted; nothing else.
    let probes = cluster.len();
    assert!(cluster.ec2().count("DeleteVolume") <= deleted + probes + 1, "storage was deleted");
    all_of_it_goes(&cluster);
}

#[test]
fn a_store_that_was_restored_is_told_again_by_nodes_that_start_with_it() {
    let mut cluster = Cluster::started(2);
    let mut open = lived_on(&mut cluster);
    let before = ids_and_epochs(&cluster);

    cluster[A].kill9();
    cluster[B].kill9();
    cluster.restore_the_store();
    cluster.start();
    cluster.until_answered();

    nothing_was_lost(&cluster, &before);
    open.write_all(b"goes on").unwrap();
    open.sync_all().unwrap();
    drop(open);
    all_of_it_goes(&cluster);
}

/// Its name is another volume's in the backup: it cannot be told, and is not forgotten for that.
#[test]
fn a_volume_whose_name_the_backup_gives_to_another_is_kept_until_it_has_a_new_one() {
    let mut cluster = Cluster::started(2);
    cluster[A].create("name=again,size=1GiB");
    cluster.until_known(B, "again");
    cluster.back_up_the_store();
    cluster[A].remove("again");
    until("it is removed there", || !cluster[B].knows("again"));
    cluster[A].with_data("name=again,size=1GiB,attach=follow", "precious");
    cluster[A].until_released("again");
    cluster.until_known(B, "again");
    let id = text(&cluster[A].inspect("again")["id"]);

    cluster.restore_the_store();
    cluster.until_answered();
    cluster.until_all_live();
    cluster[A].mount_fails("again", "task-1");
    assert_eq!(text(&cluster[A].inspect("again")["id"]), id, "it was forgotten");
    // A restart does not make it a deleted one.
    cluster[A].kill9();
    cluster[A].start();
    cluster.until_answered();
    assert_eq!(text(&cluster[A].inspect("again")["id"]), id, "it was forgotten");

    cluster[A].hawser(["volume", "rename", "again", "renamed"]);
    for node in [A, B] {
        cluster.until_known(node, "renamed");
        assert_eq!(text(&cluster[node].inspect("renamed")["id"]), id);
    }
    assert_eq!(cluster[B].data_of("renamed"), "precious");
    cluster[B].remove("renamed");
    for node in [A, B] {
        cluster.until_known(node, "again");
    }
    cluster[A].remove("again");
    cluster.until_nothing_is_left();
}
