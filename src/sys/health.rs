//! Whether a mounted file system still does what it was mounted for.
//!
//! The kernel has no one place to ask; what it shows depends on file system and version (measured
//! on 6.18 unless a source is named):
//! - ext4 after an error, `errors=remount-ro`: super option `ro` up to 6.11; `emergency_ro` since
//!   6.15, where the mount itself stays `rw`; in between (Debian 13) nothing but the counter in
//!   /sys/fs/ext4 ("ext4: don't set SB_RDONLY after filesystem errors", Linux 6.12);
//! - ext4 after an error, `errors=continue`: nothing but the counter in /sys/fs/ext4;
//! - ext4 after a shutdown: super option `shutdown` since 6.15; fsync gives `EIO` on all;
//! - xfs after a shutdown: no option at all; opening the root gives `EIO`.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use rustix::{
    fs::{StatVfsMountFlags, fstatvfs, major, minor},
    io::Errno,
};

use super::mountinfo::Mount;

/// The state of a mounted file system. The text says how it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It answers and takes writes.
    Ok,
    /// It takes writes, and has recorded errors: it needs a check at the next chance.
    Damaged(String),
    /// It went read-only by itself.
    ReadOnly(String),
    /// It was shut down, by us or by an error, or its device is gone: nothing works any more.
    Shutdown(String),
    /// It could not be asked, or something else is mounted there.
    Unknown(String),
}

/// Looks at a mount and asks the file system itself. `mount` must be fresh from the mount table.
///
/// Blocks for as long as the storage does: call it with a deadline.
#[must_use]
pub fn health(mount: &Mount, mount_point: &Path) -> Health {
    if let Some(health) = judge_options(mount) {
        return health;
    }
    match ask(mount, mount_point) {
        Ok(health) => health,
        Err(error) => judge_error(&error),
    }
}

fn judge_options(mount: &Mount) -> Option<Health> {
    let has = |options: &[String], option: &str| options.iter().any(|o| o == option);
    if has(&mount.super_options, "shutdown") {
        return Some(Health::Shutdown("the kernel shows it as shut down".to_owned()));
    }
    if has(&mount.super_options, "emergency_ro") {
        return Some(Health::ReadOnly("the kernel stopped all writes after an error".to_owned()));
    }
    // `mount -o ro` sets both; an error only the file system's own.
    if has(&mount.super_options, "ro") && has(&mount.options, "rw") {
        return Some(Health::ReadOnly("the kernel remounted it read-only".to_owned()));
    }
    None
}

fn ask(mount: &Mount, mount_point: &Path) -> io::Result<Health> {
    let root = File::open(mount_point)?;
    let dev = root.metadata()?.dev();
    // Major 0: NFS and others whose st_dev need not be the mount's.
    if mount.device.0 != 0 && (major(dev), minor(dev)) != mount.device {
        return Ok(Health::Unknown("another file system is mounted over it".to_owned()));
    }
    let flags = fstatvfs(&root)?.f_flag;
    let wanted_rw = mount.options.iter().any(|option| option == "rw");
    if wanted_rw && flags.contains(StatVfsMountFlags::RDONLY) {
        return Ok(Health::ReadOnly("statvfs says read-only".to_owned()));
    }
    // Of a directory, which nothing changed: 0.7 us and no flush on an idle ext4 or xfs. A busy ext4
    // commits its journal, as it does every 5 s anyway.
    root.sync_all()?;
    let Some(count) = recorded_errors(mount) else {
        return Ok(Health::Ok);
    };
    if wanted_rw {
        // Only now: a write that changes no more than the root's change time. EROFS if the journal
        // was aborted, whether the kernel shows that or not.
        root.set_permissions(root.metadata()?.permissions())?;
    }
    Ok(Health::Damaged(format!("the file system has recorded {count} errors")))
}

/// ext4's count of errors since the last e2fsck, which it keeps in the superblock.
fn recorded_errors(mount: &Mount) -> Option<u64> {
    if mount.fs_type != "ext4" {
        return None;
    }
    let (major, minor) = mount.device;
    let name = fs::read_link(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    let counter = Path::new("/sys/fs/ext4").join(name.file_name()?).join("errors_count");
    fs::read_to_string(counter).ok()?.trim().parse().ok().filter(|count| *count > 0)
}

fn judge_error(error: &io::Error) -> Health {
    match super::errno::of(error) {
        Some(Errno::ROFS) => Health::ReadOnly(error.to_string()),
        // EUCLEAN: ext4 and xfs say so of metadata that makes no sense.
        Some(Errno::IO | Errno::NXIO | Errno::NODEV | Errno::UCLEAN | Errno::SHUTDOWN) => {
            Health::Shutdown(error.to_string())
        }
        Some(_) | None => Health::Unknown(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        spec::FsType,
        sys::{loopdev::LoopDevice, mountinfo::MountTable, shutdown, testing},
    };

    fn of(mount_point: &Path) -> Health {
        health(MountTable::read().unwrap().at(mount_point).unwrap(), mount_point)
    }

    /// Flushes that the device was asked for (Documentation/block/stat.rst, field 16).
    fn flushes(device: &LoopDevice) -> u64 {
        let stat = fs::read_to_string(format!("/sys/block/loop{}/stat", device.number)).unwrap();
        stat.split_whitespace().nth(15).unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn an_idle_disk_is_left_alone() {
        let world = testing::World::alone();
        for fs in FsType::ALL {
            let disk = world.formatted(fs, 320).await;
            let mounted = world.mount(&disk, fs, &[]);
            rustix::fs::syncfs(File::open(mounted.path()).unwrap()).unwrap();
            let before = flushes(&disk.device);
            assert!(before > 0);

            for _ in 0..20 {
                assert_eq!(of(mounted.path()), Health::Ok, "{fs}");
            }

            assert_eq!(flushes(&disk.device), before, "{fs}");
        }
    }

    fn trigger_error(device: &LoopDevice) {
        let file = format!("/sys/fs/ext4/loop{}/trigger_fs_error", device.number);
        std::io::Write::write_all(&mut File::options().write(true).open(file).unwrap(), b"test")
            .unwrap();
    }

    #[tokio::test]
    async fn a_healthy_file_system_is_ok_also_when_mounted_read_only_on_purpose() {
        let world = testing::World::alone();
        for fs in FsType::ALL {
            let disk = world.formatted(fs, 320).await;
            let mounted = world.mount(&disk, fs, &[]);
            assert_eq!(of(mounted.path()), Health::Ok, "{fs}");
            drop(mounted);
            let mounted = world.mount(&disk, fs, &["ro".to_owned()]);
            assert_eq!(of(mounted.path()), Health::Ok, "{fs}, ro");
        }
    }

    #[tokio::test]
    async fn a_shut_down_file_system_is_seen() {
        let world = testing::World::alone();
        for fs in FsType::ALL {
            let disk = world.formatted(fs, 320).await;
            let mounted = world.mount(&disk, fs, &[]);
            std::fs::create_dir(mounted.path().join("d")).unwrap();

            shutdown::shut_down(mounted.path()).unwrap();

            assert!(
                matches!(of(mounted.path()), Health::Shutdown(_)),
                "{fs}: {:?}",
                of(mounted.path())
            );
            let table = MountTable::read().unwrap();
            // Without the kernel's option, as before 6.15.
            let mut old = table.at(mounted.path()).unwrap().clone();
            old.super_options.retain(|option| option != "shutdown");
            let seen = health(&old, mounted.path());
            assert!(matches!(seen, Health::Shutdown(_)), "{fs}: {seen:?}");
        }
    }

    #[tokio::test]
    async fn ext4_that_went_read_only_on_an_error_is_seen() {
        let world = testing::World::alone();
        // The default of `format` is errors=remount-ro.
        let disk = world.formatted(FsType::Ext4, 64).await;
        let mounted = world.mount(&disk, FsType::Ext4, &[]);

        trigger_error(&disk.device);

        let seen = of(mounted.path());
        assert!(matches!(seen, Health::ReadOnly(_)), "{seen:?}");
        // Without the kernel's option, as from 6.12 to 6.14.
        let mut old = MountTable::read().unwrap().at(mounted.path()).unwrap().clone();
        old.super_options.retain(|option| option != "emergency_ro");
        let seen = health(&old, mounted.path());
        assert!(matches!(seen, Health::ReadOnly(_)), "{seen:?}");
        assert!(File::create(mounted.path().join("f")).is_err());
    }

    #[tokio::test]
    async fn ext4_that_carries_on_after_an_error_is_damaged() {
        let world = testing::World::alone();
        let disk = world.formatted(FsType::Ext4, 64).await;
        let mounted = world.mount(&disk, FsType::Ext4, &["errors=continue".to_owned()]);

        trigger_error(&disk.device);

        // The counter is updated in the background.
        testing::until("the error is counted", || of(mounted.path()) != Health::Ok);
        let seen = of(mounted.path());
        assert!(matches!(seen, Health::Damaged(_)), "{seen:?}");
    }

    #[test]
    fn the_super_option_of_older_kernels_is_seen() {
        let table = MountTable::read().unwrap();
        let mut mount = table.at(Path::new("/")).unwrap().clone();
        mount.options = vec!["rw".into()];
        mount.super_options = vec!["ro".into(), "errors=remount-ro".into()];

        assert!(matches!(health(&mount, Path::new("/")), Health::ReadOnly(_)));
        mount.super_options = vec!["rw".into()];
        mount.device = (7, 4095);
        assert!(matches!(health(&mount, Path::new("/")), Health::Unknown(_)));
    }
}
