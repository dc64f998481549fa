//! A tunnel at work: the table that is in force, and what changes when another one comes.
//!
//! What protects data comes first and depends on nothing else: the connections of an export that is gone
//! are closed whatever is wrong with the rest of a table. What cannot be had (a port that is taken) is
//! told, keeps nothing else from being done, and is tried again each second.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    remotes::Remotes,
    server::{self, Server},
    sockets::Sockets,
    status::Status,
    table::{self, Table, TableError},
    who::Who,
};
use crate::{peer::identity::IdentityError, sys::protect::Protection, volume::VolumeId};

/// How often what could not be had is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Why a tunnel does not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no table to go by.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Nobody would believe it.
    #[error("cannot prove to other nodes which one this is: {0}")]
    Identity(#[from] IdentityError),
    /// Its sockets would be everybody's.
    #[error("cannot make sockets in hawser's network namespace: {0}")]
    Namespace(io::Error),
    /// Connections that the table does not allow are still open.
    #[error("{}", .failures.join("; "))]
    NotFenced {
        /// Of these volumes, and of no other. Empty: of any.
        open: Vec<VolumeId>,
        /// All that is wrong.
        failures: Vec<String>,
    },
    /// Not all of the table is in force; what it does not allow has ended.
    #[error("{}", .0.join("; "))]
    Incomplete(Vec<String>),
    /// It carries something.
    #[error("{0} volumes are exported or reached: it goes on")]
    Busy(usize),
    /// It ends.
    #[error("it is ending")]
    Ending,
}

/// A tunnel at work.
#[derive(Debug)]
pub struct Running {
    path: PathBuf,
    protection: Protection,
    started_at: Timestamp,
    who: Arc<Who>,
    server: Arc<Server>,
    remotes: Remotes,
    /// Held while a table is put in force: one after the other.
    in_force: tokio::sync::Mutex<InForce>,
    /// What of it is not, for whoever asks meanwhile.
    failures: Mutex<Vec<String>>,
    /// When it is to end.
    pub(super) end: CancellationToken,
}

#[derive(Debug)]
struct InForce {
    table: Table,
    port: Option<Port>,
}

/// The port for other nodes.
#[derive(Debug)]
struct Port {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Reads the table and does what it says. Every listener that can be had is bound when this returns.
    ///
    /// # Errors
    /// When there is no table, no identity or no namespace. A port that cannot be had is no error.
    pub async fn start(path: PathBuf, protection: Protection) -> Result<Arc<Self>, RunError> {
        let table = Table::read(&path)?;
        let sockets = Sockets::of(table.namespace.as_deref()).map_err(RunError::Namespace)?;
        let who = Arc::new(Who::load(table.peer())?);
        let running = Arc::new(Self {
            path,
            protection,
            started_at: Timestamp::now(),
            server: Arc::new(Server::new(Arc::clone(&who), sockets.clone())),
            remotes: Remotes::new(Arc::clone(&who), sockets),
            who,
            in_force: tokio::sync::Mutex::new(InForce { table, port: None }),
            failures: Mutex::default(),
            end: CancellationToken::new(),
        });
        // What cannot be had is logged, and in the status.
        let _ = running.enforce(&mut *running.in_force.lock().await).await;
        Ok(running)
    }

    /// Reads the table again and does what it says. Connections that it does not allow any more have
    /// ended when this returns, and listeners are bound.
    ///
    /// # Errors
    /// When it cannot be read: then the one before goes on. When not all of it could be done: then the
    /// rest is.
    pub async fn reload(&self) -> Result<(), RunError> {
        let mut in_force = self.in_force.lock().await;
        if self.end.is_cancelled() {
            return Err(RunError::Ending);
        }
        let table = Table::read(&self.path)?;
        let moved = table.namespace != in_force.table.namespace;
        in_force.table = table;
        let mut failures = self.enforce(&mut in_force).await?;
        if moved {
            failures.push(
                "the network namespace is another one: it is entered when the tunnel starts anew"
                    .to_owned(),
            );
        }
        if failures.is_empty() { Ok(()) } else { Err(RunError::Incomplete(failures)) }
    }

    /// Tries again what could not be had, for ever.
    pub(super) async fn insist(&self) {
        loop {
            tokio::time::sleep(AGAIN).await;
            let mut in_force = self.in_force.lock().await;
            if !self.failures().is_empty()
                && self.enforce(&mut in_force).await.is_ok_and(|failures| failures.is_empty())
            {
                tracing::info!("all of the tunnel's table is in force now");
            }
        }
    }

    /// Ends it if nothing is carried.
    ///
    /// # Errors
    /// When something is.
    pub async fn stop(&self) -> Result<(), RunError> {
        let in_force = self.in_force.lock().await;
        if !in_force.table.is_idle() {
            let Table { exports, remotes, .. } = &in_force.table;
            return Err(RunError::Busy(exports.len() + remotes.len()));
        }
        self.end.cancel();
        Ok(())
    }

    /// Ends it if the kernel does not need it: for the host's shutdown.
    pub(super) async fn terminate(&self) {
        let in_force = self.in_force.lock().await;
        let remotes = in_force.table.remotes.len();
        if remotes == 0 {
            self.end.cancel();
        } else {
            tracing::warn!(
                "asked to end, and {remotes} volumes are reached through it: it goes on"
            );
        }
    }

    /// What is carried, and how it goes.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            table_version: table::VERSION,
            started_at: self.started_at,
            protection: self.protection,
            failures: self.failures().clone(),
            strangers: self.server.strangers.load(Ordering::Relaxed),
            exports: self.server.exports.status(),
            remotes: self.remotes.status(),
        }
    }

    /// What could not be had; an error if what is not allowed did not end.
    async fn enforce(&self, in_force: &mut InForce) -> Result<Vec<String>, RunError> {
        let open = self.server.exports.replace(&in_force.table.exports).await;
        let mut failures: Vec<_> = open.iter().map(|open| open.text.clone()).collect();
        if let Err(error) = self.who.become_of(in_force.table.peer()) {
            failures.push(error.to_string());
        }
        failures.extend(self.open_port(in_force).await.err());
        failures.extend(self.remotes.replace(&in_force.table.remotes).await);
        if failures != *self.failures() {
            for failure in &failures {
                tracing::error!("the tunnel's table is not all in force: {failure}");
            }
        }
        failures.clone_into(&mut self.failures());
        if open.is_empty() {
            return Ok(failures);
        }
        let open = open.iter().map(|open| open.volume).collect();
        Err(RunError::NotFenced { open, failures })
    }

    async fn open_port(&self, in_force: &mut InForce) -> Result<(), String> {
        let address = in_force.table.listen;
        if in_force.port.as_ref().is_some_and(|port| port.address == address) {
            return Ok(());
        }
        if let Some(Port { stop, task, .. }) = in_force.port.take() {
            stop.cancel();
            // It ends with its listener, whose address the next one may overlap.
            let _ = task.await;
        }
        let listener = server::bind(address).await?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(Arc::clone(&self.server).serve(listener, stop.clone()));
        in_force.port = Some(Port { address, stop, task });
        Ok(())
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
