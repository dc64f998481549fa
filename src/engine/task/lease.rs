//! A volume's task as one of many in a cluster: the record that others change, too, the lease that
//! others ask for, and the owner that it is or is not.

use std::sync::Arc;

use super::{
    Life, VolumeTask,
    waiters::{not_stored, tell},
};
use crate::{
    cluster::{StoreError, Urgency},
    engine::{
        error::{EngineError, StepError},
        message::Reply,
        neighbours::{Effort, Released},
    },
    spec::BackendKind,
    volume::{
        Epoch, Lease, NodeName, Observed, Phase, Purge, Record,
        lease::{Preempt, Session},
        plan::Standing,
        transition::{Event, Outside},
    },
};

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
            && !self.is_user();
        if !asleep {
            return false;
        }
        match self.record.phase {
            Phase::Removed { purge: Purge::At(at), .. } => {
                let turn = at.checked_add(self.shared.turn).unwrap_or(at);
                self.wait_until = Some(turn);
                turn > jiff::Timestamp::now()
            }
            Phase::Removed { purge: Purge::Never, .. } | Phase::Creating | Phase::Ready => true,
        }
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
        let orphaned = match &self.record.lease.owner {
            Some(owner) => self.shared.store.session(&owner.node) == Session::Over,
            None => true,
        };
        let asked = !self.waiters.created.is_empty() && self.record.phase == Phase::Creating
            || !self.waiters.grown.is_empty();
        self.standing() == Standing::Other && orphaned && asked
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
        if stored.revision <= self.record.revision || self.gone {
            return;
        }
        let was = self.standing();
        let mut next = self.record.with_shared(stored);
        let lost = was != Standing::Other
            && Standing::of(self.shared.store.me(), &next) == Standing::Other;
        if lost && !next.spec.backend.is_directory() {
            // Their file system is shut down: they hold nothing of the volume any more, and would
            // keep it from every node if it came back here.
            next.holders.clear();
            self.linger_until = None;
        }
        if let Err(error) = self.shared.store.mirror(&next, Urgency::Release).await {
            tracing::warn!(volume = %next.name, %error, "this node's copy of the record is older");
        }
        let before = std::mem::replace(&mut self.record, next);
        self.unsaved = None;
        self.shared.registry.renamed(&before, &self.record);
        if lost {
            self.lost(&before.lease);
        }
        let same = before.lease == self.record.lease
            && before.phase == self.record.phase
            && before.contents == self.record.contents
            && before.handle == self.record.handle;
        if !same && self.running.is_none() {
            let known = self.observed.take();
            self.look |= was != Standing::Other || known.is_some_and(|seen| !seen.is_released());
        }
        self.try_again_now();
    }

    fn lost(&self, before: &Lease) {
        let lease = &self.record.lease;
        let owner = lease.owner.as_ref().map_or("nobody", |owner| owner.node.as_str());
        tracing::warn!(
            volume = %self.record.name, before = %before.epoch, epoch = %lease.epoch, owner,
            "the volume is not this node's any more: what is here of it is shut down"
        );
    }

    /// Takes over what the store has now. False where that is what was known.
    pub(super) async fn refresh(&mut self) -> bool {
        let before = self.record.revision;
        match self.shared.store.read(self.record.id).await {
            Ok(Some(stored)) => self.adopt(stored).await,
            Ok(None) => self.missing().await,
            Err(error) => {
                tracing::debug!(volume = %self.record.name, %error, "the record cannot be read");
            }
        }
        self.record.revision != before
    }

    /// The store does not have it.
    async fn missing(&mut self) {
        if self.record.lease.is_unused() {
            return self.bring_in().await;
        }
        if self.gone {
            return;
        }
        tracing::info!(volume = %self.record.name, id = %self.record.id, "deleted by another node");
        self.gone = true;
        // Nothing of it was here: nothing is to be looked at, and it ends now.
        let nothing = self.standing() == Standing::Other && !self.look && self.running.is_none();
        self.look = true;
        let before = self.record.clone();
        self.record.phase = Phase::Removed { at: jiff::Timestamp::now(), purge: Purge::Never };
        self.record.lease = self.record.lease.released();
        self.record.users.clear();
        self.shared.registry.renamed(&before, &self.record);
        self.observed = nothing.then(Observed::default);
        self.waiters.answer_gone();
        self.answer_removals();
        self.fail_waiters(&Arc::new(StepError::Removed));
    }

    /// A volume from before this node was in a cluster becomes one of the cluster's, and this node
    /// its owner.
    async fn bring_in(&mut self) {
        let Some(me) = self.shared.store.me() else { return };
        let mut record = Record { lease: Lease::first(me.clone()), ..self.record.clone() };
        if record.spec.backend.is_directory() {
            record.users.insert(me.node.clone());
        }
        match self.shared.store.create(&record, Urgency::Release).await {
            Ok(stored) => {
                tracing::info!(volume = %stored.name, id = %stored.id, "brought into the cluster");
                self.record = stored;
                self.look = true;
                self.shared.registry.renamed(&self.record, &self.record);
            }
            Err(error) => tracing::error!(
                volume = %self.record.name, id = %self.record.id, %error,
                "it cannot be brought into the cluster, and is known to this node alone (where its \
                 name is taken: rename it with hawser alone on this node, without cluster.zookeeper)"
            ),
        }
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
    pub(super) async fn release_to(&mut self, epoch: Epoch, reply: Reply<Released>) {
        let answer = match self.standing() {
            Standing::Other => Some(Released::Released),
            Standing::Owner if self.record.lease.epoch != epoch => Some(Released::Released),
            Standing::Fencing => Some(Released::Busy("it is just taking it over".into())),
            Standing::Alone => Some(Released::Busy("it is in no cluster".into())),
            Standing::Owner => self.users_here().await.map(Released::Held),
        };
        if let Some(answer) = answer {
            return tell(reply, Ok(answer));
        }
        tracing::info!(volume = %self.record.name, "another node asks for it: letting go");
        self.linger_until = None;
        self.try_again_now();
        self.handover.push(reply);
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
            None => self.record.spec.preempt,
        }
    }

    /// Who has it now, or had it, is no node any more.
    pub(super) async fn node_gone(&mut self, node: NodeName) -> Result<(), EngineError> {
        let local = self.record.spec.backend.kind() == BackendKind::Local;
        if local && self.record.lease.is_of(&node) {
            let failed = not_stored("node rm", &self.record.name);
            self.shared.store.delete(&self.record).await.map_err(failed)?;
            self.missing().await;
            return Ok(());
        }
        self.request("node rm", Event::NodeGone { node }).await
    }

    /// Tells the nodes that asked for it.
    pub(super) fn settle_handover(&mut self) {
        let answer = match self.standing() {
            Standing::Other => Released::Released,
            Standing::Alone | Standing::Owner | Standing::Fencing if self.is_wanted() => {
                Released::Busy("it is just being mounted there".into())
            }
            Standing::Alone | Standing::Owner | Standing::Fencing => return,
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
        self.shared.registry.renamed(&self.record, &other.view().record);
        self.inbox.close();
        while let Ok(message) = self.inbox.try_recv() {
            other.tell(message);
        }
    }
}
