//! What happens next: the engine that the doors call.
//!
//! One task per volume does all the work (`task`), so one slow volume delays no other, and a
//! caller that hangs up stops nothing. The engine's own methods find the task, pass the request
//! on, and wait for the answer until a deadline below the caller's own.

mod accounting;
mod announce;
mod callers;
mod cluster;
mod departed;
mod error;
mod follow;
mod giving;
mod group;
mod host;
mod imports;
mod message;
mod neighbours;
mod ownership;
mod recall;
mod recover;
mod registry;
mod removed;
mod serving;
mod sharing;
mod slots;
mod snapshots;
mod sole_user;
mod sweep;
mod task;
mod view;

use std::{
    path::PathBuf,
    sync::{Arc, RwLock, atomic::AtomicBool},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use accounting::Measured;
pub use callers::Callers;
pub use cluster::{NodePresence, NodeRow, Whereabouts};
pub use error::{EngineError, StepError};
pub use giving::Occasion;
pub use host::{Host, Subject};
pub use imports::ImportAs;
pub use message::{Checked, Forget, Grown, MountGrant};
pub use neighbours::{
    DrainRequest, Drained, Effort, MoveRequest, NeighbourError, Neighbours, Presence,
    ReleaseRequest, Released, RemoveRequest,
};
pub use recover::{StartError, ext4_online_grow};
pub use sharing::{
    Carried, CarriedVolume, CarriedWay, NotShared, Reaches, ServerState, Serves, Sharing, Ways,
};
pub use snapshots::{Consistency, Taken};
pub use view::{State, View};

use crate::{
    cluster::{Keeper, NodeInfo},
    spec::{self, Asked, Bytes, Defaults, Request, Stated, VolumeName},
    sys::format::Repair,
    volume::{
        CallerEpoch, Holder, MountId, Phase, Purge, Record, VolumeId,
        plan::Ext4OnlineGrow,
        transition::{Changes, Inherited},
    },
};
use message::{Exclusive, Message, Reply};
use registry::{Handle, Registry, Reservation, Reserve};
use slots::Slots;
use task::VolumeTask;

/// moby waits 2 minutes for Create and Mount (daemon/volume/drivers/proxy.go).
const LONG: Duration = Duration::from_secs(110);
/// ... and 1 minute for everything else.
const SHORT: Duration = Duration::from_secs(50);

/// How the engine behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What a spec leaves open.
    pub defaults: Defaults,
    /// How long a volume stays mounted after its last holder.
    pub linger: Duration,
    /// How long a holder may be without its process and without a mount before it is dropped.
    pub orphan_after: SignedDuration,
    /// How long a removed volume can be brought back.
    pub undelete: SignedDuration,
    /// The same for Docker's anonymous volumes.
    pub undelete_anonymous: SignedDuration,
    /// How often mounts, file systems and forgotten holders are looked at.
    pub sweep: Duration,
    /// After how long a shared volume goes to the one other node that uses it; `None` is never.
    pub move_after: Option<Duration>,
}

/// What all tasks share.
#[derive(Debug)]
struct Shared {
    settings: Settings,
    store: Keeper,
    host: Host,
    registry: Registry,
    callers: Callers,
    ext4_online_grow: Ext4OnlineGrow,
    slots: Slots,
    /// The other nodes of the cluster, where they can be asked.
    neighbours: Option<Arc<dyn Neighbours>>,
    /// What shares volumes between nodes.
    /// Or why nothing can.
    sharing: Result<Sharing, NotShared>,
    /// What the cloud said of machines whose nodes are away.
    departed: departed::Said,
    /// This node takes no more volumes.
    drained: AtomicBool,
    /// Neither does it here: its machine stops, and nothing ends that but the end of this daemon.
    leaving: AtomicBool,
    /// What this node last said of itself, as far as that is known. Held while it says something new.
    said: tokio::sync::Mutex<Option<NodeInfo>>,
    /// How long this node leaves to others what any node may do.
    turn: SignedDuration,
    /// When this daemon started.
    started_at: Timestamp,
    /// Who is just choosing a member of a group.
    turns: group::Turns,
    /// Held during an import.
    importing: tokio::sync::Mutex<()>,
    /// Cancelled when the daemon stops: what holds tasks still lets them go.
    stopping: CancellationToken,
    /// The steps under way; closed when the daemon stops, and no step is begun then.
    steps: TaskTracker,
}

impl Shared {
    /// Nobody may ever release this holder: its Docker engine is gone, or this daemon was away for
    /// a while and may have missed the Unmount, which Docker sends for 15 seconds and never again.
    /// A caller without an id is a short-lived dvdcli, whose end says nothing.
    fn may_be_forgotten(&self, holder: &Holder) -> bool {
        !holder.id.is_anonymous()
            && (holder.since < self.started_at
                || self.callers.inherited(&holder.epoch) == Inherited::Yes)
    }
}

/// When a removed volume's data is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Removal {
    /// As the configuration says: usually after the undelete window.
    ByPolicy,
    /// At once.
    Now,
}

/// The engine; clones share it.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

impl Engine {
    /// What a spec leaves open is filled in from these.
    #[must_use]
    pub fn defaults(&self) -> &Defaults {
        &self.shared.settings.defaults
    }

    /// Who calls.
    #[must_use]
    pub fn callers(&self) -> &Callers {
        &self.shared.callers
    }

    /// Reads a name, which may be an inline spec.
    ///
    /// # Errors
    ///
    /// Where it is not one, with what is wrong with it.
    pub fn parse(name: &str) -> Result<Request, EngineError> {
        match spec::parse(name, [])? {
            Asked::Volume(request) => Ok(request),
            Asked::Help => Err(EngineError::NotFound(name.to_owned())),
        }
    }

    /// Makes a volume, or makes sure that the one of that name is as stated.
    ///
    /// # Errors
    ///
    /// A new volume that could not be made is gone without a trace.
    pub async fn create(&self, request: &Request) -> Result<(), EngineError> {
        let handle = self.find_or_start(request)?;
        let stated = request.stated.clone();
        let ask = |reply| Message::Ensure { stated, reply };
        Self::ask(&handle, "create", &request.name, LONG, ask).await
    }

    /// The task of the volume, or a new volume's.
    fn find_or_start(&self, request: &Request) -> Result<Handle, EngineError> {
        let Request { name, stated } = request;
        if let Some(handle) = self.shared.registry.by_name(name) {
            return Ok(handle);
        }
        let spec = stated.resolve(name, &self.shared.settings.defaults)?;
        Ok(self.start_new(Record::new(VolumeId::random(), name.clone(), spec, Timestamp::now())))
    }

    /// The task of a new volume, or of the one that got its name in this moment.
    fn start_new(&self, mut record: Record) -> Handle {
        record.lease = self.shared.store.first_lease();
        if record.is_group() {
            // There is nothing to make, and nobody has to own it.
            record.phase = Phase::Ready;
            record.lease = record.lease.released();
        }
        let (handle, inbox) = new_handle(&record);
        match self.shared.registry.insert_new(&record.name, record.id, &handle) {
            Ok(()) => {
                let shared = Arc::clone(&self.shared);
                let task = VolumeTask::new(shared, handle.clone(), inbox, record, None);
                tokio::spawn(task.run_new());
                handle
            }
            Err(present) => present,
        }
    }

    /// Mounts a volume for a holder. An inline spec that nobody created yet is created.
    ///
    /// # Errors
    ///
    /// The call's reference is dropped then.
    ///
    /// # Cancellation
    ///
    /// The call's reference is dropped, as soon as the volume's task finds that nobody waits.
    pub async fn mount(
        &self,
        request: &Request,
        id: MountId,
        epoch: CallerEpoch,
    ) -> Result<MountGrant, EngineError> {
        let Request { name, stated } = request;
        let start = Instant::now();
        if let Err(closed) = self.refuse_new("mount", name)
            && !self.has(name)
            && !self.is_group(name)
        {
            return Err(closed);
        }
        let handle = match self.shared.registry.by_name(name) {
            Some(handle) => handle,
            None if stated.is_empty() => return Err(EngineError::NotFound(name.to_string())),
            None => {
                self.create(request).await?;
                self.named(name)?
            }
        };
        if handle.view().record.is_group() {
            return self.mount_member(&handle, request, (id, epoch), start.elapsed()).await;
        }
        let stated = stated.clone();
        let ask = |reply| Message::Mount { stated, id, epoch, chosen: None, reply };
        Self::ask(&handle, "mount", name, LONG.saturating_sub(start.elapsed()), ask).await
    }

    /// Lets go of a volume. Letting go of what is not held, or not there, is fine.
    ///
    /// # Errors
    ///
    /// Only when the task cannot answer in time; the request stands all the same.
    pub async fn unmount(
        &self,
        name: &VolumeName,
        id: MountId,
        epoch: CallerEpoch,
    ) -> Result<(), EngineError> {
        let Some(handle) = self.shared.registry.by_name(name) else { return Ok(()) };
        if handle.view().record.is_group() {
            return self.unmount_member(&handle, &id, &epoch).await;
        }
        let ask = |reply| Message::Unmount { id, epoch, reply };
        Self::ask(&handle, "unmount", name, SHORT, ask).await
    }

    /// Removes a volume. Removing what is not there is fine.
    ///
    /// # Errors
    ///
    /// Nothing was changed then.
    pub async fn remove(&self, name: &VolumeName, when: Removal) -> Result<(), EngineError> {
        let Some(handle) = self.shared.registry.by_name(name) else { return Ok(()) };
        if handle.view().record.is_group() {
            return self.remove_group(&handle, when).await;
        }
        self.remove_one(&handle, name, when).await
    }

    /// The same by a name that may say what the volume is, which has to be so: Docker has every name that it
    /// heard as a volume of its own, and one that was refused at a mount is cleared away without meaning the data.
    ///
    /// # Errors
    ///
    /// Nothing was changed then.
    pub async fn remove_asked(&self, request: &Request, when: Removal) -> Result<(), EngineError> {
        let Request { name, stated } = request;
        let record = self.shared.registry.by_name(name).map(|handle| handle.view().record.clone());
        let difference = record
            .and_then(|record| stated.first_difference(name, &record.spec, record.wanted_size()));
        match difference {
            Some(difference) => Err(EngineError::NotMeant(Arc::new(difference))),
            None => self.remove(name, when).await,
        }
    }

    async fn remove_one(
        &self,
        handle: &Handle,
        name: &VolumeName,
        when: Removal,
    ) -> Result<(), EngineError> {
        if let Some(node) = self.only_on(handle) {
            return self.remove_on(&node, name, when).await;
        }
        let settings = &self.shared.settings;
        let window = match when {
            Removal::Now => SignedDuration::ZERO,
            Removal::ByPolicy if name.is_anonymous() => settings.undelete_anonymous,
            Removal::ByPolicy => settings.undelete,
        };
        let now = Timestamp::now();
        let purge = Purge::At(now.checked_add(window).unwrap_or(Timestamp::MAX));
        let ask = |reply| Message::Exclusive(Exclusive::Remove { purge, reply });
        Self::ask(handle, "remove", name, SHORT, ask).await
    }

    /// Grows a volume, online where it is mounted, and gives its storage other settings.
    ///
    /// # Errors
    ///
    /// It is as before then.
    pub async fn grow(
        &self,
        name: &VolumeName,
        to: Option<Bytes>,
        settings: Stated,
    ) -> Result<Grown, EngineError> {
        let handle = self.named(name)?;
        if handle.view().record.is_group() {
            return self.grow_group(&handle, to, settings).await;
        }
        self.grow_one(&handle, to, settings).await
    }

    async fn grow_one(
        &self,
        handle: &Handle,
        to: Option<Bytes>,
        settings: Stated,
    ) -> Result<Grown, EngineError> {
        let ask = |reply| Message::Grow { to, settings, reply };
        Self::ask(handle, "grow", &handle.view().record.name, LONG, ask).await
    }

    /// Gives a volume that nobody holds another name.
    ///
    /// # Errors
    ///
    /// It has its old name then.
    pub async fn rename(&self, name: &VolumeName, to: VolumeName) -> Result<(), EngineError> {
        let handle = self.named(name)?;
        let reserved = self.reserve(&to, handle.view().record.id)?;
        let ask = |reply| Message::Exclusive(Exclusive::Rename { to, reserved, reply });
        Self::ask(&handle, "rename", name, SHORT, ask).await
    }

    /// Changes what can be changed at any time.
    ///
    /// # Errors
    ///
    /// Nothing was changed then.
    pub async fn set(&self, name: &VolumeName, changes: Changes) -> Result<(), EngineError> {
        let handle = self.named(name)?;
        if handle.view().record.is_group() {
            return self.set_group(&handle, changes).await;
        }
        let ask = |reply| Message::Set { changes, reply };
        Self::ask(&handle, "set", name, SHORT, ask).await
    }

    /// Checks the file system of a volume that nobody holds.
    ///
    /// # Errors
    ///
    /// Where it is held, or the checking program cannot run.
    pub async fn check(&self, name: &VolumeName, repair: Repair) -> Result<Checked, EngineError> {
        let ask = |reply| Message::Exclusive(Exclusive::Check { repair, reply });
        Self::ask(&self.named(name)?, "fsck", name, task::CHECK_DEADLINE, ask).await
    }

    /// Gives a volume's unused blocks back to its storage.
    ///
    /// # Errors
    ///
    /// Where the storage cannot take them back.
    pub async fn trim(&self, name: &VolumeName) -> Result<Bytes, EngineError> {
        let ask = |reply| Message::Trim { reply };
        Self::ask(&self.named(name)?, "trim", name, LONG, ask).await
    }

    /// A volume as it was last known.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn get(&self, name: &VolumeName) -> Result<Arc<View>, EngineError> {
        let view = self.named(name)?.view();
        Ok(if view.record.is_group() { self.seen_as_group(view) } else { view })
    }

    /// Every volume, removed ones included, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<View>> {
        let mut views: Vec<_> = self.shared.registry.all().iter().map(Handle::view).collect();
        views.sort_by(|a, b| (&a.record.name, a.record.id).cmp(&(&b.record.name, b.record.id)));
        views
    }

    /// Where a volume's file system is mounted when it is.
    #[must_use]
    pub fn stage_path(&self, id: VolumeId) -> PathBuf {
        self.shared.host.stage_path(id)
    }

    /// Begins no more steps, and waits for those under way, but not longer than `limit`: what is
    /// half-done then is finished by the next start.
    pub async fn stop(&self, limit: Duration) {
        self.shared.steps.close();
        self.shared.stopping.cancel();
        if tokio::time::timeout(limit, self.shared.steps.wait()).await.is_err() {
            tracing::warn!(steps = self.shared.steps.len(), "steps are still under way at exit");
        }
    }

    /// Whether a member is asked for, which may be here.
    fn is_group(&self, name: &VolumeName) -> bool {
        let handle = self.shared.registry.by_name(name);
        handle.is_some_and(|handle| handle.view().record.is_group())
    }

    /// Whether a volume is this node's already: mounted here, or owned.
    fn has(&self, name: &VolumeName) -> bool {
        let view = self.shared.registry.by_name(name).map(|handle| handle.view());
        let me = self.shared.store.me();
        view.zip(me)
            .is_some_and(|(view, me)| view.path.is_some() || view.record.lease.is_of(&me.node))
    }

    fn named(&self, name: &VolumeName) -> Result<Handle, EngineError> {
        let found = self.shared.registry.by_name(name);
        found.ok_or_else(|| EngineError::NotFound(name.to_string()))
    }

    /// A name for the volume that is not its own yet; `None` if it is.
    fn reserve(&self, name: &VolumeName, id: VolumeId) -> Result<Option<Reservation>, EngineError> {
        match Registry::reserve(&self.shared, name.clone(), id) {
            Reserve::New(reservation) => Ok(Some(reservation)),
            Reserve::Own => Ok(None),
            Reserve::Taken => Err(EngineError::NameTaken(name.clone())),
        }
    }

    fn by_id(&self, id: VolumeId) -> Result<Handle, EngineError> {
        let found = self.shared.registry.by_id(id);
        found.ok_or_else(|| EngineError::NotFound(id.to_string()))
    }

    /// Asks a task and waits for its answer, but not longer than `limit`. The task goes on.
    async fn ask<T>(
        handle: &Handle,
        op: &'static str,
        volume: &VolumeName,
        limit: Duration,
        message: impl FnOnce(Reply<T>) -> Message,
    ) -> Result<T, EngineError> {
        let gone = || EngineError::Gone { op, volume: volume.clone() };
        let (reply, answer) = oneshot::channel();
        handle.inbox.send(message(reply)).map_err(|_| gone())?;
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(EngineError::Deadline { op, volume: volume.clone(), after: limit }),
        }
    }
}

fn new_handle(record: &Record) -> (Handle, mpsc::UnboundedReceiver<Message>) {
    let (sender, inbox) = mpsc::unbounded_channel();
    let view = View::new(record.clone());
    let view = Arc::new(RwLock::new(Arc::new(view)));
    (Handle { inbox: sender, view }, inbox)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let json = include_str!("../../tests/golden/record-v1.json");
        serde_json::from_str(json).unwrap()
    }

    /// moby waits 120 s for Create and Mount and 60 s for the rest: a volume that is stuck must be
    /// reported by us, with its name and step, and not by Docker as a plugin that timed out.
    #[tokio::test(start_paused = true)]
    async fn a_call_that_takes_too_long_is_answered_before_docker_gives_up() {
        let (handle, _nobody_reads) = new_handle(&record());
        let name = record().name;
        for (limit, dockers) in [(LONG, 120), (SHORT, 60)] {
            let start = tokio::time::Instant::now();

            let ask = |reply| Message::Purge { reply };
            let error = Engine::ask(&handle, "mount", &name, limit, ask).await.unwrap_err();

            assert_eq!(start.elapsed(), limit);
            assert!(limit <= Duration::from_secs(dockers - 10), "Docker hears it in time");
            let text = error.to_string();
            assert!(text.contains(name.as_str()) && text.contains("goes on"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_call_to_a_volume_that_was_just_deleted_says_so() {
        let (handle, inbox) = new_handle(&record());
        drop(inbox);

        let ask = |reply| Message::Purge { reply };
        let error = Engine::ask(&handle, "grow", &record().name, SHORT, ask).await.unwrap_err();

        assert!(error.to_string().contains("try again"), "{error}");
    }
}
