use std::os::unix::fs::MetadataExt;

use super::*;
use crate::sys::{loopdev, testing};

#[tokio::test]
async fn a_device_with_anything_on_it_is_refused_and_left_as_it_is() {
    let world = testing::World::alone();
    for (offset, bytes) in [(0, b"LUKS\xba\xbe\x00\x01".as_slice()), (1 << 20, b"data")] {
        let disk = world.disk(320);
        testing::write_at(disk.path(), offset, bytes).unwrap();
        let before = std::fs::read(&disk.image).unwrap();
        for fs in FsType::ALL {
            let error = format(disk.path(), fs, &[], "", &Uuid::new_v4()).await.unwrap_err();
            assert!(matches!(error, FormatError::NotBlank { .. }), "{fs}: {error:?}");
        }
        assert!(std::fs::read(&disk.image).unwrap() == before);
    }
}

#[tokio::test]
async fn a_file_system_is_never_formatted_again() {
    let world = testing::World::alone();
    for fs in FsType::ALL {
        let disk = world.formatted(fs, 320).await;

        let error = format(disk.path(), fs, &[], "", &Uuid::new_v4()).await.unwrap_err();

        assert!(error.to_string().contains(&format!("a file system ({fs}, UUID ")), "{error}");
    }
}

#[tokio::test]
async fn an_unreadable_device_is_refused() {
    let world = testing::World::alone();
    let disk = world.disk(320);
    disk.file.set_len(4 << 20).unwrap();

    let error = format(disk.path(), FsType::Xfs, &[], "", &Uuid::new_v4()).await.unwrap_err();

    assert!(matches!(error, FormatError::Unproven(ProbeError::Unreadable { .. })), "{error:?}");
}

#[tokio::test]
async fn a_device_that_somebody_has_claimed_is_refused() {
    use std::os::unix::fs::OpenOptionsExt;
    let world = testing::World::alone();
    let disk = world.disk(320);
    let claim = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::EXCL.bits().cast_signed())
        .open(disk.path())
        .unwrap();

    let error = format(disk.path(), FsType::Ext4, &[], "", &Uuid::new_v4()).await.unwrap_err();
    assert!(matches!(error, FormatError::InUse(InUse::Busy { .. })), "{error:?}");
    // And mkfs itself, should one be started in between.
    for tool in [MKFS_EXT4, MKFS_XFS] {
        assert!(tool.run([disk.path()], FORMAT_LIMIT).await.is_err());
    }

    drop(claim);
    format(disk.path(), FsType::Ext4, &[], "", &Uuid::new_v4()).await.unwrap();
}

#[tokio::test]
async fn a_force_flag_is_refused_before_anything_is_done() {
    let world = testing::World::alone();
    let disk = world.disk(320);

    let options = ["-F".to_owned()];
    let error = format(disk.path(), FsType::Ext4, &options, "", &Uuid::new_v4()).await.unwrap_err();

    assert!(matches!(error, FormatError::Option { .. }), "{error:?}");
}

#[tokio::test]
async fn the_users_options_win_and_a_long_label_is_cut() {
    let world = testing::World::alone();
    for (fs, options, label) in [
        (FsType::Ext4, "-b 1024 -E root_owner=7:8 -m 5", "1234567890123456"),
        (FsType::Xfs, "-s size=512 -m reflink=0 -i size=1024", "123456789012"),
    ] {
        let disk = world.disk(320);
        let options: Vec<_> = options.split(' ').map(str::to_owned).collect();

        format(disk.path(), fs, &options, "12345678901234567890", &Uuid::new_v4()).await.unwrap();

        let content = probe::probe(disk.path()).await.unwrap();
        assert!(
            matches!(&content, Content::FileSystem { label: Some(l), .. } if l == label),
            "{content:?}"
        );
        if fs == FsType::Ext4 {
            let mounted = world.mount(&disk, fs, &[]);
            assert_eq!(std::fs::metadata(mounted.path()).unwrap().uid(), 7);
            assert_eq!(rustix::fs::statvfs(mounted.path()).unwrap().f_bsize, 1024);
        }
    }
}

/// Neither mkfs nor the kernel's lazy work after the mount may punch holes.
#[tokio::test]
async fn a_preallocated_image_keeps_its_reservation() {
    let world = testing::World::alone();
    for fs in FsType::ALL {
        let (path, image) = world.image(fs.as_str(), 0);
        let flags = rustix::fs::FallocateFlags::empty();
        rustix::fs::fallocate(&image, flags, 0, 1 << 30).unwrap();
        let reserved = image.metadata().unwrap().blocks();
        let disk = testing::Disk {
            device: loopdev::attach(&image, &path, loopdev::Discards::AsTheyAre).unwrap().device,
            image: path,
            file: image,
        };

        format(disk.path(), fs, &[], "", &Uuid::new_v4()).await.unwrap();
        let mounted = world.mount(&disk, fs, &[]);
        // ext4lazyinit begins within a second of the mount.
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(mounted);

        // May have grown: the host's own block map gets longer.
        assert!(disk.file.metadata().unwrap().blocks() >= reserved, "{fs}");
    }
}

#[tokio::test]
async fn large_sparse_images_are_formatted_in_no_time() {
    let world = testing::World::alone();
    for fs in FsType::ALL {
        for gib in [1, 10, 100] {
            let start = std::time::Instant::now();
            let disk = world.disk(gib << 10);
            let attached = start.elapsed();
            format(disk.path(), fs, &[], "", &Uuid::new_v4()).await.unwrap();
            let all = start.elapsed();
            let used = disk.file.metadata().unwrap().blocks() >> 11;
            println!("{fs} {gib} GiB: attach {attached:?}, all {all:?}, {used} MiB used");
            assert!(all < Duration::from_secs(10), "{fs} {gib} GiB: {all:?}");
        }
    }
}

#[test]
fn a_label_is_cut_between_characters() {
    assert_eq!(cut("abcü", 4), "abc");
    assert_eq!(cut("abcü", 5), "abcü");
    assert_eq!(cut("", 5), "");
}

#[test]
fn versions_of_e2fsprogs_are_read() {
    assert_eq!(e2fsprogs_version("mke2fs 1.47.0 (5-Feb-2023)\n"), Some((1, 47)));
    assert_eq!(e2fsprogs_version("mke2fs 1.48-WIP (1-Jan-2027)"), Some((1, 48)));
    assert_eq!(e2fsprogs_version("nonsense"), None);
}
