//! Hawser as a service of its host, put there and watched by something that is not: a Marathon task on
//! every agent of DC/OS.
//!
//! A task cannot mount for its host: its mount namespace is its own, and all it mounts ends with it. So
//! the task installs the systemd units of `dist/systemd`, with its own environment as their settings, and
//! then only looks that they run. When the task is killed, nothing happens to a volume.

mod environment;
mod files;
mod install;
mod stamp;
mod supervise;
mod systemd;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::{io, path::PathBuf};

pub use environment::{Environment, installed};
pub use files::{File, Part, Place};
pub use install::{Changes, check, install, uninstall, unused};
pub use supervise::{Watch, supervise};
pub use systemd::Systemd;

use crate::sys::process::ToolError;

/// Why hawser is not installed, or not taken away.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// There is no systemd to run it.
    #[error(
        "this host is not run by systemd ({} is missing): install hawser by hand (README.md), or run its managed plugin",
        .0.display()
    )]
    NoSystemd(PathBuf),
    /// Somebody else's unit.
    #[error(
        "{} is there and was not written by `hawser agent`: hawser is installed on this host in another way. Remove that first (volumes and records stay), or leave it and run no agent here",
        .0.display()
    )]
    NotOurs(PathBuf),
    /// A value that systemd cannot be told.
    #[error("{0} has a line break in its value: systemd's environment files cannot hold one")]
    LineBreak(String),
    /// Tasks use volumes.
    #[error(
        "volumes of this host are in use: {}. Stop the tasks that use them, or move them to other nodes (`hawser node drain`)",
        .0.join(", ")
    )]
    InUse(Vec<String>),
    /// The release of what was still mounted failed.
    #[error(
        "not every volume was released, and hawser was started again: end what `journalctl -u hawser-release` names, and repeat this (or take hawser away by hand: docs/install.md)"
    )]
    NotReleased,
    /// It was started, and does not answer.
    #[error(
        "hawser.service was started and does not answer on {} within {} s: see `journalctl -u hawser`",
        socket.display(), seconds
    )]
    Silent {
        /// Its admin socket.
        socket: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// It is not started, or ended.
    #[error("hawser.service is {0}: see `systemctl status hawser` and `journalctl -u hawser`")]
    NotActive(String),
    /// systemctl.
    #[error(transparent)]
    Systemctl(#[from] ToolError),
    /// A file.
    #[error("{}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
