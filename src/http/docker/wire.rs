//! The volume plugin protocol's messages, one to one as moby sends and expects them
//! (<https://github.com/moby/moby/blob/master/daemon/volume/drivers/proxy.go>).
//!
//! Unknown fields are ignored, since an engine may add some. `Opts` is `null` where there are
//! none. `CreatedAt` is RFC 3339, and never an empty string: moby would take the whole answer for
//! an error and forget the volume.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// `Create`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateRequest {
    pub(super) name: String,
    #[serde(default)]
    pub(super) opts: Option<BTreeMap<String, String>>,
}

/// `Get`, `Path`, `Remove`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NameRequest {
    pub(super) name: String,
}

/// `Mount`, `Unmount`. dvdcli sends no `ID`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MountRequest {
    pub(super) name: String,
    #[serde(default, rename = "ID")]
    pub(super) id: String,
}

/// The answer of `Plugin.Activate`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ActivateResponse {
    pub(super) implements: [&'static str; 1],
}

/// Any failure, and the success of `Create`, `Remove` and `Unmount`, where it is empty.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ErrResponse {
    pub(super) err: String,
}

/// The answer of `Mount` and `Path`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MountpointResponse {
    pub(super) mountpoint: String,
    pub(super) err: &'static str,
}

/// The answer of `Get`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetResponse {
    pub(super) volume: Volume,
    pub(super) err: &'static str,
}

/// The answer of `List`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListResponse {
    pub(super) volumes: Vec<ListedVolume>,
    pub(super) err: &'static str,
}

/// A volume in the answer of `Get`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Volume {
    /// Exactly as asked for, inline specs included.
    pub(super) name: String,
    pub(super) mountpoint: String,
    pub(super) created_at: Timestamp,
    pub(super) status: serde_json::Map<String, serde_json::Value>,
}

/// A volume in the answer of `List`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedVolume {
    pub(super) name: String,
    pub(super) mountpoint: String,
}

/// The answer of `Capabilities`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CapabilitiesResponse {
    pub(super) capabilities: Capabilities,
    pub(super) err: &'static str,
}

/// What the driver can do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Capabilities {
    pub(super) scope: &'static str,
}
