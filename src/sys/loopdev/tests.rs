use super::*;
use crate::{
    spec::FsType,
    sys::{mount, testing},
};

#[test]
fn an_attached_image_is_found_by_its_identity_and_gone_after_detach() {
    let world = testing::World::alone();
    let (path, image) = world.image("image", 64);
    assert_eq!(find(&image).unwrap(), None);

    let info = attach(&image, &path).unwrap();

    let meta = image.metadata().unwrap();
    assert_eq!(info.backing, (meta.dev(), meta.ino()));
    assert_eq!(info.size, Bytes::mib(64));
    assert!(info.direct_io);
    // By any name, through any descriptor.
    std::fs::rename(&path, world.path("renamed")).unwrap();
    let again = File::open(world.path("renamed")).unwrap();
    assert_eq!(find(&again).unwrap().as_ref(), Some(&info));
    assert!(list().unwrap().contains(&info));

    detach(&info.device).unwrap();
    assert_eq!(find(&image).unwrap(), None);
    detach(&info.device).unwrap();
}

#[test]
fn a_second_attach_is_refused_and_names_the_first() {
    let world = testing::World::alone();
    let disk = world.disk(16);

    let error = attach(&disk.file, &disk.image).unwrap_err();

    assert_eq!(errno::of(&error), Some(Errno::EXIST));
    assert!(error.to_string().contains(disk.path().to_str().unwrap()), "{error}");
}

#[test]
fn an_image_that_is_open_for_reading_only_is_refused() {
    let world = testing::World::alone();
    let (path, _) = world.image("image", 16);

    let error = attach(&File::open(&path).unwrap(), &path).unwrap_err();

    assert_eq!(errno::of(&error), Some(Errno::BADF));
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

        let inner = attach(&image, &path).unwrap();

        assert!(inner.direct_io, "{fs}");
        detach(&inner.device).unwrap();
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
    assert_eq!(find(&image).unwrap(), Some(info));
    drop(node);
    detach(&device).unwrap();
}

#[test]
fn capacity_follows_the_image_after_a_refresh() {
    let world = testing::World::alone();
    let disk = world.disk(16);
    disk.file.set_len(32 << 20).unwrap();
    assert_eq!(blockdev::size(disk.path()).unwrap(), Bytes::mib(16));

    refresh_capacity(&disk.device).unwrap();

    assert_eq!(blockdev::size(disk.path()).unwrap(), Bytes::mib(32));
}

#[tokio::test]
async fn a_mounted_device_is_not_detached_nor_marked_for_it() {
    let world = testing::World::alone();
    let disk = world.formatted(FsType::Ext4, 64).await;
    let mounted = world.mount(&disk, FsType::Ext4, &[]);

    let error = detach(&disk.device).unwrap_err();

    assert_eq!(errno::of(&error), Some(Errno::BUSY));
    mount::unmount(mounted.path()).await.unwrap();
    assert!(find(&disk.file).unwrap().is_some(), "still bound after the unmount");
}

#[test]
fn a_device_that_somebody_keeps_open_is_busy_and_unbinds_at_the_last_close() {
    let world = testing::World::alone();
    let disk = world.disk(16);
    let open = File::open(disk.path()).unwrap();

    let error = detach(&disk.device).unwrap_err();
    assert_eq!(errno::of(&error), Some(Errno::BUSY));

    drop(open);
    testing::until("it is unbound", || find(&disk.file).unwrap().is_none());
}

#[test]
fn parallel_attaches_get_different_devices() {
    let world = testing::World::alone();
    let images: Vec<_> = (0..6).map(|n| world.image(&format!("image-{n}"), 8)).collect();

    let attached: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            images.iter().map(|(path, image)| scope.spawn(|| attach(image, path))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
    });

    let mut numbers: Vec<_> = attached.iter().map(|info| info.device.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let found: Vec<_> = images.iter().map(|(_, image)| find(image).unwrap().unwrap()).collect();
    for info in &attached {
        detach(&info.device).unwrap();
    }
    assert_eq!(numbers.len(), images.len());
    assert_eq!(found, attached);
}

#[test]
fn a_missing_node_is_made_and_a_foreign_one_refused() {
    let world = testing::World::alone();
    let disk = world.disk(8);
    let dev = makedev(disk.device.device.0, disk.device.device.1);
    let path = world.path("node");

    ensure_node(&path, dev).unwrap();
    ensure_node(&path, dev).unwrap();

    assert_eq!(blockdev::device_number(&path).unwrap(), disk.device.device);
    let error = ensure_node(&path, makedev(7, 4095)).unwrap_err();
    assert_eq!(errno::of(&error), Some(Errno::NODEV));
}
