//! Looking that the service runs, for as long as the task runs that installed it.

use std::{path::PathBuf, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{AgentError, Systemd, install::answers};

/// How often it is looked at.
const PERIOD: Duration = Duration::from_secs(10);
/// How long it may take to take up a connection. systemd starts it again by itself when it ends.
const ANSWER: Duration = Duration::from_secs(30);

/// How long a command that only asks waits.
const SOON: Duration = Duration::from_secs(5);

/// What is watched.
#[derive(Debug)]
pub struct Watch {
    /// The host's service manager.
    pub systemd: Systemd,
    /// The daemon's admin socket.
    pub socket: PathBuf,
}

impl Watch {
    /// Whether it runs and answers, without doing anything about it.
    ///
    /// # Errors
    /// When it does not.
    pub async fn running(&self) -> Result<(), AgentError> {
        let state = self.systemd.state("hawser.service").await?;
        if state != "active" {
            return Err(AgentError::NotActive(state));
        }
        answers(&self.socket, SOON).await
    }

    /// Whether it runs and answers. Somebody who stopped it by hand has it started again.
    pub(super) async fn look(&self) -> Result<(), AgentError> {
        let state = self.systemd.state("hawser.service").await?;
        if matches!(state.as_str(), "inactive" | "failed") {
            tracing::warn!(state, "hawser.service does not run: starting it");
            self.systemd.start(&["hawser.socket", "hawser.service"]).await?;
        }
        answers(&self.socket, ANSWER).await
    }
}

/// Watches until it is told to stop, which leaves the service as it is.
///
/// # Errors
/// When the service does not come back: the task then fails, and is seen to.
pub async fn supervise(watch: &Watch, stop: &CancellationToken) -> Result<(), AgentError> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sleep(PERIOD) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            looked = watch.look() => looked?,
        }
    }
}
