//! The calls about storage that could be imported.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};

use super::{
    Answer, Body, info, volume_name,
    wire::{ImportRequest, VolumeInfo},
};
use crate::{
    backend::Candidate,
    engine::{Engine, ImportAs},
};

pub(super) fn router() -> Router<Engine> {
    Router::new().route("/imports", get(list).post(import))
}

async fn list(State(engine): State<Engine>) -> Answer<Vec<Candidate>> {
    Ok(Json(engine.importable().await?))
}

async fn import(
    State(engine): State<Engine>,
    Body(request): Body<ImportRequest>,
) -> Answer<VolumeInfo> {
    let name = request.name.as_deref().map(volume_name).transpose()?;
    let import_as = ImportAs { name, data_dir: request.data_dir };
    let view = engine.import(request.handle.into(), import_as).await?;
    Ok(Json(info(&engine, Arc::clone(&view)).await))
}
