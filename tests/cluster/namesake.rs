//! A machine comes into the cluster under the name of another one, which had volumes and may still run.

use std::{fs, thread};

use ec2_fake::InstanceState;

use crate::{
    harness::until,
    nodes::{A, B, C, Cluster},
};

#[test]
fn a_machine_that_has_an_owners_name_is_not_taken_for_the_owner() {
    let mut cluster = Cluster::of(3);
    cluster[A].start();
    cluster[B].start();
    until("both live", || [A, B].iter().all(|node| cluster[*node].live_nodes().len() == 2));
    let path = cluster[A].mount("name=v,size=1GiB", "task-1");
    cluster[A].with_data("name=w,size=1GiB", "precious");
    cluster[A].until_unmounted("w");
    fs::write(path.join("file"), "precious").unwrap();
    for name in ["v", "w"] {
        cluster.until_known(B, name);
    }
    let epochs = ["v", "w"].map(|name| cluster[B].epoch_of(name));

    // Its machine runs on, and has both attached.
    cluster[A].kill9();
    cluster.take_name_of(C, A);
    cluster[C].start();
    until("the namesake lives", || cluster[C].live_nodes() == ["n1", "n2"]);
    cluster.until_known(C, "w");
    // Each of them waits for the owner, as long as a call may take.
    let refused = |node: usize, name: &'static str| {
        let cluster = &cluster;
        move || cluster[node].mount_fails(name, "task-2")
    };
    let errors = thread::scope(|scope| {
        let calls = [(B, "v"), (B, "w"), (C, "v"), (C, "w")];
        let calls = calls.map(|(node, name)| scope.spawn(refused(node, name)));
        calls.map(|call| call.join().unwrap())
    });
    for error in &errors[..2] {
        let reason = "node n1, which has it, does not answer, but its machine runs";
        assert!(error.contains(reason), "{error}");
    }
    for error in &errors[2..] {
        assert!(error.contains("which was node n1 before this one"), "{error}");
    }
    assert_eq!(["v", "w"].map(|name| cluster[B].epoch_of(name)), epochs);
    assert_eq!(cluster.ec2().count("DetachVolume"), 0, "something was forced from it");
    fs::write(path.join("file"), "its task goes on").unwrap();

    cluster.ec2().instance_state(&cluster[A].instance, InstanceState::Stopped);
    cluster[A].undo_mounts();
    assert_eq!(cluster[B].data_of("v"), "its task goes on");
    // The namesake is no owner that would delete it: nobody waits for it to.
    cluster[B].remove("w");
    cluster[C].remove("v");
    cluster.until_nothing_is_left();
}
