//! The calls about snapshots.

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::{delete, get, post},
};
use serde::Deserialize;

use super::{
    Answer, Body, volume_name,
    wire::{SnapshotRequest, SnapshotResponse},
};
use crate::{backend::Snapshot, engine::Engine};

pub(super) fn router() -> Router<Engine> {
    Router::new()
        .route("/volumes/{name}/snapshots", post(create))
        .route("/snapshots", get(list))
        .route("/snapshots/{id}", delete(remove))
}

async fn create(
    State(engine): State<Engine>,
    Path(name): Path<String>,
    Body(request): Body<SnapshotRequest>,
) -> Answer<SnapshotResponse> {
    let taken = engine.snapshot(&volume_name(&name)?, request.description).await?;
    Ok(Json(SnapshotResponse { snapshot: taken.snapshot, consistency: taken.consistency }))
}

#[derive(Deserialize)]
struct ListQuery {
    volume: Option<String>,
}

async fn list(
    State(engine): State<Engine>,
    Query(ListQuery { volume }): Query<ListQuery>,
) -> Answer<Vec<Snapshot>> {
    let volume = volume.as_deref().map(volume_name).transpose()?;
    Ok(Json(engine.snapshots(volume.as_ref()).await?))
}

async fn remove(State(engine): State<Engine>, Path(id): Path<String>) -> Answer<()> {
    Ok(Json(engine.remove_snapshot(&id).await?))
}
