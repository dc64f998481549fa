//! The calls about the cluster.

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::{delete, get, post},
};
use serde::Deserialize;

use super::{
    Answer, ApiError, Body, volume_name,
    wire::{ForgottenResponse, MoveVolumeRequest},
};
use crate::{
    engine::{DrainRequest, Drained, Effort, Engine, Forget, NodeRow, Occasion, Whereabouts},
    volume::NodeName,
};

pub(super) fn router() -> Router<Engine> {
    Router::new()
        .route("/nodes", get(list))
        .route("/nodes/{node}", delete(forget))
        .route("/nodes/{node}/drain", post(drain))
        .route("/hand-over", post(hand_over))
        .route("/volumes/{name}/where", get(whereabouts))
        .route("/volumes/{name}/move", post(move_volume))
}

fn node_name(text: &str) -> Result<NodeName, ApiError> {
    text.parse().map_err(|error: crate::volume::NotANodeName| ApiError::Request(error.to_string()))
}

async fn list(State(engine): State<Engine>) -> Answer<Vec<NodeRow>> {
    Ok(Json(engine.nodes()?))
}

async fn drain(
    State(engine): State<Engine>,
    Path(node): Path<String>,
    Body(request): Body<DrainRequest>,
) -> Answer<Drained> {
    Ok(Json(engine.drain(&node_name(&node)?, request.drained).await?))
}

#[derive(Deserialize)]
struct HandOverQuery {
    #[serde(default)]
    shutdown: bool,
}

async fn hand_over(
    State(engine): State<Engine>,
    Query(query): Query<HandOverQuery>,
) -> Answer<Drained> {
    let occasion = if query.shutdown { Occasion::Shutdown } else { Occasion::Asked };
    Ok(Json(engine.hand_over(occasion).await))
}

#[derive(Deserialize)]
struct ForgetQuery {
    #[serde(default)]
    force: bool,
    #[serde(default)]
    local: bool,
}

async fn forget(
    State(engine): State<Engine>,
    Path(node): Path<String>,
    Query(query): Query<ForgetQuery>,
) -> Answer<ForgottenResponse> {
    let effort = if query.force { Effort::Force } else { Effort::Usual };
    let local = if query.local { Forget::Yes } else { Forget::No };
    let volumes = engine.forget_node(&node_name(&node)?, effort, local).await?;
    Ok(Json(ForgottenResponse { volumes }))
}

async fn whereabouts(
    State(engine): State<Engine>,
    Path(name): Path<String>,
) -> Answer<Whereabouts> {
    Ok(Json(engine.whereabouts(&volume_name(&name)?).await?))
}

async fn move_volume(
    State(engine): State<Engine>,
    Path(name): Path<String>,
    Body(request): Body<MoveVolumeRequest>,
) -> Answer<()> {
    let (name, to) = (volume_name(&name)?, node_name(&request.to)?);
    Ok(Json(engine.move_to(&name, &to, request.effort).await?))
}
