//! Calls to the daemon's admin socket.

use std::{io, path::PathBuf, pin::pin, time::Duration};

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};

use super::stream::Stream;
use crate::http::admin::wire::ErrorResponse;

/// Longer than the daemon's own longest deadline, a file system check excepted.
const LIMIT: Duration = Duration::from_secs(3700);

/// How long an answer may still be on its way when the connection has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
const ENDED: &str = "the daemon ended while it worked";

/// A client of the daemon on this host.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the daemon that listens on `socket`.
    #[must_use]
    pub const fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.call(Method::GET, path, &()).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.call(Method::POST, path, body).await
    }

    pub(super) async fn delete<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.call(Method::DELETE, path, &()).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let body = serde_json::to_vec(body).context("cannot write the request")?;
        let answer = tokio::time::timeout(LIMIT, self.exchange(method, path, body))
            .await
            .context("the daemon does not answer")??;
        serde_json::from_slice(&answer).context("cannot read the daemon's answer")
    }

    async fn exchange(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Bytes> {
        let stream = Stream::connect(&self.socket).await.map_err(|error| self.away(error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "hawser")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let mut answer = pin!(sender.send_request(request));
        let response = tokio::select! {
            biased;
            response = &mut answer => response.context(ENDED)?,
            // A request that is handed over just as the connection ends is lost between the two, and
            // would be waited for as long as the sender lives: seen on a busy machine.
            _ = connection => tokio::time::timeout(LAST_WORDS, answer).await.context(ENDED)?.context(ENDED)?,
        };
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice::<ErrorResponse>(&body) {
            Ok(ErrorResponse { error }) => bail!(error),
            Err(_) => bail!("the daemon answered {status}: {}", String::from_utf8_lossy(&body)),
        }
    }

    fn away(&self, error: io::Error) -> anyhow::Error {
        let socket = self.socket.display();
        let advice = if error.kind() == io::ErrorKind::PermissionDenied {
            "the socket is root's: try sudo"
        } else {
            "is the daemon running? `systemctl status hawser`, or name its socket with --admin-socket"
        };
        anyhow::Error::new(error).context(format!("cannot reach the daemon on {socket} ({advice})"))
    }
}
