//! The unix sockets: bound (see [`unix_socket`]), served, and removed at exit.
//!
//! Idle connections are kept open for ever, as dockerd keeps its own: a request on a connection that the
//! server just closed would be repeated with an empty body (moby pkg/plugins/client.go).

use std::{
    convert::Infallible, io, os::unix::net::UnixListener as StdListener, path::Path, time::Duration,
};

use axum::Router;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{
    engine::Callers,
    sys::unix_socket::{self, SocketError, SocketFile},
};

/// How long requests under way may take at exit. `docker plugin disable` kills after 10 s.
const DRAIN: Duration = Duration::from_secs(4);

/// A bound socket.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    /// Our own file, removed with it; systemd removes its own.
    _file: Option<SocketFile>,
}

impl Socket {
    /// Binds the socket, in its directory, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// A live socket is left alone.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let (listener, file) = unix_socket::bind(path)?;
        Ok(Self { listener: unix_socket::adopt(path, listener)?, _file: Some(file) })
    }

    /// Takes over a socket that systemd bound; its file is systemd's.
    ///
    /// # Errors
    ///
    /// When it is not a socket that can be listened on.
    pub fn inherited(listener: StdListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: UnixListener::from_std(listener)?, _file: None })
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
