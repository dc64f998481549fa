//! NFS by the kernel's client: what is to be mounted, and mount(2) and umount(2) that end.
//!
//! Owns the description of a mount, the order in which versions are tried, and the unmounting of a
//! server that is dead. Both calls run in a child (`child`), because they wait for the server.
//! What is mounted is asked of [`super::mountinfo`] alone: a stat of a mount whose server is dead
//! does not return.
//!
//! A hard mount waits for its server for ever, and so do the tasks on it: that is what keeps their
//! data right. So whoever mounts should ask the server for an answer first.

mod child;
mod error;
mod kernel;
mod left;
mod locks;
mod strings;
mod unmount;

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::io::Errno;

pub use child::{Helper, HelperError, SUBCOMMAND, carry_out};
pub use error::{MountError, Place};
pub use kernel::{Client, look};
pub use left::is_left;
pub use locks::Lacking;
pub use unmount::{Server, Unmounted, unmount, write_back};

use super::mountinfo::MountTable;
use error::Verdict;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 4.2.
    V4_2,
    /// 4.1.
    V4_1,
    /// 4.0.
    V4_0,
    /// 3.
    V3,
}

/// What calls do while the server does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hardness {
    /// They wait until it does: no data is lost.
    Hard,
    /// They fail with `EIO` after `retrans` repetitions. Only for what hawser does itself: a task
    /// would take the error for a broken disk, or overlook it.
    Soft,
}

/// What becomes of locks with NFSv3, which has them in a protocol of its own. NFSv4 always has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locks {
    /// They hold across nodes, or nothing is mounted.
    Refuse,
    /// They hold among the tasks of one node only.
    Local,
}

/// An NFS mount, as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NfsMount {
    /// The server as it is configured; for messages, and for the mount table.
    pub host: String,
    /// Its address. The kernel keeps it for as long as the mount lives.
    pub address: IpAddr,
    /// The directory on the server, from its root.
    pub path: String,
    /// The versions to try, the best one first.
    pub versions: Vec<Version>,
    /// The port of NFS; `None` means 2049 for NFSv4, and what the server's rpcbind says for NFSv3.
    pub port: Option<u16>,
    /// The port of MOUNT, which NFSv3 needs; `None` means what the server's rpcbind says.
    pub mount_port: Option<u16>,
    /// Whether calls wait for the server.
    pub hardness: Hardness,
    /// How long a call waits for an answer before it is repeated.
    pub timeo: Duration,
    /// How often it is repeated before the server counts as not answering.
    pub retrans: u32,
    /// How many connections share the work; the kernel knows it since 5.3, older ones have one.
    pub nconnect: Option<u8>,
    /// The largest read; `None` lets the kernel and the server agree.
    pub rsize: Option<u32>,
    /// The largest write.
    pub wsize: Option<u32>,
    /// What becomes of locks with NFSv3.
    pub locks: Locks,
    /// Connect from any port. Needed after a failover behind some addresses (Amazon EFS asks for
    /// it); a server that is exported `secure` refuses it.
    pub noresvport: bool,
    /// Further options, as for mount(8); already checked. They come last, so they win.
    pub options: Vec<String>,
    /// The network namespace that the server is reached in, where it is kept; `None` is the daemon's.
    pub netns: Option<PathBuf>,
}

impl Version {
    /// As `vers=` and people write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V4_2 => "4.2",
            Self::V4_1 => "4.1",
            Self::V4_0 => "4.0",
            Self::V3 => "3",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl NfsMount {
    /// Mounts it at `target`, by the first of its versions that the server and the kernel have.
    ///
    /// # Errors
    /// See [`MountError`]. Nothing is mounted then.
    ///
    /// # Cancellation
    /// Dropping the future kills the child. It may just have finished: the mount table says.
    pub async fn mount(
        &self,
        target: &Path,
        helper: &Helper,
        limit: Duration,
    ) -> Result<Version, MountError> {
        kernel::load().await;
        let attempts = Attempts { mount: self, target, helper, limit, start: Instant::now() };
        let mut refusals = Vec::new();
        for &version in &self.versions {
            if version == Version::V3 && self.locks == Locks::Refuse {
                let lacking = |why| MountError::NoLocks { place: self.place(), why };
                locks::across_nodes(self.address).await.map_err(lacking)?;
            }
            match attempts.version(version).await? {
                Ok(()) => return Ok(version),
                Err(errno) => refusals.push((version, errno)),
            }
        }
        Err(error::of_all(self, &refusals))
    }

    /// What mount(2) is given for one version, beside its flags: for people, and for mount(8).
    #[must_use]
    pub fn options(&self, version: Version) -> String {
        strings::data(self, version, self.nconnect).1
    }

    /// For messages.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { host: self.host.clone(), address: self.address, path: self.path.clone() }
    }
}

/// The attempts of one mount.
struct Attempts<'a> {
    mount: &'a NfsMount,
    target: &'a Path,
    helper: &'a Helper,
    limit: Duration,
    start: Instant,
}

impl Attempts<'_> {
    /// `Ok(Err(errno))` if the next version is to be tried.
    async fn version(&self, version: Version) -> Result<Result<(), Errno>, MountError> {
        let mut answer = self.once(version, self.mount.nconnect).await?;
        if answer == Err(Errno::INVAL) && self.mount.nconnect.is_some() {
            // Also what it says of a minor version that it does not have: then it says so again.
            answer = self.once(version, None).await?;
            if answer.is_ok() {
                tracing::warn!(
                    mount = %self.mount.place(),
                    "this kernel does not know nconnect (it came with 5.3): mounted with one connection"
                );
            }
        }
        Ok(answer)
    }

    async fn once(
        &self,
        version: Version,
        nconnect: Option<u8>,
    ) -> Result<Result<(), Errno>, MountError> {
        let place = || self.mount.place();
        let call = strings::call(self.mount, version, nconnect, self.target);
        let before = seen_at(self.target);
        let left = self.limit.saturating_sub(self.start.elapsed());
        match self.helper.call(&call, left).await {
            Ok(()) => Ok(Ok(())),
            Err(HelperError::Errno(errno)) if error::verdict(errno) == Verdict::NextVersion => {
                Ok(Err(errno))
            }
            Err(HelperError::Errno(errno)) => Err(error::of_one(self.mount, version, errno)),
            Err(HelperError::Late { .. }) => {
                // The signal may have come just after the kernel was done.
                if seen_at(self.target) != before {
                    let _ = unmount(self.target, Server::Silent, self.helper).await;
                }
                Err(MountError::TimedOut { place: place(), version, after: self.limit })
            }
            Err(source) => Err(MountError::Helper { place: place(), source }),
        }
    }
}

/// The id of the mount that is seen at a path.
fn seen_at(path: &Path) -> Option<u32> {
    MountTable::read().ok()?.at(path).map(|mount| mount.id)
}

#[cfg(test)]
mod tests;
