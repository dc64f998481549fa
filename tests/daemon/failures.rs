//! What fails underneath: file systems, images, the disk of the state directory.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
};

use serde_json::json;

use crate::harness::{World, run, until};

/// `FS_IOC_SHUTDOWN` without a flush: as a device that went away.
fn shut_down(path: &Path) {
    use rustix::ioctl::{Setter, ioctl};
    let root = File::open(path).unwrap();
    #[expect(unsafe_code, reason = "ioctl")]
    // SAFETY: FS_IOC_SHUTDOWN reads one u32.
    unsafe {
        ioctl(&root, Setter::<0x8004_587D, u32>::new(2)).unwrap();
    }
}

/// An error as ext4 finds one: it stops all writes.
fn trigger_error(world: &World) {
    let device = world.loops()[0].file_name().unwrap().to_owned();
    let file = Path::new("/sys/fs/ext4").join(device).join("trigger_fs_error");
    fs::write(file, "test").unwrap();
}

#[track_caller]
fn fails_everywhere(fail: fn(&World), spec: &str) {
    let mut world = World::started();
    world.mount(spec, "task");

    fail(&world);

    until("it is seen", || world.get("v")["Status"]["state"] == "failed");
    let status = world.get("v")["Status"].clone();
    let failure = status["failure"].as_str().unwrap();
    assert!(failure.starts_with("its file system has failed: "), "{failure}");
    let listed = world.hawser(["volume", "ls"]);
    assert!(listed.contains("failed") && listed.contains(failure), "{listed}");
    assert_eq!(world.inspect("v")["state"], "failed");
    let doctor = world.cli(["doctor"]);
    assert_eq!(doctor.status.code(), Some(1), "{doctor:?}");
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.lines().any(|l| l.contains("PROBLEM") && l.contains("v:")), "{doctor}");
    let error = world.mount_fails("v", "another");
    assert!(error.contains("file system has failed") && error.contains("fsck"), "{error}");
    assert_eq!(world.holders("v"), [("task".into(), 1)]);

    // Let go of by all, it is mounted anew, and recovers.
    world.unmount("v", "task");
    world.until_released("v");
    world.hawser(["volume", "fsck", "--repair", "--yes", "v"]);
    let path = world.mount("v", "task");
    fs::write(path.join("file"), "x").unwrap();
    assert_eq!(world.get("v")["Status"]["state"], "mounted");
    world.unmount("v", "task");
    world.remove("v");
    world.finish();
}

#[test]
fn an_ext4_that_went_read_only_shows_as_failed_everywhere() {
    fails_everywhere(trigger_error, "name=v,size=64MiB");
}

#[test]
fn an_ext4_that_was_shut_down_shows_as_failed_everywhere() {
    fails_everywhere(|world| shut_down(&world.path("mnt/volumes/v")), "name=v,size=64MiB");
}

#[test]
fn a_check_finds_what_is_wrong_and_a_repair_mends_it() {
    let mut world = World::started();
    world.with_data("name=v,size=64MiB", "precious");
    world.until_released("v");
    let clean = world.hawser(["volume", "fsck", "v"]);
    assert!(clean.contains("is well"), "{clean}");
    // A count of links that is wrong, and safe to mend.
    let image = world.images().remove(0);
    run("debugfs", ["-w", "-R", "sif /data/file links_count 5", image.to_str().unwrap()]);

    let damaged = world.cli(["volume", "fsck", "v"]);
    assert_eq!(damaged.status.code(), Some(1), "{damaged:?}");
    assert!(String::from_utf8_lossy(&damaged.stdout).contains("--repair"), "{damaged:?}");
    let plan = world.hawser_fails(["volume", "fsck", "--repair", "v"]);
    assert!(plan.contains("repaired") && plan.contains("--yes"), "{plan}");
    assert!(!world.cli(["volume", "fsck", "v"]).status.success(), "it was repaired without a yes");
    world.hawser(["volume", "fsck", "--repair", "--yes", "v"]);
    world.hawser(["volume", "fsck", "v"]);

    assert_eq!(world.data_of("v"), "precious");
    let path = world.mount("v", "a");
    let error = world.hawser_fails(["volume", "fsck", "--repair", "--yes", "v"]);
    assert!(error.contains("in use"), "{error}");
    assert!(path.join("file").exists());
    world.unmount("v", "a");
    world.remove("v");
    world.finish();
}

#[test]
fn an_image_deleted_behind_its_back_is_reported_and_nothing_is_made_in_its_place() {
    let mut world = World::started();
    world.with_data("name=v,size=64MiB", "precious");
    world.until_released("v");
    let image = world.images().remove(0);
    let aside = world.path("aside");
    fs::rename(&image, &aside).unwrap();

    for _ in 0..2 {
        let error = world.mount_fails("v", "a");
        let known = ["storage is missing", "does not exist"];
        assert!(known.iter().any(|text| error.contains(text)), "{error}");
        assert!(world.images().is_empty());
        world.crash();
    }
    // Docker must not forget it, and it works again as soon as the image is back.
    assert_eq!(world.get("v")["Name"], "v");
    assert!(world.holders("v").is_empty());
    fs::rename(&aside, &image).unwrap();
    assert_eq!(world.data_of("v"), "precious");
    world.until_released("v");
    fs::remove_file(&image).unwrap();
    world.remove("v");
    world.finish();
}

#[test]
fn foreign_data_on_a_volume_that_was_never_formatted_is_not_formatted_over() {
    let mut world = World::started();
    world.create("name=v,size=64MiB");
    let image = world.images().remove(0);
    let foreign = b"something that is no file system";
    let file = File::options().read(true).write(true).open(&image).unwrap();
    file.write_all_at(foreign, 4096).unwrap();
    file.sync_all().unwrap();

    for _ in 0..2 {
        let error = world.mount_fails("v", "a");
        assert!(error.contains("not blank"), "{error}");
        world.crash();
    }

    let mut found = [0; 32];
    file.read_exact_at(&mut found, 4096).unwrap();
    assert_eq!(&found, foreign);
    drop(file);
    world.remove("v");
    world.finish();
}

#[test]
fn an_mkfs_that_fails_is_reported_with_its_own_words() {
    let mut world = World::started();

    let error = world.mount_fails("name=v,size=64MiB,mkfs_options=-N 4000000000", "a");

    assert!(error.contains("mkfs.ext4") && error.contains("inode"), "{error}");
    world.remove("v");
    world.finish();
}

#[test]
fn a_state_directory_that_is_read_only_is_said_and_the_records_are_not_blamed() {
    let mut world = World::new();
    world.small_disk("state", 64);
    world.start();
    world.create("v");
    world.stop();
    let state = world.path("state");
    let remount = |how| run("mount", ["-o", how, state.to_str().unwrap()]);

    remount("remount,ro,bind");
    let error = world.hawser_fails(["serve"]);
    let doctor = String::from_utf8(world.cli(["doctor"]).stdout).unwrap();
    remount("remount,rw,bind");

    assert!(error.contains("Read-only") && error.contains("can write to"), "{error}");
    assert!(!error.contains("backup") && !error.contains("without any volume"), "{error}");
    let said = |line: &&str| line.contains("state directory") && line.contains("cannot be written");
    assert!(doctor.lines().find(said).is_some_and(|l| l.starts_with("PROBLEM")), "{doctor}");
    world.start();
    world.remove("v");
    world.finish();
}

#[test]
fn a_full_disk_under_the_state_refuses_new_work_and_loses_nothing() {
    let mut world = World::new();
    world.small_disk("state", 64);
    world.start();
    world.with_data("name=v,size=64MiB", "precious");
    world.mount("v", "task");
    world.with_data("name=useless,size=64MiB", "");
    world.until_released("useless");
    let filler = world.path("state/filler");
    run("dd", ["if=/dev/zero", &format!("of={}", filler.display()), "bs=1M", "count=40"]);
    run("sync", []);

    let refused = world.call("Create", &json!({ "Name": "new", "Opts": null })).err();
    assert!(refused.contains("are kept for releasing volumes"), "{refused}");
    let refused = world.mount_fails("v", "another");
    assert!(refused.contains("free some space"), "{refused}");
    // What frees space is not refused.
    world.remove("useless");
    until("its image is gone", || world.images().len() == 1);
    assert_eq!(world.holders("v"), [("task".into(), 1)]);
    world.unmount("v", "task");
    assert!(world.holders("v").is_empty());
    world.until_released("v");
    world.crash();
    assert!(world.holders("v").is_empty(), "the release was stored");

    fs::remove_file(&filler).unwrap();
    assert_eq!(world.data_of("v"), "precious");
    world.create("new");
    world.remove("new");
    world.remove("v");
    world.finish();
}
