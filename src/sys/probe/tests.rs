use super::*;
use crate::{
    spec::FsType,
    sys::{
        format,
        loopdev::{self, Discards},
        testing,
    },
};

fn is_other(content: &Content, word: &str) -> bool {
    matches!(content, Content::Other { what } if what.contains(word))
}

#[tokio::test]
async fn a_new_image_is_blank() {
    let world = testing::World::alone();
    for mib in [1, 2, 64, 5000] {
        let disk = world.disk(mib);
        assert_eq!(probe(disk.path()).await.unwrap(), Content::Blank, "{mib} MiB");
    }
}

#[tokio::test]
async fn an_image_of_an_odd_size_is_blank_too() {
    let world = testing::World::alone();
    let (path, image) = world.image("odd", 0);
    image.set_len((3 << 20) + 1536).unwrap();
    let info = loopdev::attach(&image, &path, Discards::AsTheyAre).unwrap();

    let content = probe(&info.device.path).await;

    loopdev::detach(&info.device, info.backing).unwrap();
    assert_eq!(content.unwrap(), Content::Blank);
}

#[tokio::test]
async fn a_file_system_is_named_with_uuid_and_label() {
    let world = testing::World::alone();
    for fs in FsType::ALL {
        let disk = world.disk(320);
        let uuid = uuid::Uuid::new_v4();
        format::format(disk.path(), fs, &[], "a b", &uuid).await.unwrap();

        let content = probe(disk.path()).await.unwrap();

        let expected = Content::FileSystem {
            fs: fs.to_string(),
            uuid: Some(uuid.to_string()),
            label: Some("a b".to_owned()),
        };
        assert_eq!(content, expected);
    }
}

#[tokio::test]
async fn what_is_no_file_system_is_somebodys_data() {
    let world = testing::World::alone();
    let swap = world.disk(16);
    testing::run("mkswap", [swap.path().to_str().unwrap()]);
    let luks = world.disk(16);
    testing::write_at(luks.path(), 0, b"LUKS\xba\xbe\x00\x01").unwrap();
    let table = world.disk(16);
    testing::write_at(table.path(), 510, &[0x55, 0xaa]).unwrap();

    assert!(is_other(&probe(swap.path()).await.unwrap(), "swap"));
    assert!(is_other(&probe(luks.path()).await.unwrap(), "crypto_LUKS"));
    assert!(matches!(probe(table.path()).await.unwrap(), Content::Other { .. }));
}

#[tokio::test]
async fn a_single_byte_where_we_look_is_unknown_data() {
    let world = testing::World::alone();
    let last = (256 << 20) - 1;
    for offset in [0, 4095, (2 << 20) - 1, 8 << 20, 64 << 20, 128 << 20, 192 << 20, 255 << 20, last]
    {
        let disk = world.disk(256);
        testing::write_at(disk.path(), offset, b"x").unwrap();
        let content = probe(disk.path()).await.unwrap();
        assert!(is_other(&content, "unknown data"), "{offset}: {content:?}");
    }
}

/// Both kinds keep spare superblocks, which give away that the head was wiped.
#[tokio::test]
async fn a_file_system_whose_head_was_wiped_is_not_blank() {
    let world = testing::World::alone();
    for fs in FsType::ALL {
        let disk = world.formatted(fs, 1024).await;
        testing::write_at(disk.path(), 0, &vec![0; 2 << 20]).unwrap();
        let content = probe(disk.path()).await.unwrap();
        assert!(is_other(&content, "unknown data"), "{fs}: {content:?}");
    }
}

#[tokio::test]
async fn two_signatures_are_ambivalent() {
    let world = testing::World::alone();
    let disk = world.disk(64);
    testing::run("mkswap", [disk.path().to_str().unwrap()]);
    testing::run("mkfs.ext4", ["-q", "-F", "-E", "nodiscard", disk.path().to_str().unwrap()]);
    // mkfs clears swap's signature: put it back, at the end of the first page.
    testing::write_at(disk.path(), 4086, b"SWAPSPACE2").unwrap();
    testing::write_at(disk.path(), 1024, &[0; 24]).unwrap();

    let content = probe(disk.path()).await.unwrap();

    assert_ne!(content, Content::Blank);
}

/// The image is cut beneath the device: reads past the cut give EIO, and blkid's exit code is 2,
/// as for a blank device.
#[tokio::test]
async fn a_read_error_is_never_blank() {
    let world = testing::World::alone();
    for kept_kib in [0, 4, 1024, 3072] {
        let disk = world.disk(64);
        disk.file.set_len(kept_kib << 10).unwrap();

        let error = probe(disk.path()).await.unwrap_err();

        assert!(matches!(error, ProbeError::Unreadable { .. }), "{kept_kib} KiB: {error:?}");
        disk.file.set_len(64 << 20).unwrap();
    }
}

#[tokio::test]
async fn what_is_not_there_or_no_device_or_empty_is_an_error() {
    let world = testing::World::alone();
    let (file, _) = world.image("plain file", 4);
    let empty = world.disk(0);
    for path in [Path::new("/dev/no-such"), Path::new("/dev/full"), &file, empty.path()] {
        let result = probe(path).await;
        assert!(result.is_err(), "{}: {result:?}", path.display());
    }
}
