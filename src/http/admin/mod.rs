//! The commands' door: JSON over the admin socket.
//!
//! | call | |
//! |---|---|
//! | `GET /volumes`, `GET /volumes/{name}` | what is known |
//! | `POST /volumes` | creates |
//! | `DELETE /volumes/{name}?now=true` | removes |
//! | `POST /volumes/{name}/{grow,rename,set,fsck,trim}` | changes one volume |
//! | `POST /volumes/{name}/snapshots`, `GET /snapshots?volume=`, `DELETE /snapshots/{id}` | snapshots |
//! | `GET /imports`, `POST /imports` | takes over storage that has no record |
//! | `POST /removed/{name or id}/{undelete,purge}` | decides about a removed one |
//! | `GET /volumes/{name}/where`, `POST /volumes/{name}/move` | on which node a volume is |
//! | `GET /published`, `POST /published`, `DELETE /published/{name}` | volumes that stay mounted here |
//! | `GET /metrics` | figures for Prometheus |
//! | `GET /nodes`, `POST /nodes/{node}/drain`, `DELETE /nodes/{node}?force=&local=` | the cluster's nodes |
//! | `POST /hand-over?shutdown=` | what this node serves to others goes to those |

mod cluster;
mod imports;
mod metrics;
mod published;
mod snapshots;
pub mod wire;

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{FromRequest, Path, Query, State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::Deserialize;

use crate::{
    engine::{Checked, Engine, EngineError, Removal, View, Ways},
    publish::{PublishError, Published},
    spec::{self, Asked, Bytes, Stated, Value, VolumeName},
    sys::format::Repair,
    volume::transition::Changes,
};
use wire::{
    CheckRequest, CreateRequest, ErrorResponse, GrowRequest, GrowResponse, NameRequest,
    NameResponse, SetRequest, TrimResponse, VolumeInfo,
};

type Answer<T> = Result<Json<T>, ApiError>;

/// The commands' calls, on an engine and what it keeps mounted.
pub fn router(engine: Engine, published: Published) -> Router {
    Router::new()
        .route("/volumes", get(list).post(create))
        .route("/volumes/{name}", get(inspect))
        .route("/volumes/{name}", delete(remove))
        .route("/volumes/{name}/grow", post(grow))
        .route("/volumes/{name}/rename", post(rename))
        .route("/volumes/{name}/set", post(set))
        .route("/volumes/{name}/fsck", post(fsck))
        .route("/volumes/{name}/trim", post(trim))
        .route("/removed/{which}/undelete", post(undelete))
        .route("/removed/{which}/purge", post(purge))
        .merge(snapshots::router())
        .merge(imports::router())
        .merge(cluster::router())
        .merge(published::router())
        .layer(Extension(published))
        .route("/metrics", get(metrics::page))
        .with_state(engine)
}

/// Why a command is answered with an error.
#[derive(Debug, thiserror::Error)]
enum ApiError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("{0}")]
    Request(String),
    #[error(transparent)]
    Publish(PublishError),
    #[error("cannot write the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Request(_) | Self::Engine(EngineError::Spec(_)) => StatusCode::BAD_REQUEST,
            Self::Engine(
                EngineError::NotFound(_) | EngineError::NoneRemoved(_) | EngineError::NoNode(_),
            ) => StatusCode::NOT_FOUND,
            Self::Publish(PublishError::NotPublished(_)) => StatusCode::NOT_FOUND,
            Self::Publish(PublishError::Group(_) | PublishError::Configured(_)) => {
                StatusCode::CONFLICT
            }
            Self::Engine(
                EngineError::NameTaken(_)
                | EngineError::Differs(_)
                | EngineError::NotMeant(_)
                | EngineError::Refused { .. }
                | EngineError::Import { .. }
                | EngineError::NotImported { .. }
                | EngineError::NoBackend { .. }
                | EngineError::NoCluster
                | EngineError::Neighbour { .. }
                | EngineError::Closed { .. }
                | EngineError::Exhausted { .. }
                | EngineError::Ambiguous { .. },
            ) => StatusCode::CONFLICT,
            Self::Engine(
                EngineError::Failed { .. }
                | EngineError::Store { .. }
                | EngineError::Cluster { .. }
                | EngineError::Backend { .. }
                | EngineError::Deadline { .. }
                | EngineError::Gone { .. },
            )
            | Self::Publish(PublishError::Engine(_) | PublishError::List { .. })
            | Self::Metrics(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        tracing::info!(error = %self, "a command was refused");
        (status, Json(ErrorResponse { error: self.to_string() })).into_response()
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Engine(error) => Self::Engine(error),
            other @ (PublishError::Group(_)
            | PublishError::Configured(_)
            | PublishError::NotPublished(_)
            | PublishError::List { .. }) => Self::Publish(other),
        }
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::Request(rejection.body_text())
    }
}

/// A request's JSON, with errors in the one form.
#[derive(FromRequest)]
#[from_request(via(Json), rejection(ApiError))]
struct Body<T>(T);

fn volume_name(text: &str) -> Result<VolumeName, ApiError> {
    text.parse().map_err(|error: spec::SpecError| EngineError::from(error).into())
}

/// With the bytes used, which may wait for a busy file system.
async fn info(engine: &Engine, view: Arc<View>) -> VolumeInfo {
    let (asked, of) = (engine.clone(), Arc::clone(&view));
    let used = tokio::task::spawn_blocking(move || asked.usage(&of)).await;
    VolumeInfo::new(&view, used.ok().flatten().map(|(used, _)| used.get()))
}

async fn list(State(engine): State<Engine>) -> Json<Vec<VolumeInfo>> {
    let mut volumes = Vec::new();
    for view in engine.list() {
        volumes.push(info(&engine, view).await);
    }
    Json(volumes)
}

async fn inspect(State(engine): State<Engine>, Path(name): Path<String>) -> Answer<VolumeInfo> {
    let view = engine.get(&volume_name(&name)?)?;
    let members = if view.record.is_group() { engine.members_of(&view) } else { Vec::new() };
    let ways = engine.ways(&view).await;
    let mut volume = info(&engine, view).await;
    volume.sharing = (ways != Ways::default()).then_some(ways);
    for member in members {
        volume.members.push(info(&engine, member).await);
    }
    Ok(Json(volume))
}

async fn create(
    State(engine): State<Engine>,
    Body(request): Body<CreateRequest>,
) -> Answer<VolumeInfo> {
    let options = request.options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    match spec::parse(&request.name, options).map_err(EngineError::from)? {
        Asked::Help => Err(ApiError::Request(spec::help_text())),
        Asked::Volume(volume) => {
            engine.create(&volume).await?;
            let view = engine.get(&volume.name)?;
            Ok(Json(info(&engine, view).await))
        }
    }
}

#[derive(Deserialize)]
struct RemoveQuery {
    #[serde(default)]
    now: bool,
}

async fn remove(
    State(engine): State<Engine>,
    Path(name): Path<String>,
    Query(RemoveQuery { now }): Query<RemoveQuery>,
) -> Answer<()> {
    let name = volume_name(&name)?;
    // Docker may remove what is not there; a person who mistyped a name wants to know.
    engine.get(&name)?;
    let when = if now { Removal::Now } else { Removal::ByPolicy };
    Ok(Json(engine.remove(&name, when).await?))
}

async fn grow(
    State(engine): State<Engine>,
    Path(name): Path<String>,
    Body(request): Body<GrowRequest>,
) -> Answer<GrowResponse> {
    let to: Bytes = request
        .size
        .parse()
        .map_err(|error: spec::ParseBytesError| ApiError::Request(error.to_string()))?;
    let (settings, rest) = options(&request.options)?.split_backend_settings();
    if let Some((key, _)) = rest.iter().next() {
        let key = key.as_str();
        return Err(ApiError::Request(format!(
            "`{key}` is not changed by a grow: `hawser volume set` changes what can be, and the size is the argument"
        )));
    }
    let grown = engine.grow(&volume_name(&name)?, Some(to), settings).await?;
    Ok(Json(GrowResponse { grown }))
}

async fn rename(
    State(engine): State<Engine>,
    Path(name): Path<String>,
    Body(request): Body<NameRequest>,
) -> Answer<()> {
    let to = request.name.ok_or_else(|| ApiError::Request("the new name is missing".into()))?;
    Ok(Json(engine.rename(&volume_name(&name)?, volume_name(&to)?).await?))
}

async fn set(
    State(engine): State<Engine>,
    Path(name): Path<String>,
    Body(request): Body<SetRequest>,
) -> Answer<()> {
    let (stated, name) = (options(&request.options)?, volume_name(&name)?);
    let (settings, rest) = stated.split_backend_settings();
    // Everything is refused together, or the storage is changed first: that may fail.
    let changes = changes(&rest)?;
    if let Some(options) = &changes.mount_options {
        // What its mount does not take would be found by the next task, which could not start.
        let record = &engine.get(&name)?.record;
        record.spec.check_mount_options(options).map_err(EngineError::from)?;
    }
    if changes.preempt.is_some() {
        let record = &engine.get(&name)?.record;
        record.spec.backend.check_preempt().map_err(EngineError::from)?;
    }
    if !settings.is_empty() {
        engine.grow(&name, None, settings).await?;
    }
    Ok(Json(engine.set(&name, changes).await?))
}

fn options(pairs: &[(String, String)]) -> Result<Stated, ApiError> {
    let pairs = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    Ok(spec::parse_options(pairs).map_err(EngineError::from)?)
}

/// The keys that can be changed; any other is refused.
fn changes(stated: &Stated) -> Result<Changes, ApiError> {
    let mut changes = Changes::default();
    for (key, value) in stated.iter() {
        match value.clone() {
            Value::Sticky(sticky) => changes.sticky = Some(sticky),
            Value::Preempt(preempt) => changes.preempt = Some(preempt),
            Value::OnRemove(on_remove) => changes.on_remove = Some(on_remove),
            Value::MountOptions(options) => changes.mount_options = Some(options),
            Value::Labels(labels) => changes.labels = labels,
            Value::Scale(scale) => changes.scale = Some(scale),
            Value::Size(_)
            | Value::Backend(_)
            | Value::Fs(_)
            | Value::Sharing(_)
            | Value::Squash(_)
            | Value::MkfsOptions(_)
            | Value::Id(_)
            | Value::Mode(_)
            | Value::Provision(_)
            | Value::Number(_)
            | Value::Flag(_)
            | Value::Text(_) => {
                return Err(ApiError::Request(format!(
                    "`{}` of a volume cannot be changed: sticky, on_remove, preempt, mount_options, label.KEY and a group's scale can, and `hawser volume grow` changes the size",
                    key.as_str()
                )));
            }
        }
    }
    Ok(changes)
}

async fn fsck(
    State(engine): State<Engine>,
    Path(name): Path<String>,
    Body(request): Body<CheckRequest>,
) -> Answer<Checked> {
    let repair = if request.repair { Repair::Yes } else { Repair::No };
    Ok(Json(engine.check(&volume_name(&name)?, repair).await?))
}

async fn trim(State(engine): State<Engine>, Path(name): Path<String>) -> Answer<TrimResponse> {
    let trimmed = engine.trim(&volume_name(&name)?).await?;
    Ok(Json(TrimResponse { trimmed_bytes: trimmed.get() }))
}

async fn undelete(
    State(engine): State<Engine>,
    Path(which): Path<String>,
    Body(request): Body<NameRequest>,
) -> Answer<NameResponse> {
    let name = request.name.as_deref().map(volume_name).transpose()?;
    let name = engine.undelete(&which, name).await?;
    Ok(Json(NameResponse { name: name.to_string() }))
}

async fn purge(State(engine): State<Engine>, Path(which): Path<String>) -> Answer<()> {
    Ok(Json(engine.purge(&which).await?))
}
