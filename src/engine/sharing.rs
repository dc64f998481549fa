//! The engine's hand on what shares volumes between nodes: which servers run here, where the tunnel
//! leads, what is mounted of others.
//!
//! Decides nothing: `volume::plan` does. What is in force is the tunnel's table, which is on the disk and
//! outlives the daemon, as servers, tunnel and mounts do; all this finds them again.

mod ways;
mod writer;

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener},
    ops::Range,
    os::unix::fs::DirBuilderExt,
    path::{Component, Path, PathBuf},
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, watch},
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

pub use ways::{Carried, CarriedVolume, CarriedWay, Reaches, ServerState, Serves, Ways};

use super::{
    Engine, Shared,
    error::Cause,
    host::{RECOVERY, Subject, data_dir, names_are_durable},
    message::Message,
};
use crate::{
    backend::{BackendError, ErrorKind},
    cluster::{NodeInfo, NodeState, Nodes},
    fault,
    share::{
        self, Export, Server, Squash, Times,
        mount::{Leaving, RemoteMount},
        tunnel::{
            self, Status, Table, Way,
            process::{Tunnel, TunnelError},
            table::TableError,
        },
    },
    spec,
    sys::{
        machine,
        mountinfo::{Mount, MountTable},
        namespaces,
        netns::Netns,
        nfs::{self, Helper, Unmounted},
    },
    volume::{
        Epoch, NodeName, Observed, Record, Remote, VolumeId,
        effect::{Effect, Outcome},
        lease::Session,
    },
};

/// Where servers listen in the namespace, and where the tunnel does: below what the kernel gives out by
/// itself (from 32,768), which could be taken while one of them is started anew.
const SERVERS: Range<u16> = 20_000..30_000;
const LISTENERS: Range<u16> = 10_000..20_000;
/// How long a server may take to start.
const START: Duration = Duration::from_secs(30);
/// How long it may take to end in order.
const STOP: Duration = Duration::from_secs(10);
/// How long an owner may take to serve a volume, which it may have to attach first.
const SERVED: Duration = Duration::from_secs(90);
/// The same of one that is not shared: it has it attached, and afterwards there must be time to move it.
const LENT: Duration = Duration::from_secs(40);
const PAUSE: Duration = Duration::from_millis(100);
/// How often the servers' logs are looked at.
const LOGS: Duration = Duration::from_secs(600);
/// How long mount(2) may take once the owner's server answers.
const MOUNT: Duration = Duration::from_secs(20);
/// How long the connections to a volume may take to end, before its file system is shut down.
const CLOSE: Duration = Duration::from_secs(3);
/// How long one attempt to write back what is dirty may take, before the volume's other work has its turn.
const WRITE_BACK: Duration = Duration::from_secs(20);

/// What shares volumes on this node.
#[derive(Debug)]
pub struct Sharing {
    tunnel: Tunnel,
    /// Held while the tunnel is told, which takes time: one change after the other.
    telling: Mutex<()>,
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
            telling: Mutex::default(),
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
        if table.is_idle() {
            return;
        }
        if let Err(error) = self.tunnel.apply(&table).await {
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

    /// Whether the volume's server lives, slow as it may be. Not knowing is no reason to start another.
    pub(super) fn serves(&self, volume: VolumeId) -> bool {
        self.server(volume, 0).is_running().unwrap_or(true)
    }

    /// Whether there is no volume of this node's that others are let to.
    pub(super) fn serves_nothing(&self) -> bool {
        self.ports().is_empty()
    }

    /// Puts the servers' logs aside where they have grown long.
    async fn bound_logs(&self) -> std::convert::Infallible {
        loop {
            sleep(LOGS).await;
            let volumes: Vec<_> = self.ports().keys().copied().collect();
            for volume in volumes {
                if let Err(error) = self.server(volume, 0).bound_log() {
                    tracing::warn!(%volume, %error, "its NFS server's log grows");
                }
            }
        }
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

    /// Serves what is mounted at the stage, as only a cluster's node mounts it. A server that is started does
    /// not wait for the clients of hosts that are gone.
    pub(super) async fn export(
        &self,
        record: &Record,
        stage: &Path,
        data: &Path,
        gone: Vec<String>,
    ) -> Result<Outcome, Cause> {
        if data.components().all(|part| !matches!(part, Component::Normal(_))) {
            return Err(NotReached::NoRoom.into());
        }
        let mounts = spawn_blocking(MountTable::read).await??;
        let durable = names_are_durable(record.spec.fs);
        let options =
            mounts.at(stage).map(|mount| [&*mount.options, &*mount.super_options].concat());
        if !options.is_some_and(|options| options.iter().any(|option| option == durable)) {
            return Err(NotReached::NotDurable(durable).into());
        }
        let port = self.server_port(record.id)?;
        let served = self.serve(record, stage, data, port, gone).await;
        if served.is_err() && !self.serves(record.id) {
            // Whatever was wrong with it: another one may do.
            self.ports().remove(&record.id);
        }
        served?;
        let (volume, epoch) = (record.id, record.lease.epoch);
        let access = writer::access_of(record).ok_or(NotReached::NoWriter)?;
        let export = tunnel::Export { volume, epoch, port, access };
        self.change(|table| {
            table.exports.retain(|export| export.volume != volume);
            table.exports.push(export);
            Ok(())
        })
        .await?;
        Ok(Outcome::Exported(epoch))
    }

    async fn serve(
        &self,
        record: &Record,
        stage: &Path,
        data: &Path,
        port: u16,
        mut gone: Vec<String>,
    ) -> Result<(), Cause> {
        let export = Export {
            volume: *record.id.uuid(),
            data: stage.join(data),
            recovery: stage.join(RECOVERY),
            squash: match record.spec.squash {
                spec::Squash::None => Squash::Nobody,
                spec::Squash::Root => Squash::Root,
            },
            access: share::Access::ReadWrite,
            times: self.times,
        };
        let server = self.server(record.id, port);
        if !server.is_running()? {
            if self.remote(record.id).is_none() {
                // It was a client of the server before, perhaps, and comes no more as one: it would be
                // waited for.
                gone.push(machine::host_name());
            }
            let recovery = export.recovery.clone();
            let forget = move || {
                gone.iter().try_for_each(|host| share::forget_client(&recovery, host).map(drop))
            };
            spawn_blocking(forget).await??;
        }
        Ok(server.ensure(&export, START).await?)
    }

    /// Lets nobody to it any more. What other nodes have under way waits for the next owner: no error of this
    /// one's file system gets to them.
    pub(super) async fn close(&self, volume: VolumeId) {
        let closing = self.change(|table| {
            table.exports.retain(|export| export.volume != volume);
            Ok(())
        });
        match timeout(CLOSE, closing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%volume, %error, "its connections are not closed"),
            Err(_) => tracing::warn!(%volume, "its connections are not closed in time"),
        }
    }

    /// Ends that: nobody is let to it any more, and then its server ends.
    pub(super) async fn unexport(&self, record: &Record, stage: &Path) -> Result<Outcome, Cause> {
        self.end_server(record.id).await?;
        if record.has_one_writer() && record.writer().is_none() {
            // The next one to write has never been here, and need not wait for one that was.
            let recovery = stage.join(RECOVERY);
            spawn_blocking(move || share::forget_clients(&recovery)).await??;
        }
        Ok(Outcome::Done)
    }

    async fn end_server(&self, volume: VolumeId) -> Result<(), Cause> {
        self.change(|table| {
            table.exports.retain(|export| export.volume != volume);
            Ok(())
        })
        .await?;
        let server = self.server(volume, 0);
        server.stop(STOP).await?;
        self.ports().remove(&volume);
        if let Err(error) = server.forget() {
            tracing::warn!(%volume, %error, "the files of its NFS server stay");
        }
        Ok(())
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

    /// Leads the volume's connections to its owner.
    pub(super) async fn connect(
        &self,
        record: &Record,
        owner: Option<&NodeInfo>,
    ) -> Result<Outcome, Cause> {
        let Some(lease) = &record.lease.owner else { return Err(NotReached::NoOwner.into()) };
        let Some(address) = owner.and_then(|owner| owner.tunnel.clone()) else {
            return Err(NotReached::NoTunnel(lease.node.clone()).into());
        };
        let (volume, epoch) = (record.id, record.lease.epoch);
        self.change(|table| {
            let present = table.remotes.iter().find(|remote| remote.volume == volume);
            // Where there is one, the kernel's client knows no other.
            let port = present.map(|remote| remote.port);
            let taken: Vec<_> = table.remotes.iter().map(|remote| remote.port).collect();
            let port = port.or_else(|| listener(volume, &taken));
            let port = port.ok_or(NotReached::NoPort(LISTENERS))?;
            table.remotes.retain(|remote| remote.volume != volume);
            let owner = lease.node.clone();
            let way = Way::Open;
            table.remotes.push(tunnel::Remote { volume, epoch, port, owner, address, way });
            Ok(())
        })
        .await?;
        Ok(Outcome::Connected(epoch))
    }

    /// Mounts what the owner serves, once it does.
    pub(super) async fn reach(&self, record: &Record, target: &Path) -> Result<Outcome, Cause> {
        let Some(remote) = self.remote(record.id) else {
            return Err(NotReached::NoOwner.into());
        };
        let limit = if record.has_one_writer() { LENT } else { SERVED };
        self.until_served(&remote, limit).await?;
        let mount = RemoteMount {
            volume: *record.id.uuid(),
            netns: self.namespace.clone(),
            port: remote.port,
            access: share::Access::ReadWrite,
            options: Vec::new(),
        };
        mount.mount(target, &self.helper, MOUNT).await?;
        Ok(Outcome::Done)
    }

    async fn until_served(&self, remote: &tunnel::Remote, limit: Duration) -> Result<(), Cause> {
        let through = self.server(remote.volume, remote.port);
        let start = Instant::now();
        while !through.answers().await {
            if start.elapsed() > limit {
                let status = self.tunnel.status().await.ok();
                let why = status.and_then(|status| why_not(&status, remote.volume));
                let (owner, address) = (remote.owner.clone(), remote.address.clone());
                return Err(NotReached::Unserved { owner, address, why, after: limit }.into());
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Takes that mount away, and the way.
    pub(super) async fn unreach(
        &self,
        record: &Record,
        target: &Path,
        leaving: Leaving,
    ) -> Result<Outcome, Cause> {
        let volume = record.id;
        let mut in_order = false;
        // One upon the other, where this daemon was killed just when it had mounted it.
        while let Some(device) = mounted_at(target).await? {
            // A container has a mount of its own, which would wait for ever once the way is gone.
            let users = spawn_blocking(move || namespaces::outside_holders(device)).await??;
            if let Some(user) = users.first() {
                return Err(NotReached::Used(user.pid, user.command.clone()).into());
            }
            let answers = match self.remote(volume) {
                Some(remote) => self.server(volume, remote.port).answers().await,
                None => false,
            };
            let owner = if answers { nfs::Server::Answers } else { nfs::Server::Silent };
            let left = share::mount::leave(target, owner, leaving, WRITE_BACK, &self.helper);
            let how = left.await?;
            in_order = how == Unmounted::Clean;
            match how {
                Unmounted::Clean => {}
                how @ (Unmounted::Forced | Unmounted::Lazy) => tracing::warn!(
                    %volume, ?how,
                    "it is not this node's to write to any more: what tasks here had not yet synced may be lost"
                ),
            }
        }
        // What went in order left nothing; of an attempt before this one it is not known.
        if record.has_one_writer() && !in_order {
            self.refuse_leftovers(volume).await?;
        }
        self.forget_way(volume).await
    }

    /// The tunnel leads there no more.
    async fn forget_way(&self, volume: VolumeId) -> Result<Outcome, Cause> {
        self.change(|table| {
            table.remotes.retain(|remote| remote.volume != volume);
            Ok(())
        })
        .await?;
        Ok(Outcome::Done)
    }

    /// A node's tunnel is somewhere else.
    pub(super) async fn moved(&self, node: &NodeName, address: &str) {
        let changed = self
            .change(|table| {
                let theirs = table.remotes.iter_mut().filter(|remote| remote.owner == *node);
                theirs.for_each(|remote| address.clone_into(&mut remote.address));
                Ok(())
            })
            .await;
        if let Err(error) = changed {
            tracing::warn!(%node, address, %error, "the tunnel does not know that it is there");
        }
    }

    /// Puts a change of the table in force.
    async fn change(
        &self,
        change: impl FnOnce(&mut Table) -> Result<(), NotReached>,
    ) -> Result<(), Cause> {
        let _one_by_one = self.telling.lock().await;
        let mut next = self.table.borrow().clone();
        change(&mut next)?;
        let before = self.table.borrow().clone();
        if next == before {
            return Ok(());
        }
        let less = next.exports.iter().all(|export| before.exports.contains(export))
            && next.remotes.iter().all(|remote| before.remotes.contains(remote));
        let told = if less {
            self.tunnel.withdraw(&next).await
        } else {
            self.tunnel.apply(&next).await.map(drop)
        };
        match told {
            Ok(()) => {}
            // What is not allowed any more has ended. The tunnel goes on trying to get the rest, which may
            // be another volume's; who needs it finds out when it asks through it.
            Err(TunnelError::Incomplete(why)) => tracing::warn!(why, "the tunnel"),
            Err(error) => return Err(error.into()),
        }
        self.table.send_replace(next);
        Ok(())
    }

    fn remote(&self, volume: VolumeId) -> Option<tunnel::Remote> {
        self.table.borrow().remotes.iter().find(|remote| remote.volume == volume).cloned()
    }

    fn ports(&self) -> MutexGuard<'_, HashMap<VolumeId, u16>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn server_port(&self, volume: VolumeId) -> Result<u16, NotReached> {
        // The tunnel still leads there for another volume, also where its server could not be started again.
        let led_to = |table: &Table| -> Vec<_> {
            let others = table.exports.iter().filter(|export| export.volume != volume);
            others.map(|export| export.port).collect()
        };
        let led_to = led_to(&self.table.borrow());
        let mut servers = self.ports();
        if let Some(port) = servers.get(&volume) {
            return Ok(*port);
        }
        let taken = |port: &u16| servers.values().chain(&led_to).any(|other| other == port);
        let free =
            self.netns.run(|| SERVERS.clone().find(|port| !taken(port) && !is_in_use(*port)));
        let port = free.ok().flatten().ok_or(NotReached::NoPort(SERVERS))?;
        servers.insert(volume, port);
        Ok(port)
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

/// Whether something listens there, in the network of this thread: what is not known here, too.
fn is_in_use(port: u16) -> bool {
    let taken = |address| {
        TcpListener::bind((address, port))
            .is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    };
    taken(IpAddr::from(Ipv6Addr::UNSPECIFIED)) || taken(IpAddr::from(Ipv4Addr::UNSPECIFIED))
}

/// A port for a volume's listener: the same one the next time, where that can be. What was left of a mount
/// that did not end must not find another volume there.
fn listener(volume: VolumeId, taken: &[u16]) -> Option<u16> {
    let count = usize::from(LISTENERS.end - LISTENERS.start);
    let first = volume.uuid().as_u128() % u128::from(LISTENERS.end - LISTENERS.start);
    let first = usize::try_from(first).unwrap_or_default();
    LISTENERS.cycle().skip(first).take(count).find(|port| !taken.contains(port))
}

async fn mounted_at(target: &Path) -> Result<Option<(u32, u32)>, Cause> {
    let mounts = spawn_blocking(MountTable::read).await??;
    Ok(mounts.at(target).map(|mount| mount.device))
}

/// What is mounted of another node's, by the mount table alone.
fn reached(reach: &Path, published: &Path, mounts: &MountTable) -> Remote {
    let mounted = mounts.at(reach);
    let same = |mount: &Mount| mounts.at(published).is_some_and(|it| it.device == mount.device);
    Remote { connected: None, mounted: mounted.is_some(), published: mounted.is_some_and(same) }
}

/// What the tunnel last met on the way to a volume's owner.
fn why_not(status: &Status, volume: VolumeId) -> Option<String> {
    let status = status.remotes.iter().find(|status| status.remote.volume == volume)?;
    Some(status.figures.last_error.as_ref()?.text.clone())
}

impl Shared {
    /// Carries one of the steps of sharing out: one of [`Effect::shares`].
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the steps that are not shared do not come here"
    )]
    pub(super) async fn share(
        &self,
        effect: Effect,
        record: &Record,
        cancel: &CancellationToken,
    ) -> Result<Outcome, Cause> {
        let sharing = self.sharing.as_ref().map_err(|why| NotReached::NotHere(why.clone()))?;
        fault::point(&format!("{}.before", effect.name()));
        let (stage, reach) = (self.host.stage_path(record.id), self.host.reach_path(record.id));
        let done: Result<Outcome, Cause> = match effect {
            Effect::Export => {
                // What is known of clients counts only before the server starts.
                let gone = match sharing.serves(record.id) {
                    true => Vec::new(),
                    false => self.departed_hosts(record).await,
                };
                sharing.export(record, &stage, &data_dir(record), gone).await
            }
            Effect::Unexport => sharing.unexport(record, &stage).await,
            Effect::Connect => {
                let nodes = self.store.nodes();
                let owner = record.lease.owner.as_ref().and_then(|owner| nodes.get(&owner.node));
                sharing.connect(record, owner.map(|state| &state.info)).await
            }
            Effect::Reach => {
                self.refuse_a_clients_name()?;
                self.host.make_reach(record.id).await?;
                tokio::select! {
                    reached = sharing.reach(record, &reach) => reached,
                    () = cancel.cancelled() => Err(Box::new(BackendError {
                        kind: ErrorKind::Cancelled,
                        op: "reach",
                        backend: record.spec.backend.kind(),
                        source: "it is not wanted by this way any more".into(),
                    })),
                }
            }
            _ => {
                let done = match self.has_lost_claim(record) {
                    true => sharing.cut_off(record.id, &reach).await?,
                    false => sharing.unreach(record, &reach, self.leaving(record)).await?,
                };
                self.host.remove_reach(record.id).await?;
                Ok(done)
            }
        };
        fault::point(&format!("{}.after", effect.name()));
        done
    }

    /// A node that is no user of the volume any more, or whose volume is gone, is not let to its server.
    fn leaving(&self, record: &Record) -> Leaving {
        let user = self.store.me().is_some_and(|me| record.users.contains(&me.node));
        if user && !record.is_removed() { Leaving::Written } else { Leaving::AsItIs }
    }

    /// Two clients of one name would be one client to a volume's server.
    fn refuse_a_clients_name(&self) -> Result<(), NotReached> {
        let Some(me) = self.store.me() else { return Ok(()) };
        let host = machine::host_name();
        let same = |state: &&NodeState| {
            state.info.name != me.node
                && state.session == Session::Lives
                && state.info.host.as_ref() == Some(&host)
        };
        match self.store.nodes().values().find(same) {
            Some(state) => Err(NotReached::SameHost { other: state.info.name.clone(), host }),
            None => Ok(()),
        }
    }

    /// Adds what there is of sharing to what was found of a volume.
    pub(super) async fn observe_sharing(
        &self,
        subject: &Subject,
        seen: &mut Observed,
    ) -> Result<(), Cause> {
        let record = &subject.record;
        // Also of what nobody reaches by the record: somebody may have until now.
        if record.spec.backend.is_directory() || self.store.me().is_none() {
            return Ok(());
        }
        let mounts = subject.mounts().await?;
        let (reach, path) =
            (self.host.reach_path(record.id), self.host.published_path(&record.name));
        match &self.sharing {
            Ok(sharing) => {
                (seen.exported, seen.remote) = sharing.observe(record, &reach, &path, &mounts)
            }
            // What is mounted is there, whatever this node can do about it.
            Err(_) => seen.remote = reached(&reach, &path, &mounts),
        }
        Ok(())
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
