//! The end of a step: what it did is stored and believed; what it did not do is judged (`verdict`), told, and
//! tried again ever less often.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    VolumeTask,
    steps::{Running, Work},
    verdict::{self, Known, OwnWay, Trouble, Verdict, Waiting},
};
use crate::{
    backend::ErrorKind,
    cluster::StoreError,
    engine::{error::StepError, ownership::NotThere},
    volume::{
        Revision,
        effect::{self, Effect, Outcome},
        transition::Event,
    },
};

/// The first wait before a failed step is tried again without being asked; it doubles.
pub(super) const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest such wait.
pub(super) const LONGEST_RETRY: Duration = Duration::from_secs(60);

pub(super) struct Failure {
    pub(super) error: Arc<StepError>,
    /// When it is tried again, if it is still needed then.
    pub(super) retry_at: Instant,
    /// How long that wait was: the next is longer.
    pub(super) waited: Duration,
}

impl VolumeTask {
    pub(super) async fn finish(&mut self, result: Result<Outcome, StepError>) {
        let Some(Running { work, lease, revision: begun_on, .. }) = self.running.take() else {
            return;
        };
        let Work::Step(effect) = work else { return };
        if lease != self.record.lease {
            self.observed = None;
            self.look = true;
            tracing::info!(volume = %self.record.name, step = effect.name(), "void: the lease is another");
            return;
        }
        if let Ok(Outcome::Outdated) = result {
            self.refresh().await;
            // Or its change came while the step ran.
            if self.record.revision == begun_on && !self.gone {
                self.observed = None;
                self.failed(StepError::Step { step: effect.name(), source: NotThere.into() });
            }
            return;
        }
        let revision = self.record.revision;
        let (trouble, error) = match result {
            Ok(outcome) => match self.absorb(effect, outcome).await {
                Ok(()) => return,
                Err(error) => {
                    let overtaken =
                        matches!(error, StoreError::Conflict(_)) && self.is_news(revision);
                    let trouble = if overtaken { Trouble::Overtaken } else { Trouble::NotStored };
                    (trouble, StepError::Step { step: "store", source: error.into() })
                }
            },
            Err(error) => {
                // It may be attached all the same: before it is used, the lease is claimed anew.
                self.settled &= effect != Effect::Attach;
                let called_off = error.is(ErrorKind::Cancelled);
                (if called_off { Trouble::CalledOff } else { Trouble::Failed }, error)
            }
        };
        let verdict = verdict::on(effect, trouble, &self.known());
        // Whatever the step did or did not do is found out by looking.
        self.observed = None;
        self.carry_out(verdict, effect, error).await;
    }

    /// What a verdict on a failed step goes by.
    fn known(&self) -> Known<'_> {
        let waits = self.waiters.want_mounted();
        Known {
            record: &self.record,
            standing: self.standing(),
            want: self.want(),
            planned: self.next_step(self.observed.as_ref()),
            waiting: if waits { Waiting::Somebody } else { Waiting::Nobody },
            way: OwnWay {
                mounted: self.observed.as_ref().is_some_and(|seen| seen.remote.mounted),
                shown: self.shared.host.is_reached(&self.record),
                user: self.is_user(),
            },
        }
    }

    async fn carry_out(&mut self, verdict: Verdict, effect: Effect, error: StepError) {
        let counts = !matches!(verdict, Verdict::DecideAnew | Verdict::CalledOff);
        if counts {
            self.tried_in_vain(effect);
            self.stays_unwritten(effect, error.is_unwritten());
        }
        match verdict {
            Verdict::DecideAnew => {}
            Verdict::CalledOff => {
                tracing::info!(volume = %self.record.name, step = effect.name(), "called off");
            }
            Verdict::NotGrown => {
                self.store_or_remember(Event::GrowFailed).await;
                tracing::warn!(volume = %self.record.name, %error, "not grown");
                self.grow_failed(&Arc::new(error));
            }
            Verdict::ComesHere => self.comes_here_instead(&error),
            Verdict::Kept => {
                tracing::info!(volume = %self.record.name, %error, "kept, as it is wanted again");
            }
            Verdict::NotCreated => self.creation_failed(error).await,
            Verdict::NotToBeHad => {
                tracing::info!(volume = %self.record.name, %error, "not to be had here");
                self.fail_waiters(&Arc::new(error));
            }
            Verdict::AfterOwnTasks => {
                self.failed_quietly(error);
                self.try_again_now();
            }
            Verdict::TryAgain => self.failed(error),
        }
    }

    /// Another node was faster: what is to be done now is decided anew.
    pub(super) fn is_news(&self, before: Revision) -> bool {
        let news = self.gone || self.record.revision != before;
        if news {
            tracing::debug!(volume = %self.record.name, "the record was changed meanwhile: once more");
        }
        news
    }

    /// A step was not begun, since what is to be known of it could not be stored.
    pub(super) async fn intent_not_stored(&mut self, error: StoreError) {
        let error = StepError::Step { step: "store", source: error.into() };
        if verdict::is_uncreated(&self.record, self.standing()) {
            self.creation_failed(error).await;
        } else {
            self.failed(error);
        }
    }

    /// Its name is free, and those who wait are told. Nothing is tried again, and what there is of it is deleted
    /// at once.
    async fn creation_failed(&mut self, error: StepError) {
        self.store_or_remember(Event::CreationFailed).await;
        self.shared.registry.release(&self.record.name, self.record.id);
        tracing::warn!(volume = %self.record.name, %error, "not created");
        self.fail_waiters(&Arc::new(error));
    }

    pub(super) async fn absorb(
        &mut self,
        effect: Effect,
        outcome: Outcome,
    ) -> Result<(), StoreError> {
        tracing::debug!(volume = %self.record.name, step = effect.name(), "done");
        if outcome == Outcome::OwnerAnswers {
            self.go_through_one_cut_off();
            return Ok(());
        }
        let seen = self.observed.take().unwrap_or_default();
        let (seen, event) = effect::absorb(seen, effect, outcome);
        if let Some(event) = event {
            self.store_event(event).await?;
        }
        self.say_way(effect, &seen);
        self.settled |= effect == Effect::Own;
        self.tried(effect);
        self.came_or_left(effect);
        // What other owners did meanwhile is found out by looking.
        self.observed = (effect != Effect::Own).then_some(seen);
        if effect == Effect::Stage || effect == Effect::Unstage {
            self.health = Ok(());
        }
        Ok(())
    }

    /// A step failed: tell those who wait, and try again later if it is still needed.
    pub(super) fn failed(&mut self, error: StepError) {
        let error = self.failed_quietly(error);
        self.fail_waiters(&error);
    }

    /// The same, and nobody here waited for it.
    fn failed_quietly(&mut self, error: StepError) -> Arc<StepError> {
        tracing::warn!(volume = %self.record.name, error = %error, "a step failed");
        let error = Arc::new(error);
        let last = self.failure.take();
        let waited = last.map_or(FIRST_RETRY, |last| (last.waited * 2).min(LONGEST_RETRY));
        let retry_at = Instant::now() + waited;
        self.failure = Some(Failure { error: Arc::clone(&error), retry_at, waited });
        self.publish_view();
        error
    }

    pub(super) fn is_backing_off(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.retry_at > Instant::now())
    }

    /// Somebody asks: a failed step is tried again at once.
    pub(super) fn try_again_now(&mut self) {
        if let Some(failure) = &mut self.failure {
            failure.retry_at = Instant::now();
        }
    }
}
