//! What a volume's task tells the cluster's store because the store does not have it: a record from before
//! this node joined, or one that the store lost when it was restored from a backup.
//!
//! The invariant: what could not be told is told later. Until the store has had it, its not having it does
//! not mean that the volume was deleted.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    VolumeTask,
    finish::{FIRST_RETRY, LONGEST_RETRY},
};
use crate::{
    cluster::{Past, StoreError, Urgency},
    spec::BackendKind,
    volume::{
        Observed, Phase, Purge, Record, Revision,
        plan::Standing,
        restored::{self, Remedy},
    },
};

/// The store is to be told, once more.
pub(super) struct Telling {
    /// When.
    pub(super) at: Instant,
    /// How long that wait was: the next is longer.
    waited: Duration,
}

impl VolumeTask {
    /// The store was found again, and does not have it. What was restored may have lost it: that is known
    /// only now, so it is noted until the store has it again, over restarts, too.
    pub(super) async fn missed(&mut self, past: Past) {
        if past == Past::Lost && !self.gone && !self.record.lease.is_unused() {
            self.record.untold = true;
            self.keep_copy(&self.record).await;
        }
        self.refresh().await;
    }

    /// Takes over what the store has now. False where that is what was known.
    pub(super) async fn refresh(&mut self) -> bool {
        let before = self.record.revision;
        match self.shared.store.read(self.record.id).await {
            Ok(Some(stored)) => self.found(stored).await,
            Ok(None) => self.missing().await,
            Err(error) => {
                tracing::debug!(volume = %self.record.name, %error, "the record cannot be read");
                if self.record.untold || self.telling.is_some() {
                    self.tell_later();
                }
            }
        }
        self.record.revision != before
    }

    /// The store has it.
    async fn found(&mut self, stored: Record) {
        let newer = stored.revision > self.record.revision;
        // What was this node's alone has other numbers.
        let own = self.record.lease.is_unused() || self.record.untold;
        let asked = own || self.telling.is_some();
        if newer || asked || restored::may_be_behind(&self.record, &stored) {
            self.compare(stored).await;
        }
        if std::mem::take(&mut self.record.untold) {
            self.keep_copy(&self.record).await;
        }
    }

    /// The store is asked again after a while, until it has what this node knows.
    fn tell_later(&mut self) {
        let first = || Telling { at: Instant::now() + FIRST_RETRY, waited: FIRST_RETRY };
        self.telling.get_or_insert_with(first);
    }

    /// Asks it, if the time has come.
    pub(super) async fn tell_if_due(&mut self) {
        let now = Instant::now();
        let Some(due) = self.telling.as_mut().filter(|telling| telling.at <= now) else { return };
        due.waited = (due.waited * 2).min(LONGEST_RETRY);
        due.at = now + due.waited;
        self.refresh().await;
    }

    /// Read just now: also an older state is the store's, if that was restored.
    async fn compare(&mut self, stored: Record) {
        if self.gone {
            return;
        }
        let owner = self.shared.session_of(&self.record);
        match restored::remedy(&self.record, &stored, self.standing(), owner) {
            Remedy::Believe => {
                self.telling = None;
                self.take_over(stored).await;
            }
            Remedy::Mend => {
                // Its lease holds at once, whether or not the store can be told.
                self.take_over(stored.clone()).await;
                self.tell_again(&stored).await;
            }
            Remedy::Tell => self.tell_again(&stored).await,
            Remedy::LeaveToOwner => {
                self.telling = None;
                tracing::warn!(
                    volume = %self.record.name, stored = %stored.revision.get(),
                    here = %self.record.revision.get(),
                    "the cluster's store has an older record: it is left to the volume's owner to tell it"
                );
            }
        }
    }

    /// The store does not have it.
    pub(super) async fn missing(&mut self) {
        // A store that was wiped, or restored, has less than its nodes. What is in use here was not
        // deleted: it would have been released first.
        let own = self.record.lease.is_unused() || self.record.untold;
        let lost = self.shared.store.is_joining() && !self.seen_in_store || self.is_in_use();
        // What was removed under a lease may have been deleted: an old copy of it is nothing.
        if (own || lost && !self.record.is_removed()) && !self.gone {
            return self.bring_in().await;
        }
        if self.gone {
            return;
        }
        tracing::info!(volume = %self.record.name, id = %self.record.id, "deleted by another node");
        self.gone = true;
        self.telling = None;
        // Nothing of it was here: nothing is to be looked at, and it ends now.
        let nothing = self.standing() == Standing::Other && !self.look && self.running.is_none()
            || self.record.is_group();
        self.look = true;
        let before = self.record.clone();
        self.record.phase = Phase::Removed { at: Timestamp::now(), purge: Purge::Never };
        self.record.lease = self.record.lease.released();
        self.record.users.clear();
        self.shared.registry.renamed(&before, &self.record);
        self.observed = nothing.then(Observed::default);
        self.waiters.answer_gone();
        self.tell_of_removal();
    }

    /// Something of it is here that nobody else could have let go of.
    fn is_in_use(&self) -> bool {
        let there = self.observed.as_ref().is_some_and(|seen| !seen.is_released());
        let local = self.record.spec.backend.kind() == BackendKind::Local;
        let owned = self.standing() == Standing::Owner;
        // What is on another node's disk is there with that node alone, which will say so.
        owned && (there || local || self.record.is_held())
            || !local && self.is_user() && self.record.is_held()
    }

    /// The store was restored, and knows less than this node.
    async fn tell_again(&mut self, stored: &Record) {
        tracing::error!(
            volume = %self.record.name, stored = %stored.lease.epoch, here = %self.record.lease.epoch,
            "the cluster's store knows less of the volume than this node (was it restored?): it is told again"
        );
        let known = restored::told_again(&self.record, stored);
        match self.shared.store.put(stored, &known, Urgency::Release).await {
            Ok(record) => {
                if record.lease != self.record.lease {
                    self.settled = false;
                }
                let before = std::mem::replace(&mut self.record, record);
                self.unsaved = None;
                self.telling = None;
                self.shared.registry.renamed(&before, &self.record);
            }
            Err(error) => {
                tracing::warn!(volume = %self.record.name, %error, "it could not be told: tried again");
                self.tell_later();
            }
        }
    }

    /// A volume from before this node was in a cluster becomes one of the cluster's, and this node
    /// its owner.
    async fn bring_in(&mut self) {
        let Some(me) = self.shared.store.me() else { return };
        // From now on the store's not having it is no news.
        let was_told = !self.record.untold && !self.record.lease.is_unused();
        self.record.untold |= was_told;
        let mut record = self.record.clone();
        record.revision = Revision::default();
        record.untold = false;
        // Of a cluster whose store was lost, owners and epochs are known from before.
        if record.lease.is_unused() {
            record.lease = self.shared.store.first_lease();
        }
        if record.is_group() {
            record.lease = record.lease.released();
        } else if record.spec.backend.is_directory() {
            record.users.insert(me.node.clone());
        }
        if let Some(claim) = record.member.as_mut().and_then(|member| member.claim.as_mut()) {
            claim.node.get_or_insert_with(|| me.node.clone());
        }
        match self.shared.store.introduce(&record).await {
            Ok(stored) => {
                tracing::info!(volume = %stored.name, id = %stored.id, "brought into the cluster");
                self.record = stored;
                self.telling = None;
                self.seen_in_store = true;
                self.look = true;
                self.shared.registry.name_if_free(&self.record);
            }
            // Another node was faster.
            Err(StoreError::Conflict(_)) => match self.shared.store.read(self.record.id).await {
                Ok(Some(stored)) => self.found(stored).await,
                Ok(None) | Err(_) => self.tell_later(),
            },
            Err(error) => {
                tracing::error!(
                    volume = %self.record.name, id = %self.record.id, %error,
                    "it cannot be brought into the cluster, and is known to this node alone: tried \
                     again (where its name is taken: `hawser volume rename` it on this node)"
                );
                if was_told {
                    self.keep_copy(&self.record).await;
                }
                self.tell_later();
            }
        }
    }
}
