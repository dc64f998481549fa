//! The steps of a volume's task: begun, ended well or badly, and tried again ever less often.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::VolumeTask;
use crate::{
    backend::{ErrorKind, VolumeRef},
    cluster::StoreError,
    engine::{
        error::StepError,
        host::Subject,
        ownership::{NotThere, Remotely},
    },
    volume::{
        Contents, Lease, Phase, Revision,
        effect::{self, Effect, Outcome},
        lease::Session,
        plan::{Standing, Want},
        transition::Event,
    },
};

/// The first wait before a failed step is tried again without being asked; it doubles.
pub(super) const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest such wait.
pub(super) const LONGEST_RETRY: Duration = Duration::from_secs(60);

pub(super) struct Running {
    pub(super) work: Work,
    pub(super) job: JoinHandle<Result<Outcome, StepError>>,
    /// Cancelled when nobody wants the step any more.
    pub(super) cancel: CancellationToken,
    /// The lease under which it was begun: under another one, its outcome is void.
    pub(super) lease: Lease,
    /// The state of the record that it was begun on.
    pub(super) revision: Revision,
}

/// What keeps a volume busy.
#[derive(Clone, Copy)]
pub(super) enum Work {
    /// A step of the plan.
    Step(Effect),
    /// Something that was asked for, and that answers by itself; its name.
    Aside(&'static str),
}

impl Work {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Step(effect) => effect.name(),
            Self::Aside(name) => name,
        }
    }
}

pub(super) struct Failure {
    pub(super) error: Arc<StepError>,
    /// When it is tried again, if it is still needed then.
    pub(super) retry_at: Instant,
    /// How long that wait was: the next is longer.
    pub(super) waited: Duration,
}

/// Whether a volume was still being created.
#[derive(PartialEq, Eq)]
pub(super) enum Creation {
    /// It was, and is none now.
    GivenUp,
    /// It exists.
    Done,
}

impl VolumeTask {
    /// A step towards nothing being in the kernel is under way.
    pub(super) fn is_letting_go(&self) -> bool {
        let work = self.running.as_ref().map(|running| running.work);
        matches!(work, Some(Work::Step(effect)) if effect.lets_go())
    }

    pub(super) fn start(&mut self, effect: Effect) {
        let subject = Subject {
            record: self.record.clone(),
            device: self.observed.as_ref().and_then(|seen| seen.device.clone()),
            mounts: self.mounts.take(),
            cancel: CancellationToken::new(),
            standing: self.standing(),
            reached: self.observed.as_ref().is_some_and(|seen| seen.remote.mounted),
            shut_out: self.is_shut_out(),
        };
        let (preempt, cut_off) = (self.preempt(), self.about_one_cut_off());
        let remotely = self.asks_remotely();
        let asks = effect == Effect::Own && remotely == Remotely::Welcome;
        self.claim_asked = asks || self.claim_asked && self.is_user();
        let cancel = subject.cancel.clone();
        let shared = Arc::clone(&self.shared);
        let span = tracing::info_span!("step", volume = %self.record.name, step = effect.name());
        let work = async move {
            let in_cluster = |source| StepError::Step { step: effect.name(), source };
            if effect == Effect::Own {
                let own = shared.own(&subject.record, preempt, cut_off, remotely, &subject.cancel);
                return own.await.map_err(in_cluster);
            }
            if effect == Effect::Recall {
                return shared.recall(&subject.record, &subject.cancel).await.map_err(in_cluster);
            }
            shared.confirm_lease(effect, &subject.record).await.map_err(in_cluster)?;
            if effect == Effect::Fence {
                return shared.fence(&subject.record).await.map_err(in_cluster);
            }
            if effect.shares() {
                return shared
                    .share(effect, &subject.record, &subject.cancel)
                    .await
                    .map_err(in_cluster);
            }
            if let (Effect::ShutDown, Ok(sharing)) = (effect, &shared.sharing) {
                sharing.close(subject.record.id).await;
            }
            let mut result = shared.host.execute(effect, &subject).await;
            while result.as_ref().is_err_and(|error| error.is(ErrorKind::NoSlot)) {
                let kind = subject.record.spec.backend.kind();
                if !shared.free_a_slot(kind, &subject.cancel).await {
                    break;
                }
                result = shared.host.execute(effect, &subject).await;
            }
            if effect == Effect::Attach && result.is_ok() {
                // An attachment can arrive late: when this node was fenced already, and the next owner
                // just let go. It is this node's only if the record still says so now.
                shared.confirm_lease(effect, &subject.record).await.map_err(in_cluster)?;
            }
            if let Ok(Outcome::Observed(seen)) = &mut result {
                shared.observe_sharing(&subject, seen).await.map_err(in_cluster)?;
            }
            result
        };
        let job = self.shared.steps.spawn(work.instrument(span));
        let (lease, revision) = (self.record.lease.clone(), self.record.revision);
        self.running = Some(Running { work: Work::Step(effect), job, cancel, lease, revision });
        self.publish_view();
    }

    /// Calls an attachment off that nobody wants any more.
    pub(super) fn call_off(&self) {
        let Some(Running { work: Work::Step(effect), cancel, lease, .. }) = &self.running else {
            return;
        };
        let want = self.want();
        // A removed volume is owned to be deleted, which nobody asks for any more.
        let orphaned = || self.owner_session() == Session::Over;
        let elsewhere = |lease: &Lease| *lease != self.record.lease || orphaned();
        // The tasks may be other nodes'.
        let serves =
            self.record.is_served() && !self.record.users.is_empty() && want != Want::Detached;
        let unwanted = *effect == Effect::Attach && want != Want::Mounted && !serves
            || *effect == Effect::Recall && want != Want::Mounted
            || *effect == Effect::Reach && (want != Want::Mounted || elsewhere(lease))
            || *effect == Effect::Own
                && !self.record.is_removed()
                && matches!(want, Want::Released | Want::Detached);
        if unwanted {
            cancel.cancel();
        }
    }

    /// The volume's server is gone: nothing that needs it is waited for.
    pub(super) fn unserved(&mut self) {
        match &self.running {
            None => {
                tracing::error!(volume = %self.record.name, "its NFS server is gone: starting it again");
                self.observed = None;
            }
            // The writer has to write back first.
            Some(Running { work: Work::Step(Effect::Recall), cancel, .. }) => cancel.cancel(),
            Some(_) => {}
        }
    }

    /// Brings what is written beside the storage up to date. True if that was begun.
    pub(super) fn describe(&mut self) -> bool {
        if !std::mem::take(&mut self.undescribed) || self.record.handle.is_none() {
            return false;
        }
        self.describes = true;
        let (shared, record) = (Arc::clone(&self.shared), self.record.clone());
        self.start_aside("describe", async move {
            let Some(backend) = shared.host.backend(record.spec.backend.kind()) else { return };
            if let Err(error) = backend.describe(&VolumeRef::from(&record)).await {
                tracing::warn!(
                    volume = %record.name, %error,
                    "the storage's own description is older than the record"
                );
            }
        });
        true
    }

    /// Keeps the volume busy with something that answers by itself. Requests are taken meanwhile,
    /// and no step is begun.
    pub(super) fn start_aside(
        &mut self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let job = async move {
            work.await;
            Ok(Outcome::Done)
        };
        let job = self.shared.steps.spawn(job);
        self.running = Some(Running {
            work: Work::Aside(name),
            job,
            cancel: CancellationToken::new(),
            lease: self.record.lease.clone(),
            revision: self.record.revision,
        });
        self.publish_view();
    }

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
        let error = match result {
            Ok(outcome) => match self.absorb(effect, outcome).await {
                Ok(()) => return,
                Err(StoreError::Conflict(_)) if self.is_news(revision) => {
                    self.observed = None;
                    return;
                }
                Err(error) => StepError::Step { step: "store", source: error.into() },
            },
            Err(error) => {
                // It may be attached all the same: before it is used, the lease is claimed anew.
                self.settled &= effect != Effect::Attach;
                // A grow that was done and could not be recorded is not taken back.
                if let Effect::GrowStorage { .. } = effect {
                    self.store_or_remember(Event::GrowFailed).await;
                    tracing::warn!(volume = %self.record.name, %error, "not grown");
                    // Who asked for it is told; the volume is what it was, and serves.
                    self.observed = None;
                    return self.grow_failed(&Arc::new(error));
                }
                error
            }
        };
        let by_the_way = self.observed.as_ref().is_some_and(|seen| seen.remote.mounted);
        // Whatever the step did or did not do is found out by looking.
        self.observed = None;
        if error.is(ErrorKind::Cancelled) {
            tracing::info!(volume = %self.record.name, step = effect.name(), "called off");
            return;
        }
        self.tried_in_vain(effect);
        if self.gives_up_the_way(effect, &error) {
            return;
        }
        let can_mount = self.record.phase == Phase::Ready
            && self.record.contents != Contents::Formatting
            && self.exclusive.is_empty();
        // It leads to the volume still, where it does not have to go.
        let way = effect == Effect::Unreach && self.standing() == Standing::Other && self.is_user();
        let mounted_is_wanted = self.want() == Want::Mounted;
        if effect.lets_go() && (way || !effect.shares()) && mounted_is_wanted && can_mount {
            // Somebody came meanwhile: what is still there is what they want.
            tracing::info!(volume = %self.record.name, %error, "kept, as it is wanted again");
            return;
        }
        match self.give_up_creation().await {
            Creation::GivenUp => self.creation_failed(error),
            // Whoever serves it goes on with that: another node's tasks have it, and keep it.
            Creation::Done if effect == Effect::Recall => {
                tracing::info!(volume = %self.record.name, %error, "not to be had here");
                self.fail_waiters(&Arc::new(error));
            }
            Creation::Done
                if effect == Effect::Export
                    && self.waiters.want_mounted()
                    && !by_the_way
                    && !self.record.has_one_writer() =>
            {
                // For others. Whoever waits here came while it was tried, and is next.
                self.failed_quietly(error);
                self.try_again_now();
            }
            Creation::Done => self.failed(error),
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

    /// A volume that could not be created never existed: its name is free, and what was made of it
    /// is deleted.
    pub(super) async fn give_up_creation(&mut self) -> Creation {
        // Another node may be making it just now.
        let ours = matches!(self.standing(), Standing::Alone | Standing::Owner);
        if self.record.phase != Phase::Creating || !ours {
            return Creation::Done;
        }
        self.store_or_remember(Event::CreationFailed).await;
        self.shared.registry.release(&self.record.name, self.record.id);
        Creation::GivenUp
    }

    /// Tells those who wait; nothing is tried again, and what there is of it is deleted at once.
    pub(super) fn creation_failed(&mut self, error: StepError) {
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

/// The result of the running step; waits for ever when none runs.
pub(super) async fn finished(running: &mut Option<Running>) -> Result<Outcome, StepError> {
    match running {
        None => std::future::pending().await,
        Some(Running { work, job, .. }) => job.await.unwrap_or_else(|panic| {
            Err(StepError::Step { step: work.name(), source: panic.into() })
        }),
    }
}
