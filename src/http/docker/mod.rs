//! The Docker volume plugin protocol.
//!
//! | call | |
//! |---|---|
//! | `Plugin.Activate` | says that this is a volume driver |
//! | `VolumeDriver.Create` | makes the volume; `-o help` answers with the table of keys |
//! | `VolumeDriver.Get`, `.List`, `.Path` | from local state, never from a backend |
//! | `VolumeDriver.Mount`, `.Unmount` | adds and drops one reference of one holder |
//! | `VolumeDriver.Remove` | removes, within the undelete window |
//! | `VolumeDriver.Capabilities` | `global`: the same name is the same volume |

mod driver;
mod reply;
mod status;
mod wire;

use std::{path::PathBuf, time::Instant};

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{Method, Uri},
    middleware::{self, Next},
    response::Response,
    routing::post,
};
use tracing::Instrument;

use crate::{
    engine::{Engine, EngineError, Removal},
    spec::{self, Asked},
    volume::{CallerEpoch, MountId},
};
pub use driver::Driver;
use reply::{ApiError, Message, PluginJson};
use wire::{
    ActivateResponse, Capabilities, CapabilitiesResponse, CreateRequest, ErrResponse, GetResponse,
    ListResponse, ListedVolume, MountRequest, MountpointResponse, NameRequest, Volume,
};

type Answer<T> = Result<PluginJson<T>, ApiError>;

/// The protocol's calls, on an engine, under a driver's name. Requests carry their [`CallerEpoch`] as an
/// extension.
pub fn router(engine: Engine, driver: Driver) -> Router {
    Router::new()
        .route("/Plugin.Activate", post(activate))
        .route("/VolumeDriver.Create", post(create))
        .route("/VolumeDriver.Get", post(get))
        .route("/VolumeDriver.List", post(list))
        .route("/VolumeDriver.Path", post(path))
        .route("/VolumeDriver.Mount", post(mount))
        .route("/VolumeDriver.Unmount", post(unmount))
        .route("/VolumeDriver.Remove", post(remove))
        .route("/VolumeDriver.Capabilities", post(capabilities))
        .fallback(async |uri: Uri| ApiError::NoSuchCall(uri.path().to_owned()))
        .method_not_allowed_fallback(async |method: Method| {
            ApiError::NoSuchCall(format!("{method}: every call is a POST"))
        })
        .layer(middleware::from_fn(log))
        .layer(Extension(driver))
        .with_state(engine)
}

async fn activate() -> PluginJson<ActivateResponse> {
    PluginJson(ActivateResponse { implements: ["VolumeDriver"] })
}

async fn capabilities() -> PluginJson<CapabilitiesResponse> {
    PluginJson(CapabilitiesResponse { capabilities: Capabilities { scope: "global" }, err: "" })
}

async fn create(
    State(engine): State<Engine>,
    Extension(driver): Extension<Driver>,
    Message(request): Message<CreateRequest>,
) -> Answer<ErrResponse> {
    let options = request.opts.unwrap_or_default();
    let options = options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let name = named(&request.name)?;
    match spec::parse(name, options).map_err(EngineError::from)? {
        Asked::Help => Err(ApiError::Help(spec::help_text())),
        Asked::Volume(mut volume) => {
            driver.prepare(&engine, &mut volume).await?;
            Ok(done(engine.create(&volume).await?))
        }
    }
}

async fn get(
    State(engine): State<Engine>,
    Message(NameRequest { name }): Message<NameRequest>,
) -> Answer<GetResponse> {
    let view = engine.get(&Engine::parse(named(&name)?)?.name)?;
    let volume = Volume {
        name,
        mountpoint: shown(view.path.as_ref()),
        created_at: view.record.created_at,
        status: status::of(&engine, &view).await,
    };
    Ok(PluginJson(GetResponse { volume, err: "" }))
}

async fn list(State(engine): State<Engine>) -> PluginJson<ListResponse> {
    let volumes = engine
        .list()
        .into_iter()
        .filter(|view| !view.record.is_removed())
        .map(|view| ListedVolume {
            name: view.record.name.to_string(),
            mountpoint: shown(view.path.as_ref()),
        })
        .collect();
    PluginJson(ListResponse { volumes, err: "" })
}

async fn path(
    State(engine): State<Engine>,
    Message(NameRequest { name }): Message<NameRequest>,
) -> Answer<MountpointResponse> {
    let view = engine.get(&Engine::parse(named(&name)?)?.name)?;
    Ok(mountpoint(view.path.as_ref()))
}

async fn mount(
    State(engine): State<Engine>,
    Extension(caller): Extension<CallerEpoch>,
    Extension(driver): Extension<Driver>,
    Message(MountRequest { name, id }): Message<MountRequest>,
) -> Answer<MountpointResponse> {
    let mut request = Engine::parse(named(&name)?)?;
    if !request.stated.is_empty() {
        driver.prepare(&engine, &mut request).await?;
    }
    let grant = engine.mount(&request, MountId::from(id), caller).await?;
    Ok(mountpoint(Some(&grant.keep())))
}

async fn unmount(
    State(engine): State<Engine>,
    Extension(caller): Extension<CallerEpoch>,
    Message(MountRequest { name, id }): Message<MountRequest>,
) -> Answer<ErrResponse> {
    let request = Engine::parse(named(&name)?)?;
    Ok(done(engine.unmount(&request.name, MountId::from(id), caller).await?))
}

async fn remove(
    State(engine): State<Engine>,
    Message(NameRequest { name }): Message<NameRequest>,
) -> Answer<ErrResponse> {
    let request = Engine::parse(named(&name)?)?;
    Ok(done(engine.remove_asked(&request, Removal::ByPolicy).await?))
}

fn named(name: &str) -> Result<&str, ApiError> {
    if name.is_empty() {
        return Err(ApiError::NoName);
    }
    // For the log.
    tracing::Span::current().record("volume", name);
    Ok(name)
}

const fn done((): ()) -> PluginJson<ErrResponse> {
    PluginJson(ErrResponse { err: String::new() })
}

fn mountpoint(path: Option<&PathBuf>) -> PluginJson<MountpointResponse> {
    PluginJson(MountpointResponse { mountpoint: shown(path), err: "" })
}

fn shown(path: Option<&PathBuf>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}

/// Logs every call, and every error once, with its causes and the volume's name as it was given.
async fn log(request: Request, next: Next) -> Response {
    let call = request.uri().path().trim_start_matches('/').to_owned();
    let start = Instant::now();
    let span = tracing::error_span!("call", volume = tracing::field::Empty);
    let response = next.run(request).instrument(span.clone()).await;
    let took = start.elapsed();
    let _entered = span.enter();
    match response.extensions().get::<ApiError>() {
        None => tracing::debug!(call, ?took, "answered"),
        // Docker asks for what does not exist before every creation.
        Some(ApiError::Engine(EngineError::NotFound(_))) => {
            tracing::debug!(call, ?took, "not found");
        }
        Some(ApiError::Help(_)) => tracing::debug!(call, ?took, "told the options"),
        Some(error) => tracing::warn!(call, ?took, %error, "refused"),
    }
    response
}

#[cfg(test)]
mod tests;
