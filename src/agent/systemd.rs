//! systemctl.

use std::time::Duration;

use super::{AgentError, Place};
use crate::sys::process::{Tool, ToolError};

/// A start of the daemon waits until it is ready (`TimeoutStartSec=120`), a stop until its steps have ended.
const LIMIT: Duration = Duration::from_secs(180);

/// The host's service manager.
#[derive(Debug, Clone, Copy)]
pub struct Systemd(Tool);

impl Systemd {
    /// That of this host.
    ///
    /// # Errors
    /// When the host is not run by systemd.
    pub fn of(place: &Place) -> Result<Self, AgentError> {
        // sd_booted(3).
        let sign = place.path("/run/systemd/system");
        if sign.is_dir() { Ok(Self(place.systemctl)) } else { Err(AgentError::NoSystemd(sign)) }
    }

    /// Reads the units again.
    pub(super) async fn reload(self) -> Result<(), ToolError> {
        self.ctl(&["daemon-reload"]).await
    }

    /// To be started at each boot.
    pub(super) async fn enable(self, units: &[&str]) -> Result<(), ToolError> {
        self.ctl(&[&["--quiet", "enable"], units].concat()).await
    }

    pub(super) async fn disable(self, units: &[&str]) -> Result<(), ToolError> {
        self.ctl(&[&["--quiet", "disable"], units].concat()).await
    }

    pub(super) async fn start(self, units: &[&str]) -> Result<(), ToolError> {
        self.ctl(&[&["start"], units].concat()).await
    }

    pub(super) async fn restart(self, units: &[&str]) -> Result<(), ToolError> {
        self.ctl(&[&["restart"], units].concat()).await
    }

    pub(super) async fn stop(self, units: &[&str]) -> Result<(), ToolError> {
        self.ctl(&[&["stop"], units].concat()).await
    }

    /// What systemd says of it: `active`, `activating`, `failed`, `inactive`, …
    pub(super) async fn state(self, unit: &str) -> Result<String, ToolError> {
        // `--value` is known since systemd 230; RHEL 7 has 219.
        let output = self.0.run(["show", "--property=ActiveState", unit], LIMIT).await?;
        let text = output.stdout.trim();
        Ok(text.strip_prefix("ActiveState=").unwrap_or(text).to_owned())
    }

    async fn ctl(self, arguments: &[&str]) -> Result<(), ToolError> {
        self.0.run(arguments, LIMIT).await.map(drop)
    }
}
