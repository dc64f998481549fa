use super::*;
use crate::sys::testing;

#[test]
fn flags_are_told_from_what_the_file_system_reads() {
    let options = ["noatime,nodev".to_owned(), "data=ordered".to_owned(), "ro,defaults,rw".into()];

    let (flags, data) = split_options(&options);

    assert_eq!(flags, MountFlags::NOATIME | MountFlags::NODEV);
    assert_eq!(data, "data=ordered");
}

#[tokio::test]
async fn a_file_system_is_mounted_with_its_options_and_bound_elsewhere() {
    let world = testing::World::alone();
    let disk = world.formatted(FsType::Ext4, 64).await;
    let options = ["noatime,dirsync".to_owned(), "commit=17".to_owned()];
    let mounted = world.mount(&disk, FsType::Ext4, &options);
    let data = mounted.path().join("a directory");
    std::fs::create_dir(&data).unwrap();
    let target = world.dir("bound here");
    bind(&data, &target).unwrap();
    let _bound = testing::Unmount(target.clone());

    let table = MountTable::read().unwrap();

    let mount = table.at(mounted.path()).unwrap();
    assert_eq!(mount.device, disk.device.device);
    assert!(mount.options.contains(&"noatime".to_owned()), "{:?}", mount.options);
    for option in ["dirsync", "commit=17"] {
        assert!(mount.super_options.contains(&option.to_owned()), "{:?}", mount.super_options);
    }
    assert_eq!(table.at(&target).unwrap().root, Path::new("/a directory"));
    assert_eq!(table.of_device(disk.device.device).count(), 2);
}

#[tokio::test]
async fn an_unknown_option_fails_the_mount_and_names_the_device() {
    let world = testing::World::alone();
    let disk = world.formatted(FsType::Ext4, 64).await;
    let target = world.dir("m");

    let error = mount_fs(disk.path(), &target, FsType::Ext4, &["no_such".into()]).unwrap_err();

    assert_eq!(errno::of(&error), Some(Errno::INVAL));
    assert!(error.to_string().contains(disk.path().to_str().unwrap()), "{error}");
    assert!(MountTable::read().unwrap().at(&target).is_none());
}

#[tokio::test]
async fn unmount_is_idempotent_waits_for_the_last_user_and_says_busy() {
    let world = testing::World::alone();
    let disk = world.formatted(FsType::Ext4, 64).await;
    let mounted = world.mount(&disk, FsType::Ext4, &[]);
    let open = std::fs::File::create(mounted.path().join("open")).unwrap();

    let busy = unmount(mounted.path()).await.unwrap_err();
    assert!(matches!(busy, UnmountError::Busy { .. }), "{busy}");

    let closer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(open);
    });
    unmount(mounted.path()).await.unwrap();
    closer.join().unwrap();
    assert!(MountTable::read().unwrap().at(mounted.path()).is_none());
    unmount(mounted.path()).await.unwrap();
    unmount(&world.path("never was there")).await.unwrap();
}

#[tokio::test]
async fn a_link_to_a_mount_point_is_not_followed() {
    let world = testing::World::alone();
    let disk = world.formatted(FsType::Ext4, 64).await;
    let mounted = world.mount(&disk, FsType::Ext4, &[]);
    let link = world.path("link");
    std::os::unix::fs::symlink(mounted.path(), &link).unwrap();

    // Nothing is mounted at the link itself: success, and the mount stays.
    unmount(&link).await.unwrap();

    assert!(MountTable::read().unwrap().at(mounted.path()).is_some());
}

/// The group that the mount at `path` propagates to, and how many mounts lie at that path.
fn seen(path: &Path) -> (Option<u32>, usize) {
    let table = MountTable::read().unwrap();
    let layers = table.iter().filter(|mount| mount.mount_point == path).count();
    (table.at(path).unwrap().peer_group, layers)
}

#[test]
fn a_shared_root_is_made_once_under_a_private_parent() {
    let world = testing::World::alone();
    for kind in [RootKind::Bind, RootKind::Tmpfs] {
        let path = world.path(&format!("{kind:?}"));
        let _root = testing::Unmount(path.clone());

        ensure_shared_root(&path, kind).unwrap();
        let (group, layers) = seen(&path);
        assert!(group.is_some());
        assert_eq!(layers, 1);

        ensure_shared_root(&path, kind).unwrap();
        assert_eq!(seen(&path), (group, 1));
    }
}

#[test]
fn a_bind_root_under_a_shared_parent_gets_a_group_of_its_own() {
    let world = testing::World::alone();
    let parent = world.path("parent");
    let _parent = testing::Unmount(parent.clone());
    ensure_shared_root(&parent, RootKind::Tmpfs).unwrap();
    let root = parent.join("root");
    let _root = testing::Unmount(root.clone());

    ensure_shared_root(&root, RootKind::Bind).unwrap();

    assert_ne!(seen(&root).0, seen(&parent).0);
    let below = root.join("below");
    std::fs::create_dir(&below).unwrap();
    let _below = testing::Unmount(below.clone());
    mount_tmpfs(&below).unwrap();
    // Once, not a second time in the directory beneath the bind.
    assert_eq!(seen(&below).1, 1);
}

#[test]
fn a_root_left_half_made_by_a_crash_is_completed() {
    let world = testing::World::alone();
    let path = world.dir("root");
    let _root = testing::Unmount(path.clone());
    bind(&path, &path).unwrap();

    ensure_shared_root(&path, RootKind::Bind).unwrap();

    let (group, layers) = seen(&path);
    assert!(group.is_some());
    assert_eq!(layers, 1);
}
