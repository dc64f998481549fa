//! The tunnel: carries NFS between the kernel's client on one node and a volume's server on another.
//!
//! ```text
//! node a (reaches)                               node b (owns)
//! ┌ network namespace ┐                              ┌ network namespace ┐
//! │ kernel's NFS ─▶ 127.0.0.1:2001 ══ mutual TLS ══▶ │ Ganesha 127.0.0.1:3001 │
//! └───────────────────┘  hawser tunnel  hawser tunnel └───────────────────┘
//! ```
//!
//! A process of its own, one for each node (`hawser tunnel`): it stands in the path of mounted volumes,
//! and the daemon, which comes and goes, does not. It does what a table says, which the daemon writes. It
//! knows volumes by id, epoch and claim, and nothing else: no store, no cloud, no file system.
//!
//! - [`table`]: what is carried; [`process`]: the daemon's hand on it
//! - `running`: a table in force; `control`: the socket; `exports`, `server`: the owner's side;
//!   `remotes`, `client`: the other; `carry`: the bytes; `hello`: what is said before them; `lost`: what is
//!   said where there is no way any more
//!
//! Invariants: a caller is who its certificate says. No byte reaches a volume's server but under the
//! export's epoch and claim. No byte is taken from the kernel before the owner answered. What is in memory is
//! bounded for each connection, and connections are for each volume.

mod carry;
mod client;
mod control;
mod exports;
mod hello;
mod log;
mod lost;
pub mod process;
mod remotes;
mod running;
mod server;
mod sockets;
pub mod status;
pub mod table;
mod traffic;
mod who;

#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

pub use hello::Refusal;
pub use log::Unhurried;
pub use running::{RunError, Running};
pub use status::Status;
pub use table::{Access, Export, Remote, Table, Way};
pub use traffic::Figures;

use crate::sys::{durable, protect::Protection, unix_socket::SocketError};
use control::Control;

/// The hidden subcommand of the `hawser` program.
pub const SUBCOMMAND: &str = "tunnel";

/// How long one that is replaced may hold its lock after its socket is gone.
const ENDING: Duration = Duration::from_secs(2);

/// Why a tunnel cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is one.
    #[error("another tunnel runs: it holds the lock {0}")]
    Another(PathBuf),
    /// A file or a signal.
    #[error("cannot {doing}: {reason}")]
    Io {
        /// What it was about to do.
        doing: String,
        /// Why not.
        reason: io::Error,
    },
    /// Its table, its identity or its namespace.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Its control socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
}

/// Runs a tunnel until it is told to end. Its control socket is there when its listeners are.
///
/// # Errors
/// When it cannot start.
pub async fn run(table: PathBuf, socket: &Path, protection: Protection) -> Result<(), StartError> {
    let _lock = lock(&lock_of(socket)).await?;
    let terminate = signal(SignalKind::terminate());
    let mut terminate = terminate
        .map_err(|reason| StartError::Io { doing: "wait for signals".to_owned(), reason })?;
    let running = Running::start(table, protection).await?;
    let control = Control::bind(socket)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        pid = std::process::id(),
        "the tunnel is ready"
    );
    let (insisting, asked) = (Arc::clone(&running), Arc::clone(&running));
    tokio::spawn(async move { insisting.insist().await });
    tokio::spawn(async move {
        while terminate.recv().await.is_some() {
            asked.terminate().await;
        }
    });
    control.serve(&running).await;
    tracing::info!("the tunnel ends");
    Ok(())
}

/// Held by a tunnel for as long as it runs.
fn lock_of(socket: &Path) -> PathBuf {
    socket.with_extension("lock")
}

/// Whether somebody holds it. Blocking.
fn is_locked(path: &Path) -> io::Result<bool> {
    match File::open(path) {
        Ok(file) => Ok(!durable::lock_exclusive(&file)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// One tunnel for each control socket, also where two are started at the same time.
async fn lock(path: &Path) -> Result<File, StartError> {
    let failed = |doing: &str, reason| {
        let doing = format!("{doing} {}", path.display());
        StartError::Io { doing, reason }
    };
    let file = File::options().create(true).append(true).open(path);
    let file = file.map_err(|reason| failed("open", reason))?;
    let deadline = Instant::now() + ENDING;
    while !durable::lock_exclusive(&file).map_err(|reason| failed("lock", reason))? {
        if Instant::now() >= deadline {
            return Err(StartError::Another(path.to_owned()));
        }
        sleep(ENDING / 50).await;
    }
    Ok(file)
}
