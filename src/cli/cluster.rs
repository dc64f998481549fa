//! This node's part in a cluster, opened as it is configured: its identity, its peer port, its store.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::{
    backend::Backend,
    cli::doctor::Reach,
    cluster::{
        Embedded, Keeper, NodeInfo,
        zookeeper::{CLUSTER_ID, ZooKeeper, ZooKeeperConfig},
    },
    config::{ClusterConfig, Config},
    engine::{Host, Neighbours, NotShared, Sharing},
    http::peer::PeerPort,
    peer::{Identity, PeerConfig, PeerServer, Peers},
    share::tunnel::{Table, process::Tunnel},
    sys::{durable, machine, nfs::Helper},
    volume::Owner,
};

/// How long a start waits for the cloud to say what it calls this machine.
const PATIENCE: Duration = Duration::from_secs(15);
/// The pause before it is asked again: longer than a failed answer is kept.
const PAUSE: Duration = Duration::from_secs(4);

/// The records, and what goes with them.
pub(super) struct Opened {
    pub(super) keeper: Keeper,
    pub(super) neighbours: Option<Arc<dyn Neighbours>>,
    /// Or why it shares none.
    pub(super) sharing: Result<Sharing, NotShared>,
    /// Bound, and not served yet.
    pub(super) port: Option<PeerServer>,
}

/// The keeper of this node's records: of the cluster's, where it is in one. ZooKeeper need not be
/// there.
pub(super) async fn open(config: &Config, host: &Host, copy: Embedded) -> anyhow::Result<Opened> {
    let Some(cluster) = &config.cluster else {
        let keeper = Keeper::alone(copy);
        let sharing = Err(NotShared::alone());
        return Ok(Opened { keeper, neighbours: None, sharing, port: None });
    };
    let identity = Identity::load(identity_of(cluster))
        .context("cannot prove to other nodes who this one is (docs/cluster.md)")?;
    let port = PeerServer::bind(cluster.listen, identity.clone()).await?;
    let machine = machine_of(host).await;
    let zone = zone_of(host).await;
    let marker = config.state_dir.join("drained");
    let joining = config.state_dir.join("joining");
    // Made by the store's own check that it is the cluster that this node knows.
    if !config.state_dir.join(CLUSTER_ID).exists() && !joining.exists() {
        durable::create(&joining, b"", 0o600)
            .with_context(|| format!("cannot make {}", joining.display()))?;
    }
    let me = NodeInfo { zone, ..node_info(cluster, machine.clone(), &marker)? };
    let store = ZooKeeper::open(
        ZooKeeperConfig {
            ensemble: cluster.ensemble.clone(),
            chroot: cluster.chroot.clone(),
            digest: cluster.auth.as_ref().map(|auth| auth.expose().to_owned()),
            session_timeout: cluster.session,
            state_dir: config.state_dir.clone(),
        },
        me,
    );
    let owner = Owner { node: cluster.node.clone(), machine };
    let keeper = Keeper::clustered(Arc::new(store), copy, owner, marker, joining);
    let neighbours: Arc<dyn Neighbours> = Arc::new(PeerPort::new(Peers::new(identity)));
    // All other volumes are served without it.
    let sharing = sharing(config, cluster).map_err(|error| {
        tracing::error!(%error, "this node shares no volumes with others");
        NotShared::now(&error, servers(config))
    });
    Ok(Opened { keeper, neighbours: Some(neighbours), sharing, port: Some(port) })
}

/// Who this node is to others, by its configuration.
pub(super) fn identity_of(cluster: &ClusterConfig) -> PeerConfig {
    PeerConfig {
        cluster: cluster.cluster.clone(),
        node: cluster.node.clone(),
        ca: cluster.ca.clone(),
        certificate: cluster.certificate.clone(),
        key: cluster.key.clone(),
    }
}

fn sharing(config: &Config, cluster: &ClusterConfig) -> std::io::Result<Sharing> {
    let run = config.run_dir();
    let me = Table::idle(identity_of(cluster), cluster.tunnel_listen);
    let tunnel = Tunnel::of(run, config.log.clone());
    Sharing::open(tunnel, me, servers(config), Helper::itself(), cluster.times)
}

/// Where the files of volumes' servers are.
fn servers(config: &Config) -> PathBuf {
    config.run_dir().join("share")
}

fn node_info(
    cluster: &ClusterConfig,
    machine: Option<String>,
    marker: &Path,
) -> anyhow::Result<NodeInfo> {
    let machine_id = match machine::id() {
        Some(id) => id,
        None => made_id(&marker.with_file_name("machine-id"))?,
    };
    Ok(NodeInfo {
        name: cluster.node.clone(),
        machine_id,
        address: Some(cluster.address.clone()),
        tunnel: Some(cluster.tunnel_address.clone()),
        host: Some(machine::host_name()),
        machine,
        zone: None,
        // What is attached is EC2's to say, which need not answer now: it is announced later, with the rest.
        free_slots: None,
        serves: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: Timestamp::now(),
        drained: marker.exists(),
    })
}

/// The zone that this node is in. It is told where it is not known in time: nothing depends on it.
async fn zone_of(host: &Host) -> Option<String> {
    let backend = host.backends().find(|backend| backend.placement().is_some())?;
    timeout(PAUSE, backend.placement()?.zone()).await.ok()?.ok()
}

/// The id of what has none of its own, as a container.
fn made_id(path: &Path) -> anyhow::Result<String> {
    let failed = || format!("cannot keep this node's id in {}", path.display());
    if !path.exists() {
        let id = uuid::Uuid::new_v4().simple().to_string();
        durable::create(path, id.as_bytes(), 0o600).with_context(failed)?;
    }
    std::fs::read_to_string(path).with_context(failed)
}

/// This node as an owner, for a look without a daemon: the cloud is asked once. Where it does not say
/// what it calls this machine, the name alone tells what is its own.
pub(super) async fn owner(config: &Config, host: &Host, reach: Reach) -> Option<Owner> {
    let node = config.cluster.as_ref()?.node.clone();
    let fencing = match reach {
        Reach::Whole => host.backends().find_map(|backend| backend.fencing()),
        Reach::WithoutEbs => None,
    };
    let machine = match fencing {
        Some(fencing) => fencing.machine().await.ok(),
        None => None,
    };
    Some(Owner { node, machine })
}

/// What the cloud calls this machine. Without it, nobody could take this node's volumes over.
async fn machine_of(host: &Host) -> Option<String> {
    let fencing = |backend: &Arc<dyn Backend>| backend.fencing().is_some();
    let backend = host.backends().find(|backend| fencing(backend))?;
    let fencing = backend.fencing()?;
    let deadline = Instant::now() + PATIENCE;
    let why = loop {
        let why = match timeout_at(deadline, fencing.machine()).await {
            Ok(Ok(machine)) => return Some(machine),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        // A machine that is just starting is busy, and an answer may come too late.
        if Instant::now() + PAUSE >= deadline {
            break why;
        }
        sleep(PAUSE).await;
    };
    tracing::error!(
        why,
        "it is not known what the cloud calls this machine: should it die, nobody can take its volumes over (set backends.ebs.instance_id, or start hawser again)"
    );
    None
}
