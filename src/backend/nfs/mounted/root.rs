//! What is done in a directory, by descriptors relative to it. Every function blocks.
//!
//! A path is walked name by name, so that no link is followed and no other file system entered
//! ([`Beneath`]; `openat2` would do it in one call, and Linux before 5.6 does not have it).

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, StatxFlags, Uid, chmod, chownat,
        fstat, fstatvfs, mkdirat, openat, renameat, renameat_with, statat, statx, unlinkat,
    },
    io::Errno,
};

use super::{
    cause::{of_errno, of_io},
    reading::entries,
};
use crate::{
    backend::nfs::{
        path::{components, split},
        tree::{Cause, Entry, Kind, Made, Owner, Space},
    },
    sys::{beneath::Beneath, errno},
};

/// A file of hawser's own; nobody else reads it.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
const MODE_BITS: u32 = 0o7777;

/// A directory that is held open; everything lies below it.
#[derive(Debug)]
pub(super) struct Root(Beneath);

impl Root {
    pub(super) fn open(path: &Path) -> Result<Self, Cause> {
        Beneath::open(path, Path::new("")).map(Self).map_err(|error| of_io(&error))
    }

    /// The number of its file system.
    pub(super) fn device(&self) -> Result<u64, Cause> {
        fstat(&self.0).map(|stat| stat.st_dev).map_err(of_errno)
    }

    /// Asks the server whether the directory itself still exists: in one that somebody has deleted and
    /// made anew, nothing is found and nothing can be made, and that would pass for "absent"
    /// (measured: NFSv3 on Linux says `ENOENT` there, and not `ESTALE`).
    pub(super) fn ensure_exists(&self) -> Result<(), Cause> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC;
        let is_deleted = match statx(&self.0, "", flags, StatxFlags::NLINK) {
            Ok(stat) => stat.stx_nlink == 0,
            // Before Linux 4.11; then as old as the attributes are that the kernel has.
            Err(Errno::NOSYS) => fstat(&self.0).map_err(of_errno)?.st_nlink == 0,
            Err(errno) => return Err(of_errno(errno)),
        };
        if is_deleted { Err(Cause::Stale) } else { Ok(()) }
    }

    pub(super) fn descend(&self, path: &Path) -> Result<Beneath, Cause> {
        self.0.descend(path).map_err(|error| match errno::of(&error) {
            Some(Errno::NOTDIR) => Cause::NotADirectory(path.display().to_string()),
            _ => of_io(&error),
        })
    }

    /// The directory that holds what a path names, and the name.
    pub(super) fn parent<'p>(&self, path: &'p str) -> Result<(Beneath, &'p str), Cause> {
        let (parent, name) = split(path)?;
        Ok((self.descend(Path::new(parent))?, name))
    }

    pub(super) fn space(&self) -> Result<Space, Cause> {
        let stat = fstatvfs(&self.0).map_err(of_errno)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Space { total: bytes(stat.f_blocks), free: bytes(stat.f_bavail) })
    }

    pub(super) fn kind(&self, path: &str) -> Result<Option<Kind>, Cause> {
        if path.is_empty() {
            return Ok(Some(Kind::Directory));
        }
        let (parent, name) = match self.parent(path) {
            Err(Cause::NotFound) => return Ok(None),
            found => found?,
        };
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(kind_of(file_type(&stat)))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(of_errno(errno)),
        }
    }

    pub(super) fn make_dir(&self, path: &str, mode: u32) -> Result<Made, Cause> {
        let (parent, name) = self.parent(path)?;
        match mkdirat(&parent, name, Mode::from_raw_mode(mode & MODE_BITS)) {
            Ok(()) => {
                // The umask, and the server, may have taken bits away.
                set_mode(&open_any(&parent, name)?, mode)?;
                Ok(Made::New)
            }
            // Whatever the server says first: what is there counts.
            Err(errno @ (Errno::EXIST | Errno::ROFS | Errno::ACCESS)) => match self.kind(path)? {
                Some(Kind::Directory) => Ok(Made::Present),
                Some(Kind::File | Kind::Other) => Err(Cause::Exists),
                None => Err(of_errno(errno)),
            },
            Err(errno) => Err(of_errno(errno)),
        }
    }

    pub(super) fn set_owner(&self, path: &str, owner: Owner) -> Result<(), Cause> {
        let node = if path.is_empty() {
            open_any(&self.0, ".")?
        } else {
            let (parent, name) = self.parent(path)?;
            open_any(&parent, name)?
        };
        let stat = fstat(&node).map_err(of_errno)?;
        if kind_of(file_type(&stat)) == Kind::Other {
            return Err(Cause::Refused("it is neither a directory nor a file".into()));
        }
        if is_as_wanted(&stat, owner) {
            return Ok(());
        }
        if owner.uid.is_some() || owner.gid.is_some() {
            let (uid, gid) = (owner.uid.map(Uid::from_raw), owner.gid.map(Gid::from_raw));
            chownat(&node, "", uid, gid, AtFlags::EMPTY_PATH).map_err(of_errno)?;
        }
        // After the owner: changing that takes the set-user-id bit away.
        if let Some(mode) = owner.mode {
            set_mode(&node, mode)?;
        }
        if is_as_wanted(&fstat(&node).map_err(of_errno)?, owner) {
            return Ok(());
        }
        Err(Cause::Denied("it says that it has changed the owner, and has not".into()))
    }

    pub(super) fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, Cause> {
        // A pipe would wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let (parent, name) = match self.parent(path) {
            Err(Cause::NotFound) => return Ok(None),
            found => found?,
        };
        let no_file = || Cause::Refused("it is not a file".into());
        let file = match openat(&parent, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            // A link, or a socket.
            Err(Errno::LOOP | Errno::NXIO) => return Err(no_file()),
            Err(errno) => return Err(of_errno(errno)),
        };
        if kind_of(file_type(&fstat(&file).map_err(of_errno)?)) != Kind::File {
            return Err(no_file());
        }
        let mut bytes = Vec::new();
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        File::from(file).take(most).read_to_end(&mut bytes).map_err(|error| of_io(&error))?;
        if bytes.len() > limit {
            return Err(Cause::Refused(format!("it is larger than {limit} bytes")));
        }
        Ok(Some(bytes))
    }

    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> Result<(), Cause> {
        let (parent, name) = self.parent(path)?;
        let temporary = format!(".{name}.hawser-{}", uuid::Uuid::new_v4().simple());
        let replace = || -> Result<(), Cause> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let file = openat(&parent, &temporary, flags, PRIVATE).map_err(of_errno)?;
            let mut file = File::from(file);
            file.write_all(bytes).map_err(|error| of_io(&error))?;
            file.sync_all().map_err(|error| of_io(&error))?;
            drop(file);
            renameat(&parent, &temporary, &parent, name).map_err(of_errno)?;
            // NFS has nothing to do here: what a server has answered is on its disk.
            rustix::fs::fsync(open_dir(&parent)?).map_err(of_errno)
        };
        replace().inspect_err(|_| {
            let _ = unlinkat(&parent, &temporary, AtFlags::empty());
        })
    }

    pub(super) fn list(&self, path: &str) -> Result<Vec<Entry>, Cause> {
        components(path).map(drop)?;
        let directory = open_dir(&self.descend(Path::new(path))?)?;
        let mut found = Vec::new();
        entries(&directory, |entry| {
            let mut kind = entry.file_type;
            if kind == FileType::Unknown {
                // A server need not tell it with the names.
                match statat(&directory, &entry.name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => kind = file_type(&stat),
                    Err(Errno::NOENT) => return Ok(()),
                    Err(errno) => return Err(of_errno(errno)),
                }
            }
            let name = entry.name.to_string_lossy().into_owned();
            found.push(Entry { name, kind: kind_of(kind) });
            Ok(())
        })?;
        Ok(found)
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), Cause> {
        let (old_parent, old) = self.parent(from)?;
        let (new_parent, new) = self.parent(to)?;
        match renameat_with(&old_parent, old, &new_parent, new, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            // NFS has no such call, and old kernels neither.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                match statat(&new_parent, new, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(_) => Err(Cause::Exists),
                    Err(Errno::NOENT) => {
                        renameat(&old_parent, old, &new_parent, new).map_err(of_errno)
                    }
                    Err(errno) => Err(of_errno(errno)),
                }
            }
            Err(errno) => Err(of_errno(errno)),
        }
    }
}

/// A directory for reading its names.
pub(super) fn open_dir(directory: &Beneath) -> Result<OwnedFd, Cause> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(directory, ".", flags, Mode::empty()).map_err(of_errno)
}

pub(super) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whatever is there, a link itself included; needs no right to read it.
fn open_any(parent: impl AsFd, name: &str) -> Result<OwnedFd, Cause> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty()).map_err(of_errno)
}

/// By the descriptor's entry in /proc: fchmod(2) does not take one without the right to read, and
/// fchmodat(2) follows links. The caller has seen that it is no link.
fn set_mode(node: &OwnedFd, mode: u32) -> Result<(), Cause> {
    let path = format!("/proc/self/fd/{}", node.as_raw_fd());
    chmod(path, Mode::from_raw_mode(mode & MODE_BITS)).map_err(of_errno)
}

fn is_as_wanted(stat: &Stat, owner: Owner) -> bool {
    owner.uid.is_none_or(|uid| uid == stat.st_uid)
        && owner.gid.is_none_or(|gid| gid == stat.st_gid)
        && owner.mode.is_none_or(|mode| (mode ^ stat.st_mode) & MODE_BITS == 0)
}

fn kind_of(file_type: FileType) -> Kind {
    match file_type {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Kind::Other,
    }
}
