//! The size is enforced, room is admitted with numbers, and volumes grow.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::json;

use crate::harness::{World, run, until};

const MIB: u64 = 1 << 20;

fn has_sys_resource() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap() & (1 << 24) != 0
}

fn total(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).unwrap();
    stat.f_blocks * stat.f_frsize
}

/// Fills a file until it is refused; how much went in.
fn fill(path: &Path) -> (u64, ErrorKind) {
    let mut file = File::create(path.join("fill")).unwrap();
    let (block, mut written) = (vec![7_u8; 1 << 20], 0);
    loop {
        match file.write_all(&block).and_then(|()| file.sync_data()) {
            Ok(()) => written += MIB,
            Err(error) => return (written, error.kind()),
        }
        assert!(written < 1 << 30, "nothing stops it");
    }
}

#[test]
fn a_task_that_fills_its_volume_gets_enospc_and_takes_nothing_else() {
    let mut world = World::started();
    world.mount("name=v,size=64MiB", "a");
    world.mount("name=neighbour,size=64MiB", "a");
    let images = world.images();
    let taken = |image: &Path| std::os::unix::fs::MetadataExt::blocks(&image.metadata().unwrap());
    let before: Vec<_> = images.iter().map(|image| taken(image)).collect();

    let (written, error) = fill(&world.path("mnt/volumes/v"));

    assert_eq!(error, ErrorKind::StorageFull);
    assert!((32 * MIB..64 * MIB).contains(&written), "{written}");
    let after: Vec<_> = images.iter().map(|image| taken(image)).collect();
    assert_eq!(before, after, "a thick volume had its space already");
    assert!(images.iter().all(|image| image.metadata().unwrap().len() == 64 * MIB));
    assert!(before.iter().all(|blocks| *blocks * 512 >= 64 * MIB));
    fs::write(world.path("mnt/volumes/neighbour/file"), vec![1; 1 << 20]).unwrap();
    world.unmount("v", "a");
    world.unmount("neighbour", "a");
    world.remove("v");
    world.remove("neighbour");
    world.finish();
}

#[test]
fn a_thick_volume_that_does_not_fit_is_refused_with_the_numbers() {
    let mut world = World::started();

    let error = world.call("Create", &json!({ "Name": "v", "Opts": { "size": "900TiB" } })).err();

    for part in ["900TiB", "free", "16MiB", "are kept"] {
        assert!(error.contains(part), "no {part}: {error}");
    }
    assert!(world.call("Get", &json!({ "Name": "v" })).err().contains("no volume"));
    world.finish();
}

#[test]
fn thin_volumes_promise_no_more_than_the_ratio_allows() {
    let mut world = World::new();
    world.small_disk("images", 600);
    world.set("backends.local.overcommit", "2.0").start();

    world.create("name=a,size=800MiB,provision=thin");
    let error = world.call("Create", &json!({ "Name": "name=b,size=800MiB,provision=thin" })).err();
    assert!(error.contains("overcommit") && error.contains("2 times"), "{error}");
    let error = world.hawser_fails(["volume", "grow", "a", "2GiB"]);
    assert!(error.contains("overcommit"), "{error}");
    world.create("name=b,size=200MiB,provision=thin");

    assert_eq!(world.inspect("a")["spec"]["size"], json!(800 * MIB));
    world.remove("a");
    world.remove("b");
    world.finish();
}

#[test]
fn a_grow_that_does_not_fit_leaves_the_old_size() {
    let mut world = World::started();
    world.with_data("name=v,size=64MiB", "precious");

    let error = world.hawser_fails(["volume", "grow", "v", "900TiB"]);

    assert!(error.contains("are kept"), "{error}");
    assert_eq!(world.inspect("v")["spec"]["size"], json!(64 * MIB));
    assert!(world.inspect("v")["growing_to_bytes"].is_null());
    assert_eq!(world.images()[0].metadata().unwrap().len(), 64 * MIB);
    assert_eq!(world.data_of("v"), "precious");
    world.remove("v");
    world.finish();
}

#[test]
fn shrinking_is_refused_and_growing_to_the_present_size_is_fine() {
    let mut world = World::started();
    world.create("name=v,size=128MiB");

    let error = world.hawser_fails(["volume", "grow", "v", "64MiB"]);
    assert!(error.contains("128MiB") && error.contains("cannot shrink to 64MiB"), "{error}");
    world.hawser(["volume", "grow", "v", "128MiB"]);
    let error = world.hawser_fails(["volume", "grow", "v", "much"]);
    assert!(error.contains("much"), "{error}");

    world.remove("v");
    world.finish();
}

#[test]
fn xfs_grows_under_a_writer_and_stays_grown() {
    let mut world = World::started();
    let path = world.mount("name=v,size=300MiB,fs=xfs,provision=thin", "task");
    let before = total(&path);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (stop, file) = (Arc::clone(&stop), path.join("file"));
        thread::spawn(move || {
            let mut file = File::create(file).unwrap();
            while !stop.load(Ordering::SeqCst) {
                file.write_all(b"line\n").unwrap();
                file.sync_data().unwrap();
            }
        })
    };

    let said = world.hawser(["volume", "grow", "v", "500MiB"]);

    assert!(said.contains("now"), "{said}");
    assert!(total(&path) >= before + 190 * MIB, "{before} {}", total(&path));
    world.crash();
    stop.store(true, Ordering::SeqCst);
    writer.join().unwrap();
    assert_eq!(world.inspect("v")["spec"]["size"], json!(500 * MIB));
    world.unmount("v", "task");
    world.until_released("v");
    assert!(total(&world.mount("v", "task")) >= before + 190 * MIB);
    world.unmount("v", "task");
    world.remove("v");
    world.finish();
}

#[test]
fn ext4_grows_online_with_the_capability_and_else_at_the_next_mount() {
    let mut world = World::started();
    let path = world.mount("name=v,size=64MiB", "task");
    fs::write(path.join("file"), "precious").unwrap();
    let before = total(&path);

    let said = world.hawser(["volume", "grow", "v", "128MiB"]);

    if has_sys_resource() {
        assert!(said.contains("now"), "{said}");
        assert!(total(&path) > before + 48 * MIB);
    } else {
        assert!(said.contains("next mounted"), "{said}");
        assert_eq!(total(&path), before);
        assert_eq!(world.inspect("v")["grows_at_next_mount"], json!(true));
        // It survives a restart, and a second grow on top of it.
        world.crash();
        world.hawser(["volume", "grow", "v", "192MiB"]);
        assert_eq!(total(&path), before);
    }
    world.unmount("v", "task");
    world.until_released("v");
    let path = world.mount("v", "task");
    assert!(total(&path) > before + 48 * MIB, "{} {before}", total(&path));
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "precious");
    assert_eq!(world.inspect("v")["grows_at_next_mount"], json!(false));
    world.unmount("v", "task");
    world.remove("v");
    world.finish();
}

#[test]
fn trim_gives_a_thin_volumes_blocks_back_and_says_why_a_thick_one_keeps_them() {
    let mut world = World::started();
    let path = world.mount("name=thin,size=128MiB,provision=thin", "a");
    fs::write(path.join("file"), vec![7; 64 << 20]).unwrap();
    run("sync", ["-f", path.to_str().unwrap()]);
    let taken = || std::os::unix::fs::MetadataExt::blocks(&world.images()[0].metadata().unwrap());
    let full = taken();
    fs::remove_file(path.join("file")).unwrap();
    run("sync", ["-f", path.to_str().unwrap()]);

    let said = world.hawser(["volume", "trim", "thin"]);

    assert!(said.contains("thin gave"), "{said}");
    until("the blocks are back", || taken() + (48 << 11) < full);
    world.unmount("thin", "a");
    world.remove("thin");

    world.create("name=v,size=64MiB");
    let error = world.hawser_fails(["volume", "trim", "v"]);
    assert!(error.contains("only thin volumes are trimmed"), "{error}");
    world.remove("v");
    world.finish();
}
