//! A volume's task as one of many in a cluster: the record that others change, too, the lease that
//! others ask for, and the owner that it is or is not.

use jiff::{SignedDuration, Timestamp};

use super::{
    Life, VolumeTask,
    waiters::{not_stored, tell},
};
use crate::{
    cluster::StoreError,
    engine::{
        error::EngineError,
        message::{Reply, Users},
        neighbours::{Effort, Released},
    },
    spec::BackendKind,
    volume::{
        Epoch, Lease, NodeName, Observed, Phase, Purge, Record,
        effect::Effect,
        lease::{Preempt, Session, Storage, StoreReach},
        plan::Standing,
        restored,
        transition::{Event, Outside},
    },
};

/// How long the owner of a removed volume has to delete it, before others look after it.
const OWNERS_TIME: SignedDuration = SignedDuration::from_secs(60);

impl VolumeTask {
    pub(super) fn standing(&self) -> Standing {
        Standing::of(self.shared.store.me(), &self.record)
    }

    /// Another node has it, or nobody; nobody here wants it; and nothing of it is known to be here:
    /// then nothing is looked at. Every node has a task for every volume.
    pub(super) fn is_none_of_ours(&mut self) -> bool {
        let asleep = self.standing() == Standing::Other
            && !self.look
            && self.observed.is_none()
            && self.running.is_none()
            && !self.gone
            && !self.is_wanted()
            && !self.needs_owner()
            && !self.is_user()
            && !self.record.has_idle_claim(self.node_name())
            // Nobody owns a group: any node forgets it when its time has come.
            && !self.record.is_group()
            && self.waiters.snapshots.is_empty();
        if !asleep {
            return false;
        }
        // What failed was asked for by somebody who has heard of it.
        self.failure = None;
        self.wait_until = None;
        let Some(mut turn) = self.deletion() else { return true };
        let now = Timestamp::now();
        if self.owner_lives() {
            // It deletes it itself. Should it die over it, somebody else does.
            turn = turn.max(now.checked_add(OWNERS_TIME).unwrap_or(now));
        }
        self.wait_until = Some(turn);
        turn > now
    }

    /// When any node may delete the data of the removed volume.
    fn deletion(&self) -> Option<Timestamp> {
        match self.record.phase {
            Phase::Removed { purge: Purge::At(at) | Purge::Condemned(at), .. }
                if self.record.spec.backend.kind() != BackendKind::Local =>
            {
                Some(at.checked_add(self.shared.turn).unwrap_or(at))
            }
            Phase::Removed { .. } | Phase::Creating | Phase::Ready => None,
        }
    }

    fn owner_lives(&self) -> bool {
        self.shared.session_of(&self.record) == Session::Lives
    }

    /// This node is on the record's list of those that have it mounted.
    pub(super) fn is_user(&self) -> bool {
        self.shared.store.me().is_some_and(|me| self.record.users.contains(&me.node))
    }

    /// Something is asked for that only an owner does, and there is none who would do it.
    pub(super) fn needs_owner(&self) -> bool {
        if !self.exclusive.is_empty() {
            return true;
        }
        let asked = !self.waiters.created.is_empty() && self.record.phase == Phase::Creating
            || !self.waiters.grown.is_empty() && self.record.is_growing();
        asked && self.standing() == Standing::Other && !self.owner_lives()
    }

    /// Nothing of it is here, and what is elsewhere is not followed: it is looked at when it is wanted.
    pub(super) fn forget_what_others_have(&mut self) {
        self.look = false;
        if self.standing() == Standing::Other && !self.is_wanted() && !self.needs_owner() {
            self.observed = None;
        }
    }

    /// The store has this state of the record.
    pub(super) async fn adopt(&mut self, stored: Record) {
        self.seen_in_store = true;
        // What was this node's alone has other numbers.
        let newer = stored.revision > self.record.revision || self.record.lease.is_unused();
        if newer && !self.record.untold && !restored::forgets_contents(&self.record, &stored) {
            self.take_over(stored).await;
        } else if newer || self.record.untold || restored::may_be_behind(&self.record, &stored) {
            // It was on its way for a while, or the store was restored.
            self.refresh().await;
        }
    }

    pub(super) async fn take_over(&mut self, stored: Record) {
        if self.gone {
            return;
        }
        let was = self.standing();
        // Whatever was read, it is never acted on as if there were no data.
        let stored = restored::keeping_contents(&self.record, stored);
        let mut next = self.record.with_shared(stored);
        let lost = was != Standing::Other
            && Standing::of(self.shared.store.me(), &next) == Standing::Other;
        // Or came by the way through another node.
        let reached = self.record.is_served() && self.is_user();
        let shut_out = self.loses_claim(&next);
        if shut_out || lost && !next.spec.backend.is_directory() && !reached {
            // Their file system is shut down: they hold nothing of the volume any more, and would
            // keep it from every node if it came back here.
            self.waiters.keep_places(&mut next.holders);
            self.linger_until = None;
        }
        self.keep_copy(&next).await;
        let before = std::mem::replace(&mut self.record, next);
        self.unsaved = None;
        self.shared.registry.renamed(&before, &self.record);
        if before.lease != self.record.lease {
            self.answers_until = None;
        }
        if lost {
            self.lost(&before.lease);
            self.settled = false;
            self.tries.over();
        }
        // Of two nodes that describe it at once, the one with the older record may write later. It hears of
        // the newer record now, and writes again.
        let described = before.name == self.record.name && before.spec == self.record.spec;
        self.undescribed |= self.describes && !described;
        let same = before.lease == self.record.lease
            && before.phase == self.record.phase
            && before.contents == self.record.contents
            && before.handle == self.record.handle
            && before.writer() == self.record.writer();
        if !same && self.running.is_none() {
            let known = self.observed.take();
            self.look |= was != Standing::Other || known.is_some_and(|seen| !seen.is_released());
        }
        if self.record.is_removed() && !before.is_removed() {
            self.tell_of_removal();
        }
        for exclusive in std::mem::take(&mut self.exclusive) {
            match self.refuse_reached(exclusive.op()) {
                Ok(()) => self.exclusive.push_back(exclusive),
                // Asked for before, and not to be done whenever they are gone.
                Err(refused) => exclusive.fail(|_| refused.clone()),
            }
        }
        self.try_again_now();
    }

    /// A daemon that was just started does not know what others decided while it was away, and what
    /// they are about to store: it claims what is its own once more before it uses it. True if it did
    /// something.
    pub(super) async fn settle_lease(&mut self, effect: Effect) -> Result<bool, StoreError> {
        if self.settled || !effect.uses_storage() || self.standing() != Standing::Owner {
            return Ok(false);
        }
        let backend = &self.record.spec.backend;
        if backend.kind() == BackendKind::Local || backend.is_directory() {
            // Nobody else can have it attached.
            return Ok(false);
        }
        let Some(me) = self.shared.store.me().cloned() else { return Ok(false) };
        let attached = self.observed.as_ref().is_some_and(|seen| seen.device.is_some());
        let storage = if attached { Storage::Here } else { Storage::Elsewhere };
        let lease = self.record.lease.claimed_anew_by(me, storage);
        self.store_event(Event::Claimed { lease }).await?;
        self.settled = true;
        Ok(true)
    }

    fn lost(&self, before: &Lease) {
        let lease = &self.record.lease;
        let owner = lease.owner.as_ref().map_or("nobody", |owner| owner.node.as_str());
        tracing::warn!(
            volume = %self.record.name, before = %before.epoch, epoch = %lease.epoch, owner,
            "the volume is not this node's any more: what is here of it is shut down"
        );
    }

    /// True when nothing is left of a volume that others deleted: the task's end.
    pub(super) async fn is_over(&mut self) -> Option<Life> {
        let over = self.gone && self.observed.as_ref().is_some_and(Observed::is_released);
        if !over {
            return None;
        }
        if let Err(error) = self.shared.store.forget(self.record.id).await {
            tracing::debug!(volume = %self.record.name, %error, "forgotten at the next start");
        }
        self.shared.registry.forget(&self.record.name, self.record.id);
        self.waiters.answer_gone();
        Some(Life::Ends)
    }

    /// Another node asks for it.
    pub(super) async fn release_to(
        &mut self,
        epoch: Option<Epoch>,
        users: Users,
        asker: Option<NodeName>,
        reply: Reply<Released>,
    ) {
        let meant = epoch.is_none_or(|epoch| epoch == self.record.lease.epoch);
        let owned = self.standing() == Standing::Owner && meant;
        // Nobody could have it instead: it could not be said that it is free.
        if owned && self.shared.store.reach() == StoreReach::Away {
            let why = "the cluster's store does not answer it".to_owned();
            return tell(reply, Ok(Released::Busy(why)));
        }
        if owned && asker.is_some() && self.record.writer() == asker.as_ref() {
            return tell(reply, Ok(Released::Joined));
        }
        if let (true, Users::Stay, Some(nodes)) = (owned, users, self.reached_from())
            && !self.is_writer_gone()
        {
            return tell(reply, Ok(Released::Held(format!("tasks on {nodes}"))));
        }
        let answer = match self.standing() {
            // What another node's task wants is not kept for the linger.
            Standing::Other if self.is_writer() => self.users_here().await.map(Released::Held),
            Standing::Other => Some(Released::Released),
            Standing::Owner if !meant => Some(Released::Released),
            Standing::Fencing => Some(Released::Busy("it is just taking it over".into())),
            Standing::Alone => Some(Released::Busy("it is in no cluster".into())),
            Standing::Owner => self.users_here().await.map(Released::Held),
        };
        if let Some(answer) = answer {
            return tell(reply, Ok(answer));
        }
        self.linger_until = None;
        self.try_again_now();
        match asker {
            Some(node) if self.can_lend() => {
                tracing::info!(volume = %self.record.name, %node, "another node asks to reach it from there");
                self.askers.push((node, reply));
            }
            Some(_) | None => {
                tracing::info!(volume = %self.record.name, "another node asks for it: letting go");
                self.handover.push(reply);
            }
        }
    }

    /// The other nodes whose tasks reach it through this one, or through its owner.
    pub(super) fn reached_from(&self) -> Option<String> {
        let me = self.shared.store.me()?;
        let others = self.record.users.iter().filter(|node| **node != me.node);
        let nodes: Vec<_> = others.map(|node| format!("node {node}")).collect();
        (self.record.is_served() && !nodes.is_empty()).then(|| nodes.join(", "))
    }

    /// Who uses it here, if anybody does.
    async fn users_here(&self) -> Option<String> {
        if self.record.is_held() || self.waiters.want_mounted() {
            let who: Vec<_> = self.record.holders.iter().map(ToString::to_string).collect();
            return Some(who.join(", "));
        }
        let staged = self.observed.as_ref().is_none_or(|seen| seen.staged);
        if !staged {
            return None;
        }
        let (outside, holders) = self.outside().await;
        (outside == Outside::Held).then(|| super::requests::processes(&holders))
    }

    /// It is to come to this node.
    pub(super) fn take(&mut self, effort: Effort, reply: Reply<()>) {
        let reached = self.is_open_here() && self.standing() == Standing::Other;
        let held = if reached { self.refuse_holders("move") } else { Ok(()) };
        let fit = || self.refuse_unfit("move");
        if let Err(refused) = held.and_then(|()| self.refuse_lent("move")).and_then(|()| fit()) {
            return tell(reply, Err(refused));
        }
        self.effort = Some(effort);
        self.try_again_now();
        self.waiters.taken.push(reply);
    }

    /// How far it goes to get the volume.
    pub(super) fn preempt(&self) -> Preempt {
        match self.effort.filter(|_| !self.waiters.taken.is_empty()) {
            Some(Effort::Force) => Preempt::Force,
            // An operator decides: that is what `never` leaves to one.
            Some(Effort::Usual) => self.record.spec.preempt.max(Preempt::DeadOnly),
            None if self.is_wanted() => self.record.spec.preempt,
            // It is not worth what tasks lose whose node may still write.
            None => self.record.spec.preempt.min(Preempt::DeadOnly),
        }
    }

    /// Who has it now, or had it, is no node any more.
    pub(super) async fn node_gone(&mut self, node: NodeName) -> Result<(), EngineError> {
        let local = self.record.spec.backend.kind() == BackendKind::Local;
        if local && self.record.lease.is_of(&node) {
            let failed = not_stored("node rm", &self.record.name);
            self.shared.store.delete(&self.record).await.map_err(failed)?;
            self.record.untold = false;
            self.missing().await;
            return Ok(());
        }
        self.request("node rm", Event::NodeGone { node }).await
    }

    /// Tells the nodes that asked for it.
    pub(super) fn settle_handover(&mut self) {
        self.settle_askers();
        let answer = match self.standing() {
            Standing::Other if !self.is_writer() => Released::Released,
            Standing::Other | Standing::Alone | Standing::Owner | Standing::Fencing
                if self.is_wanted() =>
            {
                Released::Busy("it is just being mounted there".into())
            }
            Standing::Other | Standing::Alone | Standing::Owner | Standing::Fencing => return,
        };
        for reply in self.handover.drain(..) {
            tell(reply, Ok(answer.clone()));
        }
    }

    /// Its name was another volume's in the cluster, which was made in the same moment: who asked
    /// for this one gets that one.
    pub(super) async fn give_way(mut self, winner: crate::volume::VolumeId) {
        self.shared.registry.forget(&self.record.name, self.record.id);
        let other = match self.shared.registry.by_id(winner) {
            Some(other) => Some(other),
            None => match self.shared.store.read(winner).await {
                Ok(Some(record)) => Some(self.shared.start_task(record)),
                Ok(None) | Err(_) => None,
            },
        };
        let Some(other) = other else {
            let error = StoreError::Conflict(self.record.id);
            return self.refuse_all(&error);
        };
        self.shared.registry.name_if_free(&other.view().record);
        self.inbox.close();
        while let Ok(message) = self.inbox.try_recv() {
            other.tell(message);
        }
    }
}
