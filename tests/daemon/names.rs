//! One volume under many spellings, and specs that disagree with what exists.

use serde_json::json;

use crate::harness::World;

#[test]
fn the_same_volume_is_mounted_under_two_spellings() {
    let mut world = World::started();

    let first = world.mount("size=64MiB,name=v", "a");
    let second = world.mount("v", "b");
    let third = world.mount("name=v,fs=ext4", "b");

    assert!(first == second && second == third, "{first:?} {second:?} {third:?}");
    assert_eq!(world.holders("v"), [("a".into(), 1), ("b".into(), 2)]);
    assert_eq!(world.images().len(), 1);
    world.unmount("v,size=64MiB", "a");
    world.unmount("v", "b");
    world.unmount("name=v", "b");
    world.remove("size=64MiB,name=v");
    world.finish();
}

#[test]
fn an_unknown_plain_name_is_not_mounted_into_being() {
    let mut world = World::started();

    let error = world.mount_fails("typo", "a");

    assert!(error.contains("no volume `typo`"), "{error}");
    // Mesos unmounts what it never mounted.
    world.unmount("typo", "");
    world.finish();
}

#[test]
fn another_spec_is_refused_at_create_and_at_mount_naming_the_first_difference() {
    let mut world = World::started();
    world.create("name=v,size=64MiB,fs=ext4,uid=7");

    for (other, field) in [
        ("name=v,fs=xfs,size=64MiB", "fs=ext4"),
        ("name=v,uid=8", "uid=7"),
        ("name=v,gid=1", "gid"),
        ("name=v,label.a=b", "label.a"),
        ("name=v,provision=thin", "provision=thick"),
    ] {
        let created = world.call("Create", &json!({ "Name": other, "Opts": null })).err();
        let mounted = world.mount_fails(other, "a");
        for error in [created, mounted] {
            assert!(error.contains("`v`") && error.contains(field), "{other}: {error}");
        }
    }
    assert!(world.holders("v").is_empty(), "a refused Mount holds nothing");
    world.remove("v");
    world.finish();
}

/// Docker has a name that a Mount refused as a volume of its own, and counts no container of it: `docker
/// compose down -v` after an edit that was refused is to take nobody's data away.
#[test]
fn a_name_that_states_something_else_does_not_remove_the_volume() {
    let mut world = World::started();
    world.with_data("name=v,size=64MiB,fs=ext4", "precious");
    world.until_released("v");

    for (other, field) in [
        ("v,fs=xfs", "fs=ext4"),
        ("v,size=1GiB", "size=64MiB"),
        ("name=v,label.a=b", "label.a"),
        ("v,scale=2", "scale"),
    ] {
        let error = world.remove_fails(other);
        assert!(error.contains("remove v") && error.contains(field), "{other}: {error}");
        assert!(error.contains("nothing was removed"), "{other}: {error}");
        // Who reads the log finds which volume it is about.
        assert_eq!(world.logged(["refused", "VolumeDriver.Remove", other]), 1, "{other}");
    }

    assert_eq!(world.data_of("v"), "precious");
    // What agrees means it.
    world.remove("v,size=32MiB,fs=ext4");
    world.remove("v,fs=xfs");
    world.finish();
}

#[test]
fn a_larger_size_is_refused_with_the_way_to_grow_and_a_smaller_one_agrees() {
    let mut world = World::started();
    world.create("name=v,size=64MiB");

    let error = world.mount_fails("name=v,size=128MiB", "a");
    assert!(error.contains("hawser volume grow v 128MiB"), "{error}");
    world.hawser(["volume", "grow", "v", "128MiB"]);

    // The app still says what it said before the grow, or learned the new size.
    for name in ["name=v,size=64MiB", "name=v,size=128MiB", "v"] {
        world.mount(name, "a");
        world.unmount(name, "a");
    }
    world.create("name=v,size=64MiB");
    world.remove("v");
    world.finish();
}

#[test]
fn an_anonymous_volume_has_the_default_size_and_no_undelete_window() {
    let mut world = World::new();
    world.set("volumes.undelete", "24h").set("volumes.anonymous_size", "96MiB").start();
    let name = "0123456789abcdef".repeat(4);

    world.create(&name);
    world.mount(&name, "a");
    assert_eq!(world.get(&name)["Status"]["size"], "96MiB");
    world.unmount(&name, "a");
    world.remove(&name);
    // Nothing is kept of it, while a named volume is.
    world.finish();
}

#[test]
fn uid_gid_and_mode_are_set_at_the_first_format_only() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let mut world = World::started();
    let look = |path: &std::path::Path| {
        let metadata = path.metadata().unwrap();
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
    };

    let path = world.mount("name=v,size=64MiB,uid=999,gid=998,mode=2770", "a");
    assert_eq!(look(&path), (999, 998, 0o2770));
    std::os::unix::fs::chown(&path, Some(70), Some(71)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    world.unmount("v", "a");
    world.until_released("v");

    assert_eq!(look(&world.mount("name=v,uid=999,gid=998,mode=2770", "a")), (70, 71, 0o700));
    world.unmount("v", "a");
    world.remove("v");

    let plain = world.mount("name=w,size=64MiB", "a");
    assert_eq!(look(&plain), (0, 0, 0o755));
    assert_eq!(std::fs::read_dir(&plain).unwrap().count(), 0, "no lost+found");
    world.unmount("w", "a");
    world.remove("w");
    world.finish();
}
