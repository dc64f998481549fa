//! The other nodes' door: JSON over the peer port, which takes nodes of this cluster only.
//!
//! | call | |
//! |---|---|
//! | `POST /release` | lets go of a volume that nobody uses here |
//! | `POST /presence` | what this node has of a volume |
//! | `POST /take` | gets a volume to this node |
//! | `POST /remove` | removes a volume that is on this node's own disk |
//! | `POST /drain` | gives this node's volumes free, and takes no more |

mod client;

use axum::{
    Extension, Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde::{Deserialize, Serialize};

pub use client::PeerPort;

use crate::{
    engine::{
        DrainRequest, Drained, Engine, EngineError, MoveRequest, Presence, ReleaseRequest,
        Released, RemoveRequest,
    },
    peer::{PeerNode, RefusalResponse},
    volume::VolumeId,
};

/// Asks what a node has of a volume.
#[derive(Debug, Serialize, Deserialize)]
struct PresenceRequest {
    volume: VolumeId,
}

/// The other nodes' calls, on an engine.
pub fn router(engine: Engine) -> Router {
    Router::new()
        .route("/release", post(release))
        .route("/presence", post(presence))
        .route("/take", post(take))
        .route("/remove", post(remove))
        .route("/drain", post(drain))
        .with_state(engine)
}

/// What was asked for was not done; the text is for whoever asked the other node.
struct Refused(EngineError);

impl From<EngineError> for Refused {
    fn from(error: EngineError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        tracing::info!(error = %self.0, "another node was refused");
        let refusal = RefusalResponse { error: self.0.to_string() };
        (StatusCode::CONFLICT, Json(refusal)).into_response()
    }
}

type Answer<T> = Result<Json<T>, Refused>;

async fn release(
    State(engine): State<Engine>,
    Extension(PeerNode(node)): Extension<PeerNode>,
    Json(request): Json<ReleaseRequest>,
) -> Answer<Released> {
    tracing::info!(%node, volume = %request.volume, epoch = %request.epoch, "asked to let go");
    // It goes on when the asker hangs up: half a release would be none.
    let release = tokio::spawn(async move { engine.release(&request, node).await });
    let gone = |_| Released::Busy("hawser is stopping there".to_owned());
    Ok(Json(release.await.unwrap_or_else(|error| Ok(gone(error)))?))
}

async fn presence(
    State(engine): State<Engine>,
    Json(request): Json<PresenceRequest>,
) -> Json<Presence> {
    Json(engine.presence(request.volume).await)
}

async fn take(State(engine): State<Engine>, Json(request): Json<MoveRequest>) -> Answer<()> {
    Ok(Json(engine.take(&request.volume, request.effort).await?))
}

async fn remove(State(engine): State<Engine>, Json(request): Json<RemoveRequest>) -> Answer<()> {
    Ok(Json(engine.remove(&request.volume, request.when).await?))
}

async fn drain(State(engine): State<Engine>, Json(request): Json<DrainRequest>) -> Answer<Drained> {
    Ok(Json(engine.drain_here(request.drained).await?))
}
