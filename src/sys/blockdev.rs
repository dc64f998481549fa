//! Block devices: their size and number, and whether anybody uses them.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{OFlags, major, minor},
    io::Errno,
    ioctl::{Getter, Opcode, ioctl, opcode},
};

use super::errno;
use crate::spec::Bytes;

/// `_IOR(0x12, 114, size_t)`; the argument is really a `u64`, on 32-bit machines, too.
const BLKGETSIZE64: Opcode = opcode::read::<usize>(0x12, 114);

/// A device that must not be taken away, or is not known to be free.
#[derive(Debug, thiserror::Error)]
pub enum InUse {
    /// It is mounted in some namespace, part of a RAID or mapping, or claimed by a program.
    #[error("{} is in use: mounted, perhaps in another mount namespace, or claimed", .path.display())]
    Busy {
        /// The device.
        path: PathBuf,
    },
    /// It could not be found out.
    #[error("cannot find out whether {} is in use", .path.display())]
    Unknown {
        /// The device.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The size of a block device.
///
/// # Errors
/// When it cannot be opened or is not a block device.
pub fn size(path: &Path) -> io::Result<Bytes> {
    let device = File::open(path).map_err(errno::on("open", path))?;
    size_of(&device).map_err(errno::on("get the size of", path))
}

/// The size of an open block device.
pub(crate) fn size_of(device: &File) -> io::Result<Bytes> {
    #[expect(unsafe_code, reason = "ioctl")]
    // SAFETY: BLKGETSIZE64 writes one u64; on anything but a block device it fails with ENOTTY.
    let size = unsafe { ioctl(device, Getter::<BLKGETSIZE64, u64>::new())? };
    Ok(Bytes::new(size))
}

/// Major and minor number of a block device's node: what mountinfo calls its file system.
///
/// # Errors
/// `ENOTBLK` if the path is not a block device.
pub fn device_number(path: &Path) -> io::Result<(u32, u32)> {
    let meta = path.metadata().map_err(errno::on("stat", path))?;
    if !meta.file_type().is_block_device() {
        return Err(errno::on("stat", path)(Errno::NOTBLK));
    }
    Ok((major(meta.rdev()), minor(meta.rdev())))
}

/// Proves that nobody uses a block device, in any mount namespace: the kernel grants the exclusive
/// claim of `O_EXCL` (open(2)) only if no file system, RAID or mapping has it.
///
/// It does not see a second loop device on the same image: an image's lock is the caller's task.
///
/// # Errors
/// See [`InUse`]; anything but a granted claim counts as in use.
pub fn ensure_unused(path: &Path) -> Result<(), InUse> {
    let claim = || -> io::Result<File> {
        device_number(path)?;
        OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::EXCL.bits().cast_signed())
            .open(path)
            .map_err(errno::on("claim", path))
    };
    match claim() {
        Ok(_) => Ok(()),
        Err(error) if errno::of(&error) == Some(Errno::BUSY) => {
            Err(InUse::Busy { path: path.to_owned() })
        }
        Err(source) => Err(InUse::Unknown { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{spec::FsType, sys::testing};

    #[tokio::test]
    async fn a_mounted_device_is_in_use_and_a_plain_file_is_no_device() {
        let world = testing::World::alone();
        let disk = world.formatted(FsType::Ext4, 64).await;

        assert_eq!(size(disk.path()).unwrap(), Bytes::mib(64));
        assert_eq!(device_number(disk.path()).unwrap(), disk.device.device);
        ensure_unused(disk.path()).unwrap();
        let mounted = world.mount(&disk, FsType::Ext4, &[]);
        assert!(matches!(ensure_unused(disk.path()), Err(InUse::Busy { .. })));
        drop(mounted);
        ensure_unused(disk.path()).unwrap();

        assert!(matches!(ensure_unused(&disk.image), Err(InUse::Unknown { .. })));
        assert!(matches!(ensure_unused(Path::new("/dev/no")), Err(InUse::Unknown { .. })));
    }
}
