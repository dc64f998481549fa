//! Start: the same reconcile as ever, for those volumes that have something to reconcile.
//!
//! Every record gets its task, so `Get` answers definitely at once. What a crash can have left
//! behind shows in the record, in the mount table, or among the attached devices; only volumes
//! that show there are woken, so a node with a thousand idle volumes starts as fast as one with
//! none.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, atomic::AtomicBool},
};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Engine, NotShared, Settings, Shared, Sharing, callers::Callers, host::Host, message::Message,
    neighbours::Neighbours, new_handle, registry::Registry, slots::Slots, task::VolumeTask,
};
use crate::{
    backend::Backend,
    cluster::Keeper,
    sys::{caps, freeze, mountinfo::MountTable},
    volume::{
        Contents, NodeName, Phase, Record, VolumeId,
        plan::{Ext4OnlineGrow, Standing},
        transition::{self, Event},
    },
};

/// How long a start waits for a backend's list of what is attached.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Two volumes have one name.
    #[error(
        "two volumes are called `{0}`: the store was changed by something else than hawser; nothing was changed (`hawser store export` shows the records)"
    )]
    DoubleName(String),
    /// The node cannot be looked at.
    #[error("cannot look at this node: {0}")]
    Io(#[from] io::Error),
}

impl Engine {
    /// Starts a task for every record, and wakes those that have something to do.
    ///
    /// # Errors
    ///
    /// Nothing was changed then.
    pub async fn start(
        settings: Settings,
        store: Keeper,
        records: Vec<Record>,
        host: Host,
        neighbours: Option<Arc<dyn Neighbours>>,
        sharing: Result<Sharing, NotShared>,
    ) -> Result<Self, StartError> {
        let records = match store.me() {
            Some(_) => own_first(records),
            None => without_a_clusters(records),
        };
        if store.me().is_none() {
            refuse_double_names(&records)?;
        }
        let callers = Callers::new()?;
        let registry = Registry::default();
        let drained = store.is_drained();
        let turn = store.me().map_or(SignedDuration::ZERO, |me| turn_of(&me.node));
        let shared = Arc::new(Shared {
            settings,
            store,
            host,
            registry,
            callers,
            ext4_online_grow: ext4_online_grow(),
            slots: Slots::default(),
            neighbours,
            sharing,
            departed: super::departed::Said::default(),
            drained: AtomicBool::new(drained),
            leaving: AtomicBool::new(false),
            said: tokio::sync::Mutex::default(),
            turn,
            turns: super::group::Turns::default(),
            importing: tokio::sync::Mutex::default(),
            stopping: CancellationToken::new(),
            started_at: Timestamp::now(),
            steps: TaskTracker::new(),
        });
        if let Ok(sharing) = &shared.sharing {
            sharing.resume().await;
        }
        let no_records = records.is_empty();
        let mounts = Arc::new(spawn_blocking(MountTable::read).await.map_err(io::Error::other)??);
        thaw_all(&shared, &records, &mounts).await;
        // Before any task runs: later an empty directory may be one that is about to be used.
        if let Err(error) = shared.host.sweep_directories(&mounts) {
            tracing::warn!(%error, "cannot clear directories left by an earlier run");
        }
        let (attached, late) = attached_volumes(&shared, &records).await;
        let mut woken = 0_usize;
        for record in records {
            let awake = needs_attention(&record, &attached, &mounts, &shared);
            woken += usize::from(awake);
            start_task(&shared, record, awake.then(|| Arc::clone(&mounts)));
        }
        tracing::info!(volumes = shared.registry.all().len(), woken, "started");
        for look in late {
            tokio::spawn(wake_late(Arc::clone(&shared), look));
        }
        let engine = Self { shared };
        tokio::spawn(engine.clone().sweep_for_ever());
        tokio::spawn(engine.clone().measure_for_ever());
        if engine.shared.store.me().is_some() {
            tokio::spawn(engine.clone().follow_nodes_for_ever());
            tokio::spawn(engine.clone().carry_for_ever());
            tokio::spawn(engine.clone().look_for_the_departed_for_ever());
            if let Some(after) = engine.shared.settings.move_after {
                tokio::spawn(engine.clone().follow_sole_users_for_ever(after));
            }
        }
        if let Some(changes) = engine.shared.store.changes() {
            tokio::spawn(engine.clone().follow_for_ever(changes));
        }
        if engine.shared.store.me().is_some() {
            tokio::spawn(engine.clone().announce_for_ever());
        }
        if no_records && engine.shared.store.me().is_none() {
            tokio::spawn(engine.clone().notice_a_lost_store());
        }
        Ok(engine)
    }
}

/// Whether this node can grow a mounted ext4.
#[must_use]
pub fn ext4_online_grow() -> Ext4OnlineGrow {
    if caps::has_sys_resource() { Ext4OnlineGrow::Possible } else { Ext4OnlineGrow::NotPossible }
}

/// Lets tasks go that a snapshot held when hawser ended: before anything that could take time.
async fn thaw_all(shared: &Shared, records: &[Record], mounts: &MountTable) {
    for record in records.iter().filter(|record| record.frozen) {
        let stage = shared.host.stage_path(record.id);
        if mounts.at(&stage).is_none() {
            continue;
        }
        let thawed = spawn_blocking(move || freeze::thaw(&stage)).await;
        if let Err(error) = thawed.map_err(io::Error::other).flatten() {
            tracing::error!(volume = %record.name, %error, "its tasks are held still");
        }
    }
}

type Look = JoinHandle<HashSet<VolumeId>>;

/// The attached volumes; all of a backend's, where it cannot tell. The looks that took too long go
/// on: a cloud that does not answer must not keep Docker from the volumes that are mounted.
async fn attached_volumes(
    shared: &Arc<Shared>,
    records: &[Record],
) -> (HashSet<VolumeId>, Vec<Look>) {
    let deadline = Instant::now() + PATIENCE;
    let mine = |record: &&Record| Standing::of(shared.store.me(), record) != Standing::Other;
    let mine: Vec<_> = records.iter().filter(mine).collect();
    let looks: Vec<_> = shared.host.backends().map(|backend| look(backend, &mine)).collect();
    let (mut attached, mut late) = (HashSet::new(), Vec::new());
    for mut look in looks {
        match tokio::time::timeout_at(deadline, &mut look).await {
            Ok(ids) => attached.extend(ids.unwrap_or_default()),
            Err(_) => late.push(look),
        }
    }
    (attached, late)
}

fn look(backend: &Arc<dyn Backend>, records: &[&Record]) -> Look {
    let backend = Arc::clone(backend);
    let of_kind = |record: &&&Record| record.spec.backend.kind() == backend.kind();
    let all: HashSet<_> = records.iter().filter(of_kind).map(|record| record.id).collect();
    tokio::spawn(async move {
        if all.is_empty() {
            return all;
        }
        backend.attached().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "looking at every volume, one by one");
            all
        })
    })
}

/// Wakes what was found attached after the start.
async fn wake_late(shared: Arc<Shared>, look: Look) {
    for id in look.await.unwrap_or_default() {
        if let Some(handle) = shared.registry.by_id(id) {
            handle.tell(Message::Wake);
        }
    }
}

fn needs_attention(
    record: &Record,
    attached: &HashSet<VolumeId>,
    mounts: &MountTable,
    shared: &Shared,
) -> bool {
    let here = record.is_held()
        || record.has_idle_claim(shared.store.me().map(|me| &me.node))
        || attached.contains(&record.id)
        || mounts.at(&shared.host.stage_path(record.id)).is_some()
        || mounts.at(&shared.host.reach_path(record.id)).is_some()
        || shared.sharing.as_ref().is_ok_and(|sharing| sharing.knows(record.id))
        || mounts.at(&shared.host.published_path(&record.name)).is_some();
    if Standing::of(shared.store.me(), record) == Standing::Other {
        // Another node looks after it; a removed one's date is waited for all the same.
        return here || record.is_removed();
    }
    here || record.phase != Phase::Ready
        || record.contents == Contents::Formatting
        || record.is_growing()
        || record.frozen
}

/// A node's share of the time in which all nodes would begin the same: by its name, so that it is
/// another one on each node.
fn turn_of(node: &NodeName) -> SignedDuration {
    let sum = node.as_str().bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31) ^ u32::from(byte));
    SignedDuration::from_millis(i64::from(sum % 5_000))
}

/// A volume that could not be brought in has a name that is another one's in the cluster. Here it keeps
/// it, as before the restart: its tasks, and whoever renames it, mean this one.
fn own_first(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by_key(|record| !(record.lease.is_unused() || record.untold));
    records
}

/// What a node that is alone now knows of the cluster that it was in. It is left as it is: other nodes
/// may have these volumes, and this one could not know.
fn without_a_clusters(records: Vec<Record>) -> Vec<Record> {
    let (own, theirs): (Vec<_>, Vec<_>) =
        records.into_iter().partition(|record| record.lease.is_unused());
    if !theirs.is_empty() {
        tracing::error!(
            volumes = theirs.len(),
            "this node was in a cluster and is started without one: the cluster's volumes are neither shown nor touched here (set cluster.zookeeper again)"
        );
    }
    own
}

/// Before anything is started: one of the two would serve the other's name.
fn refuse_double_names(records: &[Record]) -> Result<(), StartError> {
    let mut names = HashSet::new();
    match records.iter().find(|record| !record.is_removed() && !names.insert(&record.name)) {
        Some(record) => Err(StartError::DoubleName(record.name.to_string())),
        None => Ok(()),
    }
}

fn start_task(shared: &Arc<Shared>, record: Record, wake: Option<Arc<MountTable>>) {
    // Only holders of an earlier boot are dropped, in memory: the next change stores it.
    let boot_id = shared.callers.boot_id().to_owned();
    let record =
        transition::apply(&record, Event::Booted { boot_id }, Timestamp::now()).unwrap_or(record);
    let (handle, inbox) = new_handle(&record);
    // Each id is there once; and where two have one name, the cluster's store knows whose it is.
    let _ = shared.registry.insert_known(&record, &handle);
    let awake = wake.is_some();
    let task = VolumeTask::new(Arc::clone(shared), handle.clone(), inbox, record, wake);
    tokio::spawn(task.run());
    if awake {
        // The task was just started: its inbox is open.
        handle.tell(Message::Wake);
    }
}
