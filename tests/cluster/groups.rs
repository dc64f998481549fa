//! `scale=N` on many nodes: who gets which member, and what a dead node's tasks find.

use std::{collections::BTreeSet, fs, path::Path, thread};

use ec2_fake::InstanceState;

use crate::{
    harness::until,
    nodes::{A, B, C, Cluster},
};

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn tasks_on_two_nodes_at_once_never_get_the_same_member() {
    let cluster = Cluster::started(2);
    cluster[A].create("name=elk,scale=6,size=1GiB");
    cluster.until_known(B, "elk");

    let got: Vec<(usize, String, String)> = thread::scope(|scope| {
        let cluster = &cluster;
        let ask = |n: usize| {
            scope.spawn(move || {
                let (node, id) = (n % 2, format!("task-{n}"));
                (node, name_of(&cluster[node].mount("elk", &id)), id)
            })
        };
        let asked: Vec<_> = (0..6).map(ask).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });

    let members: BTreeSet<_> = got.iter().map(|(_, member, _)| member).collect();
    assert_eq!(members.len(), 6, "{got:?}");
    let told = cluster[B].mount_fails("elk", "task-7");
    assert!(told.contains("on node n1") && told.contains("on node n2"), "{told}");
    assert!(cluster[B].remove_fails("elk").contains("volumes of the group are in use"));
    for (node, _, id) in &got {
        cluster[*node].unmount("elk", id);
    }
    until("it is known there", || {
        let members = cluster[B].inspect("elk")["members"].take();
        members.as_array().unwrap().iter().all(|member| member["member"]["claim"].is_null())
    });
    cluster[B].remove("elk");
    cluster.until_nothing_is_left();
}

#[test]
fn a_task_that_is_rescheduled_from_a_dead_node_finds_its_data() {
    let mut cluster = Cluster::started(3);
    let path = cluster[A].mount("name=elk,scale=5,size=1GiB", "task-1");
    fs::write(path.join("file"), "precious").unwrap();
    rustix::fs::sync();
    cluster.until_known(C, "elk");
    cluster.until_known(C, "elk_001");
    assert_eq!(name_of(&cluster[C].mount("elk", "other")), "elk_002");
    cluster.until_known(B, "elk_002");
    cluster[A].kill9();
    cluster.ec2().instance_state(&cluster[A].instance, InstanceState::Terminated);
    until("its session is over", || cluster[B].live_nodes().len() == 2);

    let path = cluster[B].mount("elk", "task-1 again");

    assert_eq!(name_of(&path), "elk_001", "before a new one is made");
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "precious");
    cluster[B].unmount("elk", "task-1 again");
    // What is here comes first, and what was used here last.
    assert_eq!(name_of(&cluster[B].mount("elk", "once more")), "elk_001");
    cluster[B].unmount("elk", "once more");
    cluster[C].unmount("elk", "other");
    until("it is known there", || cluster[C].inspect("elk_001")["member"]["claim"].is_null());
    cluster[C].remove("elk");
    cluster.until_nothing_is_left();
}

#[test]
fn a_member_whose_silent_owner_may_still_write_is_left_to_it() {
    let mut cluster = Cluster::started(2);
    cluster[A].mount("name=elk,scale=2,size=1GiB", "task-1");
    cluster.until_known(B, "elk_001");
    // Its daemon alone: the machine runs, and so does the task.
    cluster[A].kill9();
    until("its session is over", || cluster[B].live_nodes() == ["n2"]);

    let path = cluster[B].mount("elk", "task-2");

    assert_eq!(name_of(&path), "elk_002", "the next one, when that was not to be had");
    assert!(cluster[B].logged(["its machine runs", "the next member is tried"]) == 1);
    cluster[A].start();
    cluster.until_all_live();
    until("the task has it still", || {
        cluster[A].inspect("elk_001")["member"]["claim"]["id"] == "task-1"
    });
    assert_eq!(name_of(&cluster[A].mount("elk", "task-1")), "elk_001", "as docker cp");
    for _ in 0..2 {
        cluster[A].unmount("elk", "task-1");
    }
    cluster[B].unmount("elk", "task-2");
    until("it is known there", || cluster[A].inspect("elk_002")["member"]["claim"].is_null());
    cluster[A].remove("elk");
    cluster.until_nothing_is_left();
}

#[test]
fn local_members_are_each_nodes_own() {
    let cluster = Cluster::started(2);
    cluster[A].mount("name=elk,scale=2,backend=local,size=64MiB", "task-1");
    cluster.until_known(B, "elk_001");
    assert_eq!(name_of(&cluster[B].mount("elk", "task-2")), "elk_002");
    cluster[A].unmount("elk", "task-1");
    until("it is free", || cluster[B].inspect("elk_001")["member"]["claim"].is_null());

    let told = cluster[B].mount_fails("elk", "task-3");
    assert!(told.contains("elk_001: it is on a disk of node n1"), "{told}");
    assert!(told.contains("elk_002: mount task-2 on node n2"), "{told}");

    assert_eq!(name_of(&cluster[A].mount("elk", "task-4")), "elk_001");
    cluster[A].unmount("elk", "task-4");
    cluster[B].unmount("elk", "task-2");
    until("it is known there", || cluster[A].inspect("elk_002")["member"]["claim"].is_null());
    // Each is deleted on its own node.
    cluster[A].remove("elk");
    cluster.until_nothing_is_left();
}

#[test]
fn two_nodes_that_make_one_group_at_once_make_one() {
    let cluster = Cluster::started(2);
    let spec = "name=elk,scale=4,size=1GiB";
    let got: Vec<String> = thread::scope(|scope| {
        let cluster = &cluster;
        let ask = |node: usize| scope.spawn(move || name_of(&cluster[node].mount(spec, "task")));
        [A, B].map(ask).map(|asked| asked.join().unwrap()).into()
    });
    assert_eq!(got.iter().collect::<BTreeSet<_>>().len(), 2, "{got:?}");
    let ids = [A, B].map(|node| cluster[node].inspect("elk")["id"].clone());
    assert_eq!(ids[0], ids[1]);
    for node in [A, B] {
        cluster[node].unmount("elk", "task");
    }
    until("all are free", || {
        let members = cluster[A].inspect("elk")["members"].take();
        members.as_array().unwrap().iter().all(|member| member["member"]["claim"].is_null())
    });
    cluster[A].remove("elk");
    cluster.until_nothing_is_left();
}
