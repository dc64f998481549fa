//! How the plugin protocol reads and answers: the one content type, the one error form.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};

use super::wire::ErrResponse;
use crate::engine::EngineError;

const CONTENT_TYPE: &str = "application/vnd.docker.plugins.v1.2+json";

/// An answer.
pub(super) struct PluginJson<T>(pub(super) T);

impl<T: Serialize> IntoResponse for PluginJson<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response(),
            Err(error) => ApiError::Body(error.to_string()).into_response(),
        }
    }
}

/// Why a request is answered with an error.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum ApiError {
    /// There is no body. moby sends such requests: a retry after a broken connection has lost its
    /// body (pkg/plugins/client.go), and to answer it with success would be a lie.
    #[error("the request has no body: the connection broke before, try again")]
    NoBody,
    /// The body is not the message that belongs there.
    #[error("the request cannot be read: {0}")]
    Body(String),
    /// There is no volume name.
    #[error("the volume has no name")]
    NoName,
    /// No such call.
    #[error("hawser is a volume driver and has no `{0}`")]
    NoSuchCall(String),
    /// The option table was asked for.
    #[error("{0}")]
    Help(String),
    /// The engine did not do it.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = PluginJson(ErrResponse { err: self.to_string() }).into_response();
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        // For the log, which is written in one place.
        response.extensions_mut().insert(self);
        response
    }
}

/// A request's message. Reads any content type, since moby sends none.
pub(super) struct Message<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Message<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|error| ApiError::Body(error.to_string()))?;
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(ApiError::NoBody);
        }
        let message =
            serde_json::from_slice(&body).map_err(|error| ApiError::Body(error.to_string()))?;
        Ok(Self(message))
    }
}
