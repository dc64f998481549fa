//! What a volume must not be able to do to its host, and hawser not to its tasks.

use std::{fs, os::unix::fs::symlink, path::Path, sync::mpsc, time::Duration};

use ec2_fake::Throttle;
use serde_json::json;

use crate::harness::{World, run, until};

/// An ext4 that somebody else made.
fn disk(world: &World, fill: impl FnOnce(&Path)) -> Vec<u8> {
    let (image, mount) = (world.path("foreign.img"), world.path("foreign"));
    fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    fs::create_dir_all(&mount).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    run("mkfs.ext4", ["-q", &path(&image)]);
    run("mount", ["-o", "loop", &path(&image), &path(&mount)]);
    fill(&mount);
    run("umount", [&path(&mount)]);
    let content = fs::read(&image).unwrap();
    fs::remove_file(&image).unwrap();
    content
}

/// A task that can write to the top of its volume, or a snapshot from elsewhere, names the host's
/// root by a link: nobody is given that.
#[test]
fn a_data_directory_that_is_a_link_is_not_served() {
    let mut world = World::on_ebs();
    world.start();
    let content = disk(&world, |top| {
        symlink("/", top.join("data")).unwrap();
        fs::create_dir(top.join("real")).unwrap();
        symlink("../../../../../..", top.join("real/up")).unwrap();
    });
    for (n, dir) in ["data", "real/up", "none"].into_iter().enumerate() {
        let vol = world.ec2().add_volume(&[("Name", "v")], 1, &content).unwrap();
        let name = format!("v{n}");
        world.hawser(["volume", "import", &vol, "--yes", "--name", &name, "--data-dir", dir]);

        let error = world.mount_fails(&name, "a");

        assert!(error.contains(&format!("`{dir}`")), "{error}");
        assert!(world.mounts().is_empty(), "{:?}", world.mounts());
        world.remove(&name);
    }
    let vol = world.ec2().add_volume(&[("Name", "v")], 1, &content).unwrap();
    for dir in ["..", "real/../..", "a//b"] {
        let error = world.hawser_fails([
            "volume",
            "import",
            &vol,
            "--yes",
            "--name",
            "v",
            "--data-dir",
            dir,
        ]);
        assert!(error.contains("directory"), "{error}");
    }
    world.hawser(["volume", "import", &vol, "--yes", "--name", "v", "--data-dir", "real"]);
    let path = world.mount("v", "a");
    assert!(fs::symlink_metadata(path.join("up")).unwrap().is_symlink());
    world.unmount("v", "a");
    world.remove("v");
    world.finish();
}

/// A snapshot that EC2 does not answer holds the tasks for seconds, and a daemon that is stopped
/// meanwhile lets them go first.
#[test]
fn a_daemon_that_stops_during_a_snapshot_leaves_no_task_waiting() {
    let mut world = World::on_ebs();
    world.start();
    let path = world.mount("name=v,size=1GiB", "a");
    world.ec2().throttle("CreateSnapshot", Throttle::Percent(100));
    let mut snapshot = world.command(crate::harness::HAWSER);
    let mut snapshot = snapshot.args(["snapshot", "create", "v"]).spawn().unwrap();
    until("EC2 is asked", || world.ec2().count("CreateSnapshot") > 0);

    world.stop();

    let (done, written) = mpsc::channel();
    let file = path.join("file");
    std::thread::spawn(move || done.send(fs::write(file, "goes on")));
    written.recv_timeout(Duration::from_secs(5)).expect("the task waits for ever").unwrap();
    let _ = snapshot.wait();
    world.ec2().clear_wire_faults();
    world.start();
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "goes on");
    world.unmount("v", "a");
    world.remove("v");
    world.finish();
}

/// At the host's shutdown the network may be gone: EBS volumes are unmounted, and no call is made.
#[test]
fn release_unmounts_ebs_volumes_without_ec2() {
    let mut world = World::on_ebs();
    world.start();
    for name in ["stays", "follows,attach=follow"] {
        world.mount(&format!("name={name},size=1GiB"), "a");
    }
    world.stop();
    world.ec2().reset_calls();
    world.ec2().away(true);

    let start = std::time::Instant::now();
    let told = world.hawser(["release"]);

    assert!(told.contains("stays: released") && told.contains("follows: released"), "{told}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(world.mounts().is_empty());
    assert_eq!(world.ec2_calls(), [].into());
    world.ec2().away(false);
    world.start();
    for name in ["stays", "follows"] {
        world.call("Unmount", &json!({ "Name": name, "ID": "a" })).ok();
        world.until_unmounted(name);
        world.remove(name);
    }
    world.finish();
}

/// A device's name is the next one's once it is free: what was attached some time ago is looked at
/// again before anything is done with it.
#[test]
fn a_volume_that_was_detached_by_somebody_is_not_mistaken_for_the_next() {
    let mut world = World::on_ebs();
    world.start();
    world.with_data("name=first,size=1GiB", "first");
    world.until_unmounted("first");
    let (vol, instance) = (world.vol("first"), world.ec2().first_instance().id);
    let device = world.ec2().attach_path(&vol).unwrap();
    let endpoint = world.ec2().endpoint();
    let form =
        format!("Action=DetachVolume&Version=2016-11-15&VolumeId={vol}&InstanceId={instance}");
    run("curl", ["-sf", "-d", &form, &endpoint]);
    until("it is detached", || world.ec2().attach_path(&vol).is_none());
    world.mount("name=second,size=1GiB", "b");
    assert_eq!(world.ec2().attach_path(&world.vol("second")), Some(device), "the same name");

    // A failed look is followed by a new one.
    until("the first one is mounted", || {
        world.call("Mount", &json!({ "Name": "first", "ID": "a" })).status == 200
    });
    let path = world.path("mnt/volumes/first/file");
    assert_eq!(fs::read_to_string(path).unwrap(), "first");
    for (name, id) in [("first", "a"), ("second", "b")] {
        world.unmount(name, id);
        world.remove(name);
    }
    world.finish();
}
