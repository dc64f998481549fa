//! The engine's hand on what shares volumes between nodes: which servers run here, where the tunnel
//! leads, what is mounted of others.
//!
//! Decides nothing: `volume::plan` does. What is in force is the tunnel's table, which outlives
//! the daemon, as servers, tunnel and mounts do; all this finds them again.

mod nodes;
mod reach;
mod serve;
mod steps;
mod table;
mod ways;
mod writer;

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    ops::Range,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::task::spawn_blocking;

pub use ways::{Carried, CarriedVolume, CarriedWay, Reaches, ServerState, Serves, Ways};

use super::error::Cause;
use crate::{
    share::{
        self, Server, Times,
        tunnel::{self, Table, Way, process::Tunnel},
    },
    sys::{mountinfo::MountTable, netns::Netns, nfs::Helper},
    volume::{Epoch, NodeName, Record, Remote, VolumeId},
};
use reach::reached;
use table::{InForce, Whose};

/// Where servers listen in the namespace, and where the tunnel does: below what the kernel gives out by
/// itself (from 32,768), which could be taken while one of them is started anew.
const SERVERS: Range<u16> = 20_000..30_000;
const LISTENERS: Range<u16> = 10_000..20_000;

/// What shares volumes on this node.
#[derive(Debug)]
pub struct Sharing {
    in_force: InForce,
    /// The servers' ports: of those that are just starting, too.
    servers: std::sync::Mutex<HashMap<VolumeId, u16>>,
    netns: Arc<Netns>,
    /// Where the namespace is kept.
    namespace: PathBuf,
    /// The servers' own files.
    dir: PathBuf,
    helper: Helper,
    /// What a server that is started from now on waits for.
    times: Times,
}

/// Why this node shares no volumes, and where a daemon before this one may have left servers that do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{why}")]
pub struct NotShared {
    why: String,
    servers: Option<PathBuf>,
}

impl NotShared {
    /// Of a node that is in no cluster.
    #[must_use]
    pub fn alone() -> Self {
        Self { why: "it is in no cluster (docs/cluster.md)".to_owned(), servers: None }
    }

    /// Of one that could not open what it takes.
    #[must_use]
    pub fn now(why: &io::Error, servers: PathBuf) -> Self {
        Self { why: why.to_string(), servers: Some(servers) }
    }

    /// Whether others are still let to a volume here, for all that is known: server and tunnel go on without
    /// a daemon.
    fn may_serve(&self, volume: VolumeId) -> bool {
        self.servers
            .as_ref()
            .is_some_and(|servers| share::may_run(&servers.join(volume.to_string())))
    }
}

/// Why a volume is not reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotReached {
    #[error("this node shares no volumes with others: {0}")]
    NotHere(String),
    #[error(
        "node {0}, which has it, does not say where its tunnel is: its hawser is older, or is not running"
    )]
    NoTunnel(NodeName),
    #[error(
        "node {owner}, which has it, does not serve it within {} s{}: look at hawser there, and whether {address} is reached from this node",
        .after.as_secs(), .why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default()
    )]
    Unserved { owner: NodeName, address: String, why: Option<String>, after: Duration },
    #[error("no port of the {0:?} that sharing uses is free")]
    NoPort(Range<u16>),
    #[error(
        "it was mounted without {0}, before this node was in a cluster, and what other nodes are told is done would not survive this node: stop its tasks here once"
    )]
    NotDurable(&'static str),
    #[error("process {0} ({1}) has it in another mount namespace")]
    Used(i32, String),
    #[error("what tasks see of it is all that it holds, and its server keeps notes beside that")]
    NoRoom,
    #[error("nobody has it: it is looked at again")]
    NoOwner,
    #[error(
        "this node and node {other} both run on hosts that are called `{host}`, and NFS knows its clients by that name: one would lose its locks to the other; give one of them another host name (hostnamectl set-hostname) and start hawser there again"
    )]
    SameHost { other: NodeName, host: String },
    #[error("no other node writes to it any more: it is looked at again")]
    NoWriter,
    #[error(
        "the kernel still has what a former task here had of it, which must never be written now: end that task; if there is none, restart the machine"
    )]
    Left,
}

impl Sharing {
    /// With the tunnel's table as it was left, and as whom this node is now. Blocking.
    ///
    /// # Errors
    ///
    /// Without the rights to make a network namespace, for one.
    pub fn open(
        tunnel: Tunnel,
        me: Table,
        dir: PathBuf,
        helper: Helper,
        times: Times,
    ) -> io::Result<Self> {
        let namespace = dir.join("netns");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let netns = Arc::new(Netns::ensure(&namespace)?);
        let in_force = InForce::open(tunnel, me, &namespace)?;
        let exports = in_force.now().exports.clone();
        let mut servers: HashMap<_, _> =
            exports.iter().map(|export| (export.volume, export.port)).collect();
        // The table may have been written before they were started, or be another one than it was.
        servers.extend(share::running(&dir)?);
        Ok(Self { in_force, servers: servers.into(), netns, namespace, dir, helper, times })
    }

    /// Before any volume is looked at.
    pub(super) async fn resume(&self) {
        self.in_force.resume().await;
    }

    /// What there is of a volume: as whose server, and of the way to another node's.
    pub(super) fn observe(
        &self,
        record: &Record,
        reach: &Path,
        published: &Path,
        mounts: &MountTable,
    ) -> (Option<Epoch>, Remote) {
        let find =
            |table: &Table| table.exports.iter().find(|export| export.volume == record.id).cloned();
        let port = self.ports().get(&record.id).copied();
        // Half of it is to be mended or ended, too: a server that nobody is let to, and a way to none, or to
        // where it is not. It is of nobody's epoch.
        // What another one is let to than who is to be is not served.
        let lets_in = |export: &tunnel::Export| {
            writer::access_of(record).is_none_or(|access| export.access == access)
        };
        let exported = match (find(&self.in_force.now()), self.serves(record.id)) {
            (Some(export), true)
                if port == Some(export.port)
                    && lets_in(&export)
                    && !self.in_force.is_open(record.id) =>
            {
                Some(export.epoch)
            }
            (Some(_), _) | (None, true) => Some(Epoch::FIRST),
            // Somebody is let in still who should not be.
            (None, false) if self.in_force.is_open(record.id) => Some(Epoch::FIRST),
            (None, false) => None,
        };
        // A lost way leads to nobody.
        let leads_to = |remote: tunnel::Remote| match remote.way {
            Way::Open => remote.epoch,
            Way::Lost => Epoch::FIRST,
        };
        let connected = self.in_force.remote(record.id).map(leads_to);
        let remote = Remote { connected, ..reached(reach, published, mounts) };
        (exported, remote)
    }

    /// Whether there is anything of the volume: a way to its owner, a way for others to this node, a server.
    pub(super) fn knows(&self, volume: VolumeId) -> bool {
        let is_carried = |table: &Table| {
            table.exports.iter().any(|export| export.volume == volume)
                || table.remotes.iter().any(|remote| remote.volume == volume)
        };
        let carried = is_carried(&self.in_force.now());
        carried || self.ports().contains_key(&volume)
    }

    /// Ends what is left of volumes that are no more: nobody looks after those. `reach` is where a
    /// volume of another node is mounted: what is still mounted keeps its way.
    pub(super) async fn forget_unknown(
        &self,
        is_known: impl Fn(VolumeId) -> bool,
        reach: impl Fn(VolumeId) -> PathBuf,
    ) -> Result<(), Cause> {
        let (table, ports) = (self.in_force.now().clone(), self.ports().clone());
        let exports = table.exports.iter().map(|export| export.volume).chain(ports.into_keys());
        let exports: HashSet<_> = exports.filter(|volume| !is_known(*volume)).collect();
        let mut ended = Ok(());
        for volume in exports {
            tracing::warn!(%volume, "it is no more: ending its NFS server");
            // One that does not end keeps no other one.
            ended = ended.and(self.end_server(volume).await);
        }
        let mounts = spawn_blocking(MountTable::read).await??;
        let reached = table.remotes.iter().map(|remote| remote.volume);
        let gone = |volume: &VolumeId| !is_known(*volume) && mounts.at(&reach(*volume)).is_none();
        let gone: HashSet<_> = reached.filter(gone).collect();
        let without = move |table: &mut Table| {
            table.remotes.retain(|remote| !gone.contains(&remote.volume));
            Ok(())
        };
        self.in_force.change(Whose::Nodes, without).await?;
        ended
    }

    fn ports(&self) -> MutexGuard<'_, HashMap<VolumeId, u16>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server of a volume; or what answers on the port of its listener, which is the owner's.
    fn server(&self, volume: VolumeId, port: u16) -> Server {
        Server {
            directory: self.dir.join(volume.to_string()),
            netns: Arc::clone(&self.netns),
            port,
        }
    }
}

#[cfg(test)]
mod tests;
