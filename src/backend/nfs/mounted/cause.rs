//! What an errno on the export, or a mount that was not made, means for whoever asked.

use std::io;

use rustix::io::Errno;

use crate::{
    backend::nfs::tree::Cause,
    sys::{errno, nfs::MountError},
};

pub(super) fn of_errno(errno: Errno) -> Cause {
    match errno {
        Errno::PERM | Errno::ACCESS => Cause::Denied(errno.to_string()),
        Errno::ROFS => Cause::ReadOnly,
        Errno::NOSPC | Errno::DQUOT => Cause::Full(errno.to_string()),
        Errno::STALE => Cause::Stale,
        Errno::EXIST | Errno::NOTEMPTY => Cause::Exists,
        Errno::NOENT => Cause::NotFound,
        // A soft mount says EIO when its server does not answer; a server whose disk fails, too.
        Errno::IO => Cause::Unreachable("no answer in time, or an error of its disk (EIO)".into()),
        Errno::TIMEDOUT
        | Errno::CONNREFUSED
        | Errno::CONNRESET
        | Errno::NOTCONN
        | Errno::HOSTUNREACH
        | Errno::NETUNREACH => Cause::Unreachable(errno.to_string()),
        Errno::NOTDIR | Errno::LOOP => Cause::NotADirectory("a part of the path".into()),
        Errno::XDEV => Cause::Refused("another file system lies there".into()),
        Errno::ISDIR => Cause::Refused("it is a directory".into()),
        Errno::BUSY => Cause::Refused("a process on this node has it open".into()),
        other => Cause::Protocol(other.to_string()),
    }
}

pub(super) fn of_io(error: &io::Error) -> Cause {
    errno::of(error).map_or_else(|| Cause::Protocol(error.to_string()), of_errno)
}

pub(super) fn of_mount(error: &MountError) -> Cause {
    match error {
        MountError::Unreachable { errno, version, .. } => {
            Cause::Unreachable(format!("{errno}, by NFS {version}"))
        }
        MountError::TimedOut { version, after, .. } => {
            Cause::Unreachable(format!("no answer for {after:?}, by NFS {version}"))
        }
        MountError::NotFound { errno, version, .. } | MountError::Denied { errno, version, .. } => {
            Cause::NoExport(format!("{errno}, by NFS {version}"))
        }
        // A soft mount's word for it.
        MountError::Kernel { source, .. } if errno::of(source) == Some(Errno::IO) => {
            of_errno(Errno::IO)
        }
        MountError::NoClient { .. }
        | MountError::NoVersion { .. }
        | MountError::BadOption { .. }
        | MountError::NoLocks { .. }
        | MountError::Kernel { .. }
        | MountError::Helper { .. } => Cause::Refused(error.to_string()),
    }
}
