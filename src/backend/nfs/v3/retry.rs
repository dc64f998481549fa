//! Calls again what got no answer, for as long as a call may take.
//!
//! Lost connections are tried again, after short waits: a server that restarts is not noticed. A
//! server that has a connection and does not answer is not asked twice: its time is used up.

use std::{future::Future, io, time::Duration};

use nfs3_client::RpcError;
use tokio::time::{sleep, timeout};

use super::failure::{Failure, of_rpc};
use crate::backend::nfs::tree::Cause;

/// Between attempts; there is one attempt more. The first is short: a server that closed an idle
/// connection takes the next one at once.
const WAITS: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1000),
];

/// Why an attempt has no result.
#[derive(Debug)]
pub(super) enum Attempt {
    /// It is worth another: there was no answer (the call may have been carried out), or the server
    /// says that it is busy.
    Again(Failure),
    /// It is not.
    Final(Failure),
}

impl Attempt {
    pub(super) fn lost(why: String) -> Self {
        Self::Again(Cause::Unreachable(why).into())
    }

    /// What the crate's error of a call to `service` means.
    pub(super) fn failed(error: &RpcError, service: &str) -> Self {
        if let RpcError::Io(error) = error {
            Self::broken(error, service)
        } else {
            Self::Final(of_rpc(error, service).into())
        }
    }

    /// What an error of the connection to `service` means.
    pub(super) fn broken(error: &io::Error, service: &str) -> Self {
        let kind = error.kind();
        if kind == io::ErrorKind::InvalidData {
            Self::Final(Cause::Protocol(format!("what is no {service}: {error}")).into())
        } else if kind == io::ErrorKind::UnexpectedEof {
            Self::lost(format!("{service}: it closed the connection"))
        } else {
            Self::lost(format!("{service}: {error}"))
        }
    }
}

/// Runs `attempt` until it is final, a few times.
///
/// # Errors
///
/// The last attempt's; `Unreachable` after `limit` at the latest.
pub(super) async fn persist<T, F>(
    limit: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Attempt>>,
{
    let attempts = async {
        let mut waits = WAITS.iter();
        loop {
            match (attempt().await, waits.next()) {
                (Ok(done), _) => return Ok(done),
                (Err(Attempt::Again(_)), Some(wait)) => sleep(*wait).await,
                (Err(Attempt::Again(failure) | Attempt::Final(failure)), _) => return Err(failure),
            }
        }
    };
    match timeout(limit, attempts).await {
        Ok(result) => result,
        Err(_) => Err(Cause::Unreachable(format!("no answer within {limit:?}")).into()),
    }
}
