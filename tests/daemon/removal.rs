//! Removal, and the ways back from it.

use std::io::Write;

use serde_json::json;

use crate::harness::{World, is_mount_point, run, until};

#[test]
fn a_name_is_free_again_at_once_for_a_new_empty_volume() {
    let mut world = World::started();
    world.with_data("name=v,size=64MiB", "old");
    let old = world.inspect("v")["id"].clone();

    world.remove("v");
    let path = world.mount("name=v,size=64MiB", "a");

    assert_ne!(world.inspect("v")["id"], old);
    assert_eq!(std::fs::read_dir(path).unwrap().count(), 0);
    world.unmount("v", "a");
    world.remove("v");
    assert!(world.call("Get", &json!({ "Name": "v" })).err().contains("no volume"));
    world.finish();
}

#[test]
fn a_removed_volume_comes_back_with_its_data() {
    let mut world = World::new();
    world.set("volumes.undelete", "1h").start();
    world.with_data("name=v,size=64MiB", "precious");

    world.remove("v");
    assert_eq!(world.call("List", &json!({})).ok()["Volumes"], json!([]));
    let removed = world.hawser(["volume", "ls", "--removed"]);
    assert!(removed.contains('v') && removed.contains("in 59m"), "{removed}");
    world.crash();
    world.hawser(["volume", "undelete", "v"]);

    assert_eq!(world.data_of("v"), "precious");
    // The name may be in use again.
    world.remove("v");
    world.create("v");
    let error = world.hawser_fails(["volume", "undelete", "v"]);
    assert!(error.contains("already") && error.contains("--name NEW"), "{error}");
    world.hawser(["volume", "undelete", "v", "--name", "rescued"]);
    assert_eq!(world.data_of("rescued"), "precious");
    world.hawser(["volume", "rm", "--yes", "--now", "v", "rescued"]);
    world.finish();
}

/// The kernel's word is the only one that there is of such a user.
#[test]
fn what_a_process_of_the_host_has_open_stays_mounted_and_is_not_removed() {
    let mut world = World::new();
    world.set("volumes.linger", "0s").start();
    let path = world.mount("name=v,size=64MiB", "a");
    let stage = world.path("mnt/stage").join(world.inspect("v")["id"].as_str().unwrap());
    let mut open = std::fs::File::create(path.join("log")).unwrap();
    world.unmount("v", "a");

    until("the unmount is tried", || !world.inspect("v")["failure"].is_null());
    let refused = world.remove_fails("v");
    assert!(refused.contains("busy"), "{refused}");
    assert!(is_mount_point(&path) && is_mount_point(&stage), "it is in use");
    open.write_all(b"and goes on").unwrap();

    drop(open);
    until("it is unmounted", || !is_mount_point(&stage));
    world.remove("v");
    world.finish();
}

#[test]
fn of_two_removed_volumes_with_one_name_an_id_tells_which() {
    let mut world = World::new();
    world.set("volumes.undelete", "1h").start();
    let mut ids = Vec::new();
    for text in ["one", "two"] {
        world.with_data("name=v,size=64MiB", text);
        ids.push(world.inspect("v")["id"].as_str().unwrap().to_owned());
        world.remove("v");
    }

    let error = world.hawser_fails(["volume", "undelete", "v"]);
    assert!(ids.iter().all(|id| error.contains(id)), "{error}");
    world.hawser(["volume", "undelete", &ids[0]]);
    assert_eq!(world.data_of("v"), "one");
    let error = world.hawser_fails(["volume", "purge", "--yes", "nothing", &ids[1]]);
    assert!(error.contains("no removed volume `nothing`"), "{error}");
    let error = world.hawser_fails(["volume", "undelete", &ids[1]]);
    assert!(error.contains("no removed volume"), "{error}");

    world.hawser(["volume", "rm", "--yes", "--now", "v"]);
    world.finish();
}

#[test]
fn what_cannot_be_deleted_says_why() {
    let mut world = World::started();
    world.create("v");
    let image = world.images().remove(0);
    run("chattr", ["+i", image.to_str().unwrap()]);

    world.hawser(["volume", "rm", "--yes", "--now", "v"]);
    let listed = || world.hawser(["volume", "ls", "--removed"]);
    until("it is tried", || listed().contains("v: "));
    let doctor = String::from_utf8(world.cli(["doctor"]).stdout).unwrap();
    run("chattr", ["-i", image.to_str().unwrap()]);

    let said = |line: &str| line.contains("v: it was removed, and is not deleted yet");
    assert!(doctor.lines().any(|line| line.starts_with("PROBLEM") && said(line)), "{doctor}");
    assert!(doctor.contains("with 0 volumes, and 1 removed ones"), "{doctor}");
    until("it is deleted", || !listed().contains("v "));
    world.finish();
}

#[test]
fn the_undelete_window_ends_by_itself_also_when_the_daemon_was_down() {
    let mut world = World::new();
    world.set("volumes.undelete", "1s").start();
    world.with_data("name=v,size=64MiB", "x");
    world.with_data("name=w,size=64MiB", "x");

    world.remove("v");
    until("v is deleted", || world.images().len() == 1);
    world.remove("w");
    world.stop();
    assert_eq!(world.images().len(), 1);
    world.start();

    world.finish();
}

#[test]
fn a_retained_volume_is_deleted_only_by_a_purge() {
    let mut world = World::started();
    world.with_data("name=v,size=64MiB,on_remove=retain", "precious");

    world.remove("v");
    world.restart();

    let removed = world.hawser(["volume", "ls", "--removed"]);
    assert!(removed.contains("never (retained)"), "{removed}");
    world.hawser(["volume", "undelete", "v"]);
    assert_eq!(world.data_of("v"), "precious");
    world.remove("v");
    world.hawser(["volume", "purge", "--yes", "v"]);
    world.finish();
}

#[test]
fn the_plan_of_a_removal_says_what_becomes_of_each_volumes_data() {
    let mut world = World::started();
    world.create("name=kept,size=64MiB,on_remove=retain");
    world.create("gone");

    let plan = world.hawser_fails(["volume", "rm", "--now", "kept", "gone"]);

    let says = |name: &str, what: &str| {
        plan.lines().any(|line| line.contains(&format!("volume {name} is")) && line.contains(what))
    };
    assert!(says("kept", "retain") && says("gone", "deleted NOW"), "{plan}");
    world.hawser(["volume", "rm", "--now", "--yes", "kept", "gone"]);
    until("the image of one is deleted", || world.images().len() == 1);
    assert!(world.hawser(["volume", "ls", "--removed"]).contains("never (retained)"));
    world.hawser(["volume", "purge", "--yes", "kept"]);
    world.finish();
}

#[test]
fn destruction_asks_or_needs_yes() {
    let mut world = World::started();
    world.create("v");

    let error = world.hawser_fails(["volume", "rm", "v"]);
    assert!(error.contains("--yes"), "{error}");
    assert_eq!(world.get("v")["Name"], "v");
    let error = world.hawser_fails(["volume", "rm", "--yes", "typo"]);
    assert!(error.contains("no volume `typo`"), "{error}");

    world.remove("v");
    world.finish();
}

#[test]
fn a_sticky_volume_is_not_removed_until_that_is_changed() {
    let mut world = World::started();
    world.create("name=v,size=64MiB,sticky=true");

    let error = world.remove_fails("v");
    assert!(error.contains("sticky=false"), "{error}");
    let error = world.hawser_fails(["volume", "rm", "--yes", "--now", "v"]);
    assert!(error.contains("sticky=false"), "{error}");
    world.hawser(["volume", "set", "v", "-o", "sticky=false"]);

    world.remove("v");
    world.finish();
}

#[test]
fn a_renamed_volume_keeps_its_data_and_its_old_name_is_free() {
    let mut world = World::started();
    world.with_data("name=v,size=64MiB", "precious");
    world.create("name=taken,size=64MiB");

    let error = world.hawser_fails(["volume", "rename", "v", "taken"]);
    assert!(error.contains("taken"), "{error}");
    let error = world.hawser_fails(["volume", "rename", "v", "not/a/name"]);
    assert!(error.contains("not a volume name"), "{error}");
    world.hawser(["volume", "rename", "v", "w"]);
    assert!(world.call("Get", &json!({ "Name": "v" })).err().contains("no volume"));
    world.crash();
    assert_eq!(world.data_of("w"), "precious");
    world.create("v");

    for name in ["v", "w", "taken"] {
        world.remove(name);
    }
    world.finish();
}

#[test]
fn what_can_be_changed_is_changed_and_the_rest_is_refused() {
    let mut world = World::started();
    world.create("name=v,size=64MiB,label.tier=test");

    let options = ["-o", "mount_options=noatime", "-o", "on_remove=retain", "-o", "label.a=b"];
    let [a, b, c, d, e, f] = options;
    world.hawser(["volume", "set", "v", a, b, c, d, e, f]);
    let spec = world.inspect("v")["spec"].clone();
    assert_eq!(spec["labels"], json!({ "a": "b", "tier": "test" }));
    let path = world.mount("v", "a");
    let table = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let path = path.to_str().unwrap();
    assert!(table.lines().any(|line| line.contains(path) && line.contains("noatime")), "{table}");
    let said = world.hawser(["volume", "set", "v", "-o", "mount_options=nodiratime"]);
    assert!(said.contains("when it is next mounted"), "{said}");
    assert_eq!(world.hawser(["volume", "set", "v", "-o", "label.a=c"]), "");
    world.unmount("v", "a");

    for fixed in ["size=128MiB", "fs=xfs", "uid=7", "sise=1"] {
        let output = world.cli(["volume", "set", "v", "-o", fixed]);
        assert!(!output.status.success(), "{fixed}");
    }
    world.hawser(["volume", "set", "v", "-o", "on_remove=delete"]);
    world.remove("v");
    world.finish();
}
