//! The cluster's store: records and nodes in a ZooKeeper ensemble, of version 3.4 or later.
//!
//! ```text
//! /format                        "1 <uuid>": the layout below, and which cluster this is; another
//!                                number is refused, and so is another cluster than before
//! /volumes/<uuid>                {"write": <id of the write>, "record": Record::shared()}
//! /names/<name>                  the uuid of the volume that has it
//! /nodes/<name>                  NodeInfo, as JSON; stays when the node is gone
//! /alive/<name>                  ephemeral: the machine's id
//! /changes/volume-<uuid>-<n>     numbered: what changed, oldest first; the last 256 at least
//! /changes/node-<name>-<n>
//! ```
//!
//! All of it is below the chroot. A record's revision is its znode's version + 1. A change of a record
//! is one `multi`: the record by its version, its names, an entry in the log. A node watches `/changes`
//! and `/alive` and nothing else; what the log does not tell any more is read anew.
//!
//! The session is kept over a restart of the daemon (`session`): dropping or [closing](super::Store::close)
//! this ends the connection and not the session, so that an upgrade is not taken for a death. A node
//! that is gone for good is forgotten by an operator.
//!
//! `membership` is the task that keeps this node in the cluster, `follow` its eyes on the others,
//! `records` the writes and reads of records; `connection`, `requests`, `wire` and `jute` are the
//! protocol. It is hawser's own because it needs two things that the crates do not have: a session that
//! outlives the process, and a `multi` with a `create` that ZooKeeper 3.4 understands, which is what
//! DC/OS runs.

mod connection;
mod follow;
mod jute;
mod layout;
mod membership;
mod records;
mod requests;
mod session;
mod shared;
mod store;
mod wire;

use std::{
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::JoinHandle, time::timeout_at};

use super::{Change, NodeInfo, StoreError};
use connection::Connection;
use layout::Layout;
use membership::Membership;
use records::{Attempt, Trouble, Write};
use shared::{Shared, lock};

use crate::volume::Revision;

/// An answer on its way.
type Asking<'a, T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send + 'a>>;

/// The file in the state directory that says which cluster a node is of.
pub const CLUSTER_ID: &str = "cluster-id";

/// A call ends within that time.
const LIMIT: Duration = Duration::from_secs(5);

/// Where the ensemble is, and how it is used.
#[derive(Clone)]
pub struct ZooKeeperConfig {
    /// Its servers: `HOST[:PORT]`, divided by commas.
    pub ensemble: String,
    /// The znode below which this cluster is.
    pub chroot: String,
    /// `USER:PASSWORD` for digest authentication: what is made is for who has it alone.
    pub digest: Option<String>,
    /// A node that was not heard for so long is taken for dead.
    pub session_timeout: Duration,
    /// Where the session is kept.
    pub state_dir: PathBuf,
}

impl std::fmt::Debug for ZooKeeperConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { ensemble, chroot, digest, session_timeout, state_dir } = self;
        f.debug_struct("ZooKeeperConfig")
            .field("ensemble", ensemble)
            .field("chroot", chroot)
            .field("digest", &digest.as_ref().map(|_| "(hidden)"))
            .field("session_timeout", session_timeout)
            .field("state_dir", state_dir)
            .finish()
    }
}

/// The cluster's store, as one node has it.
#[derive(Debug)]
pub struct ZooKeeper {
    shared: Arc<Shared>,
    changes: Mutex<Option<mpsc::UnboundedReceiver<Change>>>,
    task: JoinHandle<()>,
}

impl ZooKeeper {
    /// Begins to connect, and does so for ever: a store that is away is no error. It needs a tokio
    /// runtime.
    #[must_use]
    pub fn open(config: ZooKeeperConfig, me: NodeInfo) -> Self {
        let layout = Layout::new(&config.chroot);
        let name = format!("{}/{}", config.ensemble, config.chroot.trim_matches('/'));
        if config.digest.is_none() {
            tracing::warn!(store = %name, "no digest is configured for ZooKeeper: whoever reaches it can change this cluster's volumes");
        }
        let (told, changes) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(layout, name, me, told));
        let task = tokio::spawn(Membership::new(Arc::clone(&shared), config).run());
        Self { shared, changes: Mutex::new(Some(changes)), task }
    }

    /// The connection to use, or the error where there is none.
    fn connection(&self) -> Result<Arc<Connection>, StoreError> {
        let current = self.shared.current.borrow().clone();
        current.filter(|connection| !connection.has_ended()).ok_or_else(|| self.shared.is_away())
    }

    /// The connection after one that was lost.
    async fn next_connection(&self, deadline: Instant) -> Result<Arc<Connection>, StoreError> {
        let mut current = self.shared.current.subscribe();
        let usable = |connection: &Option<Arc<Connection>>| {
            connection.as_ref().is_some_and(|connection| !connection.has_ended())
        };
        match timeout_at(deadline.into(), current.wait_for(usable)).await {
            Ok(Ok(connection)) => connection.clone().ok_or_else(|| self.shared.is_away()),
            Ok(Err(_)) | Err(_) => Err(self.shared.is_away()),
        }
    }

    /// Makes a change, or finds out that it was made by an attempt whose answer was lost.
    async fn write(&self, write: Write<'_>) -> Result<Revision, StoreError> {
        let deadline = Instant::now() + LIMIT;
        let mut connection = self.connection()?;
        let mut is_open = false;
        loop {
            let attempt = async {
                match is_open {
                    true => write.look(self, &connection).await,
                    false => write.attempt(self, &connection).await,
                }
            };
            match timeout_at(deadline.into(), attempt).await {
                Ok(Ok(Attempt::Made(revision))) => return Ok(revision),
                Ok(Ok(Attempt::Again)) => is_open = false,
                Ok(Err(Trouble::Error(error))) => return Err(error),
                Ok(Err(Trouble::Lost)) => {
                    is_open = true;
                    connection = self.next_connection(deadline).await?;
                }
                Err(_) => return Err(self.shared.is_away()),
            }
        }
    }

    /// Asks, and once more where the connection is lost.
    async fn ask<'a, T>(
        &self,
        question: impl Fn(Arc<Connection>) -> Asking<'a, T>,
    ) -> Result<T, StoreError> {
        let deadline = Instant::now() + LIMIT;
        let mut connection = self.connection()?;
        loop {
            match timeout_at(deadline.into(), question(connection)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Trouble::Error(error))) => return Err(error),
                Ok(Err(Trouble::Lost)) => connection = self.next_connection(deadline).await?,
                Err(_) => return Err(self.shared.is_away()),
            }
        }
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
