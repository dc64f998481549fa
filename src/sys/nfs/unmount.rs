//! Taking an NFS mount away, whether its server lives or not.
//!
//! ```text
//!  plain ──ok──▶ Clean
//!    │ busy for a second: the server answers ──▶ error: something uses it
//!    │ not even tried: the server takes nothing from this node any more
//!    │ busy, or no end, and the server is silent (it answers: lazy)
//!    ▼
//!  force ──ok──▶ Forced: calls under way have failed
//!    │
//!    ▼
//!  lazy  ──ok──▶ Lazy: gone from the tree; what still uses it, or is not yet written, stays behind
//! ```
//!
//! umount(2) first takes the mount out of the tree and then writes back what is dirty. So a child
//! that does not end may have done the first: the mount table decides.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rustix::io::Errno;

use super::child::{Call, Helper, HelperError, How};
use crate::sys::{
    mount::{BUSY_LIMIT, BUSY_PAUSE, UnmountError},
    mountinfo::MountTable,
};

/// Writing back what is dirty may take this long while the server answers.
const WRITE_BACK: Duration = Duration::from_secs(20);
/// What one call may take where it does not.
const SILENT: Duration = Duration::from_secs(3);

/// What is known of the server before its mount is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// It answered a moment ago: a busy mount is in use, and stays.
    Answers,
    /// It does not: the mount goes, whatever waits on it.
    Silent,
    /// It takes nothing from this node any more: what was not yet written is not to be written.
    Lost,
}

/// How a mount went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "after Forced and Lazy data may be lost: report it"]
pub enum Unmounted {
    /// Everything was written, or nothing was mounted.
    Clean,
    /// Calls that were under way have failed: what was not yet written is lost.
    Forced,
    /// It is gone from the tree, and may go on in the background: what was not yet written is
    /// written if the server comes back, and lost if this node goes down before.
    Lazy,
}

/// Takes away what is seen at `target`, one layer. Nothing mounted there is success.
///
/// # Errors
/// See [`UnmountError`]; `Busy` only where the server answers.
///
/// # Cancellation
/// A call that has begun may still be carried out. Safe to repeat.
pub async fn unmount(
    target: &Path,
    server: Server,
    helper: &Helper,
) -> Result<Unmounted, UnmountError> {
    let job = Job { target, helper };
    let plainly = match server {
        Server::Answers => job.patiently(How::Plain, WRITE_BACK).await?,
        Server::Silent => job.patiently(How::Plain, SILENT).await?,
        Server::Lost if job.is_mounted()? => Step::Busy,
        Server::Lost => Step::Done,
    };
    match (plainly, server) {
        (Step::Done, _) => return Ok(Unmounted::Clean),
        (Step::Detached, _) => return Ok(Unmounted::Lazy),
        (Step::Busy, Server::Answers) => {
            return Err(UnmountError::Busy { path: target.to_owned() });
        }
        (Step::Busy, Server::Silent | Server::Lost) | (Step::Hangs, _) => {}
    }
    if server != Server::Answers && job.is_alone() {
        match job.patiently(How::Force, SILENT).await? {
            Step::Done => return Ok(Unmounted::Forced),
            Step::Detached => return Ok(Unmounted::Lazy),
            Step::Busy | Step::Hangs => {}
        }
    }
    match job.once(How::Lazy, SILENT).await? {
        Step::Done | Step::Detached => Ok(Unmounted::Lazy),
        Step::Busy => Err(UnmountError::Busy { path: target.to_owned() }),
        Step::Hangs => Err(job.failed(HelperError::Late { after: SILENT })),
    }
}

/// Writes back what is dirty of the file system at `target`. Once it has, and nothing uses the mount any
/// more, no way of unmounting it loses anything.
///
/// # Errors
/// `Late` when it was not done in time: it goes on in the background, as far as the server takes it.
///
/// # Cancellation
/// Safe at any point.
pub async fn write_back(
    target: &Path,
    limit: Duration,
    helper: &Helper,
) -> Result<(), HelperError> {
    helper.call(&Call::Sync { target: target.to_owned() }, limit).await
}

/// What became of one umount2(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Done,
    /// It does not end, and has taken the mount out of the tree.
    Detached,
    Busy,
    /// It does not end, and the mount is there.
    Hangs,
}

struct Job<'a> {
    target: &'a Path,
    helper: &'a Helper,
}

impl Job<'_> {
    /// Repeats it while it is busy, for about a second: a forced one makes calls return, and the
    /// files are closed only then.
    async fn patiently(&self, how: How, limit: Duration) -> Result<Step, UnmountError> {
        let deadline = Instant::now() + BUSY_LIMIT;
        loop {
            let step = self.once(how, limit).await?;
            if step != Step::Busy || Instant::now() >= deadline {
                return Ok(step);
            }
            tokio::time::sleep(BUSY_PAUSE).await;
        }
    }

    async fn once(&self, how: How, limit: Duration) -> Result<Step, UnmountError> {
        let call = Call::Unmount { target: self.target.to_owned(), how };
        match self.helper.call(&call, limit).await {
            Ok(()) | Err(HelperError::Errno(Errno::NOENT)) => Ok(Step::Done),
            Err(HelperError::Errno(Errno::BUSY)) => Ok(Step::Busy),
            // "Not a mount point"; also said of a mount that is locked to an outer namespace.
            Err(HelperError::Errno(Errno::INVAL)) if !self.is_mounted()? => Ok(Step::Done),
            Err(HelperError::Late { .. }) if self.is_mounted()? => Ok(Step::Hangs),
            Err(HelperError::Late { .. }) => Ok(Step::Detached),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn is_mounted(&self) -> Result<bool, UnmountError> {
        let table = MountTable::read().map_err(|error| self.failed(error))?;
        Ok(table.at(self.target).is_some())
    }

    /// Whether a forced unmount fails the calls of this mount only. Two mounts of one device number
    /// are one file system for the kernel: a bind, or mounts that the operator lets share
    /// (`sharecache`). The other's tasks would get I/O errors.
    fn is_alone(&self) -> bool {
        let Ok(table) = MountTable::read() else { return false };
        let Some(mount) = table.at(self.target) else { return false };
        table.of_device(mount.device).count() == 1
    }

    fn failed(&self, error: impl Into<std::io::Error>) -> UnmountError {
        UnmountError::Failed { path: self.target.to_owned(), source: error.into() }
    }
}
