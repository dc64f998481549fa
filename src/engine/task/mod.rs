//! One volume's task: the only one that changes its record or touches its storage.
//!
//! ```text
//!        requests ──▶ record changed, stored ──┐
//!                                              ▼
//!   step finished ──▶ observation changed ──▶ plan::next ──▶ store / start a step / idle
//!                                              │
//!                                              └──▶ answer those whose goal is reached
//! ```
//!
//! While a step runs (mkfs, a stuck unmount), requests are still taken: an Unmount is answered at
//! once, and a hundred parallel Mounts wait for one result.

mod exclusive;
mod requests;
mod waiters;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};
use tracing::Instrument;

use super::{
    Shared,
    error::StepError,
    host::Subject,
    message::{Exclusive, Message},
    registry::Handle,
    view::View,
};
use crate::{
    cluster::{StoreError, Urgency},
    sys::mountinfo::MountTable,
    volume::{
        Contents, Observed, Phase, Record,
        effect::{self, Effect, Outcome},
        plan::{self, Step, Want},
        transition::{self, Event},
    },
};
pub(super) use exclusive::CHECK_DEADLINE;
use waiters::Waiters;

/// The first wait before a failed step is tried again without being asked; it doubles.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest such wait.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// A volume's task.
pub(super) struct VolumeTask {
    shared: Arc<Shared>,
    handle: Handle,
    inbox: mpsc::UnboundedReceiver<Message>,
    record: Record,
    observed: Option<Observed>,
    /// The step that runs now.
    running: Option<Running>,
    waiters: Waiters,
    /// What needs the volume unmounted, in the order of asking.
    exclusive: VecDeque<Exclusive>,
    /// Until then it stays mounted though nobody holds it.
    linger_until: Option<Instant>,
    failure: Option<Failure>,
    /// What the last look at the mounted file system found.
    health: Result<(), String>,
    /// The record could not be stored when something was released: it is tried again.
    unsaved: bool,
    /// A removed volume's next date.
    wait_until: Option<Timestamp>,
    /// The mounts as recovery read them, for the first observation.
    mounts: Option<Arc<MountTable>>,
}

struct Running {
    work: Work,
    job: JoinHandle<Result<Outcome, StepError>>,
}

/// What keeps a volume busy.
#[derive(Clone, Copy)]
enum Work {
    /// A step of the plan.
    Step(Effect),
    /// Something that was asked for, and that answers by itself; its name.
    Aside(&'static str),
}

impl Work {
    const fn name(self) -> &'static str {
        match self {
            Self::Step(effect) => effect.name(),
            Self::Aside(name) => name,
        }
    }
}

struct Failure {
    error: Arc<StepError>,
    /// When it is tried again, if it is still needed then.
    retry_at: Instant,
    /// How long that wait was: the next is longer.
    waited: Duration,
}

/// Whether a task lives on.
#[derive(PartialEq)]
enum Life {
    GoesOn,
    Ends,
}

impl VolumeTask {
    pub(super) fn new(
        shared: Arc<Shared>,
        handle: Handle,
        inbox: mpsc::UnboundedReceiver<Message>,
        record: Record,
        mounts: Option<Arc<MountTable>>,
    ) -> Self {
        Self {
            shared,
            handle,
            inbox,
            record,
            observed: None,
            running: None,
            waiters: Waiters::default(),
            exclusive: VecDeque::new(),
            linger_until: None,
            failure: None,
            health: Ok(()),
            unsaved: false,
            wait_until: None,
            mounts,
        }
    }

    /// Stores the record of a new volume, then runs. Done here, and not by the caller, because a
    /// caller can hang up between any two awaits.
    pub(super) async fn run_new(mut self) {
        if let Err(error) = self.shared.store.put(&self.record, Urgency::NewWork).await {
            // It may be on the disk all the same, and would be a volume after the next start.
            let _ = self.shared.store.delete(self.record.id).await;
            self.shared.registry.forget(&self.record.name, self.record.id);
            return self.refuse_all(&error);
        }
        tracing::info!(volume = %self.record.name, id = %self.record.id, "state changed: new");
        self.run().await;
    }

    /// Runs until the volume is forgotten or the daemon ends. Nothing is done before the first
    /// message: recovery wakes those volumes that need it.
    pub(super) async fn run(mut self) {
        loop {
            let alarm = self.next_alarm();
            tokio::select! {
                result = finished(&mut self.running) => self.finish(result).await,
                message = self.inbox.recv() => match message {
                    Some(message) => self.handle_message(message).await,
                    None => return,
                },
                () = sleep_until(alarm), if alarm.is_some() => self.alarm_rang().await,
            }
            if self.advance().await == Life::Ends {
                return;
            }
            self.publish_view();
        }
    }

    /// Goes as far as it can without waiting for a step.
    async fn advance(&mut self) -> Life {
        loop {
            self.settle();
            if self.running.is_some() || self.is_backing_off() || self.shared.steps.is_closed() {
                return Life::GoesOn;
            }
            if self.next_exclusive().await || self.next_trim() {
                continue;
            }
            self.wait_until = None;
            let now = Timestamp::now();
            let ext4 = self.shared.ext4_online_grow;
            match plan::next(&self.record, self.observed.as_ref(), self.want(), ext4, now) {
                Step::Record(event) => {
                    if let Err(error) = self.store_event(event).await {
                        self.give_up_creation().await;
                        self.failed(StepError::Step { step: "store", source: error.into() });
                    }
                }
                Step::Do(effect) => self.start(effect),
                Step::Stuck(problem) => {
                    self.observed = None;
                    self.failed(StepError::Stuck(problem));
                }
                Step::Wait(until) => {
                    self.failure = None;
                    self.wait_until = Some(until);
                    return Life::GoesOn;
                }
                Step::Idle => {
                    self.failure = None;
                    self.settle();
                    return Life::GoesOn;
                }
                Step::Forget => return self.forget().await,
            }
        }
    }

    /// A step towards nothing being in the kernel is under way.
    fn is_letting_go(&self) -> bool {
        let work = self.running.as_ref().map(|running| running.work);
        matches!(work, Some(Work::Step(effect)) if effect.lets_go())
    }

    /// Somebody holds it, asks for it, or held it a moment ago.
    fn is_wanted(&self) -> bool {
        let lingers = self.linger_until.is_some_and(|until| until > Instant::now());
        self.record.is_held() || self.waiters.want_mounted() || lingers
    }

    fn want(&self) -> Want {
        if self.exclusive.is_empty() && self.is_wanted() { Want::Mounted } else { Want::Released }
    }

    fn start(&mut self, effect: Effect) {
        let subject = Subject {
            record: self.record.clone(),
            device: self.observed.as_ref().and_then(|seen| seen.device.clone()),
            mounts: self.mounts.take(),
        };
        let shared = Arc::clone(&self.shared);
        let span = tracing::info_span!("step", volume = %self.record.name, step = effect.name());
        let work = async move { shared.host.execute(effect, &subject).await };
        let job = self.shared.steps.spawn(work.instrument(span));
        self.running = Some(Running { work: Work::Step(effect), job });
        self.publish_view();
    }

    /// Keeps the volume busy with something that answers by itself. Requests are taken meanwhile,
    /// and no step is begun.
    fn start_aside(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let job = async move {
            work.await;
            Ok(Outcome::Done)
        };
        let job = self.shared.steps.spawn(job);
        self.running = Some(Running { work: Work::Aside(name), job });
        self.publish_view();
    }

    async fn finish(&mut self, result: Result<Outcome, StepError>) {
        let effect = match self.running.take().map(|running| running.work) {
            Some(Work::Step(effect)) => effect,
            Some(Work::Aside(_)) => return,
            None => return,
        };
        let error = match result {
            Ok(outcome) => match self.absorb(effect, outcome).await {
                Ok(()) => return,
                Err(error) => StepError::Step { step: "store", source: error.into() },
            },
            Err(error) => {
                // A grow that was done and could not be recorded is not taken back.
                if let Effect::GrowStorage { .. } = effect {
                    self.store_or_remember(Event::GrowFailed).await;
                }
                error
            }
        };
        // Whatever the step did or did not do is found out by looking.
        self.observed = None;
        let can_mount = self.record.phase == Phase::Ready
            && self.record.contents != Contents::Formatting
            && self.exclusive.is_empty();
        if effect.lets_go() && self.is_wanted() && can_mount {
            // Somebody came meanwhile: what is still there is what they want.
            tracing::info!(volume = %self.record.name, %error, "kept, as it is wanted again");
            return;
        }
        self.give_up_creation().await;
        self.failed(error);
    }

    /// A volume that could not be created never existed: its name is free, and what was made of it
    /// is deleted.
    async fn give_up_creation(&mut self) {
        if self.record.phase == Phase::Creating {
            self.store_or_remember(Event::CreationFailed).await;
            self.shared.registry.release(&self.record.name, self.record.id);
        }
    }

    async fn absorb(&mut self, effect: Effect, outcome: Outcome) -> Result<(), StoreError> {
        tracing::debug!(volume = %self.record.name, step = effect.name(), "done");
        let seen = self.observed.take().unwrap_or_default();
        let (seen, event) = effect::absorb(seen, effect, outcome);
        if let Some(event) = event {
            self.store_event(event).await?;
        }
        self.observed = Some(seen);
        if effect == Effect::Stage || effect == Effect::Unstage {
            self.health = Ok(());
        }
        Ok(())
    }

    /// A step failed: tell those who wait, and try again later if it is still needed.
    fn failed(&mut self, error: StepError) {
        tracing::warn!(volume = %self.record.name, error = %error, "a step failed");
        let error = Arc::new(error);
        let last = self.failure.take();
        let waited = last.map_or(FIRST_RETRY, |last| (last.waited * 2).min(LONGEST_RETRY));
        let retry_at = Instant::now() + waited;
        self.failure = Some(Failure { error: Arc::clone(&error), retry_at, waited });
        self.publish_view();
        self.fail_waiters(&error);
    }

    fn is_backing_off(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.retry_at > Instant::now())
    }

    /// Somebody asks: a failed step is tried again at once.
    fn try_again_now(&mut self) {
        if let Some(failure) = &mut self.failure {
            failure.retry_at = Instant::now();
        }
    }

    /// Changes the record and stores it; in memory it changes only when that succeeded.
    async fn store_event(&mut self, event: Event) -> Result<(), StoreError> {
        match transition::apply(&self.record, event, Timestamp::now()) {
            Ok(next) => self.store(next, Urgency::NewWork).await,
            // The engine's own events are never refused: see transition::apply.
            Err(refusal) => {
                tracing::error!(volume = %self.record.name, %refusal, "an engine event was refused");
                Ok(())
            }
        }
    }

    async fn store(&mut self, next: Record, urgency: Urgency) -> Result<(), StoreError> {
        if next == self.record && !self.unsaved {
            return Ok(());
        }
        if let Err(error) = self.shared.store.put(&next, urgency).await {
            // It may be on the disk all the same: what is true in memory is stored again.
            self.unsaved = true;
            return Err(error);
        }
        if next.phase != self.record.phase {
            tracing::info!(
                volume = %next.name, id = %next.id, from = ?self.record.phase, to = ?next.phase,
                "state changed"
            );
        }
        self.record = next;
        self.unsaved = false;
        // Before anybody is answered: who was told "removed" must not find it in the list.
        self.publish_view();
        Ok(())
    }

    /// For changes that let go of something: they hold even if they cannot be stored now.
    async fn store_or_remember(&mut self, event: Event) {
        let Ok(next) = transition::apply(&self.record, event, Timestamp::now()) else { return };
        if let Err(error) = self.store(next.clone(), Urgency::Release).await {
            tracing::error!(
                volume = %self.record.name,
                error = %error,
                "a change is kept in memory until it can be stored"
            );
            self.record = next;
            self.unsaved = true;
            self.publish_view();
        }
    }

    async fn forget(&mut self) -> Life {
        if let Err(error) = self.shared.store.delete(self.record.id).await {
            self.failed(StepError::Step { step: "forget", source: error.into() });
            return Life::GoesOn;
        }
        tracing::info!(volume = %self.record.name, id = %self.record.id, "deleted");
        self.shared.registry.forget(&self.record.name, self.record.id);
        self.waiters.answer_gone();
        Life::Ends
    }

    fn next_alarm(&self) -> Option<Instant> {
        let now = Timestamp::now();
        let date = self.wait_until.map(|until| {
            let wait = until.duration_since(now);
            Instant::now() + Duration::try_from(wait).unwrap_or_default()
        });
        let retry = self.failure.as_ref().map(|failure| failure.retry_at);
        let unsaved = self.unsaved.then(|| Instant::now() + FIRST_RETRY);
        let pending = |at: &Instant| self.running.is_none() || *at > Instant::now();
        [self.linger_until, retry, date, unsaved].into_iter().flatten().filter(pending).min()
    }

    async fn alarm_rang(&mut self) {
        if self.linger_until.is_some_and(|until| until <= Instant::now()) {
            self.linger_until = None;
        }
        if self.unsaved {
            let record = self.record.clone();
            if let Err(error) = self.store(record, Urgency::Release).await {
                tracing::debug!(error = %error, "still not stored");
            }
        }
    }

    fn publish_view(&self) {
        let path = self
            .observed
            .as_ref()
            .filter(|seen| seen.is_mounted())
            .map(|_| self.shared.host.published_path(&self.record.name));
        let failure = self.failure.as_ref().map(|failure| failure.error.to_string());
        self.handle.set_view(View {
            record: self.record.clone(),
            observed: self.observed.clone(),
            path,
            doing: self.running.as_ref().map(|running| running.work.name()),
            failure: failure.or_else(|| self.health.clone().err()),
        });
    }
}

/// The result of the running step; waits for ever when none runs.
async fn finished(running: &mut Option<Running>) -> Result<Outcome, StepError> {
    match running {
        None => std::future::pending().await,
        Some(Running { work, job }) => job.await.unwrap_or_else(|panic| {
            Err(StepError::Step { step: work.name(), source: panic.into() })
        }),
    }
}

async fn sleep_until(alarm: Option<Instant>) {
    match alarm {
        None => std::future::pending().await,
        Some(at) => tokio::time::sleep_until(at).await,
    }
}
