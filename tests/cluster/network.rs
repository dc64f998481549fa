//! The wires between the nodes, and who may use them.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::{
    harness::until,
    nodes::{A, B, Cluster, measured},
};

#[test]
fn while_the_nodes_cannot_talk_nothing_is_taken_and_the_reason_is_said() {
    let cluster = Cluster::started(2);
    cluster[A].with_data("name=v,size=1GiB", "precious");
    cluster[A].until_unmounted("v");
    cluster.until_known(B, "v");
    let epoch = cluster[B].epoch_of("v");
    cluster[A].peers.cut();
    let begun = Instant::now();
    let error = cluster[B].mount_fails("v", "task-2");
    measured("refusal while the nodes cannot talk", begun.elapsed());
    assert!(error.contains("node n1, which has it, does not answer"), "{error}");
    assert_eq!(cluster[B].epoch_of("v"), epoch);
    assert_eq!(cluster.ec2().count("DetachVolume"), 0);
    // Its owner needs nobody.
    assert_eq!(cluster[A].data_of("v"), "precious");

    std::thread::scope(|scope| {
        let mount = scope.spawn(|| cluster[B].data_of("v"));
        std::thread::sleep(Duration::from_secs(2));
        cluster[A].peers.heal();
        let begun = Instant::now();
        assert_eq!(mount.join().unwrap(), "precious");
        measured("mount after the nodes can talk again", begun.elapsed());
    });
    cluster[A].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn a_node_with_another_ones_certificate_does_not_start() {
    let mut cluster = Cluster::started(2);
    cluster[B].stop();
    let pki = cluster[B].path("pki");
    let other = cluster[A].path("pki");
    for end in ["pem", "key"] {
        fs::copy(other.join(format!("n1.{end}")), pki.join(format!("n2.{end}"))).unwrap();
    }
    let started = cluster[B].try_start();
    assert!(matches!(started, crate::harness::Start::Ended(_)), "{started:?}");
    assert!(cluster[B].logged(["certificate", "another node or another cluster"]) > 0);
}

#[test]
fn a_node_with_a_foreign_authoritys_certificate_gets_nothing() {
    let mut cluster = Cluster::of(2);
    cluster.certify_by_a_stranger(B);
    cluster.start();
    cluster[A].with_data("name=v,size=1GiB", "precious");
    cluster[A].until_unmounted("v");
    cluster.until_known(B, "v");
    let error = cluster[B].mount_fails("v", "task-2");
    assert!(error.contains("node n1, which has it, does not answer"), "{error}");
    assert!(cluster[B].logged(["not believed"]) > 0, "the asker does not say why");
    until("the one that was asked says so", || cluster[A].logged(["certificate"]) > 0);
    assert_eq!(cluster[A].owner_of("v"), "n1");
    assert_eq!(cluster.ec2().count("DetachVolume"), 0);
    let error = cluster[B].hawser_fails(["volume", "move", "v", "--to", "n1"]);
    assert!(error.contains("n1"), "{error}");
    assert_eq!(cluster[A].data_of("v"), "precious");
    cluster[A].remove("v");
    cluster.until_nothing_is_left();
}
