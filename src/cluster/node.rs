//! What is known of the cluster's nodes.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::volume::{NodeName, lease::Session};

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its name.
    pub name: NodeName,
    /// What tells it from another machine that took its name: the machine's id.
    pub machine_id: String,
    /// Where its peer port is, as `HOST:PORT`; nobody can ask it anything where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Where its tunnel is, as `HOST:PORT`: the way to its volumes for tasks of other nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<String>,
    /// What the cloud calls its machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The zone of the cloud that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Its hawser's version.
    pub version: String,
    /// When its daemon started.
    pub started_at: Timestamp,
    /// It takes no new volumes.
    #[serde(default)]
    pub drained: bool,
}

/// A node, and whether it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeState {
    /// What it last said of itself.
    pub info: NodeInfo,
    /// Its session with the store.
    pub session: Session,
}

/// All nodes, by name.
pub type Nodes = Arc<BTreeMap<NodeName, NodeState>>;
