//! The daemon ends, by kill -9 or in order, while volumes are in use.

use std::{
    fs::{self, File},
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use serde_json::json;

use crate::harness::{World, is_mount_point, run, until};

#[test]
fn a_writer_does_not_notice_that_the_daemon_is_killed_and_started_again() {
    let mut world = World::started();
    world.create("v");
    let path = world.mount("v", "task");
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = {
        let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
        thread::spawn(move || {
            let mut file = File::create(path.join("file")).unwrap();
            while !stop.load(Ordering::SeqCst) {
                // Also by name, as a task that opens its files anew.
                fs::metadata(path.join("file")).unwrap();
                writeln!(file, "line").unwrap();
                file.sync_data().unwrap();
                written.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    let progress = |what| {
        let before = written.load(Ordering::SeqCst);
        until(what, || written.load(Ordering::SeqCst) > before || writer.is_finished());
    };

    for _ in 0..3 {
        progress("the writer writes");
        world.kill9();
        progress("the writer writes without a daemon");
        world.start();
        world.restart();
    }

    assert_eq!(world.holders("v"), [("task".into(), 1)]);
    assert_eq!((world.mounts().len(), world.loops().len()), (2, 1), "adopted, not mounted again");
    stop.store(true, Ordering::SeqCst);
    writer.join().unwrap();
    world.unmount("v", "task");
    world.remove("v");
    world.finish();
}

#[test]
fn get_answers_definitely_from_the_first_moment_after_a_restart() {
    let mut world = World::started();
    for number in 0..20 {
        world.create(&format!("v{number}"));
    }
    world.mount("v0", "a");

    world.crash();

    for number in 0..20 {
        world.get(&format!("v{number}"));
    }
    assert!(world.call("Get", &json!({ "Name": "other" })).err().contains("no volume"));
    world.unmount("v0", "a");
    for number in 0..20 {
        world.remove(&format!("v{number}"));
    }
    world.finish();
}

#[test]
fn a_volume_that_is_held_is_mounted_again_after_a_power_cut() {
    let mut world = World::started();
    world.with_data("name=v,size=64MiB", "precious");
    let path = world.mount("v", "task");
    world.kill9();
    world.undo_mounts();
    assert!(!is_mount_point(&path));

    world.start();

    until("it is mounted again", || path.join("file").exists());
    assert_eq!(world.data_of("v"), "precious");
    world.unmount("v", "task");
    world.remove("v");
    world.finish();
}

#[test]
fn a_publish_directory_cannot_be_written_to_while_nothing_is_mounted_on_it() {
    let mut world = World::started();
    world.create("v");
    let path = world.mount("v", "task");
    fs::write(path.join("file"), "x").unwrap();
    world.kill9();
    rustix::mount::unmount(&path, rustix::mount::UnmountFlags::NOFOLLOW).unwrap();

    let error = File::create(path.join("file")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{error}");
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);

    world.start();
    until("it is mounted again", || path.join("file").exists());
    world.unmount("v", "task");
    world.remove("v");
    world.finish();
}

#[test]
fn a_mount_that_somebody_undid_is_made_again_at_the_next_mount() {
    let mut world = World::started();
    world.create("v");
    let path = world.mount("v", "a");
    fs::write(path.join("file"), "x").unwrap();
    rustix::mount::unmount(&path, rustix::mount::UnmountFlags::NOFOLLOW).unwrap();

    assert_eq!(world.mount("v", "b"), path);

    assert!(path.join("file").exists());
    world.unmount("v", "a");
    world.unmount("v", "b");
    world.remove("v");
    world.finish();
}

#[test]
fn a_foreign_mount_on_the_published_path_is_not_touched() {
    let mut world = World::started();
    world.create("v");
    let path = world.path("mnt/volumes/v");
    fs::create_dir(&path).unwrap();
    run("mount", ["-t", "tmpfs", "foreign", path.to_str().unwrap()]);

    let error = world.mount_fails("v", "a");

    assert!(error.contains("foreign") || error.contains("taken by a mount"), "{error}");
    assert!(is_mount_point(&path));
    run("umount", [path.to_str().unwrap()]);
    world.mount("v", "a");
    world.unmount("v", "a");
    world.remove("v");
    world.finish();
}
