use super::{release::clear, *};
use crate::{
    spec::FsType,
    sys::{mount, testing},
};

fn id(disk: &testing::Disk) -> ImageId {
    identity(&disk.file).unwrap()
}

#[test]
fn an_attached_image_is_found_by_its_identity_and_gone_after_detach() {
    let world = testing::World::alone();
    let (path, image) = world.image("image", 64);
    assert!(find(&image).unwrap().is_none());

    let info = attach(&image, &path, Discards::AsTheyAre).unwrap();

    assert_eq!(info.backing, identity(&image).unwrap());
    assert_eq!(info.size, Bytes::mib(64));
    assert!(info.direct_io);
    // By any name, through any descriptor.
    std::fs::rename(&path, world.path("renamed")).unwrap();
    let again = File::open(world.path("renamed")).unwrap();
    assert_eq!(find(&again).unwrap().as_ref(), Some(&info));
    assert!(list().unwrap().contains(&info));

    detach(&info.device, info.backing).unwrap();
    assert!(find(&image).unwrap().is_none());
    // Once more is nothing; unless another process of this machine has taken the device meanwhile, which
    // is not touched then.
    if let Err(error) = detach(&info.device, info.backing) {
        assert_eq!(error.kind(), std::io::ErrorKind::StaleNetworkFileHandle, "{error}");
    }
}

#[test]
fn a_second_attach_is_the_same_device() {
    let world = testing::World::alone();
    let disk = world.disk(16);

    let again = attach(&disk.file, &disk.image, Discards::AsTheyAre).unwrap();

    assert_eq!(again.device, disk.device);
    assert_eq!(list_of(&disk.file).unwrap().len(), 1);
}

/// Of `losetup` by hand, or a backup.
#[test]
fn a_device_that_is_not_the_whole_image_to_be_written_is_refused_with_its_name() {
    let world = testing::World::alone();
    for (options, how) in [
        (["--read-only", "--read-only"], "read-only"),
        (["--offset", "4096"], "with an offset"),
        (["--sizelimit", "8192"], "with a size limit"),
    ] {
        let (path, image) = world.image(how, 16);
        let image_path = path.to_str().unwrap();
        testing::run("losetup", ["--find", options[0], options[1], image_path]);

        let found = list_of(&image).unwrap().pop().unwrap();
        let errors =
            [find(&image).unwrap_err(), attach(&image, &path, Discards::AsTheyAre).unwrap_err()];

        let name = found.device.path.to_str().unwrap();
        for error in errors.map(|error| error.to_string()) {
            assert!(
                error.contains(how) && error.contains(&format!("losetup -d {name}")),
                "{error}"
            );
        }
        assert!(find_again(&found).unwrap().is_none());
        detach(&found.device, found.backing).unwrap();
    }
}

#[test]
fn two_devices_on_one_image_are_refused_and_both_named() {
    let world = testing::World::alone();
    let disk = world.disk(16);
    testing::run("losetup", ["--find", disk.image.to_str().unwrap()]);

    let error = attach(&disk.file, &disk.image, Discards::AsTheyAre).unwrap_err();

    for info in list_of(&disk.file).unwrap() {
        assert!(error.to_string().contains(info.device.path.to_str().unwrap()), "{error}");
        detach(&info.device, info.backing).unwrap();
    }
    assert!(matches!(error, LoopError::Several(_)));
}

/// What was remembered of a device is not what it is now.
#[test]
fn a_device_that_is_bound_to_another_image_is_neither_believed_nor_touched() {
    let world = testing::World::alone();
    let disk = world.disk(16);
    let (path, _) = world.image("other", 16);
    let other = identity(&File::open(path).unwrap()).unwrap();
    let mut remembered = find(&disk.file).unwrap().unwrap();
    remembered.backing = other;

    assert!(find_again(&remembered).unwrap().is_none());
    let errors = [
        detach(&disk.device, other).unwrap_err(),
        clear(&disk.device, other).unwrap_err(),
        refresh_capacity(&disk.device, other).unwrap_err(),
    ];

    for error in errors {
        assert_eq!(errno::of(&error), Some(Errno::STALE));
    }
    assert!(!keep(&disk.device, other).unwrap());
    assert!(find(&disk.file).unwrap().is_some());
}

#[test]
fn an_image_that_is_open_for_reading_only_is_refused() {
    let world = testing::World::alone();
    let (path, _) = world.image("image", 16);

    let image = File::open(&path).unwrap();
    let error = attach(&image, &path, Discards::AsTheyAre).unwrap_err();

    assert!(
        matches!(&error, LoopError::Io(error) if errno::of(error) == Some(Errno::BADF)),
        "{error}"
    );
}

#[test]
fn direct_io_keeps_512_byte_blocks_on_storage_that_has_them() {
    let world = testing::World::alone();
    let disk = world.disk(16);

    let node = File::open(disk.path()).unwrap();

    assert!(find(&disk.file).unwrap().unwrap().direct_io);
    assert_eq!(rustix::fs::ioctl_blksszget(&node).unwrap(), 512);
}

/// A disk with 4 KiB sectors: a loop device whose block size is set to 4096.
#[tokio::test]
async fn direct_io_works_on_storage_with_4_kib_sectors() {
    let world = testing::World::alone();
    for fs in FsType::ALL {
        let outer = world.disk(400);
        ioctls::set_block_size(&open(outer.path()).unwrap(), LARGE_BLOCK).unwrap();
        crate::sys::format::format(outer.path(), fs, &[], "", &uuid::Uuid::new_v4()).await.unwrap();
        let mounted = world.mount(&outer, fs, &[]);
        let path = mounted.path().join("inner");
        let image = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        image.set_len(16 << 20).unwrap();

        let inner = attach(&image, &path, Discards::AsTheyAre).unwrap();

        assert!(inner.direct_io, "{fs}");
        detach(&inner.device, inner.backing).unwrap();
        drop(image);
        drop(mounted);
    }
}

#[test]
fn the_calls_of_old_kernels_bind_as_well() {
    let world = testing::World::alone();
    let (path, image) = world.image("image", 16);
    let control = open(Path::new(CONTROL)).unwrap();
    let device = device(ioctls::get_free(&control).unwrap()).unwrap();
    let node = open(&device.path).unwrap();

    ioctls::set_fd_and_name(&node, &image, &path).unwrap();
    let info = complete(&device, &node, &image).unwrap();

    assert!(info.direct_io);
    drop(node);
    assert_eq!(find(&image).unwrap().as_ref(), Some(&info));
    detach(&device, info.backing).unwrap();
}

#[test]
fn capacity_follows_the_image_after_a_refresh() {
    let world = testing::World::alone();
    let disk = world.disk(16);
    disk.file.set_len(32 << 20).unwrap();
    assert_eq!(blockdev::size(disk.path()).unwrap(), Bytes::mib(16));

    refresh_capacity(&disk.device, id(&disk)).unwrap();

    assert_eq!(blockdev::size(disk.path()).unwrap(), Bytes::mib(32));
}

#[tokio::test]
async fn a_mounted_device_is_not_detached_nor_marked_for_it() {
    let world = testing::World::alone();
    let disk = world.formatted(FsType::Ext4, 64).await;
    let mounted = world.mount(&disk, FsType::Ext4, &[]);

    let error = detach(&disk.device, id(&disk)).unwrap_err();

    assert_eq!(errno::of(&error), Some(Errno::BUSY));
    mount::unmount(mounted.path()).await.unwrap();
    assert!(find(&disk.file).unwrap().is_some(), "still bound after the unmount");
}

/// Not marked to go at the last close: that would be at any time, also between the next attach and
/// its mount.
#[test]
fn a_device_that_somebody_keeps_open_is_busy_and_stays() {
    let world = testing::World::alone();
    let disk = world.disk(16);
    let before = find(&disk.file).unwrap();
    let open = File::open(disk.path()).unwrap();

    let error = detach(&disk.device, id(&disk)).unwrap_err();

    assert_eq!(errno::of(&error), Some(Errno::BUSY));
    drop(open);
    assert_eq!(find(&disk.file).unwrap(), before);
    assert!(before.is_some_and(|info| !info.leaving));
}

/// As a daemon leaves it that is killed while it waits, and as `losetup -d` leaves it.
#[test]
fn a_device_that_was_about_to_go_is_kept_when_it_is_found() {
    let world = testing::World::alone();
    let disk = world.disk(16);
    let open = File::open(disk.path()).unwrap();
    assert!(clear(&disk.device, id(&disk)).unwrap());
    let leaving = list_of(&disk.file).unwrap().pop().unwrap();
    assert!(leaving.leaving && find_again(&leaving).unwrap().is_none());

    let found = find(&disk.file).unwrap().unwrap();

    drop(open);
    assert!(!found.leaving);
    assert_eq!(find_again(&found).unwrap().as_ref(), Some(&found));
}

#[test]
fn parallel_attaches_get_different_devices() {
    let world = testing::World::alone();
    let images: Vec<_> = (0..6).map(|n| world.image(&format!("image-{n}"), 8)).collect();

    let attached: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = images
            .iter()
            .map(|(path, image)| scope.spawn(|| attach(image, path, Discards::AsTheyAre)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
    });

    let mut numbers: Vec<_> = attached.iter().map(|info| info.device.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let found: Vec<_> = images.iter().map(|(_, image)| find(image).unwrap().unwrap()).collect();
    for info in &attached {
        detach(&info.device, info.backing).unwrap();
    }
    assert_eq!(numbers.len(), images.len());
    assert_eq!(found, attached);
}

#[test]
fn a_missing_node_is_made_and_a_foreign_one_refused() {
    let world = testing::World::alone();
    let disk = world.disk(8);
    let read = |device: &LoopDevice| open_node(device, OpenOptions::new().read(true));
    let here = LoopDevice { path: world.path("node"), ..disk.device.clone() };

    read(&here).unwrap();
    read(&here).unwrap();

    assert_eq!(blockdev::device_number(&here.path).unwrap(), disk.device.device);
    let error = read(&LoopDevice { device: (7, 4095), ..here }).unwrap_err();
    assert_eq!(errno::of(&error), Some(Errno::NODEV));
}
