//! Making a file system as large as its device. Never smaller.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{CheckError, Repair, check, file_system_size};
use crate::{
    spec::{Bytes, FsType},
    sys::{
        blockdev, caps,
        process::{Tool, ToolError},
    },
};

const RESIZE2FS: Tool = Tool::new("resize2fs");
const XFS_GROWFS: Tool = Tool::new("xfs_growfs");

/// Growing writes new tables only; a bound for storage that is slow.
const GROW_LIMIT: Duration = Duration::from_secs(3600);

/// A file system that fills its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grown {
    /// Its size before.
    pub from: Bytes,
    /// Its size now; the same if there was nothing to do.
    pub to: Bytes,
}

/// Why a file system was not grown. It is as large as before, and as usable.
#[derive(Debug, thiserror::Error)]
pub enum GrowError {
    /// ext4 asks for `CAP_SYS_RESOURCE`, which this process lacks: grow it at the next mount.
    #[error("grow {} while it is mounted: CAP_SYS_RESOURCE is missing, it will be grown at its next mount", .device.display())]
    NeedsCapability {
        /// The device.
        device: PathBuf,
    },
    /// xfs grows only while it is mounted.
    #[error("grow {}: {fs} grows only while it is mounted", .device.display())]
    NotPossible {
        /// The device.
        device: PathBuf,
        /// The file system.
        fs: FsType,
    },
    /// The check before it gave no result.
    #[error("grow")]
    Check(#[from] CheckError),
    /// The check before it found what it could not repair.
    #[error("grow {}: it has errors that a person must look at", .device.display())]
    Damaged {
        /// The device.
        device: PathBuf,
        /// What e2fsck said.
        output: String,
    },
    /// Its size could not be read.
    #[error("grow {}", .device.display())]
    Size {
        /// The device.
        device: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The tool failed.
    #[error("grow {}", .device.display())]
    Tool {
        /// The device.
        device: PathBuf,
        /// How.
        source: ToolError,
    },
}

/// Grows a file system that is not mounted anywhere to the size of its device. ext4 is checked
/// first (resize2fs insists), xfs cannot.
///
/// # Errors
/// See [`GrowError`].
pub async fn grow_offline(device: &Path, fs: FsType) -> Result<Grown, GrowError> {
    match fs {
        FsType::Xfs => {
            return Err(GrowError::NotPossible { device: device.to_owned(), fs });
        }
        FsType::Ext4 => {}
    }
    let report = check(device, fs, Repair::Yes).await?;
    if !report.clean {
        return Err(GrowError::Damaged { device: device.to_owned(), output: report.output });
    }
    grow(device, fs, RESIZE2FS, device).await
}

/// Grows a mounted file system to the size of its device.
///
/// # Errors
/// See [`GrowError`]; `NeedsCapability` is found out before anything is tried.
pub async fn grow_online(
    device: &Path,
    mount_point: &Path,
    fs: FsType,
) -> Result<Grown, GrowError> {
    match fs {
        FsType::Ext4 => {
            let size = size(device, fs).await?;
            if is_full_size(device, size).await? {
                return Ok(Grown { from: size, to: size });
            }
            if !caps::has_sys_resource() {
                return Err(GrowError::NeedsCapability { device: device.to_owned() });
            }
            grow(device, fs, RESIZE2FS, device).await
        }
        FsType::Xfs => grow(device, fs, XFS_GROWFS, mount_point).await,
    }
}

async fn grow(device: &Path, fs: FsType, tool: Tool, object: &Path) -> Result<Grown, GrowError> {
    let from = size(device, fs).await?;
    tool.run([object], GROW_LIMIT)
        .await
        .map_err(|source| GrowError::Tool { device: device.to_owned(), source })?;
    Ok(Grown { from, to: size(device, fs).await? })
}

async fn size(device: &Path, fs: FsType) -> Result<Bytes, GrowError> {
    blocking(device, move |device| file_system_size(device, fs)).await
}

/// A rest smaller than one block of 4 KiB cannot be used.
async fn is_full_size(device: &Path, size: Bytes) -> Result<bool, GrowError> {
    let whole = blocking(device, blockdev::size).await?;
    Ok(whole.saturating_sub(size) < Bytes::new(4096))
}

async fn blocking<T: Send + 'static>(
    device: &Path,
    read: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T, GrowError> {
    let path = device.to_owned();
    tokio::task::spawn_blocking(move || read(&path))
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|source| GrowError::Size { device: device.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{loopdev, testing};

    fn enlarge(disk: &testing::Disk, mib: u64) {
        disk.file.set_len(mib << 20).unwrap();
        loopdev::refresh_capacity(&disk.device, loopdev::identity(&disk.file).unwrap()).unwrap();
    }

    #[tokio::test]
    async fn xfs_grows_while_it_is_mounted_and_only_then() {
        let world = testing::World::alone();
        let disk = world.formatted(FsType::Xfs, 320).await;
        let mounted = world.mount(&disk, FsType::Xfs, &[]);
        enlarge(&disk, 640);

        let grown = grow_online(disk.path(), mounted.path(), FsType::Xfs).await.unwrap();

        assert_eq!(grown, Grown { from: Bytes::mib(320), to: Bytes::mib(640) });
        let again = grow_online(disk.path(), mounted.path(), FsType::Xfs).await.unwrap();
        assert_eq!(again, Grown { from: Bytes::mib(640), to: Bytes::mib(640) });
        drop(mounted);
        assert_eq!(file_system_size(disk.path(), FsType::Xfs).unwrap(), Bytes::mib(640));
        let error = grow_offline(disk.path(), FsType::Xfs).await.unwrap_err();
        assert!(matches!(error, GrowError::NotPossible { .. }));
    }

    #[tokio::test]
    async fn ext4_grows_offline_and_keeps_its_data() {
        let world = testing::World::alone();
        let disk = world.formatted(FsType::Ext4, 64).await;
        let mounted = world.mount(&disk, FsType::Ext4, &[]);
        let file = mounted.path().join("file");
        testing::run("sh", ["-c", &format!("echo kept > '{}'", file.display())]);
        drop(mounted);
        enlarge(&disk, 4096);

        let grown = grow_offline(disk.path(), FsType::Ext4).await.unwrap();

        assert_eq!(grown, Grown { from: Bytes::mib(64), to: Bytes::mib(4096) });
        assert!(grow_offline(disk.path(), FsType::Ext4).await.is_ok());
        let _mounted = world.mount(&disk, FsType::Ext4, &[]);
        assert_eq!(std::fs::read(&file).unwrap(), b"kept\n");
    }

    #[tokio::test]
    async fn ext4_grows_online_where_the_capability_is_there_and_says_so_where_not() {
        let world = testing::World::alone();
        let disk = world.formatted(FsType::Ext4, 64).await;
        let mounted = world.mount(&disk, FsType::Ext4, &[]);
        let nothing_to_do = grow_online(disk.path(), mounted.path(), FsType::Ext4).await.unwrap();
        assert_eq!(nothing_to_do.to, Bytes::mib(64));
        enlarge(&disk, 128);

        let result = grow_online(disk.path(), mounted.path(), FsType::Ext4).await;

        if caps::has_sys_resource() {
            assert_eq!(result.unwrap().to, Bytes::mib(128));
        } else {
            assert!(matches!(result, Err(GrowError::NeedsCapability { .. })), "{result:?}");
        }
        let error = grow_offline(disk.path(), FsType::Ext4).await.unwrap_err();
        assert!(matches!(error, GrowError::Check(CheckError::InUse(_))), "{error:?}");
    }
}
