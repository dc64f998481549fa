//! What a user writes wrongly, and what Docker shows of it.
//!
//! moby: OptionConflict, UnmountOnMountFail.

use crate::harness::World;

#[test]
fn a_second_create_with_another_size_names_the_field() {
    let world = World::new();
    world.create_volume(&["--opt", "size=64MiB", "fixed"]);

    let (status, answer) =
        world.hawser.call("VolumeDriver.Create", r#"{"Name":"fixed","Opts":{"size":"128MiB"}}"#);

    assert_eq!(status, 500);
    let error = answer["Err"].as_str().unwrap();
    assert!(error.contains("size") && error.contains("grow"), "{error}");
    world.finish();
}

#[test]
fn a_mount_under_another_spec_is_refused_with_the_field() {
    let world = World::new();
    world.create_volume(&["--opt", "size=64MiB", "--opt", "fs=ext4", "fixed"]);

    let error = world.try_sh("fs=xfs,name=fixed", "true").err();

    assert!(error.contains("fs"), "{error}");
    assert!(!world.hawser.is_published("fixed"));
    world.finish();
}

#[test]
fn an_unknown_option_is_refused_with_the_nearest() {
    let world = World::new();

    let by_option = world.create_volume_err(&["--opt", "sizee=1GiB", "typo"]);
    let by_name = world.try_sh("sizee=1GiB,name=typo", "true").err();

    for error in [by_option, by_name] {
        assert!(error.contains("sizee") && error.contains("`size`"), "{error}");
    }
    assert!(world.volumes().is_empty(), "{:?}", world.volumes());
    world.finish();
}

#[test]
fn a_known_option_that_cannot_be_honoured_is_refused() {
    let world = World::new();

    let error = world.create_volume_err(&["--opt", "passphrase=hunter2", "crypt"]);

    assert!(error.contains("passphrase"), "{error}");
    assert!(!error.contains("hunter2"), "the value is shown: {error}");
    world.finish();
}

#[test]
fn help_prints_the_table_of_keys_and_creates_nothing() {
    let world = World::new();

    for help in [["--opt", "help=1", "help"], ["--opt", "help", "x"]] {
        let table = world.create_volume_err(&help);
        for key in ["name", "size", "fs", "provision", "on_remove"] {
            assert!(table.contains(key), "no {key} in\n{table}");
        }
    }

    assert!(world.volumes().is_empty());
    world.finish();
}

#[test]
fn a_failed_mount_leaks_nothing_and_starts_no_container() {
    let world = World::new();

    let error = world.try_sh("size=1EiB,name=huge,provision=thick", "echo ran").err();

    assert!(!error.contains("ran"), "{error}");
    let none = world.engine.run_ok(&["ps", "--quiet"]);
    assert_eq!(none, "");
    world.engine.docker(&["volume", "rm", "--force", "size=1EiB,name=huge,provision=thick"]);
    world.hawser.assert_clean();
    world.finish();
}

#[test]
fn the_second_mount_of_a_container_failing_releases_the_first() {
    let world = World::new();
    let binds =
        ["run", "--rm", "-v", "good:/a", "-v", "size=nonsense,name=bad:/b", "busybox", "true"];

    world.engine.docker(&world.container(&binds)).err();

    world.hawser.wait_unpublished("good");
    world.finish();
}

#[test]
fn sizes_below_the_minimum_are_refused_with_the_minimum() {
    let world = World::new();

    let error = world.create_volume_err(&["--opt", "size=1MiB", "--opt", "fs=xfs", "small"]);

    assert!(error.contains("300MiB") || error.contains("300 MiB"), "{error}");
    world.finish();
}
