//! Growth, settings, snapshots and imports.

use std::fs;

use crate::harness::{World, run, until};

#[test]
fn a_volume_in_use_grows_and_changes_its_type_in_one_call() {
    let mut world = World::on_ebs();
    world.start();
    let path = world.mount("name=v,size=1GiB,fs=xfs,type=gp2", "a");
    fs::write(path.join("file"), "precious").unwrap();

    world.hawser(["volume", "grow", "v", "9500MiB", "-o", "type=gp3", "-o", "iops=4000"]);

    let modify: Vec<_> =
        world.ec2().calls().into_iter().filter(|call| call.action == "ModifyVolume").collect();
    assert_eq!(modify.len(), 1, "{modify:?}");
    let volume = world.ec2().volume(&world.vol("v")).unwrap();
    assert_eq!((volume.size, volume.volume_type.as_str(), volume.iops), (10, "gp3", Some(4000)));
    let info = world.inspect("v");
    assert_eq!(info["spec"]["size"], 10_u64 << 30, "whole GiB");
    assert_eq!(info["spec"]["backend"]["volume_type"], "gp3");
    let blocks = run("df", ["--output=size", "-BM", path.to_str().unwrap()]);
    let size: u64 = blocks.lines().nth(1).unwrap().trim().trim_end_matches('M').parse().unwrap();
    assert!(size > 9900, "the file system has {size} MiB");
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "precious");

    // EC2 takes the next change only after hours, and says so; the volume is as it was.
    let error = world.hawser_fails(["volume", "grow", "v", "11GiB"]);
    assert!(error.contains("hours") || error.contains("Rate"), "{error}");
    assert_eq!(world.inspect("v")["spec"]["size"], 10_u64 << 30);
    // Its inline spec still agrees: an app keeps its JSON.
    world.mount("name=v,size=1GiB,fs=xfs", "b");
    for id in ["a", "b"] {
        world.unmount("v", id);
    }
    world.remove("v");
    world.finish();
}

#[test]
fn settings_that_cannot_be_changed_are_refused_and_nothing_is() {
    let mut world = World::on_ebs();
    world.start();
    world.create("v");
    for (option, word) in
        [("encrypted=true", "encrypted"), ("zone=us-east-1b", "zone"), ("iops=1", "iops")]
    {
        let error = world.hawser_fails(["volume", "set", "v", "-o", option]);
        assert!(error.contains(word), "{error}");
    }
    world.hawser(["volume", "set", "v", "-o", "attach=follow", "-o", "sticky=true"]);
    let spec = &world.inspect("v")["spec"];
    assert_eq!((&spec["backend"]["attach"], &spec["sticky"]), (&"follow".into(), &"yes".into()));
    assert_eq!(world.ec2().count("ModifyVolume"), 0);
    world.hawser(["volume", "set", "v", "-o", "sticky=false"]);
    world.remove("v");
    world.finish();
}

#[test]
fn a_snapshot_of_a_volume_in_use_has_what_was_written_and_becomes_a_volume() {
    let mut world = World::on_ebs();
    world.start();
    for fs in ["ext4", "xfs"] {
        let (name, copy) = (format!("v-{fs}"), format!("copy-{fs}"));
        let path = world.mount(&format!("name={name},fs={fs}"), "a");
        // Not synced: the freeze writes it out.
        fs::write(path.join("file"), fs).unwrap();

        let id = world.hawser(["snapshot", "create", &name, "--description", "before"]);
        let id = id.trim();
        fs::write(path.join("file"), "later").unwrap();
        let listed = world.hawser(["snapshot", "ls", &name]);
        assert!(listed.contains(id) && listed.contains(&name), "{listed}");

        // Both are mounted at once, with file systems that were one.
        let restored = world.mount(&format!("name={copy},size=2GiB,snapshot={id}"), "b");
        assert_eq!(fs::read_to_string(restored.join("file")).unwrap(), fs);
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "later");
        assert_eq!(world.inspect(&copy)["spec"]["fs"], fs);
        world.crash();
        assert_eq!(world.mount(&copy, "b"), restored, "it is recognised again");
        world.unmount(&copy, "b");
        world.unmount(&copy, "b");
        assert_eq!(world.data_of(&copy), fs);

        world.hawser(["snapshot", "rm", "--yes", id]);
        world.unmount(&name, "a");
        world.remove(&name);
        world.remove(&copy);
    }
    assert!(world.ec2().snapshots().is_empty());
    world.finish();
}

#[test]
fn a_volume_of_rex_rays_is_taken_over_with_its_data() {
    let mut world = World::on_ebs();
    world.start();
    let content = world.foreign_disk("data", "precious");
    let vol = world.ec2().add_volume(&[("Name", "prod/pgdata")], 1, &content).unwrap();
    world.ec2().add_volume(&[("Name", "other")], 1, &content).unwrap();
    assert!(world.cli(["volume", "inspect", "pgdata"]).status.code() == Some(1), "not by itself");

    let listed = world.hawser(["volume", "import", "--list"]);
    assert!(listed.contains(&vol) && listed.contains("REX-Ray"), "{listed}");
    world.hawser_fails(["volume", "import", &vol]);
    world.hawser(["volume", "import", &vol, "--yes", "--name", "pgdata"]);

    assert_eq!(world.data_of("pgdata"), "precious");
    let error = world.hawser_fails(["volume", "import", &vol, "--yes", "--name", "again"]);
    assert!(error.contains("pgdata"), "{error}");
    assert!(!world.hawser(["volume", "import", "--list"]).contains(&vol));
    world.crash();
    assert_eq!(world.data_of("pgdata"), "precious");
    world.remove("pgdata");
    until("it is deleted", || world.ec2().volume(&vol).is_none());
    assert_eq!(world.ec2().volumes().len(), 1, "the other one is nobody's here");
}

#[test]
fn a_volume_whose_data_lies_at_the_top_is_taken_over_whole() {
    let mut world = World::on_ebs();
    world.start();
    let content = world.foreign_disk(".", "precious");
    let vol = world.ec2().add_volume(&[("CloudstorVolumeName", "web")], 1, &content).unwrap();

    world.hawser(["volume", "import", &vol, "--yes"]);

    assert_eq!(world.data_of("web"), "precious");
    world.remove("web");
    world.finish();
}

#[test]
fn records_are_rebuilt_from_the_tags_after_the_store_was_lost() {
    let mut world = World::on_ebs();
    world.start();
    for attach in ["follow", "stay"] {
        let name = format!("v-{attach}");
        let spec = format!("name={name},size=2GiB,fs=xfs,attach={attach},label.team=web");
        world.with_data(&spec, "precious");
        world.until_unmounted(&name);
        let (before, vol) = (world.inspect(&name), world.vol(&name));
        world.stop();
        fs::remove_dir_all(world.path("state")).unwrap();
        world.start();
        assert!(world.hawser(["volume", "import", "--list"]).contains(&vol));

        world.hawser(["volume", "import", &vol, "--yes"]);

        let after = world.inspect(&name);
        assert_eq!((&after["id"], &after["spec"]), (&before["id"], &before["spec"]));
        assert_eq!(world.data_of(&name), "precious");
        world.remove(&name);
    }
    world.finish();
}

/// A store that is lost under running tasks: what they use is not taken from them.
#[test]
fn a_volume_that_is_mounted_is_not_taken_over() {
    let mut world = World::on_ebs();
    world.start();
    world.mount("name=v,size=1GiB", "a");
    let vol = world.vol("v");
    world.kill9();
    fs::remove_dir_all(world.path("state")).unwrap();
    world.start();

    let error = world.hawser_fails(["volume", "import", &vol, "--yes"]);

    assert!(error.contains("mounted or open"), "{error}");
    for mount in world.mounts().iter().rev() {
        run("umount", [mount.to_str().unwrap()]);
    }
    world.hawser(["volume", "import", &vol, "--yes"]);
    world.mount("v", "b");
    world.unmount("v", "b");
    world.remove("v");
    world.finish();
}
