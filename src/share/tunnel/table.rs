//! The table: what this node's tunnel carries. The daemon writes it, the tunnel reads it.
//!
//! ```text
//! {"version": 1, "cluster": "prod", "node": "a", "listen": "0.0.0.0:7421",
//!  "ca": "…", "certificate": "…", "key": "…", "namespace": "/run/hawser/netns",
//!  "exports": [{"volume": "<uuid>", "epoch": 7, "port": 3001, "access": "any"}],
//!  "remotes": [{"volume": "<uuid>", "epoch": 3, "port": 2001, "owner": "b", "address": "b.example.com:7421"}]}
//! ```
//!
//! It is replaced whole, atomically and durably: after a crash of either process the tunnel finds the
//! table before or the table after. A tunnel outlives the daemon that started it and may be older than
//! the daemon that writes: it tells the version that it reads (`GET /status`), and refuses another one.

use std::{
    collections::HashSet,
    fmt, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    peer::PeerConfig,
    sys::durable,
    volume::{Epoch, NodeName, VolumeId},
};

/// The version that this program reads and writes.
pub const VERSION: u32 = 1;

/// What a tunnel carries, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// [`VERSION`].
    pub version: u32,
    /// The cluster's name.
    pub cluster: String,
    /// This node's.
    pub node: NodeName,
    /// Where other nodes' tunnels are let in.
    pub listen: SocketAddr,
    /// The authorities that are believed (PEM).
    pub ca: PathBuf,
    /// This node's certificate (PEM).
    pub certificate: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
    /// The network namespace in which the kernel's NFS client and Ganesha are; none is the host's own,
    /// where every task could reach them.
    #[serde(default)]
    pub namespace: Option<PathBuf>,
    /// The volumes that this node owns and lets others reach.
    pub exports: Vec<Export>,
    /// The volumes of others that this node reaches.
    pub remotes: Vec<Remote>,
}

/// A volume that this node owns and lets others reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// The volume.
    pub volume: VolumeId,
    /// Under which epoch this node owns it: callers with another one are refused.
    pub epoch: Epoch,
    /// The port of its Ganesha on the namespace's loopback.
    pub port: u16,
    /// Who may come.
    pub access: Access,
}

/// Which nodes may reach a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Every node of the cluster: the volume is shared.
    Any,
    /// The one node that has the writer claim.
    Only(NodeName),
}

/// A volume of another node that this node reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// The volume.
    pub volume: VolumeId,
    /// The owner's epoch.
    pub epoch: Epoch,
    /// The port on the namespace's loopback for the kernel's client. It is baked into the mount. To be
    /// chosen below 32768: the tunnel's own connections to servers get higher ones, and could have it when
    /// the tunnel starts anew.
    pub port: u16,
    /// Who owns it.
    pub owner: NodeName,
    /// Where the owner's tunnel is: `HOST:PORT`.
    pub address: String,
    /// What becomes of the kernel's calls.
    #[serde(default, skip_serializing_if = "Way::is_open")]
    pub way: Way,
}

/// What becomes of the calls of this node's kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// They go to the owner, whom they wait for.
    #[default]
    Open,
    /// This node has lost its claim to write to the volume: each is answered with an error.
    Lost,
}

impl Way {
    fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }
}

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file.
    #[error("cannot {doing} the tunnel's table {path}: {reason}")]
    File {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// It is of another hawser.
    #[error(
        "the tunnel's table {path} has version {found}, and this tunnel (hawser {}) reads version {VERSION}: it goes on with the table before until it is replaced (docs/sharing-internals.md, The tunnel)",
        env!("CARGO_PKG_VERSION")
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
    /// It is no table.
    #[error("the tunnel's table {path} cannot be used, and the one before goes on: {reason}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Table {
    /// Of a node that carries nothing yet.
    #[must_use]
    pub fn idle(me: PeerConfig, listen: SocketAddr) -> Self {
        let PeerConfig { cluster, node, ca, certificate, key } = me;
        Self {
            version: VERSION,
            cluster,
            node,
            listen,
            ca,
            certificate,
            key,
            namespace: None,
            exports: Vec::new(),
            remotes: Vec::new(),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// When there is none that this program can use.
    pub fn read(path: &Path) -> Result<Self, TableError> {
        let text = fs::read(path).map_err(|reason| TableError::File {
            doing: "read",
            path: path.into(),
            reason,
        })?;
        let wrong = |reason: &dyn fmt::Display| TableError::Wrong {
            path: path.into(),
            reason: reason.to_string(),
        };
        // Before the rest, which another version may write in another way.
        let Versioned { version } = serde_json::from_slice(&text).map_err(|error| wrong(&error))?;
        if version != VERSION {
            return Err(TableError::Version { path: path.into(), found: version });
        }
        let table: Self = serde_json::from_slice(&text).map_err(|error| wrong(&error))?;
        table.check().map_err(|reason| wrong(&reason))?;
        Ok(table)
    }

    /// Writes it in the place of the one before.
    ///
    /// # Errors
    /// When it contradicts itself, or cannot be written: then the one before is still there.
    pub fn write(&self, path: &Path) -> Result<(), TableError> {
        self.check().map_err(|reason| TableError::Wrong { path: path.into(), reason })?;
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| TableError::Wrong { path: path.into(), reason: error.to_string() })?;
        durable::replace(path, &text, 0o600).map_err(|reason| TableError::File {
            doing: "write",
            path: path.into(),
            reason,
        })
    }

    /// Whether no volume and no port is there twice.
    fn check(&self) -> Result<(), String> {
        let mut seen = HashSet::new();
        for export in &self.exports {
            if !seen.insert(export.volume) {
                return Err(format!("volume {} is exported twice", export.volume));
            }
        }
        let (mut seen, mut ports) = (HashSet::new(), HashSet::new());
        for remote in &self.remotes {
            if !seen.insert(remote.volume) {
                return Err(format!("volume {} is reached twice", remote.volume));
            }
            if remote.port == 0 || !ports.insert(remote.port) {
                let (volume, port) = (remote.volume, remote.port);
                return Err(format!("volume {volume} has no port of its own: {port}"));
            }
        }
        Ok(())
    }

    /// Who this node is to others.
    #[must_use]
    pub fn peer(&self) -> PeerConfig {
        PeerConfig {
            cluster: self.cluster.clone(),
            node: self.node.clone(),
            ca: self.ca.clone(),
            certificate: self.certificate.clone(),
            key: self.key.clone(),
        }
    }

    /// Whether nothing is carried.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.exports.is_empty() && self.remotes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by a hawser of version 1: later ones must go on reading it.
    const GOLDEN: &str = r#"{"version": 1, "cluster": "prod", "node": "a", "listen": "0.0.0.0:7421",
        "ca": "/pki/ca.pem", "certificate": "/pki/node.pem", "key": "/pki/node.key", "namespace": "/run/hawser/netns",
        "exports": [
            {"volume": "3a6e6a2e-97a5-4c1a-a0e3-6f4bb3f0a001", "epoch": 7, "port": 3001, "access": "any"},
            {"volume": "3a6e6a2e-97a5-4c1a-a0e3-6f4bb3f0a002", "epoch": 1, "port": 3002, "access": {"only": "b"}}],
        "remotes": [
            {"volume": "3a6e6a2e-97a5-4c1a-a0e3-6f4bb3f0a003", "epoch": 3, "port": 2001, "owner": "b", "address": "b:7421"}]}"#;

    fn read(text: &str) -> Result<Table, TableError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        durable::replace(file.path(), text.as_bytes(), 0o600).unwrap();
        Table::read(file.path())
    }

    #[test]
    fn the_table_of_version_1_is_read_and_written_as_it_was() {
        let table = read(GOLDEN).unwrap();
        assert_eq!(table.exports[1].access, Access::Only("b".parse().unwrap()));
        assert_eq!((table.remotes[0].port, table.remotes[0].epoch), (2001, 3.into()));

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table.json");
        table.write(&path).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(GOLDEN).unwrap());
        assert_eq!(Table::read(&path).unwrap(), table);
    }

    #[test]
    fn what_is_not_understood_is_refused_and_named() {
        let cases = [
            (GOLDEN.replace("\"version\": 1", "\"version\": 2, \"new\": 1"), "has version 2"),
            (GOLDEN.replace("\"node\"", "\"nude\""), "unknown field `nude`"),
            (GOLDEN.replace("f0a002", "f0a001"), "is exported twice"),
            (GOLDEN.replace("2001", "0"), "has no port of its own: 0"),
            ("{".to_owned(), "cannot be used"),
        ];
        for (text, part) in cases {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
