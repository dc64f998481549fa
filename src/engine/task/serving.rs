//! A volume's task where other nodes use the volume, too: what it tried to serve them, and what it leaves to
//! them because this node could not.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::VolumeTask;
use crate::{
    engine::{
        error::{EngineError, StepError},
        ownership::CutOff,
        serving::LeftToOthers,
    },
    volume::{
        NodeName,
        effect::Effect,
        lease::Session,
        plan::{Standing, Want},
        serving::{Serving, Unable},
        transition::{Event, Outside},
    },
};

/// How often it is looked whether this node can by now.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(5);
/// How long those who wait here wait for another node to take it: below the engine's own deadline, so
/// that they hear the reason.
const PATIENCE: Duration = Duration::from_secs(95);

/// How long it is left to those who use it before one that does not is asked.
const USERS_TIME: Duration = Duration::from_secs(15);

/// How long an owner that is cut off from the store is taken to answer, once it did.
const ANSWERS: Duration = Duration::from_secs(10);

/// It is left to other nodes.
pub(super) struct Left {
    why: Unable,
    since: Instant,
    /// The node that does not use it and is asked now to have it.
    asks: Option<AbortOnDropHandle<()>>,
}

impl VolumeTask {
    /// Whether this node could serve it, or does; `owner` is the session of its owner.
    pub(super) fn serving(&self, owner: Session, now: Timestamp) -> Serving {
        if !self.record.is_served() || self.shared.store.me().is_none() {
            return Serving::Able;
        }
        match self.standing() {
            Standing::Owner
                if self.tries.are_in_vain() && self.shared.another_could_serve(&self.record) =>
            {
                Serving::Failing
            }
            Standing::Other if self.record.lease.owner.is_none() || owner == Session::Over => {
                self.unable(now).map_or(Serving::Able, Serving::Unable)
            }
            Standing::Owner | Standing::Other | Standing::Alone | Standing::Fencing => {
                Serving::Able
            }
        }
    }

    /// It is this node's, and goes to those who can.
    pub(super) fn fails_to_serve(&self) -> bool {
        self.serving(self.owner_session(), Timestamp::now()) == Serving::Failing
    }

    fn unable(&self, now: Timestamp) -> Option<Unable> {
        let stands_back = self.tries.stands_back(now).map(Unable::Failed);
        stands_back.or_else(|| self.shared.unable_to_serve(&self.record))
    }

    /// Whoever takes what tasks of other nodes use must be able to serve it to them: it would keep it from those
    /// who can.
    pub(super) fn refuse_unfit(&self, op: &'static str) -> Result<(), EngineError> {
        let Some(me) = self.shared.store.me() else { return Ok(()) };
        let used = self.record.users.iter().any(|user| *user != me.node);
        let comes = self.record.is_served() && self.standing() == Standing::Other && used;
        match self.unable(Timestamp::now()).filter(|_| comes) {
            None => Ok(()),
            Some(why) => {
                let (node, volume) = (me.node.clone(), self.record.name.clone());
                let source = Box::new(LeftToOthers { node, why });
                let source = Arc::new(StepError::Step { step: "own", source });
                Err(EngineError::Failed { op, volume, source })
            }
        }
    }

    /// The session of its owner; one that is cut off from the store and answers is as good as alive to those who
    /// reach the volume through it.
    pub(super) fn owner_session(&self) -> Session {
        let answers = self.answers_until.is_some_and(|until| until > Instant::now());
        if answers { Session::Lives } else { self.shared.session_of(&self.record) }
    }

    /// Such an owner hears of no new user, so it serves the volume only where it had users before.
    pub(super) fn about_one_cut_off(&self) -> CutOff {
        let used = !self.record.users.is_empty();
        let reach = self.record.is_served() && self.want() == Want::Mounted && used;
        if reach { CutOff::Reach } else { CutOff::Refuse }
    }

    /// The owner answers, though its session is over.
    pub(super) fn go_through_one_cut_off(&mut self) {
        self.answers_until = Some(Instant::now() + ANSWERS);
        self.observed = None;
    }

    /// A user of what this node owns that is gone.
    pub(super) fn departed_user(&self) -> Option<NodeName> {
        let owner = self.record.is_served() && self.standing() == Standing::Owner;
        owner.then(|| self.shared.departed_user(&self.record))?
    }

    /// A step failed.
    pub(super) fn tried_in_vain(&mut self, effect: Effect) {
        let serves = matches!(
            effect,
            Effect::Attach | Effect::Probe | Effect::GrowOffline | Effect::Stage | Effect::Export
        );
        if serves && self.record.is_served() && self.standing() == Standing::Owner {
            self.tries.failed();
        }
    }

    /// A step succeeded.
    pub(super) fn tried(&mut self, effect: Effect) {
        let serves = matches!(effect, Effect::Export | Effect::Publish);
        if serves && self.standing() == Standing::Owner {
            self.tries.over();
        }
    }

    /// The volume is nobody's again, for others to take.
    pub(super) fn gave_up(&mut self) {
        let now = Timestamp::now();
        self.tries.gave_up(now);
        let again = self.tries.stands_back(now).unwrap_or(now);
        let why = self.failure.as_ref().map(|failure| failure.error.to_string());
        tracing::warn!(
            volume = %self.record.name, why, %again,
            "this node had it and could not serve it to those who use it: it is left to them, and tried here again later"
        );
    }

    /// Nothing is done with it here: whoever else uses it is to have it.
    pub(super) fn leave_to_others(&mut self, why: Unable) {
        self.failure = None;
        let before = self.left.as_ref().map(|left| left.why);
        let new = || Left { why, since: Instant::now(), asks: None };
        let left = self.left.get_or_insert_with(new);
        left.why = why;
        let since = left.since;
        if since.elapsed() > USERS_TIME
            && left.asks.as_ref().is_none_or(AbortOnDropHandle::is_finished)
        {
            left.asks = self.shared.ask_a_bystander(&self.record, self.asked);
            self.asked += 1;
        }
        if before != Some(why)
            && let Some(reason) = self.why_left()
        {
            tracing::warn!(volume = %self.record.name, %reason, "it is not served");
        }
        if since.elapsed() > PATIENCE
            && let Some(reason) = self.why_left()
        {
            self.fail_waiters(&Arc::new(StepError::Step { step: "own", source: reason.into() }));
        }
        let now = Timestamp::now();
        let look = now.checked_add(LOOK_AGAIN).unwrap_or(now);
        self.wait_until = Some(self.tries.stands_back(now).map_or(look, |until| until.min(look)));
    }

    /// Why nobody serves it, as far as it is this node's doing.
    pub(super) fn why_left(&self) -> Option<LeftToOthers> {
        let (left, me) = (self.left.as_ref()?, self.shared.store.me()?);
        Some(LeftToOthers { node: me.node.clone(), why: left.why })
    }

    /// What ran before it at the host's shutdown has ended, and does not unmount any more. As `hawser release`
    /// sees it then, what no other mount namespace has is in use by nobody.
    pub(super) async fn forsaken(&mut self) {
        let (outside, _) = self.outside().await;
        if outside == Outside::Held || self.waiters.want_mounted() || !self.record.is_held() {
            return;
        }
        let dead: Vec<_> = self.record.holders.iter().map(|holder| holder.id.clone()).collect();
        tracing::warn!(
            volume = %self.record.name, holders = ?dead,
            "the machine stops, and no task has it any more: those who held it are forgotten"
        );
        let orphaned_before = Timestamp::MAX;
        self.store_or_remember(Event::Swept { dead, outside, orphaned_before }).await;
    }
}
