//! mount(2), umount(2) and syncfs(2) in a process of their own.
//!
//! All of them wait for the server. A thread in such a call cannot be ended; a process can, since the
//! kernel waits for most of it in a state that SIGKILL ends. What cannot be killed at all (the last
//! dirty pages of an unmounted file system) costs a process that nobody waits for, and not a thread
//! of the daemon.
//!
//! The child is this program once more, with a hidden subcommand: a [`Call`] as JSON comes in by
//! its standard input, an [`Answer`] goes out.
//!
//! It is started as `/proc/self/exe`. That is not a path but the very file that runs: after an
//! upgrade has replaced or deleted it, the old program still starts the old one, and the two agree
//! about the JSON. In the managed plugin it is the file in the plugin's root, the mount namespace is
//! the daemon's own, and so the child mounts where the daemon would.

use std::{io, path::PathBuf, time::Duration};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    mount::{MountFlags, UnmountFlags},
};
use serde::{Deserialize, Serialize};

use crate::sys::{
    netns::Netns,
    process::{Tool, ToolError},
};

/// The hidden subcommand of the `hawser` program.
pub const SUBCOMMAND: &str = "mount-helper";

/// What the child is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Call {
    /// In the network that is kept at `netns`, or in this process's own: the mount stays in it.
    Mount {
        source: String,
        target: PathBuf,
        flags: u32,
        data: String,
        netns: Option<PathBuf>,
    },
    Unmount {
        target: PathBuf,
        how: How,
    },
    /// Writes back what is dirty.
    Sync {
        target: PathBuf,
    },
}

/// How a mount is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum How {
    /// As long as nothing uses it.
    Plain,
    /// As plain, after every call to the server that is under way has been failed.
    Force,
    /// At once from the tree of directories; it ends when nothing uses it any more.
    Lazy,
}

/// What the child answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Done,
    Errno(i32),
    /// The network namespace could not be entered.
    Network(String),
}

/// Why the child's call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// The kernel's answer.
    #[error("{0}")]
    Errno(Errno),
    /// The network that the server is in could not be entered, so nothing was asked of the kernel.
    #[error(
        "hawser's network namespace cannot be entered: {0}: start hawser again, which makes it"
    )]
    Network(String),
    /// It was killed. Whether the call was carried out, the mount table knows.
    #[error("no answer for {after:?}, and killed")]
    Late {
        /// The time it had.
        after: Duration,
    },
    /// It could not be started, or failed.
    #[error("hawser could not start itself for it: {0}")]
    Tool(#[source] ToolError),
    /// It answered nonsense.
    #[error("hawser's own helper answered {0:?}")]
    Garbled(String),
}

/// The program that makes the calls.
#[derive(Debug, Clone, Copy)]
pub struct Helper(Tool);

impl Helper {
    /// This program.
    #[must_use]
    pub const fn itself() -> Self {
        Self(Tool::new("/proc/self/exe"))
    }

    /// A `hawser` elsewhere, for programs that are not hawser: its tests.
    #[must_use]
    pub const fn at(program: &'static str) -> Self {
        Self(Tool::new(program))
    }

    /// Has the call made, by a child that is killed when its time is up.
    pub(super) async fn call(&self, call: &Call, limit: Duration) -> Result<(), HelperError> {
        let request = serde_json::to_vec(call).map_err(|error| {
            HelperError::Garbled(format!("the target's path is not UTF-8: {error}"))
        })?;
        let output = match self.0.run_with_input([SUBCOMMAND], request, limit).await {
            Ok(output) => output,
            Err(ToolError::TimedOut { after, .. } | ToolError::Stuck { after, .. }) => {
                return Err(HelperError::Late { after });
            }
            Err(error) => return Err(HelperError::Tool(error)),
        };
        match serde_json::from_str(&output.stdout) {
            Ok(Answer::Done) => Ok(()),
            Ok(Answer::Network(why)) => Err(HelperError::Network(why)),
            Ok(Answer::Errno(errno)) => Err(HelperError::Errno(Errno::from_raw_os_error(errno))),
            Err(_) => Err(HelperError::Garbled(output.stdout)),
        }
    }
}

/// The child's side: makes the call that the request asks for, and says how it went.
///
/// # Errors
/// When the request is none.
pub fn carry_out(request: &str) -> Result<String, serde_json::Error> {
    let answer = answer(&serde_json::from_str(request)?);
    serde_json::to_string(&answer)
}

fn answer(call: &Call) -> Answer {
    let netns = match call {
        Call::Mount { netns, .. } => netns.as_deref(),
        Call::Unmount { .. } | Call::Sync { .. } => None,
    };
    let made = match netns {
        None => Ok(make(call)),
        Some(path) => Netns::open(path).and_then(|netns| netns.run(|| make(call))),
    };
    match made {
        Ok(Ok(())) => Answer::Done,
        Ok(Err(errno)) => Answer::Errno(errno.raw_os_error()),
        Err(error) => Answer::Network(error.to_string()),
    }
}

fn make(call: &Call) -> Result<(), Errno> {
    match call {
        Call::Mount { source, target, flags, data, .. } => {
            let data = std::ffi::CString::new(data.as_str()).map_err(|_| Errno::INVAL)?;
            let flags = MountFlags::from_bits_retain(*flags);
            rustix::mount::mount(source, target, "nfs", flags, data.as_c_str())
        }
        Call::Unmount { target, how } => {
            let how = match how {
                How::Plain => UnmountFlags::empty(),
                How::Force => UnmountFlags::FORCE,
                How::Lazy => UnmountFlags::DETACH,
            };
            rustix::mount::unmount(target, UnmountFlags::NOFOLLOW | how)
        }
        Call::Sync { target } => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let root = rustix::fs::open(target, flags, Mode::empty())?;
            rustix::fs::syncfs(&root)
        }
    }
}

impl From<HelperError> for io::Error {
    fn from(error: HelperError) -> Self {
        match error {
            HelperError::Errno(errno) => errno.into(),
            late @ HelperError::Late { .. } => Self::new(io::ErrorKind::TimedOut, late),
            other @ (HelperError::Tool(_) | HelperError::Network(_) | HelperError::Garbled(_)) => {
                Self::other(other)
            }
        }
    }
}
