//! Directories that nobody can write into while nothing is mounted on them.
//!
//! A task that starts before its volume is mounted, or after it went away, must get an error and
//! not the host's disk. Mode 0000 stops everybody but root; the immutable flag (chattr(1) `+i`)
//! stops root, too, and a file system can still be mounted over the directory.

use std::{
    fs::{File, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, IFlags, OFlags, StatxAttributes, StatxFlags, ioctl_getflags, ioctl_setflags, statx,
    },
    io::Errno,
};

use super::errno;

/// How well a directory is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Against root, too.
    Immutable,
    /// The file system has no immutable flag, or we lack the right to set it
    /// (`CAP_LINUX_IMMUTABLE`): only the mode stands in the way, which root ignores.
    ModeOnly,
}

/// Guards a directory on which nothing is mounted. Safe to repeat.
///
/// # Errors
/// `EBUSY` if something is mounted on it after all: then it would be the volume's own root.
pub fn guard(dir: &Path) -> io::Result<Guard> {
    let handle = open_unmounted(dir)?;
    let flags = match ioctl_getflags(&handle) {
        Ok(flags) if flags.contains(IFlags::IMMUTABLE) => return Ok(Guard::Immutable),
        Ok(flags) => Some(flags),
        Err(error) if means_unsupported(error) => None,
        Err(error) => return Err(errno::on("read the flags of", dir)(error)),
    };
    // Before the flag: an immutable directory's mode cannot be changed.
    handle.set_permissions(Permissions::from_mode(0o000)).map_err(errno::on("chmod", dir))?;
    let Some(flags) = flags else {
        return Ok(Guard::ModeOnly);
    };
    match ioctl_setflags(&handle, flags | IFlags::IMMUTABLE) {
        Ok(()) => Ok(Guard::Immutable),
        Err(error) if means_unsupported(error) => Ok(Guard::ModeOnly),
        Err(error) => Err(errno::on("make immutable", dir)(error)),
    }
}

/// Takes the guard away, so that the directory can be removed or used; a directory that is not
/// there is success.
///
/// # Errors
/// `EBUSY` if something is mounted on it.
pub fn unguard(dir: &Path) -> io::Result<()> {
    let handle = match open_unmounted(dir) {
        Ok(handle) => handle,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    match ioctl_getflags(&handle) {
        Ok(flags) if flags.contains(IFlags::IMMUTABLE) => {
            ioctl_setflags(&handle, flags - IFlags::IMMUTABLE)
                .map_err(errno::on("make mutable", dir))?;
        }
        Ok(_) => {}
        Err(error) if means_unsupported(error) => {}
        Err(error) => return Err(errno::on("read the flags of", dir)(error)),
    }
    handle.set_permissions(Permissions::from_mode(0o755)).map_err(errno::on("chmod", dir))
}

/// Opens the directory itself, never through a link, and makes sure that it is not a mount's root:
/// opening a mount point opens what is mounted on it.
fn open_unmounted(dir: &Path) -> io::Result<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let handle = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(dir)
        .map_err(errno::on("open", dir))?;
    // Linux 5.8 says so; on an older one the caller's promise has to do. ENOSYS: older than 4.11.
    let stat = match statx(&handle, "", AtFlags::EMPTY_PATH, StatxFlags::empty()) {
        Ok(stat) => stat,
        Err(Errno::NOSYS) => return Ok(handle),
        Err(error) => return Err(errno::on("stat", dir)(error)),
    };
    if stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return Err(errno::on("guard", dir)(Errno::BUSY));
    }
    Ok(handle)
}

fn means_unsupported(error: Errno) -> bool {
    // EINVAL: tmpfs before 6.6 and some FUSE file systems; EPERM: no CAP_LINUX_IMMUTABLE.
    matches!(error, Errno::OPNOTSUPP | Errno::NOTTY | Errno::PERM | Errno::INVAL | Errno::NOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        spec::FsType,
        sys::{mount, testing},
    };

    #[tokio::test]
    async fn a_guarded_directory_stops_root_and_can_be_mounted_over() {
        let world = testing::World::alone();
        let disk = world.formatted(FsType::Ext4, 64).await;
        let dir = world.dir("guarded");
        assert_eq!(guard(&dir).unwrap(), Guard::Immutable);
        assert_eq!(guard(&dir).unwrap(), Guard::Immutable);
        assert_eq!(
            File::metadata(&File::open(&dir).unwrap()).unwrap().permissions().mode() & 0o777,
            0
        );

        let refused = File::create(dir.join("file")).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(Errno::PERM.raw_os_error()));

        mount::mount_fs(disk.path(), &dir, FsType::Ext4, &[]).unwrap();
        let mounted = testing::Unmount(dir.clone());
        File::create(dir.join("file")).unwrap();
        for result in [guard(&dir).map(|_| ()), unguard(&dir)] {
            assert_eq!(errno::of(&result.unwrap_err()), Some(Errno::BUSY));
        }
        drop(mounted);

        assert!(File::create(dir.join("file")).is_err());
        unguard(&dir).unwrap();
        File::create(dir.join("file")).unwrap();
        unguard(&world.path("absent")).unwrap();
    }

    #[test]
    fn a_file_system_without_the_flag_gives_the_mode_only() {
        let world = testing::World::alone();
        // ramfs has no inode flags.
        let root = world.dir("ramfs");
        rustix::mount::mount("x", &root, "ramfs", rustix::mount::MountFlags::empty(), None)
            .unwrap();
        let _root = testing::Unmount(root.clone());
        let dir = root.join("dir");
        std::fs::create_dir(&dir).unwrap();

        assert_eq!(guard(&dir).unwrap(), Guard::ModeOnly);

        assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0);
        unguard(&dir).unwrap();
    }

    #[test]
    fn a_link_is_not_followed() {
        let world = testing::World::alone();
        let dir = world.dir("dir");
        let link = world.path("link");
        std::os::unix::fs::symlink(&dir, &link).unwrap();

        assert!(guard(&link).is_err());
        assert_ne!(dir.metadata().unwrap().permissions().mode() & 0o777, 0);
    }
}
