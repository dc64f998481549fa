//! EC2 on a bad day, with several nodes.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use ec2_fake::{InstanceState, Transition};

use crate::{
    harness::until,
    nodes::{A, B, C, Cluster, measured},
};

#[test]
fn a_move_whose_detach_sticks_waits_and_delays_nobody_and_is_forced_after_the_limit() {
    let mut cluster = Cluster::of(2);
    cluster[A].set("backends.ebs.force_detach_after", "8s");
    cluster.start();
    cluster[A].with_data("name=v,size=1GiB", "precious");
    cluster[A].mount("name=on-a,size=1GiB", "task-1");
    cluster[B].with_data("name=on-b,size=1GiB", "x");
    cluster[A].until_unmounted("v");
    cluster.until_known(B, "v");
    let vol = cluster[A].vol("v");
    cluster.ec2().stick(&vol, Transition::Detach);
    thread::scope(|scope| {
        let begun = Instant::now();
        let mount = scope.spawn(|| cluster[B].mount("v", "task-2"));
        until("the detach is asked for", || cluster.ec2().count("DetachVolume") > 0);
        let others = Instant::now();
        cluster[A].mount("on-a", "task-3");
        cluster[B].mount("on-b", "task-4");
        cluster[B].create("new");
        let took = others.elapsed();
        assert!(took < Duration::from_secs(6), "others waited {took:?}");
        assert!(!mount.is_finished());
        let path = mount.join().unwrap();
        measured("move whose detach sticks, forced after 8 s", begun.elapsed());
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "precious");
    });
    let forced = |call: &ec2_fake::Call| {
        call.action == "DetachVolume"
            && call.params.iter().any(|(key, value)| key == "Force" && value == "true")
    };
    assert!(cluster.ec2().calls().iter().any(forced), "it was not forced");
    cluster.ec2().unstick(&vol);
    for (node, name, id) in
        [(A, "on-a", "task-1"), (A, "on-a", "task-3"), (B, "on-b", "task-4"), (B, "v", "task-2")]
    {
        cluster[node].unmount(name, id);
    }
    for name in ["v", "on-a", "on-b", "new"] {
        cluster[B].remove(name);
    }
    cluster.until_nothing_is_left();
}

#[test]
fn while_ec2_is_away_a_dead_nodes_volume_waits_for_it() {
    let mut cluster = Cluster::started(2);
    cluster[A].with_data("name=v,size=1GiB", "precious");
    cluster[A].until_unmounted("v");
    cluster[B].mount("name=other,size=1GiB", "task-1");
    cluster.until_known(B, "v");
    let epoch = cluster[B].epoch_of("v");
    cluster[A].kill9();
    cluster.ec2().instance_state(&cluster[A].instance, InstanceState::Stopped);
    cluster.ec2().away(true);
    let error = cluster[B].mount_fails("v", "task-2");
    assert!(error.contains("EC2 did not answer"), "{error}");
    cluster[B].mount("other", "task-3");
    assert_eq!(cluster[B].epoch_of("v"), epoch);
    // It answers, and does not say how that machine is.
    cluster.ec2().away(false);
    cluster.ec2().fail_next("DescribeInstances", "InternalError", "An internal error", 1000);
    thread::scope(|scope| {
        let mount = scope.spawn(|| cluster[B].mount("v", "task-2"));
        until("it says why it waits", || {
            cluster[B].logged(["waiting for the volume", "the cloud does not say"]) > 0
        });
        assert_eq!(cluster[B].epoch_of("v"), epoch);
        cluster.ec2().clear_wire_faults();
        let begun = Instant::now();
        let path = mount.join().unwrap();
        measured("takeover after EC2 says again how machines are", begun.elapsed());
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "precious");
    });
    cluster[B].unmount("v", "task-2");
    for id in ["task-1", "task-3"] {
        cluster[B].unmount("other", id);
    }
    for name in ["v", "other"] {
        cluster[B].remove(name);
    }
    cluster.until_nothing_is_left();
}

/// The claim is stored, and the node that claimed it dies before it has fenced: the next one fences.
#[test]
fn a_claim_whose_claimer_dies_before_it_has_fenced_is_taken_on_by_the_next() {
    let mut cluster = Cluster::started(3);
    cluster[A].with_data("name=v,size=1GiB", "precious");
    cluster[A].until_unmounted("v");
    cluster.until_known(B, "v");
    cluster.until_known(C, "v");
    let epoch = cluster[C].epoch_of("v");
    cluster[A].kill9();
    cluster.ec2().instance_state(&cluster[A].instance, InstanceState::Stopped);
    cluster.ec2().stick(&cluster[B].vol("v"), Transition::DetachEvenForced);
    thread::scope(|scope| {
        let node = &cluster[B];
        scope.spawn(move || {
            let body = serde_json::json!({ "Name": "v", "ID": "task-1" });
            let _ = node.try_call("VolumeDriver.Mount", &body);
        });
        until("it is claimed", || cluster[C].owner_of("v") == "n2");
        assert_eq!(cluster[C].whereabouts("v")["fencing"], "n1");
        node.signal(rustix::process::Signal::KILL);
    });
    cluster.ec2().instance_state(&cluster[B].instance, InstanceState::Terminated);
    cluster.ec2().unstick(&cluster[C].vol("v"));
    let path = cluster[C].mount_at_last("v", "task-2");
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "precious");
    assert_eq!(cluster[C].epoch_of("v"), epoch + 2);
    cluster[C].unmount("v", "task-2");
    cluster[B].kill9();
    cluster[C].remove("v");
    cluster.until_nothing_is_left();
}
