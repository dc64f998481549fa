//! One node: a world of its own, and the wires that lead to it.

use std::ops::{Deref, DerefMut};

use serde_json::{Value, json};
use zookeeper::Link;

use super::{SESSION, text};
use crate::harness::{World, until};

/// A node; what a [`World`] can, it can.
pub(crate) struct Node {
    pub(super) world: World,
    pub(crate) name: String,
    /// What EC2 calls its machine.
    pub(crate) instance: String,
    /// Where its peer port is, behind the link.
    pub(super) listen: String,
    /// Where its tunnel's port is. Not the one after: that may be another node's.
    pub(super) tunnel: String,
    /// The other nodes' way to it.
    pub(crate) peers: Link,
    /// Its way to ZooKeeper.
    pub(crate) store: Link,
}

impl Deref for Node {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Node {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl Node {
    /// The settings of a node of the cluster, from its next start on.
    pub(crate) fn join(&mut self) {
        let pki = |file: &str| self.path("pki").join(file).display().to_string();
        let settings = [
            ("daemon.node", self.name.clone()),
            ("cluster.zookeeper", self.store.address()),
            ("cluster.session", format!("{}s", SESSION.as_secs())),
            ("peer.listen", self.listen.clone()),
            ("peer.address", self.peers.address()),
            ("peer.tunnel_listen", self.tunnel.clone()),
            ("peer.ca", pki("ca.pem")),
            ("peer.certificate", pki(&format!("{}.pem", self.name))),
            ("peer.key", pki(&format!("{}.key", self.name))),
        ];
        for (key, value) in settings {
            self.set(key, &value);
        }
    }

    /// The settings of a node that is alone, from its next start on.
    pub(crate) fn leave(&mut self) {
        self.set("cluster.zookeeper", "");
    }

    /// `hawser node ls`.
    #[track_caller]
    pub(crate) fn nodes(&self) -> Vec<Value> {
        serde_json::from_str(&self.hawser(["node", "ls", "--json"])).unwrap()
    }

    /// The names of those that live.
    #[track_caller]
    pub(crate) fn live_nodes(&self) -> Vec<String> {
        let nodes = self.nodes();
        let live = nodes.iter().filter(|node| node["alive"] == json!(true));
        live.map(|node| text(&node["name"])).collect()
    }

    /// `hawser volume ls`.
    #[track_caller]
    pub(crate) fn volumes(&self) -> Vec<Value> {
        serde_json::from_str(&self.hawser(["volume", "ls", "--json"])).unwrap()
    }

    /// The same of those that are removed.
    #[track_caller]
    pub(crate) fn removed_volumes(&self) -> Vec<Value> {
        serde_json::from_str(&self.hawser(["volume", "ls", "--removed", "--json"])).unwrap()
    }

    /// `hawser volume where`.
    #[track_caller]
    pub(crate) fn whereabouts(&self, name: &str) -> Value {
        serde_json::from_str(&self.hawser(["volume", "where", "--json", name])).unwrap()
    }

    /// The node that owns a volume; empty where there is none.
    #[track_caller]
    pub(crate) fn owner_of(&self, name: &str) -> String {
        text(&self.whereabouts(name)["owner"])
    }

    /// Counts its owners.
    #[track_caller]
    pub(crate) fn epoch_of(&self, name: &str) -> u64 {
        self.whereabouts(name)["epoch"].as_u64().unwrap()
    }

    /// Whether Docker would find it.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.call("Get", &json!({ "Name": name })).status == 200
    }

    /// Waits until a volume can be mounted; it may be refused until then.
    #[track_caller]
    pub(crate) fn mount_at_last(&self, name: &str, id: &str) -> std::path::PathBuf {
        let mut path = None;
        until("it can be mounted", || {
            let reply = self.call("Mount", &json!({ "Name": name, "ID": id }));
            path = (reply.status == 200).then(|| text(&reply.json()["Mountpoint"]));
            path.is_some()
        });
        path.unwrap_or_default().into()
    }
}
