//! The peer port's server: TLS, who calls, limits; then the routes of whoever binds it.
//!
//! A connection carries one request, so what a certificate proved is never older than that request. A
//! request is read whole before its handler starts, and a handler runs to its end even if its caller
//! hangs up: the change that it makes is not left half-made.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::DefaultBodyLimit,
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, Limited};
use hyper::{
    Request, StatusCode,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, rustls::pki_types::CertificateDer, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::{
    BODY_LIMIT, Identity, NODE_HEADER, RefusalResponse,
    identity::check::{self, Owner},
    limits::{Place, Places},
    refusals::{Reason, Refusals},
    trust::{Cause, Side, Untrusted},
};
use crate::volume::NodeName;

/// How long a handshake may take, and after it the request's header.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a request's body may take.
const BODY: Duration = Duration::from_secs(30);
/// Connections of known nodes at once.
const CONNECTIONS: usize = 128;
/// How long requests under way may take at exit, as for the unix sockets.
const DRAIN: Duration = Duration::from_secs(4);
/// When a connection without traffic is asked whether its other end is there, and when one that does
/// not take its answer is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// Which node calls, as its certificate proved. Every request has it as an `Extension`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerNode(pub NodeName);

/// The port cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for other nodes on {address}: {reason}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub reason: io::Error,
}

/// The bound peer port.
#[derive(Debug)]
pub struct PeerServer {
    listener: TcpListener,
    address: SocketAddr,
    identity: Identity,
}

/// What all connections share.
struct Shared {
    identity: Identity,
    router: Router,
    refusals: Refusals,
    connections: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl PeerServer {
    /// Binds the port.
    ///
    /// # Errors
    /// When it is taken, or the address is not this host's.
    pub async fn bind(address: SocketAddr, identity: Identity) -> Result<Self, BindError> {
        let failed = |reason| BindError { address, reason };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, identity })
    }

    /// Where it listens: the port that was chosen, if it was asked for port 0.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`; then takes no new connection and lets requests under way end.
    pub async fn serve(self, router: Router, stop: CancellationToken) {
        let shared = Arc::new(Shared {
            identity: self.identity,
            // A body has passed this server's own limit, which is not axum's.
            router: router.layer(DefaultBodyLimit::disable()),
            refusals: Refusals::on("the peer port"),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            tasks: TaskTracker::new(),
            stop: stop.clone(),
        });
        let handshakes = Places::for_handshakes();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, caller)) => shared.admit(&handshakes, stream, caller),
                Err(error) => {
                    // Out of descriptors, most likely: others are served meanwhile.
                    tracing::error!(%error, "cannot accept a connection of another node");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.listener);
        shared.tasks.close();
        if timeout(DRAIN, shared.tasks.wait()).await.is_err() {
            tracing::warn!("some requests of other nodes were still under way at exit");
        }
    }
}

impl Shared {
    /// Starts a connection, if its address has a place for one more handshake.
    fn admit(self: &Arc<Self>, handshakes: &Places<IpAddr>, stream: TcpStream, caller: SocketAddr) {
        let Some(place) = handshakes.enter(caller.ip()) else {
            self.refusals.tell(caller.ip(), Reason::Busy, "too many handshakes under way");
            return;
        };
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            let accepted = tokio::select! {
                accepted = shared.handshake(stream, caller, place) => accepted,
                () = shared.stop.cancelled() => None,
            };
            if let Some((stream, permit)) = accepted {
                shared.serve(stream, caller, permit).await;
            }
        });
    }

    /// The caller's proof that it has a certificate of our CA.
    async fn handshake(
        &self,
        stream: TcpStream,
        caller: SocketAddr,
        _place: Place<IpAddr>,
    ) -> Option<(TlsStream<TcpStream>, OwnedSemaphorePermit)> {
        if let Err(error) = watch(&stream, SILENCE) {
            tracing::debug!(%error, "cannot set up a connection");
            return None;
        }
        let accept = async {
            let tls = self.identity.tls().await;
            TlsAcceptor::from(Arc::clone(&tls.server)).accept(stream).into_fallible().await
        };
        let refuse = |reason, text: String| self.refusals.tell(caller.ip(), reason, text);
        match timeout(HANDSHAKE, accept).await {
            Ok(Ok(stream)) => {
                let permit = Arc::clone(&self.connections).try_acquire_owned();
                if permit.is_err() {
                    refuse(Reason::Busy, format!("{CONNECTIONS} connections are open"));
                }
                Some((stream, permit.ok()?))
            }
            Ok(Err((error, stream))) => {
                match Untrusted::find(&error) {
                    Some(why) => refuse(Reason::Trust(why.side, why.cause), why.to_string()),
                    None => {
                        refuse(Reason::Handshake, format!("the handshake was cut off: {error}"))
                    }
                }
                let _ = timeout(HANDSHAKE, say_goodbye(stream)).await;
                None
            }
            Err(_) => {
                refuse(Reason::Handshake, format!("no handshake within {} s", HANDSHAKE.as_secs()));
                None
            }
        }
    }

    async fn serve(
        self: Arc<Self>,
        stream: TlsStream<TcpStream>,
        caller: SocketAddr,
        permit: OwnedSemaphorePermit,
    ) {
        let certificates = stream.get_ref().1.peer_certificates();
        let Some(certificate) = certificates.and_then(<[_]>::first).cloned() else {
            // TLS was told to demand one.
            tracing::error!(%caller, "a connection without a certificate was let in, and is closed");
            return;
        };
        let (shared, stop) = (Arc::clone(&self), self.stop.clone());
        let permit = Arc::new(permit);
        let service = service_fn(move |request| {
            let (shared, certificate) = (Arc::clone(&shared), certificate.clone());
            let permit = Arc::clone(&permit);
            async move {
                Ok::<_, Infallible>(shared.answer(request, caller, &certificate, permit).await)
            }
        });
        let connection = http1::Builder::new()
            .keep_alive(false)
            .timer(TokioTimer::new())
            .header_read_timeout(HANDSHAKE)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            // An alert after the handshake is the caller's verdict on us.
            match Untrusted::find(&error) {
                Some(why) => {
                    self.refusals.tell(caller.ip(), Reason::Trust(why.side, why.cause), why);
                }
                None => tracing::debug!(%caller, %error, "a connection ended"),
            }
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        caller: SocketAddr,
        certificate: &CertificateDer<'_>,
        permit: Arc<OwnedSemaphorePermit>,
    ) -> Response {
        let node = match self.caller(&request, caller, certificate) {
            Ok(node) => node,
            Err((status, text)) => return refusal(status, text),
        };
        let (parts, body) = request.into_parts();
        let body = match whole(body).await {
            Ok(body) => body,
            Err((status, text)) => return refusal(status, text),
        };
        let mut request = Request::from_parts(parts, Body::from(body));
        request.extensions_mut().insert(PeerNode(node));
        let answer = self.router.clone().oneshot(request);
        let handler = self.tasks.spawn(async move {
            let answer = answer.await.unwrap_or_else(|error| match error {});
            drop(permit);
            answer
        });
        handler.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request of another node ended in a panic");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "the request ended in a panic".to_owned())
        })
    }

    /// Which node calls: the one that it says, if its certificate is for that one.
    fn caller(
        &self,
        request: &Request<Incoming>,
        caller: SocketAddr,
        certificate: &CertificateDer<'_>,
    ) -> Result<NodeName, (StatusCode, String)> {
        let named = request.headers().get(NODE_HEADER).and_then(|name| name.to_str().ok());
        let Some(node) = named.and_then(|name| name.parse::<NodeName>().ok()) else {
            let text = format!("the header `{NODE_HEADER}` does not name a node");
            self.refusals.tell(caller.ip(), Reason::Request, &text);
            return Err((StatusCode::BAD_REQUEST, text));
        };
        let cluster = self.identity.cluster();
        match check::is_of(certificate, Owner { cluster, node: &node }) {
            Ok(()) => Ok(node),
            Err(error) => {
                let text = format!(
                    "it calls itself node `{node}`, and its certificate is not for that node of cluster `{cluster}`: {error}"
                );
                self.refusals.tell(caller.ip(), Reason::Trust(Side::Ours, Cause::WrongName), &text);
                Err((StatusCode::FORBIDDEN, text))
            }
        }
    }
}

async fn whole(body: Incoming) -> Result<Bytes, (StatusCode, String)> {
    match timeout(BODY, Limited::new(body, BODY_LIMIT).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            let text = format!("the request is larger than {BODY_LIMIT} bytes");
            Err((StatusCode::PAYLOAD_TOO_LARGE, text))
        }
        Ok(Err(error)) => Err((StatusCode::BAD_REQUEST, format!("cannot read it: {error}"))),
        Err(_) => {
            let text = format!("the request did not arrive within {} s", BODY.as_secs());
            Err((StatusCode::REQUEST_TIMEOUT, text))
        }
    }
}

fn refusal(status: StatusCode, error: String) -> Response {
    (status, Json(RefusalResponse { error })).into_response()
}

/// Lets the caller read why it was refused. A caller sends its request before it knows; closing a
/// connection with that request unread would be a reset, which takes the alert away from it.
pub(crate) async fn say_goodbye(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut buffer = vec![0; 16 << 10];
    let mut left = BODY_LIMIT;
    while left > 0 {
        match stream.read(&mut buffer).await? {
            0 => break,
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}

/// An other end whose host died is noticed, and nothing waits for it for ever: it is asked when it has
/// been silent for so long, and given up when it has taken nothing for so long.
pub(crate) fn watch(stream: &TcpStream, silence: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, silence)?;
    sockopt::set_tcp_keepintvl(stream, silence / 3)?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    let limit = u32::try_from(silence.as_millis()).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(stream, limit)?)
}
