//! Calls to other nodes: POST with JSON, one connection for each call.
//!
//! One connection for each: a handshake costs a few milliseconds, calls between nodes are rare, and what
//! was proven is never older than the call. Everything has a limit: the whole call in time, both bodies
//! in bytes.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::task::AbortOnDropHandle;

use super::{BODY_LIMIT, Identity, NODE_HEADER, RefusalResponse, names, trust::Untrusted};
use crate::volume::NodeName;

/// How much of an answer that is not ours is shown.
const SHOWN: usize = 200;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Nobody answered in time: the request may have arrived and been done, or not.
    #[error("node `{node}` at {address} does not answer: {reason}")]
    Unreachable {
        /// The node.
        node: NodeName,
        /// Where it was called.
        address: String,
        /// What happened.
        reason: String,
    },
    /// One end does not believe the other: the request was not done.
    #[error("node `{node}` at {address}: {why}")]
    Untrusted {
        /// The node.
        node: NodeName,
        /// Where it was called.
        address: String,
        /// Who does not believe whom, and why.
        why: Untrusted,
    },
    /// The node said no.
    #[error("node `{node}` refuses ({status}): {message}")]
    Refused {
        /// The node.
        node: NodeName,
        /// The status of HTTP.
        status: u16,
        /// Its reason.
        message: String,
    },
    /// What was to be sent or what came back is not what it should be; if it came back, the request may
    /// have been done.
    #[error("node `{node}`: {reason}")]
    Garbled {
        /// The node.
        node: NodeName,
        /// What is wrong with it.
        reason: String,
    },
}

/// The other nodes, seen from this one.
#[derive(Debug, Clone)]
pub struct Peers {
    identity: Identity,
}

/// Whom a call is for.
#[derive(Clone, Copy)]
struct Callee<'a> {
    node: &'a NodeName,
    address: &'a str,
}

impl Peers {
    /// Calls as this node.
    #[must_use]
    pub const fn new(identity: Identity) -> Self {
        Self { identity }
    }

    /// Sends `body` to a path of a node, which must prove to be that node, and reads its answer.
    ///
    /// # Errors
    /// By what the caller can do about it: see [`PeerError`].
    ///
    /// # Cancellation
    /// The connection is closed; the node may do what was asked nevertheless.
    pub async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        node: &NodeName,
        address: &str,
        path: &str,
        body: &Q,
        limit: Duration,
    ) -> Result<A, PeerError> {
        let callee = Callee { node, address };
        let body = serde_json::to_vec(body)
            .map_err(|error| callee.garbled(format!("cannot write the request: {error}")))?;
        if body.len() > BODY_LIMIT {
            return Err(callee.garbled(format!("the request is larger than {BODY_LIMIT} bytes")));
        }
        let exchange = self.exchange(callee, path, body);
        let (status, answer) = tokio::time::timeout(limit, exchange)
            .await
            .map_err(|_| callee.unreachable(format!("no answer within {limit:?}")))??;
        if !status.is_success() {
            return Err(callee.refused(status, &answer));
        }
        serde_json::from_slice(&answer)
            .map_err(|error| callee.garbled(format!("cannot read its answer: {error}")))
    }

    async fn exchange(
        &self,
        callee: Callee<'_>,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), PeerError> {
        let request = Request::post(path)
            .header(header::HOST, names::dns_name(self.identity.cluster(), callee.node))
            .header(header::CONTENT_TYPE, "application/json")
            .header(NODE_HEADER, self.identity.node().as_str())
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| callee.garbled(format!("cannot make the request: {error}")))?;
        let stream = self.connect(callee).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| callee.lost(&error))?;
        // Not left behind when the call is given up.
        let connection = AbortOnDropHandle::new(tokio::spawn(connection));
        match sender.send_request(request).await {
            Ok(response) => read(callee, response).await,
            // The cause may be known to the connection only: a server's verdict on our certificate comes
            // after the handshake, and races with the request.
            Err(error) => match connection.await {
                Ok(Err(cause)) if Untrusted::find(&error).is_none() => Err(callee.lost(&cause)),
                Ok(_) | Err(_) => Err(callee.lost(&error)),
            },
        }
    }

    async fn connect(&self, callee: Callee<'_>) -> Result<TlsStream<TcpStream>, PeerError> {
        let name = names::server_name(self.identity.cluster(), callee.node)
            .map_err(|error| callee.garbled(error.to_string()))?;
        let stream = TcpStream::connect(callee.address)
            .await
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(|error| callee.unreachable(error.to_string()))?;
        let tls = self.identity.tls().await;
        let connector = TlsConnector::from(Arc::clone(&tls.client));
        connector.connect(name, stream).await.map_err(|error| callee.lost(&error))
    }
}

async fn read(
    callee: Callee<'_>,
    response: Response<Incoming>,
) -> Result<(StatusCode, Bytes), PeerError> {
    let status = response.status();
    match Limited::new(response.into_body(), BODY_LIMIT).collect().await {
        Ok(body) => Ok((status, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(callee.garbled(format!("its answer is larger than {BODY_LIMIT} bytes")))
        }
        Err(error) => Err(callee.lost(error.as_ref())),
    }
}

impl Callee<'_> {
    /// A connection that ended, which TLS may have done.
    fn lost(self, error: &(dyn StdError + 'static)) -> PeerError {
        match Untrusted::find(error) {
            Some(why) => {
                let (node, address) = (self.node.clone(), self.address.to_owned());
                PeerError::Untrusted { node, address, why }
            }
            None => {
                let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                self.unreachable(format!("{error}{cause}"))
            }
        }
    }

    fn unreachable(self, reason: String) -> PeerError {
        let (node, address) = (self.node.clone(), self.address.to_owned());
        PeerError::Unreachable { node, address, reason }
    }

    fn garbled(self, reason: String) -> PeerError {
        PeerError::Garbled { node: self.node.clone(), reason }
    }

    fn refused(self, status: StatusCode, body: &[u8]) -> PeerError {
        let message = match serde_json::from_slice::<RefusalResponse>(body) {
            Ok(refusal) => refusal.error,
            Err(_) => String::from_utf8_lossy(body).chars().take(SHOWN).collect(),
        };
        PeerError::Refused { node: self.node.clone(), status: status.as_u16(), message }
    }
}
