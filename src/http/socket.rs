//! The unix sockets: bound, served, and removed at exit.
//!
//! A socket is root's alone (0600) from its first moment: it is bound under another name, given its
//! mode, and renamed. A stale file (nobody answers) is replaced, a live one refused. Idle
//! connections are kept open for ever, as dockerd keeps its own: a request on a connection that the
//! server just closed would be repeated with an empty body (moby pkg/plugins/client.go).

use std::{
    convert::Infallible,
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::{UnixListener as StdListener, UnixStream as StdStream},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use axum::Router;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::engine::Callers;

/// How long requests under way may take at exit. `docker plugin disable` kills after 10 s.
const DRAIN: Duration = Duration::from_secs(4);

/// A bound socket.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    /// The file to remove at exit: ours, as long as its inode is this one.
    file: Option<(PathBuf, u64)>,
}

/// Why a socket cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers on it.
    #[error("{0} is in use: another process answers on it (is hawser running already?)")]
    Live(PathBuf),
    /// There is something else under its name.
    #[error("{0} is in the way: it is not a socket")]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("cannot bind {path}: {source}")]
    Io {
        /// The socket's path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Socket {
    /// Binds the socket, in its directory, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// A live socket is left alone.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let failed = |source| SocketError::Io { path: path.into(), source };
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(failed)?;
        }
        refuse_live(path)?;
        let draft = path.with_extension(format!("{}.new", std::process::id()));
        let listener = StdListener::bind(&draft).map_err(failed)?;
        let placed = fs::set_permissions(&draft, fs::Permissions::from_mode(0o600))
            .and_then(|()| fs::rename(&draft, path))
            .and_then(|()| fs::metadata(path));
        let metadata = placed.map_err(|error| {
            // Best effort: the error that matters is the one that is returned.
            let _ = fs::remove_file(&draft);
            failed(error)
        })?;
        let file = Some((path.to_owned(), metadata.ino()));
        Ok(Self { listener: adopt(listener).map_err(failed)?, file })
    }

    /// Takes over a socket that systemd bound; its file is systemd's.
    ///
    /// # Errors
    ///
    /// When it is not a socket that can be listened on.
    pub fn inherited(listener: StdListener) -> io::Result<Self> {
        Ok(Self { listener: adopt(listener)?, file: None })
    }

    /// Serves until `stop`; then takes no new connection and lets requests under way end.
    pub async fn serve(self, router: Router, callers: Callers, stop: CancellationToken) {
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => serve_connection(stream, &router, &callers, &graceful),
                Err(error) => {
                    // Out of descriptors, most likely: others are served meanwhile.
                    tracing::error!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
            tracing::warn!("some requests were still under way at exit");
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some((path, inode)) = &self.file
            && fs::metadata(path).is_ok_and(|metadata| metadata.ino() == *inode)
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!("cannot remove {}: {error}", path.display());
        }
    }
}

fn adopt(listener: StdListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

fn refuse_live(path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Err(SocketError::NotASocket(path.into()))
        }
        Ok(_) => match StdStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(source) => Err(SocketError::Io { path: path.into(), source }),
            Ok(_) => Err(SocketError::Live(path.into())),
        },
        Err(_) => Ok(()),
    }
}

fn serve_connection(
    stream: UnixStream,
    router: &Router,
    callers: &Callers,
    graceful: &GracefulShutdown,
) {
    let pid = stream.peer_cred().ok().and_then(|peer| peer.pid()).unwrap_or_default();
    let epoch = callers.epoch(pid);
    let router = router.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(epoch.clone());
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|e| match e {})) }
    });
    let connection = http1::Builder::new()
        // No time limit on an idle connection: see the top of this file.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended");
        }
    });
}
