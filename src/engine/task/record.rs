//! The record of a volume's task: changed in memory only as far as it is stored.

use jiff::Timestamp;

use super::{Life, VolumeTask};
use crate::{
    cluster::{StoreError, Urgency},
    engine::error::StepError,
    volume::{
        Record,
        plan::Standing,
        transition::{self, Event},
    },
};

impl VolumeTask {
    /// Changes the record and stores it; in memory it changes only when that succeeded.
    pub(super) async fn store_event(&mut self, event: Event) -> Result<(), StoreError> {
        // What follows these frees something: on a full disk, too.
        let frees = matches!(event, Event::Thawed | Event::StorageGone);
        let urgency = if frees { Urgency::Release } else { Urgency::NewWork };
        let lease = self.record.lease.clone();
        loop {
            let next = match transition::apply(&self.record, event.clone(), Timestamp::now()) {
                Ok(next) => next,
                // The engine's own events are never refused: see transition::apply.
                Err(refusal) => {
                    tracing::error!(volume = %self.record.name, %refusal, "an engine event was refused");
                    return Ok(());
                }
            };
            match self.store(next, urgency).await {
                // Somebody changed a label, say. What was done under a lease that is over is void.
                Err(StoreError::Conflict(_))
                    if self.refresh().await && self.record.lease == lease => {}
                result => return result,
            }
        }
    }

    pub(super) async fn store(&mut self, next: Record, urgency: Urgency) -> Result<(), StoreError> {
        if next == self.record && self.unsaved.is_none() {
            return Ok(());
        }
        let before = self.unsaved.as_deref().unwrap_or(&self.record);
        let next = match self.shared.store.put(before, &next, urgency).await {
            Ok(stored) => stored,
            Err(error) => {
                // It may be stored all the same: what is true in memory is stored again.
                if self.unsaved.is_none() {
                    self.unsaved = Some(Box::new(self.record.clone()));
                }
                return Err(error);
            }
        };
        if next.phase != self.record.phase {
            tracing::info!(
                volume = %next.name, id = %next.id, from = ?self.record.phase, to = ?next.phase,
                "state changed"
            );
        }
        self.record = next;
        self.unsaved = None;
        // Before anybody is answered: who was told "removed" must not find it in the list.
        self.publish_view();
        Ok(())
    }

    /// Stores what replaces the record in this node's copy. What is another node's before and after, and
    /// of which nothing is here, can wait: what a crash loses of it, the store tells at the next start.
    pub(super) async fn keep_copy(&self, next: &Record) {
        let me = self.shared.store.me();
        let theirs =
            |record: &Record| Standing::of(me, record) == Standing::Other && !record.is_held();
        if theirs(&self.record) && theirs(next) {
            self.shared.store.mirror_soon(next);
        } else if let Err(error) = self.shared.store.mirror(next, Urgency::Release).await {
            tracing::warn!(volume = %next.name, %error, "this node's copy of the record is older");
        }
    }

    /// For changes that let go of something: they hold even if they cannot be stored now.
    pub(super) async fn store_or_remember(&mut self, event: Event) {
        let Ok(next) = transition::apply(&self.record, event, Timestamp::now()) else { return };
        if let Err(error) = self.store(next.clone(), Urgency::Release).await {
            tracing::error!(
                volume = %self.record.name,
                error = %error,
                "a change is kept in memory until it can be stored"
            );
            self.record = next;
            self.publish_view();
        }
    }

    pub(super) async fn forget(&mut self) -> Life {
        if let Err(error) = self.shared.store.delete(&self.record).await {
            self.failed(StepError::Step { step: "forget", source: error.into() });
            return Life::GoesOn;
        }
        tracing::info!(volume = %self.record.name, id = %self.record.id, "deleted");
        self.shared.registry.forget(&self.record.name, self.record.id);
        self.waiters.answer_gone();
        Life::Ends
    }
}
