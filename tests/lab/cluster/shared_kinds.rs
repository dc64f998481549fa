//! What else is shared: an EBS volume with ext4, one on a node's own disk, an image on an NFS server.

use serde_json::{Value, json};

use super::{A, B, GIB, World, directory::wait_known};
use crate::harness::{PATIENCE, eventually};

#[test]
#[ignore = "a part of `make lab`"]
fn volumes_on_ext4_on_a_node_s_own_disk_and_in_an_image_are_shared_like_any_other() {
    let world = World::prepare("cluster-shared-kinds");
    let World { lab, nodes: [a, b, filer], .. } = &world;
    lab.step("a filer serves, and hawser starts on two machines");
    filer.serve_nfs(&filer.attach(&lab.disk("export", 8 * GIB)));
    for node in [a, b] {
        node.set("HAWSER_NFS_SERVER", &format!("{}:/export/apps", filer.address));
        node.set("HAWSER_LINGER", "0s");
    }
    world.join(&[A, B]);
    world.wait_alive(A, 2);

    is_shared(&world, "onext4", &json!({"backend": "ebs", "size": "1GiB", "fs": "ext4"}));
    is_shared(&world, "local", &json!({"backend": "local", "size": "400MiB", "fs": "ext4"}));
    let image = json!({"backend": "nfs", "layout": "image", "size": "400MiB", "fs": "ext4"});
    is_shared(&world, "image", &image);
}

/// Written and read from both of two nodes, the owner's own and the other one's, and let go of.
#[track_caller]
fn is_shared(world: &World, volume: &str, options: &Value) {
    let World { lab, nodes: [a, b, _], .. } = world;
    lab.step(&format!("{volume}: both mount it"));
    let mut options = options.clone();
    options["shared"] = "true".into();
    a.create_volume(volume, &options);
    let here = a.mount_volume(volume, "task-a");
    wait_known(world, B, volume);
    let there = b.mount_volume(volume, "task-b");
    assert_eq!(world.kind(A, &here), options["fs"].as_str().unwrap_or("ext4"));
    assert_eq!(world.kind(B, &there), "nfs4");
    let found = world.whereabouts(B, volume);
    assert_eq!(found["owner"], "a", "{found}");

    lab.step(&format!("{volume}: what one writes the other reads, and locks hold"));
    for (number, ((one, of_one), (other, of_other))) in
        [((a, &here), (b, &there)), ((b, &there), (a, &here))].into_iter().enumerate()
    {
        let file = format!("file{number}");
        one.sh_with("head -c 300000 /dev/urandom >$1/$2; sync $1/$2", &[of_one, &file]).ok();
        let sum = "md5sum <$1/$2";
        let [written, read] =
            [one.sh_with(sum, &[of_one, &file]), other.sh_with(sum, &[of_other, &file])];
        assert_eq!(written.ok(), read.ok());
        let held = format!("{of_one}/lock{number}");
        let holder = one.spawn(&["/lab/lock.py", "hold", &held]);
        eventually("the lock is taken", PATIENCE, || {
            one.sh_with("test -e $1.held", &[&held]).code == 0
        });
        let tried = format!("{of_other}/lock{number}");
        assert_eq!(other.run(&["/lab/lock.py", "try", &tried]).ok(), "refused");
        one.kill(&holder);
    }

    lab.step(&format!("{volume}: the owner's task ends, the other one goes on"));
    a.unmount_volume(volume, "task-a");
    b.sh_with("echo more >$1/more; sync $1/more", &[&there]).ok();
    let refused = a.hawser(&["volume", "rm", "--yes", volume]);
    assert!(refused.code != 0 && refused.stderr.contains("it is mounted on node b"), "{refused}");
    let here = a.mount_volume(volume, "task-c");
    assert_eq!(a.sh_with("cat $1/more", &[&here]).ok(), "more");

    lab.step(&format!("{volume}: both end, and it is removed"));
    a.unmount_volume(volume, "task-c");
    b.unmount_volume(volume, "task-b");
    eventually("it is removed", PATIENCE, || {
        a.hawser(&["volume", "rm", "--yes", volume]).code == 0
    });
}
