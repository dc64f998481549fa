//! One volume's life on one node.

use std::fs;

use serde_json::json;

use crate::harness::{World, until};

#[test]
fn a_volume_is_a_directory_of_its_own_with_the_owner_that_was_asked_for() {
    use std::os::unix::fs::MetadataExt;
    let mut world = World::on_nfs();
    world.start();
    let options = json!({ "size": "1GiB", "uid": "999", "mode": "0750" });
    world.call("Create", &json!({ "Name": "pgdata", "Opts": options })).ok();

    let data = fs::metadata(world.on_export("pgdata/data")).unwrap();
    assert_eq!((data.uid(), data.mode() & 0o7777), (999, 0o750));
    let info = world.inspect("pgdata");
    assert_eq!(info["storage"], "fast:pgdata");
    assert_eq!(info["state"], "ready");
    let status = world.get("pgdata")["Status"].clone();
    assert_eq!((&status["backend"], &status["fs"]), (&json!("nfs"), &json!("nfs")), "{status}");
    let listed = world.hawser(["volume", "ls"]);
    assert!(listed.contains("pgdata") && listed.contains("nfs"), "{listed}");

    world.remove("pgdata");
    until("the directory is deleted", || world.exported().is_empty());
    world.finish();
}

#[test]
fn what_the_server_holds_is_asked_for_once_and_kept() {
    let mut world = World::on_nfs();
    world.start();
    world.create("name=team-a,path=team/a,size=1GiB");
    fs::write(world.on_export("team/a/data/file"), "precious").unwrap();
    world.crash();
    world.create("name=team-a,path=team/a,size=1GiB");
    assert_eq!(fs::read(world.on_export("team/a/data/file")).unwrap(), b"precious");

    let other = world.call("Create", &json!({ "Name": "name=team-a,path=team/b" })).err();
    assert!(other.contains("exists with path=team/a"), "{other}");
    world.remove("team-a");
    until("the directory is deleted", || world.names_on_export("team").is_empty());
}

/// A container's host path would be used in its place.
#[test]
fn where_it_cannot_be_mounted_nothing_takes_its_place() {
    let mut world = World::on_nfs();
    world.start();
    world.create("v");
    let stage = world.path("mnt/stage").join(world.inspect("v")["id"].as_str().unwrap());
    let client = fs::read_to_string("/proc/filesystems").unwrap().contains("nfs");

    let error = world.mount_fails("v", "a");

    // Ganesha shows the export to NFSv4 by another path, and NFSv3 would need a local rpcbind.
    let expected = if client { "mount" } else { "this kernel has no NFS client" };
    assert!(error.contains(expected), "{error}");
    assert!(!stage.exists() || fs::read_dir(&stage).unwrap().next().is_none());
    assert!(!world.path("mnt/volumes/v").exists(), "nothing was published");
    assert_eq!(world.holders("v"), [], "the reference is gone");
    world.unmount("v", "a");
    world.remove("v");
    world.finish();
}

#[test]
fn a_removed_volume_makes_room_for_the_next_of_its_name_and_comes_back() {
    let mut world = World::on_nfs();
    world.set("volumes.undelete", "1h").start();
    world.create("v");
    fs::write(world.on_export("v/data/file"), "old").unwrap();
    let id = world.inspect("v")["id"].as_str().unwrap().to_owned();
    world.remove("v");
    world.create("v");
    assert!(!world.on_export("v/data/file").exists(), "a new volume is empty");
    assert!(world.on_export(&format!(".hawser-removed/{id}/data/file")).exists());

    // Under another name it would still be at that path, which is taken.
    let refused = world.hawser_fails(["volume", "undelete", &id]);
    assert!(refused.contains("already"), "{refused}");
    world.remove("v");
    until("the second is out of the way", || world.exported().is_empty());
    world.crash();
    world.hawser(["volume", "undelete", &id]);
    until("it is back", || world.on_export("v/data/file").exists());
    assert_eq!(world.inspect("v")["state"], "ready");
    world.hawser(["volume", "rm", "--yes", "--now", "v"]);
    until("its directory is deleted", || world.exported().is_empty());
}

#[test]
fn what_a_directory_has_not_is_refused_with_the_reason() {
    let mut world = World::on_nfs();
    world.start();
    world.create("v");
    for command in ["fsck", "trim"] {
        let refused = world.hawser_fails(["volume", command, "v"]);
        assert!(refused.contains("no file system of its own"), "{command}: {refused}");
    }
    let refused = world.hawser_fails(["snapshot", "create", "v"]);
    assert!(refused.contains("snapshot"), "{refused}");
    for option in ["fs=xfs", "mkfs_options=-m;1", "export=slow", "server=filer", "path=../etc"] {
        let name = format!("name=w,{option}");
        world.call("Create", &json!({ "Name": name })).err();
    }
    assert_eq!(world.exported(), ["v"]);
    world.hawser(["volume", "grow", "v", "1GiB"]);
    assert_eq!(world.inspect("v")["spec"]["size"], 1_u64 << 30);
    let refused = world.hawser_fails(["volume", "grow", "v", "1000TiB"]);
    assert!(refused.contains("is free on"), "{refused}");
    until("the grow is over", || world.inspect("v")["growing_to_bytes"].is_null());
    assert_eq!(world.inspect("v")["spec"]["size"], 1_u64 << 30, "as before");
}

#[test]
fn a_directory_that_is_not_hawsers_is_left_alone_and_can_be_imported() {
    let mut world = World::on_nfs();
    world.start();
    fs::create_dir(world.on_export("photos")).unwrap();
    fs::write(world.on_export("photos/file"), "precious").unwrap();
    let refused = world.call("Create", &json!({ "Name": "photos" })).err();
    assert!(refused.contains("hawser did not make it") && refused.contains("import"), "{refused}");
    assert!(world.call("Get", &json!({ "Name": "photos" })).err().contains("no volume"));
    assert!(world.on_export("photos/file").exists());

    world.hawser(["volume", "import", "fast:photos", "--yes"]);
    assert_eq!(world.inspect("photos")["storage"], "fast:photos");
    world.restart();
    assert_eq!(world.inspect("photos")["state"], "ready");
    assert!(world.on_export("photos/file").exists());
}

#[test]
fn a_lost_store_is_rebuilt_from_the_export() {
    let mut world = World::on_nfs();
    world.start();
    world.create("name=v,size=2GiB,label.team=web");
    let before = world.inspect("v");
    world.stop();
    fs::remove_dir_all(world.path("state")).unwrap();
    world.start();

    until("it is noticed", || world.logged(["this node has no records", "volumes=1"]) == 1);
    let listed = world.hawser(["volume", "import", "--list"]);
    assert!(listed.contains("fast:v") && listed.contains("hawser"), "{listed}");
    world.hawser(["volume", "import", "fast:v", "--yes"]);
    let after = world.inspect("v");
    for key in ["id", "spec", "storage"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    world.remove("v");
    until("the directory is deleted", || world.exported().is_empty());
}

#[test]
fn doctor_says_what_the_server_says() {
    let mut world = World::on_nfs();
    world.start();
    let said = String::from_utf8(world.cli(["doctor"]).stdout).unwrap();
    assert!(said.contains("answers, with") && said.contains("fast (127.0.0.1:/"), "{said}");
    world.filer().kill();
    let output = world.cli(["doctor"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("PROBLEM") && said.contains("cannot be reached"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}
