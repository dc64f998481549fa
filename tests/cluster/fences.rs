//! An attachment that arrives when the volume is another node's by then.

use std::{fs, thread};

use ec2_fake::Transition;
use serde_json::json;

use crate::{
    harness::until,
    nodes::{A, B, Cluster},
};

/// The owner looks again after the attachment, cannot, and then learns that it is none any more. The
/// volume was never formatted: that is what must not happen now.
#[test]
fn an_attachment_that_arrives_after_another_node_claimed_the_volume_is_let_go_of() {
    let mut cluster = Cluster::started(2);
    cluster[B].create("name=v,size=1GiB,preempt=force");
    cluster.until_known(A, "v");
    let vol = cluster[B].vol("v");
    cluster.ec2().stick(&vol, Transition::Attach);
    // It dies when it has claimed the volume, and has fenced nobody.
    cluster[A].stop();
    cluster[A].environment.insert("HAWSER_FAULT".into(), "cluster.write.after:1".into());
    cluster[A].start();
    cluster.until_all_live();
    thread::scope(|scope| {
        let (a, b) = (&cluster[A], &cluster[B]);
        scope.spawn(move || {
            let _ = b.try_call("VolumeDriver.Mount", &json!({ "Name": "v", "ID": "late" }));
        });
        until("it is being attached", || cluster.ec2().count("AttachVolume") == 1);
        b.store.cut();
        b.peers.cut();
        let _ = a.try_call("VolumeDriver.Mount", &json!({ "Name": "v", "ID": "task" }));
        cluster.ec2().unstick(&vol);
        until("it looks again, and cannot", || {
            b.logged(["a step failed", "attach", "does not answer"]) > 0
        });
        assert!(b.mounts().is_empty(), "{:?}", b.mounts());
        b.store.heal();
        b.peers.heal();
    });
    until("it died", || cluster[A].has_died());
    until("it is let go of", || cluster.instance_with(&vol).is_none());
    assert!(cluster[B].mounts().is_empty(), "{:?}", cluster[B].mounts());
    assert_eq!(cluster[B].logged(["format", "done"]), 0, "it was formatted");

    cluster[A].environment.clear();
    cluster[A].start();
    cluster.until_all_live();
    let path = cluster[A].mount_at_last("v", "task");
    fs::write(path.join("file"), "precious").unwrap();
    cluster[A].unmount("v", "task");
    for (id, _) in cluster[A].holders("v") {
        cluster[A].unmount("v", &id);
    }
    assert_eq!(cluster[B].data_of("v"), "precious");
    cluster[B].remove("v");
    cluster.until_nothing_is_left();
}
