//! mount(2) and umount(2).
//!
//! A mount never silently turns into something else: an option that the kernel does not know makes
//! it fail. What is mounted at a path is asked of [`super::mountinfo`], never remembered.

use std::{
    ffi::CString,
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    mount::{MountFlags, MountPropagationFlags, UnmountFlags},
};

use super::{
    errno,
    mountinfo::{Mount, MountTable},
};
use crate::spec::FsType;

/// umount(2) right after the last use is often `EBUSY` for up to a second, since descriptors are
/// closed late (measured on NFS; also after a task was killed).
pub(super) const BUSY_LIMIT: Duration = Duration::from_secs(1);
pub(super) const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// What a root directory of mounts is made a mount point with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKind {
    /// A bind of the directory onto itself.
    Bind,
    /// A small tmpfs: what is written beside the mounts never reaches the disk.
    Tmpfs,
}

/// A file system that stays mounted.
#[derive(Debug, thiserror::Error)]
pub enum UnmountError {
    /// Something still has files open in it, or another mount on top of it.
    #[error("unmount {}: busy", .path.display())]
    Busy {
        /// The mount point.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("unmount {}", .path.display())]
    Failed {
        /// The mount point.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Mounts a device. `options` are written as for mount(8): those that belong to mount(2) itself
/// become flags, the rest goes to the file system as it is.
///
/// # Errors
/// With the kernel's errno: `EINVAL` also for an option that the file system does not know (the
/// kernel's log says which), `EBUSY` if the device is in use, `EUCLEAN` if it needs a check.
pub fn mount_fs(device: &Path, target: &Path, fs: FsType, options: &[String]) -> io::Result<()> {
    let (flags, data) = split_options(options);
    let data =
        CString::new(data).map_err(|error| errno::on("mount", device)(io::Error::from(error)))?;
    rustix::mount::mount(device, target, fs.as_str(), flags, data.as_c_str())
        .map_err(errno::on("mount", device))
}

/// Makes one directory (or file) visible at another path, without the mounts below it.
///
/// # Errors
/// With the kernel's errno.
pub fn bind(source: &Path, target: &Path) -> io::Result<()> {
    rustix::mount::mount_bind(source, target).map_err(errno::on("bind to", target))
}

/// Unmounts what is seen at `target`, one layer. Nothing mounted there is success. A link is not
/// followed. `EBUSY` is tried again for about a second.
///
/// # Errors
/// See [`UnmountError`].
///
/// # Cancellation
/// An attempt that has begun goes on in its thread; repeating the call is safe.
pub async fn unmount(target: &Path) -> Result<(), UnmountError> {
    let deadline = Instant::now() + BUSY_LIMIT;
    loop {
        match unmount_once(target, UnmountFlags::NOFOLLOW).await {
            Ok(()) => return Ok(()),
            Err(error) if errno::of(&error) == Some(Errno::BUSY) => {
                if Instant::now() >= deadline {
                    return Err(UnmountError::Busy { path: target.to_owned() });
                }
            }
            Err(source) => {
                return Err(UnmountError::Failed { path: target.to_owned(), source });
            }
        }
        tokio::time::sleep(BUSY_PAUSE).await;
    }
}

/// Takes away what is seen at `target`, one layer, also from under those who use it: they keep what
/// they have open, and nobody finds the mount any more. For a file system that was shut down, which
/// nothing can be written to.
///
/// # Errors
/// See [`UnmountError`]; never busy.
pub async fn unmount_lazily(target: &Path) -> Result<(), UnmountError> {
    let unmounted = unmount_once(target, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH).await;
    unmounted.map_err(|source| UnmountError::Failed { path: target.to_owned(), source })
}

/// umount(2) writes back what is dirty, which can take long, hence a thread of its own.
async fn unmount_once(target: &Path, flags: UnmountFlags) -> io::Result<()> {
    let target = target.to_owned();
    let attempt = tokio::task::spawn_blocking(move || {
        match rustix::mount::unmount(&target, flags) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            // Usually "not a mount point", but also said of a mount that is locked to an outer
            // namespace, and of a symbolic link: these stay, and must not pass for unmounted.
            Err(Errno::INVAL) => match MountTable::read()?.at(&target) {
                None => Ok(()),
                Some(_) => Err(Errno::INVAL.into()),
            },
            Err(error) => Err(error.into()),
        }
    });
    attempt.await.map_err(io::Error::other)?
}

/// What the mount table shows as the source of our own tmpfs.
const TMPFS_SOURCE: &str = "hawser";

/// Makes `path` a mount point of its own, in a peer group of its own, with shared propagation, so
/// that a mount made below it also goes away in the namespaces that copied it. Creates the
/// directory. Safe to repeat, also after a crash between any two of its steps.
///
/// # Errors
/// With the operation that failed.
pub fn ensure_shared_root(path: &Path, kind: RootKind) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(errno::on("create", path))?;
    let path = &path.canonicalize().map_err(errno::on("resolve", path))?;
    let table = MountTable::read()?;
    let present = table.at(path);
    match kind {
        RootKind::Bind if present.is_none() => bind(path, path)?,
        // Over any other mount: a managed plugin finds its propagated mount there already.
        RootKind::Tmpfs if present.is_none_or(|mount| mount.source != TMPFS_SOURCE) => {
            mount_tmpfs(path)?;
        }
        RootKind::Bind | RootKind::Tmpfs => {}
    }
    let table = MountTable::read()?;
    let Some(mount) = table.at(path) else {
        return Err(errno::on("find the mount at", path)(Errno::NOENT));
    };
    if shares_with_parent(&table, mount) {
        // A bind of a shared directory joins its peer group, and then everything mounted below is
        // mounted a second time in the directory beneath the bind. Leave the group first.
        change(path, MountPropagationFlags::PRIVATE)?;
        return change(path, MountPropagationFlags::SHARED);
    }
    if mount.shared { Ok(()) } else { change(path, MountPropagationFlags::SHARED) }
}

fn shares_with_parent(table: &MountTable, mount: &Mount) -> bool {
    let parent = table.by_id(mount.parent);
    mount.shared && parent.is_some_and(|parent| parent.peer_group == mount.peer_group)
}

fn change(path: &Path, propagation: MountPropagationFlags) -> io::Result<()> {
    rustix::mount::mount_change(path, propagation)
        .map_err(errno::on("change the propagation of", path))
}

fn mount_tmpfs(path: &Path) -> io::Result<()> {
    let flags = MountFlags::NODEV | MountFlags::NOSUID;
    rustix::mount::mount(TMPFS_SOURCE, path, "tmpfs", flags, c"mode=0755,size=1m")
        .map_err(errno::on("mount a tmpfs on", path))
}

/// The flags of mount(2) and what remains for the file system. A later option wins.
pub(super) fn split_options(options: &[String]) -> (MountFlags, String) {
    let mut flags = MountFlags::empty();
    let mut data = Vec::new();
    for option in options.iter().flat_map(|list| list.split(',')) {
        match option {
            "" | "defaults" => {}
            "rw" => flags.remove(MountFlags::RDONLY),
            "async" => flags.remove(MountFlags::SYNCHRONOUS),
            "suid" => flags.remove(MountFlags::NOSUID),
            "dev" => flags.remove(MountFlags::NODEV),
            "exec" => flags.remove(MountFlags::NOEXEC),
            "atime" => flags.remove(MountFlags::NOATIME),
            "diratime" => flags.remove(MountFlags::NODIRATIME),
            "norelatime" => flags.remove(MountFlags::RELATIME),
            "nostrictatime" => flags.remove(MountFlags::STRICTATIME),
            "nolazytime" => flags.remove(MountFlags::LAZYTIME),
            _ => match flag(option) {
                Some(flag) => flags |= flag,
                None => data.push(option),
            },
        }
    }
    (flags, data.join(","))
}

fn flag(option: &str) -> Option<MountFlags> {
    Some(match option {
        "ro" => MountFlags::RDONLY,
        "sync" => MountFlags::SYNCHRONOUS,
        "dirsync" => MountFlags::DIRSYNC,
        "nosuid" => MountFlags::NOSUID,
        "nodev" => MountFlags::NODEV,
        "noexec" => MountFlags::NOEXEC,
        "noatime" => MountFlags::NOATIME,
        "nodiratime" => MountFlags::NODIRATIME,
        "relatime" => MountFlags::RELATIME,
        "strictatime" => MountFlags::STRICTATIME,
        "lazytime" => MountFlags::LAZYTIME,
        "silent" => MountFlags::SILENT,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
