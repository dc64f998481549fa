//! What is known of the cluster's nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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
    /// What its kernel calls itself to NFS servers: the host's name, which need not be the node's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What the cloud calls its machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The zone of the cloud that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// How many more volumes can be attached to its machine; unknown where the cloud does not tell, and of
    /// a hawser that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_slots: Option<u32>,
    /// The backends whose volumes it could serve to tasks of other nodes; unknown of a hawser that does not say.
    /// By their names: an older hawser may not know one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serves: Option<BTreeSet<String>>,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As 0.1.0 wrote it before nodes said anything about slots.
    const OLD: &str = r#"{"name":"a","machine_id":"m","address":"a:7420","version":"0.1.0",
        "started_at":"2026-01-02T03:04:05Z","drained":true}"#;

    #[test]
    fn what_an_older_node_says_is_read_and_what_it_does_not_say_is_unknown() {
        let info: NodeInfo = serde_json::from_str(OLD).unwrap();
        assert_eq!((info.zone.as_deref(), info.free_slots, info.serves), (None, None, None));
        assert!(info.drained);
    }

    #[test]
    fn an_older_node_reads_what_a_newer_one_says() {
        let info: NodeInfo = serde_json::from_str(OLD).unwrap();
        let serves = Some(["ebs".to_owned()].into());
        let info = NodeInfo { zone: Some("z".into()), free_slots: Some(3), serves, ..info };
        let said = serde_json::to_value(&info).unwrap();
        assert_eq!((said["zone"].as_str(), said["free_slots"].as_u64()), (Some("z"), Some(3)));
        // Fields that it does not know are not refused.
        let with_more = said.to_string().replacen('{', r#"{"unheard_of":1,"#, 1);
        assert_eq!(serde_json::from_str::<NodeInfo>(&with_more).unwrap(), info);
    }
}
