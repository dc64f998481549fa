//! What the `nfs` backend needs of a filer: directories and small files on an export, behind one
//! trait, and the errors that it has.
//!
//! Owns the contract and no protocol: `v3` fulfils it with NFSv3 in user space, without a mount.
//!
//! Paths are relative to the export's directory: `a/b/c`, no leading slash, no `.` or `..`; the empty
//! path is the export itself. **No symbolic link is ever followed**, neither at the end of a path nor
//! within it: a task may have made it.

use std::{fmt, num::NonZeroU32};

use async_trait::async_trait;

/// Directories and small files on an export.
///
/// For every method: it may be called in parallel. It is idempotent where it says so. It fails with
/// `Unreachable` within seconds after the server stops answering, however long it took until then; a
/// server that comes back within a second or two is not noticed. A lost answer is no reason to fail:
/// what exists is looked at. An error of kind `Unreachable` leaves the outcome open, as any lost
/// answer does: what exists must be looked at.
///
/// # Cancellation
///
/// Every method may be dropped at any time: what was done until then stays done, a call under way may
/// still be carried out by the server, and no connection is left in disorder.
#[async_trait]
pub(crate) trait Tree: Send + Sync + fmt::Debug {
    /// Asks whether the server answers and lets this node at the export. Asks anew each time.
    ///
    /// # Errors
    ///
    /// `Unreachable`, `NoExport`, `Denied`, and `Protocol` where something else listens there.
    async fn probe(&self) -> Result<(), TreeError>;

    /// The room of the file system that the export's directory is on.
    ///
    /// # Errors
    ///
    /// Not knowing is an error.
    async fn space(&self) -> Result<Space, TreeError>;

    /// What is at `path`; `None` where nothing is, its parents included.
    ///
    /// # Errors
    ///
    /// `NotADirectory` where a parent is something else, such as a link. Not knowing is an error,
    /// never `None`.
    async fn kind(&self, path: &str) -> Result<Option<Kind>, TreeError>;

    /// Makes a directory in one that exists. The mode is that of a new directory: one that is present
    /// is left as it is (and a server may take bits away: `set_owner` verifies).
    ///
    /// Idempotent. **A directory that this very call made is `Present` if the answer got lost**, so an
    /// empty directory without a mark is nobody's.
    ///
    /// # Errors
    ///
    /// `Exists` where something else is there, `NotFound` where the parent is not.
    async fn make_dir(&self, path: &str, mode: u32) -> Result<Made, TreeError>;

    /// Sets what is given of owner, group and mode (the twelve bits of chmod), and looks whether it
    /// was done. Idempotent.
    ///
    /// # Errors
    ///
    /// `Denied` where the server refuses it or pretends to have done it, as one that squashes root
    /// does; `Refused` for a link.
    async fn set_owner(&self, path: &str, owner: Owner) -> Result<(), TreeError>;

    /// Reads a file whole; `None` where there is none.
    ///
    /// # Errors
    ///
    /// `Refused` where it is larger than `limit`, or no file.
    async fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, TreeError>;

    /// Replaces a file as a whole, or makes it (mode 0600): whoever reads it, also after a crash of
    /// the server, sees the old contents or the new. On stable storage when this returns. Idempotent.
    /// Interrupted, it may leave a file `.NAME.hawser-*` behind in the same directory.
    ///
    /// # Errors
    ///
    /// `NotFound` where the directory is not there, `Full`; the old contents stay then.
    async fn write(&self, path: &str, bytes: &[u8]) -> Result<(), TreeError>;

    /// Names and kinds in a directory, in no order. A name that is not UTF-8 is given with
    /// replacement characters: it is none of ours.
    ///
    /// # Errors
    ///
    /// `NotFound`, `NotADirectory`.
    async fn list(&self, path: &str) -> Result<Vec<Entry>, TreeError>;

    /// Renames a directory or a file within the export. NFS has no rename that refuses to replace, so
    /// `to` is looked at first: two callers that rename to one name at the same moment must be kept
    /// apart by the caller.
    ///
    /// # Errors
    ///
    /// `Exists` where `to` exists, `NotFound` where `from` does not.
    async fn rename(&self, from: &str, to: &str) -> Result<(), TreeError>;

    /// Deletes what is at `path`, and everything below it. Deleting what is absent succeeds, so it is
    /// idempotent; interrupted, it is repeated. Memory does not grow with the number of files.
    ///
    /// # Errors
    ///
    /// `Refused` for the export itself; where another file system is mounted below, which is left
    /// alone as far as the server shows it to be another (its fsid); and where files are made as fast
    /// as they are deleted.
    async fn remove_tree(&self, path: &str) -> Result<Removed, TreeError>;

    /// Measures what is at `path` and below it, as `du` does: the bytes that are used, a file with
    /// several links once. Other file systems below are left out.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Protocol` where a server loses its place in a directory that changes. What vanishes
    /// while it is measured is no error.
    async fn measure(&self, path: &str, pace: Pace) -> Result<Usage, TreeError>;
}

/// The room on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// All of it.
    pub total: u64,
    /// What this node's user may still use.
    pub free: u64,
}

/// What something on an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory.
    Directory,
    /// An ordinary file.
    File,
    /// A link, a device, a socket, a pipe.
    Other,
}

/// Whether a directory was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// It was made by this call.
    New,
    /// It was there.
    Present,
}

/// An owner, a group, a mode; what is `None` stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The user.
    pub uid: Option<u32>,
    /// The group.
    pub gid: Option<u32>,
    /// The twelve bits of chmod.
    pub mode: Option<u32>,
}

/// A name in a directory, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    /// Files, links and the like.
    pub files: u64,
    /// Directories, the one that was named included.
    pub directories: u64,
}

/// What a tree uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Bytes on the server's disk.
    pub bytes: u64,
    /// Files, links and the like; one with several names counts once.
    pub files: u64,
    /// Directories, the one that was named included.
    pub directories: u64,
}

/// How hard a filer may be pressed by work that can wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// How many calls are made per second, at most.
    pub calls_per_second: NonZeroU32,
}

/// An error on an export: what failed, where, why, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{op} {place}: {cause}")]
pub(crate) struct TreeError {
    /// What was being done, as in "make directory".
    pub op: &'static str,
    /// On what: `SERVER:/EXPORT/PATH`.
    pub place: String,
    /// Why it failed: what callers match.
    pub cause: Cause,
}

/// Why it failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// No connection, or no answer in time, or the connection was lost.
    #[error(
        "the server cannot be reached: {0}; see whether it runs, and whether this node gets at its ports"
    )]
    Unreachable(String),
    /// MOUNT was refused, or there is no such export.
    #[error(
        "the server does not give this node the export: {0}; compare the path and this node's address with the server's exports (showmount -e)"
    )]
    NoExport(String),
    /// The server does not allow it.
    #[error(
        "the server does not allow it: {0}; let it trust this node (no_root_squash), give the directory to the user that hawser is configured with, or, if it wants a privileged port, turn that on"
    )]
    Denied(String),
    /// The export or its file system is read-only.
    #[error("the export is read-only: export it to this node for writing")]
    ReadOnly,
    /// No room, or a quota is used up.
    #[error(
        "the file system of the export is full, or a quota on it ({0}): make room on the server"
    )]
    Full(String),
    /// What was found a moment ago is gone, twice.
    #[error(
        "the server says that the directory was replaced while it was used (stale file handle): see whether the export still exists, and repeat it"
    )]
    Stale,
    /// Something is there already.
    #[error("something of that name exists: choose another name, or move it away")]
    Exists,
    /// Nothing is there.
    #[error("it does not exist: see whether somebody has moved or deleted it on the server")]
    NotFound,
    /// Something that must be a directory is none, such as a symbolic link.
    #[error("{0:?} is not a directory (links are not followed): move it away on the server")]
    NotADirectory(String),
    /// What hawser does not do, whatever the server says.
    #[error("refused: {0}")]
    Refused(String),
    /// The server answers in a way that has no better name.
    #[error("the server answers {0}: its log may say more")]
    Protocol(String),
}
