//! The tunnel's control socket, for the daemon of this node: HTTP/1.1 with JSON, on a unix socket (0600).
//!
//! | call | |
//! |---|---|
//! | `GET /status` | what is carried, and how it goes |
//! | `POST /reload` | reads the table again; answers when it is in force; 422 if not all of it is, but what it does not allow has ended; 409 if not even that, with the volumes (`open`) |
//! | `POST /stop` | ends it; 409 if something is carried |
//!
//! A connection that asks nothing stays open: by its end the daemon notices the tunnel's.

use std::{convert::Infallible, path::Path, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tower::ServiceExt;

use super::{
    running::{RunError, Running},
    status::{ErrorResponse, Status},
};
use crate::sys::unix_socket::{self, SocketError, SocketFile};

/// What a table does not allow has ended, and some of what it wants cannot be had.
pub(super) const INCOMPLETE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

/// The bound socket.
#[derive(Debug)]
pub(super) struct Control {
    listener: UnixListener,
    _file: SocketFile,
}

impl IntoResponse for RunError {
    fn into_response(self) -> Response {
        tracing::info!("the daemon's request was refused: {self}");
        let status = match &self {
            Self::Incomplete(_) => INCOMPLETE,
            Self::Table(_)
            | Self::Identity(_)
            | Self::Namespace(_)
            | Self::NotFenced { .. }
            | Self::Busy(_)
            | Self::Ending => StatusCode::CONFLICT,
        };
        let error = self.to_string();
        let open = if let Self::NotFenced { open, .. } = self { open } else { Vec::new() };
        (status, Json(ErrorResponse { error, open })).into_response()
    }
}

impl Control {
    pub(super) fn bind(path: &Path) -> Result<Self, SocketError> {
        let (listener, file) = unix_socket::bind(path)?;
        Ok(Self { listener: unix_socket::adopt(path, listener)?, _file: file })
    }

    /// Answers until the tunnel ends.
    pub(super) async fn serve(self, running: &Arc<Running>) {
        let router = router(Arc::clone(running));
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = running.end.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => drop(tokio::spawn(connection(stream, router.clone()))),
                Err(error) => {
                    tracing::error!(%error, "cannot accept the daemon's connection");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }
}

fn router(running: Arc<Running>) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/reload", post(reload))
        .route("/stop", post(stop))
        .with_state(running)
}

async fn status(State(running): State<Arc<Running>>) -> Json<Status> {
    Json(running.status())
}

async fn reload(State(running): State<Arc<Running>>) -> Result<Json<Status>, RunError> {
    // To its end, also if the daemon is killed meanwhile.
    let task = tokio::spawn(async move { running.reload().await.map(|()| running.status()) });
    match task.await {
        Ok(done) => Ok(Json(done?)),
        Err(error) => {
            Err(RunError::NotFenced { open: Vec::new(), failures: vec![error.to_string()] })
        }
    }
}

async fn stop(State(running): State<Arc<Running>>) -> Result<Json<Status>, RunError> {
    running.stop().await?;
    Ok(Json(running.status()))
}

async fn connection(stream: UnixStream, router: Router) {
    let service = service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|e| match e {})) }
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection of the daemon's ended");
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::volume::VolumeId;

    #[tokio::test]
    async fn a_daemon_is_told_which_volumes_have_connections_that_should_have_ended() {
        let volume = VolumeId::random();
        let failures = vec!["a".to_owned(), "b".to_owned()];

        let response = RunError::NotFenced { open: vec![volume], failures }.into_response();

        assert_eq!(response.status(), StatusCode::CONFLICT);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(told, serde_json::json!({ "error": "a; b", "open": [volume] }));
    }
}
