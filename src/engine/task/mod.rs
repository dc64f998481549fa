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

mod claim;
mod exclusive;
mod facts;
mod finish;
mod group;
mod lease;
mod leaving;
mod record;
mod requests;
mod serving;
mod snapshot;
mod steps;
mod telling;
mod verdict;
mod waiters;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{sync::mpsc, time::Instant};

use super::{
    Measured, Shared,
    error::StepError,
    message::{Exclusive, Message, Reply},
    neighbours::{Effort, Released},
    registry::Handle,
    view::View,
};
use crate::{
    cluster::{StoreError, Urgency},
    sys::mountinfo::MountTable,
    volume::{
        NodeName, Observed, Phase, Record, Transit, effect::Effect, plan::Step, serving::Tries,
        transition::Event,
    },
};
pub(super) use exclusive::CHECK_DEADLINE;
use finish::{FIRST_RETRY, Failure};
use serving::Left;
use steps::{Running, finished};
use telling::Telling;
use waiters::Waiters;

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
    /// What it held when it was last measured, where it is a directory.
    measured: Option<Measured>,
    /// What is stored may not be what is in memory: storing it is tried again. This is what was
    /// stored last.
    unsaved: Option<Box<Record>>,
    /// The cluster's store knows less than this node, and could not be told.
    telling: Option<Telling>,
    /// Other nodes that want it.
    handover: Vec<Reply<Released>>,
    /// Other nodes that want the writer claim.
    askers: Vec<(NodeName, Reply<Released>)>,
    /// This daemon asked for the writer claim since it last had none.
    claim_asked: bool,
    /// Until then it is not tried again to reach it through its owner.
    no_way_until: Option<Instant>,
    /// When what was written by the way through its owner could not be written back.
    unwritten_since: Option<Instant>,
    /// How hard it tries to get the volume for those who asked for it to be moved here.
    effort: Option<Effort>,
    /// There may be something of it here though another node has it.
    look: bool,
    /// Other nodes deleted it.
    gone: bool,
    /// The cluster's store had its record since this daemon started.
    seen_in_store: bool,
    /// The lease was claimed, or claimed anew, by this daemon.
    settled: bool,
    /// What came of serving it to other nodes.
    tries: Tries,
    /// This node does not serve it, and others that use it may.
    left: Option<Left>,
    /// How many nodes that do not use it were asked to have it: each in its turn, also the next time.
    asked: usize,
    /// Until then its owner, which is cut off from the store, is taken to answer.
    answers_until: Option<Instant>,
    /// Those who need its slot, if nobody wants it.
    slot_wanted: Vec<Reply<()>>,
    /// Since when it is attached though nobody wants it.
    idle_since: Option<std::time::Instant>,
    /// What is written beside its storage is older than the record.
    undescribed: bool,
    /// This daemon has written that.
    describes: bool,
    /// Until then its owner may still grow the file system for those who wait here.
    owner_grows_until: Option<Instant>,
    /// A removed volume's next date.
    wait_until: Option<Timestamp>,
    /// The mounts as recovery read them, for the first observation.
    mounts: Option<Arc<MountTable>>,
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
            measured: None,
            unsaved: None,
            telling: None,
            handover: Vec::new(),
            askers: Vec::new(),
            claim_asked: false,
            no_way_until: None,
            unwritten_since: None,
            effort: None,
            look: false,
            gone: false,
            seen_in_store: false,
            settled: false,
            tries: Tries::default(),
            left: None,
            asked: 0,
            answers_until: None,
            slot_wanted: Vec::new(),
            idle_since: None,
            undescribed: false,
            describes: false,
            owner_grows_until: None,
            wait_until: None,
            mounts,
        }
    }

    /// Stores the record of a new volume, then runs. Done here, and not by the caller, because a
    /// caller can hang up between any two awaits.
    pub(super) async fn run_new(mut self) {
        match self.shared.store.create(&self.record, Urgency::NewWork).await {
            Ok(stored) => {
                self.record = stored;
                self.seen_in_store = true;
                self.settled = true;
            }
            Err(StoreError::NameTaken { by, .. }) if self.shared.store.me().is_some() => {
                return self.give_way(by).await;
            }
            // Another node imported the same storage in the same moment.
            Err(StoreError::Conflict(id)) if self.shared.store.me().is_some() => {
                return self.give_way(id).await;
            }
            Err(error) => {
                // It may be on the disk all the same, and would be a volume after the next start.
                if !matches!(error, StoreError::Conflict(_)) {
                    let _ = self.shared.store.discard(&self.record).await;
                }
                self.shared.registry.forget(&self.record.name, self.record.id);
                return self.refuse_all(&error);
            }
        }
        tracing::info!(volume = %self.record.name, id = %self.record.id, "state changed: new");
        if self.record.phase == Phase::Creating {
            // Its id is new in the world: there is nothing to look at.
            self.observed = Some(Observed::default());
        }
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
            self.call_off();
            if self.running.is_some() || self.is_backing_off() || self.shared.steps.is_closed() {
                return Life::GoesOn;
            }
            if self.is_none_of_ours() {
                // What was changed here is written from here, whoever has the volume.
                self.describe();
                return Life::GoesOn;
            }
            if let Some(life) = self.is_over().await {
                return life;
            }
            if self.next_exclusive().await || self.next_snapshot().await || self.next_trim() {
                continue;
            }
            self.wait_until = None;
            let step = self.next_step(self.observed.as_ref());
            if !matches!(step, Step::Leave(_) | Step::Do(Effect::Observe)) {
                self.left = None;
            }
            match step {
                Step::Record(event) => {
                    let revision = self.record.revision;
                    let gives_up = event == Event::Disowned && self.fails_to_serve();
                    if let Err(error) = self.store_event(event).await {
                        if matches!(error, StoreError::Conflict(_)) && self.is_news(revision) {
                            self.observed = None;
                            continue;
                        }
                        self.intent_not_stored(error).await;
                    } else if gives_up {
                        self.gave_up();
                    }
                }
                Step::Do(effect) => match self.settle_lease(effect).await {
                    Ok(true) => {}
                    Ok(false) => self.start(effect),
                    Err(error) => {
                        self.failed(StepError::Step { step: "own", source: error.into() })
                    }
                },
                Step::Stuck(problem) => {
                    self.observed = None;
                    self.failed(StepError::Stuck(problem));
                }
                Step::Wait(until) => {
                    self.failure = None;
                    self.wait_until = Some(until);
                    return Life::GoesOn;
                }
                Step::Leave(why) => {
                    self.leave_to_others(why);
                    return Life::GoesOn;
                }
                Step::Idle => {
                    self.failure = None;
                    self.settle();
                    self.forget_what_others_have();
                    if !self.describe() {
                        return Life::GoesOn;
                    }
                }
                Step::Forget => return self.forget().await,
            }
        }
    }

    fn next_alarm(&self) -> Option<Instant> {
        let now = Timestamp::now();
        let date = self.wait_until.map(|until| {
            let wait = until.duration_since(now);
            Instant::now() + Duration::try_from(wait).unwrap_or_default()
        });
        let retry = self.failure.as_ref().map(|failure| failure.retry_at);
        let unsaved = self.unsaved.as_ref().map(|_| Instant::now() + FIRST_RETRY);
        let telling = self.telling.as_ref().map(|telling| telling.at);
        let pending = |at: &Instant| self.running.is_none() || *at > Instant::now();
        let grown = self.owner_grows_until;
        let all = [self.linger_until, retry, date, unsaved, telling, grown, self.answers_until];
        all.into_iter().flatten().filter(pending).min()
    }

    async fn alarm_rang(&mut self) {
        if self.linger_until.is_some_and(|until| until <= Instant::now()) {
            self.linger_until = None;
        }
        if self.answers_until.is_some_and(|until| until <= Instant::now()) {
            self.answers_until = None;
        }
        self.tell_if_due().await;
        if self.unsaved.is_some() {
            let record = self.record.clone();
            if let Err(error) = self.store(record, Urgency::Release).await {
                tracing::debug!(error = %error, "still not stored");
            }
        }
    }

    fn publish_view(&mut self) {
        let attached = self.observed.as_ref().is_some_and(|seen| {
            let has_slot = seen.device.is_some() || seen.transit == Some(Transit::Attaching);
            has_slot && !seen.staged && self.running.is_none()
        });
        let idle = attached && !self.is_wanted();
        self.idle_since =
            self.idle_since.filter(|_| idle).or_else(|| idle.then(std::time::Instant::now));
        let path = self
            .observed
            .as_ref()
            .filter(|seen| seen.is_mounted())
            .map(|_| self.shared.host.published_path(&self.record.name));
        let failure = self.failure.as_ref().map(|failure| failure.error.to_string());
        let failure = failure.or_else(|| self.why_left().map(|why| why.to_string()));
        self.handle.set_view(View {
            record: self.record.clone(),
            observed: self.observed.clone(),
            path,
            doing: self.running.as_ref().map(|running| running.work.name()),
            failure: failure.or_else(|| self.unwell()),
            measured: self.measured,
            idle_since: self.idle_since,
        });
    }
}

async fn sleep_until(alarm: Option<Instant>) {
    match alarm {
        None => std::future::pending().await,
        Some(at) => tokio::time::sleep_until(at).await,
    }
}
