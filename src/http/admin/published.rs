//! The calls about published volumes.

use axum::{
    Extension, Json, Router,
    extract::Path,
    routing::{delete, get},
};

use super::{
    Answer, Body, volume_name,
    wire::{PublishRequest, PublishResponse},
};
use crate::{
    engine::Engine,
    publish::{Published, PublishedVolume},
};

pub(super) fn router() -> Router<Engine> {
    Router::new()
        .route("/published", get(list).post(publish))
        .route("/published/{name}", delete(unpublish))
}

async fn list(Extension(published): Extension<Published>) -> Json<Vec<PublishedVolume>> {
    Json(published.list())
}

async fn publish(
    Extension(published): Extension<Published>,
    Body(request): Body<PublishRequest>,
) -> Answer<PublishResponse> {
    let path = published.publish(&Engine::parse(&request.name)?).await?;
    Ok(Json(PublishResponse { path }))
}

async fn unpublish(
    Extension(published): Extension<Published>,
    Path(name): Path<String>,
) -> Answer<()> {
    Ok(Json(published.unpublish(&volume_name(&name)?).await?))
}
