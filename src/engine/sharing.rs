//! The engine's hand on what shares volumes between nodes: which servers run here, where the tunnel
//! leads, what is mounted of others.
//!
//! Decides nothing: `volume::plan` does. What is in force is the tunnel's table, which outlives
//! the daemon, as servers, tunnel and mounts do; all this finds them again.

mod reach;
mod serve;
mod steps;
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

use tokio::{
    sync::{Mutex, watch},
    task::spawn_blocking,
};
use tokio_util::sync::CancellationToken;

pub use ways::{Carried, CarriedVolume, CarriedWay, Reaches, ServerState, Serves, Ways};

use super::{Engine, error::Cause, message::Message};
use crate::{
    cluster::Nodes,
    share::{
        self, Server, Times,
        tunnel::{
            self, Table,
            process::{Tunnel, TunnelError},
            table::TableError,
        },
    },
    sys::{mountinfo::MountTable, netns::Netns, nfs::Helper},
    volume::{Epoch, NodeName, Record, Remote, VolumeId},
};
use reach::reached;

/// Where servers listen in the namespace, and where the tunnel does: below what the kernel gives out by
/// itself (from 32,768), which could be taken while one of them is started anew.
const SERVERS: Range<u16> = 20_000..30_000;
const LISTENERS: Range<u16> = 10_000..20_000;

/// What shares volumes on this node.
#[derive(Debug)]
pub struct Sharing {
    tunnel: Tunnel,
    /// Held while the tunnel is told, which takes time: one change after the other.
    telling: Arc<Mutex<()>>,
    /// What is in force.
    table: watch::Sender<Table>,
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
        let left = match Table::read(&tunnel.table) {
            Ok(left) => left,
            Err(TableError::File { reason, .. }) if reason.kind() == io::ErrorKind::NotFound => {
                me.clone()
            }
            Err(error) => return Err(io::Error::other(error)),
        };
        let table = Table {
            namespace: Some(namespace.clone()),
            exports: left.exports,
            remotes: left.remotes,
            ..me
        };
        let mut servers: HashMap<_, _> =
            table.exports.iter().map(|export| (export.volume, export.port)).collect();
        // The table may have been written before they were started, or be another one than it was.
        servers.extend(share::running(&dir)?);
        Ok(Self {
            tunnel,
            telling: Arc::default(),
            table: watch::Sender::new(table),
            servers: servers.into(),
            netns,
            namespace,
            dir,
            helper,
            times,
        })
    }

    /// Before any volume is looked at: listeners that mounts depend on are bound, if there are any.
    pub(super) async fn resume(&self) {
        let table = self.table.borrow().clone();
        let told = if table.is_idle() {
            // The daemon before this one may have been killed between the table and the tunnel.
            self.tunnel.withdraw(&table).await
        } else {
            self.tunnel.apply(&table).await.map(drop)
        };
        if let Err(error) = told {
            tracing::error!(%error, "volumes of other nodes wait until the tunnel runs");
        }
    }

    /// Keeps the tunnel running once there is anything to carry.
    pub(super) async fn keep(&self, stop: CancellationToken) {
        let mut table = self.table.subscribe();
        tokio::select! {
            () = stop.cancelled() => return,
            _ = table.wait_for(|table| !table.is_idle()) => {}
        }
        self.tunnel.keep(stop).await;
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
        let exported = match (find(&self.table.borrow()), self.serves(record.id)) {
            (Some(export), true) if port == Some(export.port) && lets_in(&export) => {
                Some(export.epoch)
            }
            (Some(_), _) | (None, true) => Some(Epoch::FIRST),
            (None, false) => None,
        };
        let connected = self.remote(record.id).map(|remote| remote.epoch);
        let remote = Remote { connected, ..reached(reach, published, mounts) };
        (exported, remote)
    }

    /// Whether there is anything of the volume: a way to its owner, a way for others to this node, a server.
    pub(super) fn knows(&self, volume: VolumeId) -> bool {
        let is_carried = |table: &Table| {
            table.exports.iter().any(|export| export.volume == volume)
                || table.remotes.iter().any(|remote| remote.volume == volume)
        };
        let carried = is_carried(&self.table.borrow());
        carried || self.ports().contains_key(&volume)
    }

    /// Ends what is left of volumes that are no more: nobody looks after those. `reach` is where a
    /// volume of another node is mounted: what is still mounted keeps its way.
    pub(super) async fn forget_unknown(
        &self,
        is_known: impl Fn(VolumeId) -> bool,
        reach: impl Fn(VolumeId) -> PathBuf,
    ) -> Result<(), Cause> {
        let (table, ports) = (self.table.borrow().clone(), self.ports().clone());
        let exports = table.exports.iter().map(|export| export.volume).chain(ports.into_keys());
        let exports: HashSet<_> = exports.filter(|volume| !is_known(*volume)).collect();
        for volume in exports {
            tracing::warn!(%volume, "it is no more: ending its NFS server");
            self.end_server(volume).await?;
        }
        let mounts = spawn_blocking(MountTable::read).await??;
        let gone = |remote: &tunnel::Remote| {
            !is_known(remote.volume) && mounts.at(&reach(remote.volume)).is_none()
        };
        self.change(|table| {
            table.remotes.retain(|remote| !gone(remote));
            Ok(())
        })
        .await
    }

    /// Puts a change of the table in force: to its end, also where it is not waited for any more.
    async fn change(
        &self,
        change: impl FnOnce(&mut Table) -> Result<(), NotReached>,
    ) -> Result<(), Cause> {
        let one_by_one = Arc::clone(&self.telling).lock_owned().await;
        let before = self.table.borrow().clone();
        let mut next = before.clone();
        change(&mut next)?;
        if next == before {
            return Ok(());
        }
        let (tunnel, table) = (self.tunnel.clone(), self.table.clone());
        let told = tokio::spawn(async move {
            tell(&tunnel, &before, &next).await?;
            table.send_replace(next);
            drop(one_by_one);
            Ok::<_, TunnelError>(())
        });
        Ok(told.await??)
    }

    fn remote(&self, volume: VolumeId) -> Option<tunnel::Remote> {
        self.table.borrow().remotes.iter().find(|remote| remote.volume == volume).cloned()
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

async fn tell(tunnel: &Tunnel, before: &Table, next: &Table) -> Result<(), TunnelError> {
    let less = next.exports.iter().all(|export| before.exports.contains(export))
        && next.remotes.iter().all(|remote| before.remotes.contains(remote));
    let told = if less { tunnel.withdraw(next).await } else { tunnel.apply(next).await.map(drop) };
    match told {
        // What is not allowed any more has ended. The tunnel goes on trying to get the rest, which may
        // be another volume's; who needs it finds out when it asks through it.
        Err(TunnelError::Incomplete(why)) => {
            tracing::warn!(why, "the tunnel");
            Ok(())
        }
        told => told,
    }
}

impl Engine {
    /// Keeps the tunnel running until the daemon ends, which does not end it.
    pub(super) async fn carry_for_ever(self) {
        if let Ok(sharing) = &self.shared.sharing {
            tokio::select! {
                () = sharing.keep(self.shared.stopping.clone()) => {}
                never = sharing.bound_logs() => match never {},
            }
        }
    }

    /// Wakes the volumes of a node whose session ends or begins, for those that reach them, and tells the
    /// tunnel where nodes are.
    pub(super) async fn follow_nodes_for_ever(self) {
        let mut nodes = self.shared.store.watch_nodes();
        // Nodes may have moved while this daemon was away.
        let mut before = Nodes::default();
        nodes.mark_changed();
        while nodes.changed().await.is_ok() {
            let now = Arc::clone(&nodes.borrow_and_update());
            for (name, state) in now.iter() {
                let was = before.get(name);
                if was.is_none_or(|was| was.session != state.session) {
                    self.wake_those_of(name);
                }
                let address = state.info.tunnel.as_ref();
                if let (Ok(sharing), Some(address)) = (&self.shared.sharing, address)
                    && was.is_none_or(|was| was.info.tunnel.as_ref() != Some(address))
                {
                    sharing.moved(name, address).await;
                }
            }
            for name in before.keys().filter(|name| !now.contains_key(*name)) {
                self.wake_those_of(name);
            }
            before = now;
        }
    }

    fn wake_those_of(&self, node: &NodeName) {
        for handle in self.shared.registry.all() {
            let record = &handle.view().record;
            if record.is_served() && record.lease.is_of(node) && !record.users.is_empty() {
                handle.tell(Message::Wake);
            }
        }
    }
}

#[cfg(test)]
mod tests;
