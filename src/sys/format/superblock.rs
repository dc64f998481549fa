//! What the superblock on a device says: how large the file system is, to see whether a grow is due,
//! and which one it is, to see whether the device is the right one.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use rustix::{
    fs::OFlags,
    io::Errno,
    ioctl::{Getter, Opcode, ioctl},
};

use uuid::Uuid;

use crate::{
    spec::{Bytes, FsType},
    sys::{blockdev, errno, mountinfo::MountTable},
};

const EXT4_AT: u64 = 1024;
const EXT4_MAGIC: u16 = 0xEF53;
const EXT4_64BIT: u32 = 0x80;
const XFS_READ: usize = 4096;

/// `XFS_IOC_FSGEOMETRY_V1`, in every kernel since xfs was merged.
const XFS_IOC_FSGEOMETRY_V1: Opcode = 0x8070_5864;

/// The size of the whole file system, tables included: at most that of the device, and less when a
/// grow is due. Mounted or not.
///
/// # Errors
/// `EINVAL` if there is no file system of this kind.
pub fn file_system_size(device: &Path, fs: FsType) -> io::Result<Bytes> {
    let size = match fs {
        FsType::Ext4 => ext4(device),
        FsType::Xfs => xfs(device),
    };
    size.map_err(errno::on("read the superblock of", device))
}

/// The UUID of the file system on a device: hawser's volumes have their id there, from mkfs on.
/// Mounted or not: a mount does not change it.
///
/// # Errors
/// `EINVAL` if there is no file system of this kind.
pub fn file_system_uuid(device: &Path, fs: FsType) -> io::Result<Uuid> {
    let read = || -> io::Result<Option<Uuid>> {
        Ok(match fs {
            FsType::Ext4 => parse_ext4_uuid(&read_ext4(device)?),
            // Past the cache, which may hold what was there before another program formatted it.
            FsType::Xfs => parse_xfs_uuid(Direct::read(device)?.block()),
        })
    };
    read()
        .and_then(|uuid| uuid.ok_or_else(|| Errno::INVAL.into()))
        .map_err(errno::on("read the superblock of", device))
}

fn ext4(device: &Path) -> io::Result<Bytes> {
    parse_ext4(&read_ext4(device)?).ok_or_else(|| Errno::INVAL.into())
}

/// Through the page cache, where ext4 keeps its superblock while it is mounted.
fn read_ext4(device: &Path) -> io::Result<[u8; 1024]> {
    let mut block = [0; 1024];
    File::open(device)?.read_exact_at(&mut block, EXT4_AT)?;
    Ok(block)
}

fn is_ext4(block: &[u8; 1024]) -> bool {
    u16::from_le_bytes([block[0x38], block[0x39]]) == EXT4_MAGIC
}

fn parse_ext4_uuid(block: &[u8; 1024]) -> Option<Uuid> {
    is_ext4(block).then(|| Uuid::from_slice(&block[0x68..0x78]).ok()).flatten()
}

fn parse_ext4(block: &[u8; 1024]) -> Option<Bytes> {
    let u32_at = |at: usize| Some(u32::from_le_bytes(block.get(at..at + 4)?.try_into().ok()?));
    if !is_ext4(block) {
        return None;
    }
    let mut blocks = u64::from(u32_at(0x4)?);
    if u32_at(0x60)? & EXT4_64BIT != 0 {
        blocks |= u64::from(u32_at(0x150)?) << 32;
    }
    // The shift beyond 1 KiB: 6 is 64 KiB, the largest there is.
    let shift = u32_at(0x18)?;
    (shift <= 6).then(|| blocks.checked_mul(1024 << shift)).flatten().map(Bytes::new)
}

/// xfs does not use the device's page cache and writes its superblock late: while it is mounted
/// here, itself is asked; else the medium, past what the cache may remember from before a grow.
fn xfs(device: &Path) -> io::Result<Bytes> {
    let number = blockdev::device_number(device)?;
    if let Some(mount) = MountTable::read()?.of_device(number).next() {
        return xfs_geometry(&File::open(&mount.mount_point)?);
    }
    parse_xfs(Direct::read(device)?.block()).ok_or_else(|| Errno::INVAL.into())
}

/// A device's first block from the medium. O_DIRECT wants an aligned address: of two blocks of
/// memory, one begins at such.
struct Direct {
    memory: Vec<u8>,
    start: usize,
}

impl Direct {
    fn read(device: &Path) -> io::Result<Self> {
        let memory = vec![0; 2 * XFS_READ];
        let start = memory.as_ptr().align_offset(XFS_READ);
        let mut read = Self { memory, start };
        let flags = OFlags::DIRECT.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(device)?;
        file.read_exact_at(&mut read.memory[start..start + XFS_READ], 0)?;
        Ok(read)
    }

    fn block(&self) -> &[u8] {
        &self.memory[self.start..self.start + XFS_READ]
    }
}

fn parse_xfs_uuid(block: &[u8]) -> Option<Uuid> {
    if !block.starts_with(b"XFSB") {
        return None;
    }
    Uuid::from_slice(block.get(32..48)?).ok()
}

fn parse_xfs(block: &[u8]) -> Option<Bytes> {
    let block_size = u32::from_be_bytes(block.get(4..8)?.try_into().ok()?);
    let blocks = u64::from_be_bytes(block.get(8..16)?.try_into().ok()?);
    if !block.starts_with(b"XFSB") {
        return None;
    }
    blocks.checked_mul(u64::from(block_size)).map(Bytes::new)
}

/// `struct xfs_fsop_geom_v1`, the part up to what is needed.
#[repr(C)]
struct Geometry {
    block_size: u32,
    _before: [u32; 7],
    data_blocks: u64,
    _after: [u64; 9],
}

const _: () = assert!(size_of::<Geometry>() == 112);

fn xfs_geometry(root: &File) -> io::Result<Bytes> {
    #[expect(unsafe_code, reason = "ioctl")]
    // SAFETY: the kernel writes the 112 bytes that the opcode encodes; any bit pattern is valid.
    let geometry = unsafe { ioctl(root, Getter::<XFS_IOC_FSGEOMETRY_V1, Geometry>::new()) }?;
    Ok(Bytes::new(geometry.data_blocks.saturating_mul(u64::from(geometry.block_size))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sys::testing;

    #[tokio::test]
    async fn the_size_is_read_mounted_or_not() {
        let world = testing::World::alone();
        for fs in FsType::ALL {
            let disk = world.formatted(fs, 320).await;
            assert_eq!(file_system_size(disk.path(), fs).unwrap(), Bytes::mib(320), "{fs}");
            let _mounted = world.mount(&disk, fs, &[]);
            assert_eq!(file_system_size(disk.path(), fs).unwrap(), Bytes::mib(320), "{fs}");
        }
    }

    #[tokio::test]
    async fn the_uuid_is_the_one_of_mkfs_mounted_or_not() {
        let world = testing::World::alone();
        for fs in FsType::ALL {
            let (disk, uuid) = (world.disk(320), Uuid::new_v4());
            crate::sys::format::format(disk.path(), fs, &[], "", &uuid).await.unwrap();
            assert_eq!(file_system_uuid(disk.path(), fs).unwrap(), uuid, "{fs}");
            let _mounted = world.mount(&disk, fs, &[]);
            assert_eq!(file_system_uuid(disk.path(), fs).unwrap(), uuid, "{fs}");
        }
    }

    #[tokio::test]
    async fn another_file_system_and_none_have_no_size_and_no_uuid() {
        let world = testing::World::alone();
        let (ext4, blank) = (world.formatted(FsType::Ext4, 64).await, world.disk(64));
        for (disk, fs) in [(&ext4, FsType::Xfs), (&blank, FsType::Xfs), (&blank, FsType::Ext4)] {
            for error in [
                file_system_size(disk.path(), fs).unwrap_err(),
                file_system_uuid(disk.path(), fs).unwrap_err(),
            ] {
                assert_eq!(errno::of(&error), Some(Errno::INVAL));
                assert!(error.to_string().contains(disk.path().to_str().unwrap()));
            }
        }
    }

    proptest! {
        #[test]
        fn any_superblock_is_read_without_a_panic(mut block in prop::collection::vec(any::<u8>(), 1024)) {
            block[0x38..0x3a].copy_from_slice(&EXT4_MAGIC.to_le_bytes());
            parse_ext4(block.as_slice().try_into().unwrap());
            parse_ext4_uuid(block.as_slice().try_into().unwrap());
            block[..4].copy_from_slice(b"XFSB");
            parse_xfs(&block);
            parse_xfs(&block[..9]);
            parse_xfs_uuid(&block);
            parse_xfs_uuid(&block[..40]);
        }
    }
}
