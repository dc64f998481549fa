//! What a tunnel says of itself on its control socket, and what it answers there.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    table::{Export, Remote},
    traffic::Figures,
};
use crate::{sys::protect::Protection, volume::VolumeId};

/// The answer to `GET /status`. Unknown fields are of a later hawser, and are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The process.
    pub pid: u32,
    /// The version of its program, which may be older than the daemon's.
    pub version: String,
    /// The version of tables that it reads.
    pub table_version: u32,
    /// When it was started.
    pub started_at: Timestamp,
    /// How well it is protected from a shortage of memory.
    pub protection: Protection,
    /// What of the table is not in force, and why. It is tried again each second.
    pub failures: Vec<String>,
    /// Connections of other nodes that were refused before it was known which volume they want.
    pub strangers: u64,
    /// The volumes that others reach here.
    pub exports: Vec<ExportStatus>,
    /// The volumes of others that are reached from here.
    pub remotes: Vec<RemoteStatus>,
}

/// A volume that others reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportStatus {
    /// As the table has it.
    pub export: Export,
    /// What its connections carried.
    pub figures: Figures,
}

/// A volume of another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteStatus {
    /// As the table has it.
    pub remote: Remote,
    /// What its connections carried.
    pub figures: Figures,
}

/// An answer that is a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ErrorResponse {
    pub(super) error: String,
    /// The volumes with connections that should have ended. An older tunnel does not say them.
    #[serde(default)]
    pub(super) open: Vec<VolumeId>,
}
