//! HTTP: EC2 at `/`, the metadata of one instance at `/latest/`, the controls at `/fake/`.
//!
//! A connection can be closed without an answer ([`HangUp`]), which is why this is hyper itself and
//! no framework on top of it.

use std::{fmt, net::TcpListener, sync::Arc};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use uuid::Uuid;

use crate::{
    admin,
    calls::CallOutcome,
    error::{ApiError, Outcome},
    imds,
    shared::Shared,
    wire::{Params, Xml, xml},
};

pub(crate) type Answer = Response<Full<Bytes>>;

/// The connection is closed instead of answering.
#[derive(Debug)]
struct HangUp;

impl fmt::Display for HangUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed without an answer")
    }
}

impl std::error::Error for HangUp {}

/// An answer with this status, type and body.
pub(crate) fn answer(status: u16, content_type: &str, body: String) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    if let Ok(status) = hyper::StatusCode::from_u16(status) {
        *response.status_mut() = status;
    }
    if let Ok(value) = content_type.parse() {
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, value);
    }
    response
}

/// Serves what comes in there; `instance` is the one whose metadata is served.
pub(crate) fn serve(
    shared: &Arc<Shared>,
    listener: TcpListener,
    instance: String,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let _guard = shared.runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let instance: Arc<str> = instance.into();
    let shared_here = Arc::clone(shared);
    shared.runtime.spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let (shared, instance) = (Arc::clone(&shared_here), Arc::clone(&instance));
            let service = service_fn(move |request| {
                let (shared, instance) = (Arc::clone(&shared), Arc::clone(&instance));
                async move { route(&shared, &instance, request).await }
            });
            tokio::spawn(async move {
                // An error is a client that went away, or our own hanging up.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(())
}

async fn route(
    shared: &Arc<Shared>,
    instance: &str,
    request: Request<Incoming>,
) -> Result<Answer, HangUp> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| HangUp)?.to_bytes();
    let params =
        Params::parse(&body).or(Params::parse(head.uri.query().unwrap_or_default().as_bytes()));
    let path = head.uri.path();
    if let Some(verb) = path.strip_prefix("/fake/") {
        return Ok(admin::answer(shared, verb, &params).await);
    }
    if shared.faults().away {
        return Err(HangUp);
    }
    match path {
        "/" if head.method == Method::POST || head.method == Method::GET => {
            ec2(shared, &params).await
        }
        path if path.starts_with("/latest/") => {
            Ok(imds::answer(shared, instance, &head.method, path, &head.headers))
        }
        _ => Ok(answer(404, "text/plain", "no such path\n".to_owned())),
    }
}

async fn ec2(shared: &Arc<Shared>, params: &Params) -> Result<Answer, HangUp> {
    let action = params.get("Action").unwrap_or_default().to_owned();
    let number = shared.calls().begin(&action, params.all());
    let spoilt = shared.faults().before(&action);
    let result: Outcome<Xml> = match spoilt {
        Some(error) => Err(error),
        None if action.is_empty() => {
            let message = "The request must contain the parameter Action";
            Err(ApiError::new("MissingAction", message))
        }
        None => shared.act(&action, params).await,
    };
    if shared.faults().loses(&action) {
        shared.calls().end(number, CallOutcome::Lost);
        return Err(HangUp);
    }
    let id = Uuid::new_v4().to_string();
    let (status, text, outcome) = match result {
        Ok(xml) => (200, xml.answer(&action, &id), CallOutcome::Done),
        Err(error) => {
            let text = xml::refusal(&error, &id);
            (error.status, text, CallOutcome::Refused(error.code.into_owned()))
        }
    };
    tracing::debug!(action, ?outcome, "answered");
    shared.calls().end(number, outcome);
    Ok(answer(status, "text/xml;charset=UTF-8", text))
}
