//! A few connections to the server, and calls of NFSv3 on whichever is free.
//!
//! The crate makes one call at a time on a connection, and a call that is given up leaves the
//! connection in disorder. So a connection is *taken out* for a call and put back by its success
//! alone: an error, a deadline or a caller that goes away drops it, and the next call makes another.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use nfs3_client::{
    RpcError,
    nfs3_types::{
        nfs3::{Nfs3Result, PROGRAM, VERSION, nfs_fh3, nfsstat3},
        rpc::opaque_auth,
    },
    rpc::RpcClient,
};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    ServerConfig,
    connect::connect,
    failure::Failure,
    outage::Outage,
    procedure::Procedure,
    retry::{Attempt, persist},
    service::{credential, mount_export, nfs_port},
    stream::Stream,
};
use crate::backend::nfs::tree::Cause;

const NFS: &str = "NFSv3";

type Connection = RpcClient<Stream>;

/// Connections to one server.
pub(super) struct Pool {
    server: ServerConfig,
    /// As many calls as there may be connections.
    turns: Semaphore,
    outage: Outage,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Connections that no call uses.
    idle: Vec<Connection>,
    /// The port of NFS, once it is known.
    port: Option<u16>,
}

impl Pool {
    pub(super) fn new(server: ServerConfig) -> Self {
        let turns = Semaphore::new(server.connections.max(1));
        Self { server, turns, outage: Outage::default(), state: Mutex::default() }
    }

    pub(super) fn server(&self) -> &ServerConfig {
        &self.server
    }

    /// Makes a call. It is made again where the answer got lost, so the server may carry it out
    /// twice: what that means is for callers to say.
    pub(super) async fn call<P: Procedure>(&self, arguments: &P) -> Result<P::Done, Failure> {
        let asked = Instant::now();
        let Ok(_turn) = self.turns.acquire().await else {
            return Err(Cause::Unreachable("hawser is stopping".into()).into());
        };
        self.outage.none_since(asked)?;
        let result = persist(self.server.call_timeout, || self.attempt(arguments)).await;
        result.inspect_err(|failure| {
            if self.outage.note(failure) {
                self.state().idle.clear();
            }
        })
    }

    /// Asks MOUNT for the handle of the export's directory.
    pub(super) async fn mount_export(&self) -> Result<nfs_fh3, Failure> {
        let result = mount_export(&self.server).await;
        result.inspect_err(|failure| {
            self.outage.note(failure);
        })
    }

    pub(super) fn outage(&self) -> &Outage {
        &self.outage
    }

    async fn attempt<P: Procedure>(&self, arguments: &P) -> Result<P::Done, Attempt> {
        let idle = self.state().idle.pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let answer: Result<Nfs3Result<P::Done, P::Failed>, RpcError> =
            connection.call(PROGRAM, VERSION, P::NUMBER as u32, arguments).await;
        match answer {
            Ok(answer) => {
                self.state().idle.push(connection);
                match answer {
                    Nfs3Result::Ok(done) => Ok(done),
                    Nfs3Result::Err((status @ nfsstat3::NFS3ERR_JUKEBOX, _)) => {
                        Err(Attempt::Again(Failure::Status(status)))
                    }
                    Nfs3Result::Err((status, _)) => Err(Attempt::Final(Failure::Status(status))),
                }
            }
            Err(error) => {
                if matches!(error, RpcError::Io(_)) {
                    // The others were made to the same server: they are as dead.
                    self.state().idle.clear();
                }
                Err(Attempt::failed(&error, NFS))
            }
        }
    }

    async fn connect(&self) -> Result<Connection, Attempt> {
        let known = self.state().port;
        let port = match known {
            Some(port) => port,
            None => nfs_port(&self.server).await?,
        };
        let stream = connect(&self.server, port).await.map_err(|error| {
            // It may come back on another.
            self.state().port = None;
            Attempt::broken(&error, NFS)
        })?;
        self.state().port = Some(port);
        Ok(RpcClient::new_with_auth(stream, credential(&self.server), opaque_auth::default()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").field("server", &self.server).finish_non_exhaustive()
    }
}
