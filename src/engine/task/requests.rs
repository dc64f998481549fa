//! What each request does to a volume's task.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{task::spawn_blocking, time::Instant};

use super::{
    VolumeTask,
    snapshot::Wanted,
    waiters::{GrowWaiter, MountWaiter, not_stored, tell},
};
use crate::{
    backend::Beyond,
    cluster::{StoreError, Urgency},
    engine::{
        Measured,
        error::{EngineError, StepError},
        message::{Grown, Message, Reply},
    },
    spec::{BackendSpec, Bytes, LocalSpec, Provision, Stated},
    sys::{
        mountinfo::MountTable,
        namespaces::{self, OutsideHolder},
    },
    volume::{
        CallerEpoch, MountId, Observed,
        plan::Standing,
        transition::{self, Event, Inherited, Outside, Refusal},
    },
};

/// A process that starts in a namespace of its own has all mounts for a moment: one look is not
/// enough to refuse somebody for it.
const LOOKS: u32 = 15;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// How often a request is applied anew to a record that other nodes keep changing.
const TRIES: u32 = 5;

impl VolumeTask {
    pub(super) async fn handle_message(&mut self, message: Message) {
        match message {
            Message::Ensure { stated, reply } => self.ensure(&stated, reply).await,
            Message::Mount { stated, id, epoch, chosen, reply } => {
                let event = self.mount_event(id.clone(), epoch.clone(), chosen);
                let waiter = MountWaiter { id, epoch, added: false, reply };
                if let Err(error) = self.mount(&stated, event, waiter).await {
                    tracing::debug!(%error, "mount refused");
                }
            }
            Message::Unmount { id, epoch, reply } => {
                self.unmount(id, epoch).await;
                self.unclaim().await;
                tell(reply, Ok(()));
            }
            Message::Abandon { id, epoch, answer } => {
                tracing::info!(volume = %self.record.name, mount_id = %id, "mount came to nothing");
                let outside = self.outside_if_last(&id, Inherited::No).await;
                self.store_or_remember(Event::Abandon { id, epoch, outside }).await;
                self.linger_if_free();
                self.unclaim().await;
                if let Some((reply, error)) = answer {
                    tell(reply, Err(error));
                }
            }
            Message::Grow { to, settings, reply } => self.grow(to, &settings, reply).await,
            Message::Snapshot { reply, .. } if self.record.is_group() => {
                tell(reply, Err(self.refused_as_group("snapshot")));
            }
            Message::Snapshot { description, reply } => {
                self.try_again_now();
                self.waiters.snapshots.push_back(Wanted { description, reply });
            }
            Message::GiveUpSlot { reply } => self.slot_wanted.push(reply),
            Message::Set { changes, reply } => {
                let result = self.request("set", Event::Set(changes)).await;
                self.undescribed |= result.is_ok();
                tell(reply, result);
            }
            Message::Exclusive(exclusive) => self.ask_exclusive(exclusive).await,
            Message::Release { epoch, users, asker, reply } => {
                self.release_to(epoch, users, asker, reply).await;
            }
            Message::Take { reply, .. } if self.record.is_group() => {
                tell(reply, Err(self.refused_as_group("move")));
            }
            Message::Forsaken { reply } => {
                self.forsaken().await;
                tell(reply, Ok(()));
            }
            Message::Take { effort, reply } => self.take(effort, reply),
            Message::NodeGone { node, reply } => {
                let result = self.node_gone(node).await;
                tell(reply, result);
            }
            Message::Stored(record) => self.adopt(*record).await,
            Message::Missing(past) => self.missed(past).await,
            Message::Mirror => self.keep_copy(&self.record).await,
            Message::Purge { reply } => match self.request("purge", Event::Purge).await {
                Ok(()) => {
                    self.try_again_now();
                    self.waiters.purged.push(reply);
                }
                Err(error) => tell(reply, Err(error)),
            },
            Message::Trim { reply } if self.record.is_group() => {
                tell(reply, Err(self.refused_as_group("trim")));
            }
            Message::Trim { reply } => self.trim(reply),
            Message::Outside(outside) => self.swept(&outside).await,
            Message::Health(health) => self.examined(health),
            Message::Vanished => {
                self.examined(Ok(()));
                self.forget_stale_observation();
            }
            Message::Measured(measured) => self.measured(measured),
            Message::Wake => self.woken(),
            Message::Unserved => self.unserved(),
        }
    }

    /// Refuses what came in for a volume that could not even be recorded.
    pub(super) fn refuse_all(&mut self, error: &StoreError) {
        self.inbox.close();
        while let Ok(message) = self.inbox.try_recv() {
            let failed = |op| not_stored(op, &self.record.name)(error.clone());
            match message {
                Message::Ensure { reply, .. } => tell(reply, Err(failed("create"))),
                Message::Mount { reply, .. } => tell(reply, Err(failed("mount"))),
                // Another node has a volume of its id: that one is known from now on.
                Message::Stored(record) => self.shared.tell_or_start(*record),
                // Nobody can know it well enough yet for more; dropped, the caller is told so.
                Message::Unmount { .. }
                | Message::Abandon { .. }
                | Message::Grow { .. }
                | Message::Snapshot { .. }
                | Message::GiveUpSlot { .. }
                | Message::Set { .. }
                | Message::Exclusive(_)
                | Message::Release { .. }
                | Message::Forsaken { .. }
                | Message::Take { .. }
                | Message::NodeGone { .. }
                | Message::Missing(_)
                | Message::Mirror
                | Message::Purge { .. }
                | Message::Trim { .. }
                | Message::Outside(_)
                | Message::Health(_)
                | Message::Vanished
                | Message::Measured(_)
                | Message::Wake
                | Message::Unserved => {}
            }
        }
    }

    /// Stores what a request changes, or says why it is refused.
    pub(super) async fn request(
        &mut self,
        op: &'static str,
        event: Event,
    ) -> Result<(), EngineError> {
        let volume = self.record.name.clone();
        // What frees space must be possible on a full disk.
        let frees = matches!(event, Event::Remove { .. } | Event::Purge);
        let urgency = if frees { Urgency::Release } else { Urgency::NewWork };
        let mut tries = TRIES;
        loop {
            let next = transition::apply(&self.record, event.clone(), Timestamp::now())
                .map_err(|refusal| EngineError::Refused { op, volume: volume.clone(), refusal })?;
            tries -= 1;
            match self.store(next, urgency).await {
                Err(StoreError::Conflict(_)) if tries > 0 && self.refresh().await => {}
                result => return result.map_err(not_stored(op, &volume)),
            }
        }
    }

    async fn ensure(&mut self, stated: &Stated, reply: Reply<()>) {
        if self.record.is_removed() {
            // Its name was looked up just before it was given up.
            let error = EngineError::Gone { op: "create", volume: self.record.name.clone() };
            return tell(reply, Err(error));
        }
        if let Err(error) = self.agree(stated) {
            return tell(reply, Err(error));
        }
        if let Err(error) = self.raise(stated).await {
            return tell(reply, Err(error));
        }
        self.try_again_now();
        self.waiters.created.push(reply);
    }

    /// The request agrees with what exists, in every field that it states.
    fn agree(&self, stated: &Stated) -> Result<(), EngineError> {
        let (name, spec) = (&self.record.name, &self.record.spec);
        match stated.first_difference(name, spec, self.record.wanted_size()) {
            None => Ok(()),
            Some(difference) => Err(EngineError::Differs(Arc::new(difference))),
        }
    }

    async fn mount(
        &mut self,
        stated: &Stated,
        event: Event,
        mut waiter: MountWaiter,
    ) -> Result<(), EngineError> {
        let before = self.record.clone();
        let accepted = self.agree(stated).and_then(|()| self.healthy());
        let accepted = match accepted.and_then(|()| self.within_its_size()) {
            Ok(()) => self.request("mount", event).await,
            Err(error) => Err(error),
        };
        if let Err(error) = accepted {
            tell(waiter.reply, Err(error.clone()));
            return Err(error);
        }
        waiter.added = transition::added_reference(&before, &self.record, &waiter.id);
        self.linger_until = None;
        self.try_again_now();
        self.forget_stale_observation();
        self.waiters.mounted.push(waiter);
        // Asked before, and not possible any more.
        if let Err(refused) = self.refuse_holders("use alone") {
            self.exclusive.drain(..).for_each(|exclusive| exclusive.fail(|_| refused.clone()));
        }
        Ok(())
    }

    /// A file system that failed is not handed to another task; released by all, it is mounted
    /// anew and may well recover.
    fn healthy(&self) -> Result<(), EngineError> {
        match &self.health {
            Err(reason) if self.record.is_held() => Err(EngineError::Failed {
                op: "mount",
                volume: self.record.name.clone(),
                source: Arc::new(StepError::FileSystem(reason.clone())),
            }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The same for whoever looks at it. A directory is the server's, which says itself what it has.
    pub(super) fn unwell(&self) -> Option<String> {
        let reason = self.health.as_ref().err()?.clone();
        let directory = self.record.spec.backend.is_directory();
        Some(if directory { reason } else { StepError::FileSystem(reason).to_string() })
    }

    /// A directory that holds more than its size, where the operator wants that to have an end.
    fn within_its_size(&self) -> Result<(), EngineError> {
        let (Some(used), size) = (self.used_beyond_its_size(), self.record.spec.size) else {
            return Ok(());
        };
        let accounting = self.shared.host.accounting(&self.record);
        if accounting.is_none_or(|accounting| accounting.beyond == Beyond::Said) {
            return Ok(());
        }
        let (volume, refusal) = (self.record.name.clone(), Refusal::Full { used, size });
        Err(EngineError::Refused { op: "mount", volume, refusal })
    }

    fn used_beyond_its_size(&self) -> Option<Bytes> {
        let used = self.measured?.used;
        (used > self.record.spec.size).then_some(used)
    }

    fn measured(&mut self, measured: Measured) {
        let before = self.used_beyond_its_size();
        self.measured = Some(measured);
        if let (None, Some(used)) = (before, self.used_beyond_its_size()) {
            tracing::warn!(
                volume = %self.record.name, %used, size = %self.record.spec.size,
                "it holds more than its size"
            );
        }
    }

    /// Somebody may have unmounted it behind our back.
    pub(super) fn forget_stale_observation(&mut self) {
        let stale = self.observed.as_ref().is_some_and(|seen| {
            seen.published && !self.shared.host.is_published(&self.record, seen.device.as_ref())
                || seen.remote.published && !self.shared.host.is_reached(&self.record)
        });
        if stale && self.running.is_none() {
            tracing::warn!(volume = %self.record.name, "its mount is gone: looking again");
            self.observed = None;
        }
    }

    async fn unmount(&mut self, id: MountId, epoch: CallerEpoch) {
        let inherited = match self.record.holder(&id) {
            Some(holder) if holder.epoch == epoch => Inherited::No,
            Some(_) | None => self.inherited(&id),
        };
        let outside = self.outside_if_last(&id, inherited).await;
        self.store_or_remember(Event::Unmount { id, inherited, outside }).await;
        self.linger_if_free();
    }

    /// The linger: copy-up and restarts mount again within moments.
    pub(super) fn linger_if_free(&mut self) {
        // A linger keeps a mount; it never makes one.
        let mounted = self.observed.as_ref().is_some_and(Observed::is_mounted);
        if !self.record.is_held() && mounted && self.linger_until.is_none() {
            self.linger_until = Some(Instant::now() + self.shared.settings.linger);
        }
    }

    pub(super) fn inherited(&self, id: &MountId) -> Inherited {
        match self.record.holder(id) {
            Some(holder) => self.shared.callers.inherited(&holder.epoch),
            None => Inherited::No,
        }
    }

    /// The owner of what this node only reaches.
    fn elsewhere(&self) -> Option<String> {
        let elsewhere = self.is_open_here() && self.standing() == Standing::Other;
        let owner = self.record.lease.owner.as_ref().filter(|_| elsewhere)?;
        Some(owner.node.to_string())
    }

    fn trim(&mut self, reply: Reply<Bytes>) {
        let thick = BackendSpec::Local(LocalSpec { provision: Provision::Thick });
        let backend = &self.record.spec.backend;
        let refusal = if backend.is_directory() {
            Some(Refusal::Directory)
        } else if *backend == thick {
            Some(Refusal::Thick)
        } else {
            self.elsewhere().map(Refusal::Elsewhere)
        };
        if let Some(refusal) = refusal {
            let volume = self.record.name.clone();
            return tell(reply, Err(EngineError::Refused { op: "trim", volume, refusal }));
        }
        if let Err(refused) = self.refuse_lent("trim") {
            return tell(reply, Err(refused));
        }
        self.try_again_now();
        self.waiters.trim.push(reply);
    }

    async fn grow(&mut self, to: Option<Bytes>, settings: &Stated, reply: Reply<Grown>) {
        // What is on its way already is kept.
        let backend = self.record.changing_to.as_ref().unwrap_or(&self.record.spec.backend);
        let to = to.map_or_else(|| self.record.wanted_size(), |to| backend.round_up(to));
        let backend = match backend.changed(settings, to) {
            Ok(backend) => backend,
            Err(error) => return tell(reply, Err(error.into())),
        };
        match self.request("grow", Event::Grow { to, backend: Some(backend) }).await {
            Ok(()) if self.record.is_group() => tell(reply, Ok(Grown::Now)),
            Ok(()) => {
                self.undescribed = true;
                self.try_again_now();
                let changes = self.record.changing_to.is_some();
                let was = changes.then(|| self.record.spec.backend.clone());
                self.waiters.grown.push(GrowWaiter { to, was, reply });
            }
            Err(error) => tell(reply, Err(error)),
        }
    }

    /// Whether another namespace has the file system; looked at only when the answer matters,
    /// which is when the last reference goes.
    async fn outside_if_last(&self, id: &MountId, inherited: Inherited) -> Outside {
        // What a dead process counted is dropped whole.
        let dropped = |count| count <= 1 || inherited == Inherited::Yes;
        let last = self
            .record
            .holders
            .iter()
            .all(|holder| holder.count == 0 || holder.id == *id && dropped(holder.count));
        if last { self.outside().await.0 } else { Outside::Held }
    }

    /// Whether another mount namespace has the file system, and who.
    pub(super) async fn outside(&self) -> (Outside, Vec<OutsideHolder>) {
        let device = self.observed.as_ref().and_then(|seen| seen.device.as_ref());
        let mut numbers: Vec<_> = device.map(|device| device.number).into_iter().collect();
        let host = &self.shared.host;
        // Not observed now: the mount table knows the device, if there is one.
        let stage = numbers.is_empty().then(|| host.stage_path(self.record.id));
        let reach = host.reach_path(self.record.id);
        let places: Vec<_> = stage.into_iter().chain([reach]).collect();
        let look = move || {
            if !places.is_empty() {
                let mounts = MountTable::read()?;
                numbers.extend(places.iter().filter_map(|at| Some(mounts.at(at)?.device)));
            }
            let holders = numbers.into_iter().map(namespaces::outside_holders);
            Ok::<_, std::io::Error>(holders.collect::<Result<Vec<_>, _>>()?.concat())
        };
        match spawn_blocking(look).await {
            Ok(Ok(holders)) if holders.is_empty() => (Outside::Free, holders),
            Ok(Ok(holders)) => (Outside::Held, holders),
            // Not knowing is not "free".
            Ok(Err(_)) | Err(_) => (Outside::Held, Vec::new()),
        }
    }

    /// The file system was looked at.
    fn examined(&mut self, health: Result<(), String>) {
        if self.running.is_none() && health != self.health {
            match &health {
                Ok(()) => tracing::info!(volume = %self.record.name, "the file system is well"),
                Err(reason) => {
                    tracing::error!(volume = %self.record.name, reason, "the file system failed");
                }
            }
            self.health = health;
        }
    }

    /// Other namespaces were looked at, since some holder may never be released.
    async fn swept(&mut self, outside: &[OutsideHolder]) {
        let holders = self.record.holders.iter();
        let dead = holders
            .filter(|holder| self.shared.may_be_forgotten(holder))
            .map(|holder| holder.id.clone())
            .collect();
        let held = if outside.is_empty() { Outside::Free } else { Outside::Held };
        let now = Timestamp::now();
        let orphaned_before =
            now.checked_sub(self.shared.settings.orphan_after).unwrap_or(Timestamp::MIN);
        self.store_or_remember(Event::Swept { dead, outside: held, orphaned_before }).await;
        self.linger_if_free();
    }

    /// Why it may not be touched though no holder is recorded: a task that has the path by other
    /// means, such as a bind of the published directory.
    pub(super) async fn refuse_outside_use(&self, op: &'static str) -> Result<(), EngineError> {
        let mut patience = LOOKS;
        let holders = loop {
            let (outside, holders) = self.outside().await;
            if outside == Outside::Free {
                return Ok(());
            }
            patience -= 1;
            if patience == 0 {
                break holders;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        };
        let who = format!("{} in another mount namespace", processes(&holders));
        let volume = self.record.name.clone();
        Err(EngineError::Refused { op, volume, refusal: Refusal::Held(who) })
    }
}

/// As an operator finds them with ps(1).
pub(super) fn processes(holders: &[OutsideHolder]) -> String {
    let name = |holder: &OutsideHolder| format!("process {} ({})", holder.pid, holder.command);
    holders.iter().map(name).collect::<Vec<_>>().join(", ")
}
