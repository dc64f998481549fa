//! Volumes through Docker: created, listed, looked at, removed.
//!
//! moby: Named, DeleteContainer, BindExternalVolume, List, Get, OutOfBandDelete, and Compose's create.

use crate::harness::World;

#[test]
fn an_inline_spec_creates_its_volume_at_the_first_run() {
    let world = World::new();

    let free = world.sh("size=64MiB,name=inline", "touch /data/kept; df -m /data | tail -1");

    assert!(free.contains("/dev/loop"), "not a device of its own: {free}");
    assert_eq!(world.sh("inline", "ls /data"), "kept", "its short name is another volume");
    world.finish();
}

#[test]
fn a_named_volume_keeps_its_data_between_containers() {
    let world = World::new();
    world.create_volume(&["--opt", "size=64MiB", "named"]);

    world.sh("named", "echo one > /data/file; chown 7 /data/file");

    assert_eq!(world.sh("named", "cat /data/file; stat -c %u /data/file"), "one\n7");
    world.finish();
}

#[test]
fn a_new_volume_is_empty_even_of_lost_and_found() {
    let world = World::new();

    assert_eq!(world.sh("empty", "ls -A /data"), "");

    world.finish();
}

#[test]
fn compose_creates_with_driver_options_before_it_creates_the_container() {
    let world = World::new();
    let labels = ["--label", "com.docker.compose.project=shop", "--opt", "size=400MiB"];

    world.create_volume(&[&labels[..], &["--opt", "fs=xfs", "shop_db"]].concat());
    world.create_volume(&[&labels[..], &["--opt", "fs=xfs", "shop_db"]].concat());

    assert_eq!(world.sh("shop_db", "grep ' /data ' /proc/mounts | cut -d' ' -f3"), "xfs");
    assert_eq!(world.inspect("shop_db", "Labels")["com.docker.compose.project"], "shop");
    world.finish();
}

#[test]
fn a_mount_flag_names_driver_and_options() {
    let world = World::new();
    let mount = format!(
        "type=volume,source=flagged,target=/data,volume-driver={},volume-opt=size=64MiB",
        world.hawser.driver
    );

    world.engine.run_ok(&[
        "run",
        "--rm",
        "--network=none",
        "--mount",
        &mount,
        "busybox",
        "touch",
        "/data/x",
    ]);

    assert_eq!(world.volumes(), ["flagged"]);
    world.finish();
}

#[test]
fn all_volumes_are_listed_under_their_short_names() {
    let world = World::new();
    world.create_volume(&["one"]);
    world.create_volume(&["--opt", "size=32MiB", "two"]);
    world.create_volume(&["size=48MiB,name=three"]);

    let (status, answer) = world.hawser.call("VolumeDriver.List", "{}");

    assert_eq!(status, 200, "{answer}");
    let mut names: Vec<_> =
        answer["Volumes"].as_array().unwrap().iter().map(|v| v["Name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["one", "three", "two"]);
    world.finish();
}

#[test]
fn inspect_shows_what_the_volume_is_and_who_holds_it() {
    let world = World::new();
    world.create_volume(&["--opt", "size=64MiB", "seen"]);
    world.start("holder", "seen", "sleep 1000");

    let status = world.inspect("seen", "Status");

    for key in ["size", "used", "backend", "fs", "holders", "state"] {
        assert!(!status[key].is_null(), "no {key} in {status}");
    }
    assert_eq!(world.inspect("seen", "Scope"), "global");
    assert!(world.inspect("seen", "CreatedAt").as_str().unwrap().starts_with("20"));
    world.finish();
}

#[test]
fn an_unknown_volume_is_not_found() {
    let world = World::new();

    let (status, answer) = world.hawser.call("VolumeDriver.Get", r#"{"Name":"nowhere"}"#);

    assert_eq!(status, 500);
    assert!(answer["Err"].as_str().unwrap().contains("nowhere"), "{answer}");
    world.finish();
}

#[test]
fn deleting_a_container_keeps_a_named_volume() {
    let world = World::new();
    world.start("gone", "kept", "echo data > /data/file; sleep 1000");
    world.engine.run_ok(&["rm", "--force", "--volumes", "gone"]);

    assert_eq!(world.volumes(), ["kept"]);
    assert_eq!(world.sh("kept", "cat /data/file"), "data");
    world.finish();
}

#[test]
fn a_volume_in_use_is_not_removed() {
    let world = World::new();
    world.start("user", "used", "sleep 1000");

    let refusal = world.engine.run_err(&["volume", "rm", "used"]);
    let (status, answer) = world.hawser.call("VolumeDriver.Remove", r#"{"Name":"used"}"#);

    assert!(refusal.contains("in use"), "{refusal}");
    assert_eq!(status, 500, "hawser itself removed it: {answer}");
    assert_eq!(world.exec("user", "touch /data/still; ls /data"), "still");
    world.finish();
}

#[test]
fn a_removed_volume_takes_its_image_along_and_frees_its_name() {
    let world = World::new();
    world.create_volume(&["--opt", "size=64MiB", "again"]);
    world.sh("again", "touch /data/old");
    world.engine.run_ok(&["volume", "rm", "again"]);
    world.hawser.assert_clean();

    world.create_volume(&["--opt", "size=32MiB", "again"]);

    assert_eq!(world.sh("again", "ls /data"), "");
    world.finish();
}

#[test]
fn removal_does_not_wait_for_the_linger() {
    let world = World::with(crate::harness::LiveRestore::No, &["volumes.linger=1h"]);
    world.sh("lingers", "touch /data/x");
    assert!(world.hawser.is_published("lingers"), "it did not linger");

    world.engine.run_ok(&["volume", "rm", "lingers"]);

    world.hawser.assert_clean();
    world.finish();
}

#[test]
fn a_volume_deleted_behind_dockers_back_can_be_made_again() {
    let world = World::new();
    world.create_volume(&["--opt", "size=64MiB", "oob"]);
    world.hawser.cli(&["volume", "rm", "--yes", "oob"]).ok();

    world.engine.docker(&["volume", "rm", "--force", "oob"]).ok();
    world.create_volume(&["--opt", "size=32MiB", "oob"]);

    assert_eq!(world.sh("oob", "ls /data"), "");
    world.finish();
}

#[test]
fn two_spellings_are_one_volume() {
    let world = World::new();
    world.start("first", "size=64MiB,name=same", "echo here > /data/file; sleep 1000");
    world.start("second", "same,size=64MiB", "sleep 1000");
    world.start("third", "same", "sleep 1000");

    assert_eq!(world.exec("second", "cat /data/file"), "here");
    world.engine.run_ok(&["rm", "--force", "first", "second"]);
    assert_eq!(world.exec("third", "cat /data/file; touch /data/new"), "here");
    world.finish();
}
