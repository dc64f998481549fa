//! What is done about a step that failed: one decision, from the step, the kind of its trouble, and what is known
//! of the volume by then. Pure; `steps` carries it out.

use crate::volume::{
    Contents, Phase, Record,
    effect::Effect,
    plan::{Standing, Step, Want},
};

/// What is done about it. In all cases the volume is looked at again: whatever the step did or did not do is found
/// out so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing failed: what is to be done is decided anew.
    DecideAnew,
    /// It was not wanted any more, and ended for that.
    CalledOff,
    /// The volume is what it was, and serves: who asked for more of it is told.
    NotGrown,
    /// It cannot be reached through its owner: it is to come to this node instead.
    ComesHere,
    /// It was not let go of, and is wanted again: what is still there is used.
    Kept,
    /// The volume never existed: who waits for it is told, and what was made of it is deleted.
    NotCreated,
    /// Who has it keeps it: those who wait here are told, and nothing is tried again for them.
    NotToBeHad,
    /// It failed for other nodes alone: it is tried again at once, after what those who wait here need.
    AfterOwnTasks,
    /// Those who wait are told, and it is tried again ever less often.
    TryAgain,
}

/// The kind of a failed step's trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Its result was not stored, since another node's change came first.
    Overtaken,
    /// It was done, and its result could not be stored.
    NotStored,
    /// Nobody wanted it any more.
    CalledOff,
    /// It was not done.
    Failed,
}

/// What is known when a step has failed.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) record: &'a Record,
    pub(super) standing: Standing,
    /// What is wanted now, which may be another thing than when the step was begun.
    pub(super) want: Want,
    /// What the plan would do now with what was seen before the step.
    pub(super) planned: Step,
    /// Whether somebody here waits for it to be mounted.
    pub(super) waiting: Waiting,
    /// What this node has of a way through another one.
    pub(super) way: OwnWay,
}

/// Who waits for a volume to be mounted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    Nobody,
    Somebody,
}

/// What a node has of a way through another one's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct OwnWay {
    /// What was served was mounted before the step.
    pub(super) mounted: bool,
    /// Tasks see that.
    pub(super) shown: bool,
    /// The record has this node as a user.
    pub(super) user: bool,
}

/// Decides.
pub(super) fn on(step: Effect, trouble: Trouble, known: &Known<'_>) -> Verdict {
    match (trouble, step) {
        (Trouble::Overtaken, _) => Verdict::DecideAnew,
        // One that was done and could not be recorded is not taken back.
        (Trouble::CalledOff | Trouble::Failed, Effect::GrowStorage { .. }) => Verdict::NotGrown,
        (Trouble::CalledOff, _) => Verdict::CalledOff,
        (Trouble::NotStored | Trouble::Failed, _) => known.on_failure(step),
    }
}

/// A volume that could not be created never existed. Another node may be making it just now.
pub(super) fn is_uncreated(record: &Record, standing: Standing) -> bool {
    let ours = matches!(standing, Standing::Alone | Standing::Owner);
    record.phase == Phase::Creating && ours
}

impl Known<'_> {
    fn on_failure(&self, step: Effect) -> Verdict {
        if is_uncreated(self.record, self.standing) {
            return Verdict::NotCreated;
        }
        match step {
            Effect::Connect | Effect::Reach if self.has_another_way() => Verdict::ComesHere,
            Effect::Unpublish | Effect::Unstage | Effect::Detach if self.is_wanted_again() => {
                Verdict::Kept
            }
            Effect::Unreach if self.leads_to_it() && self.is_wanted_again() => Verdict::Kept,
            Effect::Recall => Verdict::NotToBeHad,
            Effect::Export if self.own_tasks_come_first() => Verdict::AfterOwnTasks,
            Effect::Observe
            | Effect::Own
            | Effect::Fence
            | Effect::ShutDown
            | Effect::Provision
            | Effect::Attach
            | Effect::Probe
            | Effect::Format
            | Effect::GrowStorage { .. }
            | Effect::GrowOffline
            | Effect::Stage
            | Effect::GrowOnline
            | Effect::Thaw
            | Effect::Publish
            | Effect::Unpublish
            | Effect::Unstage
            | Effect::Detach
            | Effect::Export
            | Effect::Unexport
            | Effect::Connect
            | Effect::Reach
            | Effect::Unreach
            | Effect::SetAside
            | Effect::Destroy => Verdict::TryAgain,
        }
    }

    /// What is not shared can be attached here, as long as no task has it by the way through its owner.
    fn has_another_way(&self) -> bool {
        let lent = self.record.has_one_writer() && self.standing == Standing::Other;
        lent && self.want == Want::Mounted && !self.way.shown
    }

    /// Somebody came meanwhile, and can do with what is still there: the plan would not let go of it now. What goes
    /// whoever wants it (another node's storage, a device that is being detached) is a failure, of which those who
    /// wait are told.
    fn is_wanted_again(&self) -> bool {
        let goes = matches!(self.planned, Step::Do(effect) if effect.lets_go());
        self.want == Want::Mounted
            && self.record.phase == Phase::Ready
            && self.record.contents != Contents::Formatting
            && !goes
    }

    /// The way through the owner leads to the volume still. The owner itself has to go it no more.
    fn leads_to_it(&self) -> bool {
        self.standing == Standing::Other && self.way.user
    }

    /// Somebody came while it was tried to serve it to others, and needs no server. Who came by the way through
    /// the former owner needs it as the others do; and so does the owner of what another node writes to, which
    /// has it back from that one.
    fn own_tasks_come_first(&self) -> bool {
        self.waiting == Waiting::Somebody && !self.way.mounted && !self.record.has_one_writer()
    }
}

#[cfg(test)]
mod tests;
