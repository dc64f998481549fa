//! Why an NFS mount failed, and what to do: from the kernel's errno, which names neither.

use std::{fmt, io, net::IpAddr, time::Duration};

use rustix::io::Errno;

use super::{HelperError, Lacking, NfsMount, Version};

/// A directory on a server, as messages name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The server as it is configured.
    pub host: String,
    /// Its address.
    pub address: IpAddr,
    /// The directory.
    pub path: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.path)?;
        if self.host.parse() == Ok(self.address) {
            Ok(())
        } else {
            write!(f, " ({})", self.address)
        }
    }
}

/// An NFS mount that was not made; nothing is mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The kernel was built without one, or its module is not there.
    #[error(
        "mount {place}: this kernel has no NFS client (CONFIG_NFS_FS): load the module nfs, or install the package with the kernel's modules; nothing was mounted"
    )]
    NoClient {
        /// What was to be mounted.
        place: Place,
    },
    /// Either side lacks them.
    #[error(
        "mount {place}: the server, or this kernel, has none of the versions of NFS that are configured ({tried}): set `versions` to what the server offers"
    )]
    NoVersion {
        /// What was to be mounted.
        place: Place,
        /// The versions, and what the kernel said.
        tried: String,
    },
    /// The kernel does not know an option.
    #[error(
        "mount {place}: the kernel does not take the options ({options}): its log says which (dmesg)"
    )]
    BadOption {
        /// What was to be mounted.
        place: Place,
        /// The options that are not hawser's own.
        options: String,
    },
    /// The path is not the one that the server exports.
    #[error(
        "mount {place} by NFS {version}: the server has no such directory there ({errno}): compare the path with its exports; NFSv4 counts it from a root of its own, which may be another than NFSv3's"
    )]
    NotFound {
        /// What was to be mounted.
        place: Place,
        /// By which version.
        version: Version,
        /// What the kernel said.
        errno: Errno,
    },
    /// The server does not want this node.
    #[error(
        "mount {place} by NFS {version}: refused ({errno}): export it to this node's address on the server, as `insecure` if `noresvport` is set; and see that hawser has CAP_SYS_ADMIN"
    )]
    Denied {
        /// What was to be mounted.
        place: Place,
        /// By which version.
        version: Version,
        /// What the kernel said.
        errno: Errno,
    },
    /// Nothing listens, or no way leads there.
    #[error(
        "mount {place} by NFS {version}: the server cannot be reached ({errno}): see whether it runs, and whether this node gets at its ports"
    )]
    Unreachable {
        /// What was to be mounted.
        place: Place,
        /// By which version.
        version: Version,
        /// What the kernel said.
        errno: Errno,
    },
    /// mount(2) did not return, and was ended.
    #[error(
        "mount {place} by NFS {version}: no answer for {after:?}, given up: see whether the server runs, and whether a firewall drops what is sent to it"
    )]
    TimedOut {
        /// What was to be mounted.
        place: Place,
        /// By which version.
        version: Version,
        /// The time that all attempts had.
        after: Duration,
    },
    /// NFSv3 without locks that hold across nodes, and these were wanted.
    #[error(
        "mount {place} by NFS 3: locks would not hold across nodes: {why}; mend it, or allow locks that only the tasks of one node see (`locks = \"local\"`)"
    )]
    NoLocks {
        /// What was to be mounted.
        place: Place,
        /// What is missing.
        #[source]
        why: Lacking,
    },
    /// Something else.
    #[error("mount {place} by NFS {version}: {source}: the kernel's log may say more (dmesg)")]
    Kernel {
        /// What was to be mounted.
        place: Place,
        /// By which version.
        version: Version,
        /// What the kernel said.
        source: io::Error,
    },
    /// The child that calls mount(2) did not do its work.
    #[error("mount {place}: {source}")]
    Helper {
        /// What was to be mounted.
        place: Place,
        /// Why.
        source: HelperError,
    },
}

/// What an errno of mount(2) means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not this version: the next one may work.
    NextVersion,
    NoClient,
    NotFound,
    Denied,
    Unreachable,
    Other,
}

pub(super) fn verdict(errno: Errno) -> Verdict {
    match errno {
        // The versions of a server that has the program: PROTONOSUPPORT. Program or procedure not
        // there at all: PFNOSUPPORT, OPNOTSUPP (net/sunrpc/clnt.c, rpc_decode_header). EINVAL: what
        // the kernel says of a minor version that it was built without, and of an unknown option.
        Errno::PROTONOSUPPORT
        | Errno::PROTO
        | Errno::PFNOSUPPORT
        | Errno::OPNOTSUPP
        | Errno::INVAL => Verdict::NextVersion,
        Errno::NODEV => Verdict::NoClient,
        Errno::NOENT | Errno::NOTDIR | Errno::STALE => Verdict::NotFound,
        Errno::ACCESS | Errno::PERM => Verdict::Denied,
        Errno::CONNREFUSED
        | Errno::TIMEDOUT
        | Errno::HOSTUNREACH
        | Errno::NETUNREACH
        | Errno::HOSTDOWN
        | Errno::NETDOWN
        | Errno::CONNRESET
        | Errno::CONNABORTED
        | Errno::NOTCONN
        | Errno::PIPE => Verdict::Unreachable,
        _ => Verdict::Other,
    }
}

/// The error where one version's attempt decides.
pub(super) fn of_one(mount: &NfsMount, version: Version, errno: Errno) -> MountError {
    let place = mount.place();
    match verdict(errno) {
        Verdict::NoClient => MountError::NoClient { place },
        Verdict::NotFound => MountError::NotFound { place, version, errno },
        Verdict::Denied => MountError::Denied { place, version, errno },
        Verdict::Unreachable => MountError::Unreachable { place, version, errno },
        Verdict::NextVersion | Verdict::Other => {
            MountError::Kernel { place, version, source: errno.into() }
        }
    }
}

/// The error where no version was left.
pub(super) fn of_all(mount: &NfsMount, refusals: &[(Version, Errno)]) -> MountError {
    let place = mount.place();
    let all_invalid = refusals.iter().all(|(_, errno)| *errno == Errno::INVAL);
    if all_invalid && !refusals.is_empty() && !mount.options.is_empty() {
        return MountError::BadOption { place, options: mount.options.join(",") };
    }
    let said = |(version, errno): &(Version, Errno)| format!("{version}: {errno}");
    let tried: Vec<_> = refusals.iter().map(said).collect();
    MountError::NoVersion { place, tried: tried.join("; ") }
}
