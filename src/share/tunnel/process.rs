//! The daemon's hand on the tunnel: started, found again, told, replaced.
//!
//! The tunnel is no child that ends with its daemon. A daemon that starts finds the one that runs by its
//! control socket, and takes it as it is: also one of an older program, which goes on with its old code as
//! long as it carries anything, since an end would interrupt mounted volumes. When it carries nothing it
//! is replaced ([`Tunnel::ensure`], which the daemon calls at its start and before each new mount).

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    io::AsyncReadExt,
    net::UnixStream,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    SUBCOMMAND,
    control::INCOMPLETE,
    status::{ErrorResponse, Status},
    table::{Table, TableError},
};
use crate::{sys::process::start_alone, volume::VolumeId};

/// How long a call may take: a change waits for connections to end.
const CALL: Duration = Duration::from_secs(15);
/// How long a tunnel may take to start, and to end.
const START: Duration = Duration::from_secs(10);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);
/// The pause before one that ends at once is started again.
const PAUSE: Duration = Duration::from_millis(500);

/// Why the tunnel does not do what the daemon wants.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// The table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// It cannot be started.
    #[error("cannot start the tunnel ({program}): {reason}")]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// It was started, and is not there.
    #[error(
        "the tunnel (pid {pid}) does not answer on {socket} {after:?} after its start: its log says why"
    )]
    Silent {
        /// Its process.
        pid: u32,
        /// Where it should.
        socket: PathBuf,
        /// The time it had.
        after: Duration,
    },
    /// It does not answer.
    #[error("cannot ask the tunnel on {socket}: {reason}")]
    Away {
        /// Where.
        socket: PathBuf,
        /// Why.
        reason: String,
    },
    /// It said no: connections that the table does not allow may still be open.
    #[error("the tunnel: {0}")]
    Refused(String),
    /// Connections that the table does not allow are still open, of these volumes alone. The rest of the table is in
    /// force, as far as it can be had.
    #[error("the tunnel: {why}")]
    NotFenced {
        /// The volumes.
        open: Vec<VolumeId>,
        /// In its own words.
        why: String,
    },
    /// What the table does not allow has ended, and not all that it wants could be had. The tunnel goes on
    /// trying.
    #[error("the tunnel: {0}")]
    Incomplete(String),
}

/// This node's tunnel, seen from its daemon.
#[derive(Debug, Clone)]
pub struct Tunnel {
    /// Hawser's own program.
    pub program: PathBuf,
    /// Its table: like what it is about, mounts and servers, gone after a boot.
    pub table: PathBuf,
    /// Its control socket.
    pub socket: PathBuf,
    /// What it logs, as the daemon's own filter.
    pub log: String,
}

impl Tunnel {
    /// The tunnel of a daemon with that directory, which is in memory: what is let go of while a disk is
    /// full is written, too.
    #[must_use]
    pub fn of(run_dir: &Path, log: String) -> Self {
        Self {
            // Not a path but the very file that runs: see sys/nfs/child.rs.
            program: "/proc/self/exe".into(),
            table: run_dir.join("tunnel.json"),
            socket: run_dir.join("tunnel.sock"),
            log,
        }
    }

    /// Puts a table in force, also where no tunnel runs yet. When this returns listeners are bound and
    /// connections that are not allowed any more have ended.
    ///
    /// # Errors
    /// `Incomplete` is the one after which nothing is carried that the table does not allow.
    pub async fn apply(&self, table: &Table) -> Result<Status, TunnelError> {
        self.write(table).await?;
        self.ensure().await?;
        self.call(Method::POST, "/reload").await
    }

    /// Puts a table in force that allows less than the one before: where no tunnel runs, nothing is carried,
    /// and none has to be started for it.
    ///
    /// # Errors
    /// As of [`Self::apply`].
    pub async fn withdraw(&self, table: &Table) -> Result<(), TunnelError> {
        self.write(table).await?;
        let start = Instant::now();
        loop {
            let answer = self.call(Method::POST, "/reload").await;
            // One that dies, or that is only starting, has the lock and does not answer.
            let unsaid = matches!(answer, Err(TunnelError::Away { .. }));
            if !unsaid || start.elapsed() >= START {
                return answer.map(drop);
            }
            let lock = super::lock_of(&self.socket);
            let runs = tokio::task::spawn_blocking(move || super::is_locked(&lock)).await;
            if matches!(runs, Ok(Ok(false))) {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }

    async fn write(&self, table: &Table) -> Result<(), TunnelError> {
        let (path, written) = (self.table.clone(), table.clone());
        let written = tokio::task::spawn_blocking(move || written.write(&path)).await;
        Ok(written.map_err(|error| self.away(error.to_string()))??)
    }

    /// Finds the tunnel, or starts it. An idle one of another program is replaced.
    ///
    /// # Errors
    /// When there is none and none can be started.
    pub async fn ensure(&self) -> Result<Status, TunnelError> {
        if let Ok(status) = self.status().await
            && (self.is_same_program(&status) || !self.ended(&status).await)
        {
            return Ok(status);
        }
        self.start().await
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&self) -> Result<Status, TunnelError> {
        self.call(Method::GET, "/status").await
    }

    /// Keeps it running: one that ends is noticed at once and started again, until `stop`, which does not
    /// end it. There must be a table.
    pub async fn keep(&self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.restart_for_ever() => {}
        }
    }

    async fn restart_for_ever(&self) {
        loop {
            match self.ensure().await {
                Ok(status) => {
                    self.gone().await;
                    tracing::warn!(pid = status.pid, "the tunnel has ended, and is started again");
                }
                Err(error) => {
                    tracing::error!("{error}; volumes of other nodes wait until it runs");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Waits for its end.
    async fn gone(&self) {
        if let Ok(mut connection) = UnixStream::connect(&self.socket).await {
            // It never says anything by itself.
            let _ = connection.read_u8().await;
        }
    }

    async fn start(&self) -> Result<Status, TunnelError> {
        let arguments = [
            SUBCOMMAND.as_ref(),
            "--table".as_ref(),
            self.table.as_os_str(),
            "--socket".as_ref(),
            self.socket.as_os_str(),
            "--log".as_ref(),
            self.log.as_ref(),
        ];
        let program = self.program.clone();
        let pid = start_alone(&program, &arguments)
            .map_err(|reason| TunnelError::Start { program, reason })?;
        let start = Instant::now();
        while start.elapsed() < START {
            if let Ok(status) = self.status().await {
                return Ok(status);
            }
            sleep(LOOK).await;
        }
        Err(TunnelError::Silent { pid, socket: self.socket.clone(), after: START })
    }

    /// Whether it runs the very file that this process would start.
    fn is_same_program(&self, status: &Status) -> bool {
        let file = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
        let theirs = file(Path::new(&format!("/proc/{}/exe", status.pid)));
        theirs.is_some() && theirs == file(&self.program)
    }

    /// Whether it could be ended, which it allows when it carries nothing.
    async fn ended(&self, status: &Status) -> bool {
        if let Err(TunnelError::Refused(why)) = self.call(Method::POST, "/stop").await {
            tracing::debug!(pid = status.pid, "an older tunnel goes on: {why}");
            return false;
        }
        // Also without an answer: it may have ended before it was sent.
        tracing::info!(pid = status.pid, version = status.version, "an older tunnel is replaced");
        timeout(START, self.gone()).await.is_ok()
    }

    async fn call(&self, method: Method, path: &str) -> Result<Status, TunnelError> {
        let answer = timeout(CALL, self.exchange(method, path)).await;
        let answer = answer.map_err(|_| self.away(format!("no answer within {CALL:?}")))?;
        let (status, body) = answer.map_err(|error| self.away(error.to_string()))?;
        let unread = |error: serde_json::Error| self.away(format!("its answer: {error}"));
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(unread);
        }
        let ErrorResponse { error, open } = serde_json::from_slice(&body).map_err(unread)?;
        Err(if status == INCOMPLETE {
            TunnelError::Incomplete(error)
        } else if open.is_empty() {
            TunnelError::Refused(error)
        } else {
            TunnelError::NotFenced { open, why: error }
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
    ) -> Result<(hyper::StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "hawser")
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    fn away(&self, reason: String) -> TunnelError {
        TunnelError::Away { socket: self.socket.clone(), reason }
    }
}
