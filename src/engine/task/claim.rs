//! A volume's task and the writer claim: the node that gives it, the node that has it, and the one that
//! lost it. What is done about it is the plan's (`volume::plan::claim`).

use std::time::Duration;

use tokio::time::Instant;

use super::{VolumeTask, waiters::tell};
use crate::{
    engine::{
        error::{EngineError, StepError},
        neighbours::Released,
        ownership::Remotely,
    },
    volume::{
        NodeName, Observed, Record,
        effect::Effect,
        lease::Session,
        plan::{self, Lending, Standing, Want, Way},
        transition::Refusal,
    },
};

/// How long a volume that could not be reached is moved instead.
const NO_WAY: Duration = Duration::from_secs(600);

impl VolumeTask {
    /// What is known of the claim.
    pub(super) fn lending(&self) -> Lending<'_> {
        let asker = self.askers.first().map(|(node, _)| node);
        let task_waits = self.waiters.want_mounted();
        let (writer, way, asked) = (self.writers_session(), self.way(), self.claim_asked);
        Lending { writer, asker, way, asked, task_waits }
    }

    fn way(&self) -> Way {
        let closed = self.no_way_until.is_some_and(|until| until > Instant::now());
        if closed { Way::Closed } else { Way::Open }
    }

    fn writers_session(&self) -> Session {
        match self.record.writer() {
            Some(writer) => self.shared.store.session(writer),
            None => Session::Over,
        }
    }

    /// It is reached from here still, and is another node's tasks' to write to.
    pub(super) fn is_shut_out(&self) -> bool {
        let reached = self.observed.as_ref().is_some_and(|seen| seen.remote.mounted);
        reached && self.standing() == Standing::Other && self.shared.is_no_writer(&self.record)
    }

    /// This node reaches it through its owner, or may begin to.
    pub(super) fn is_open_here(&self) -> bool {
        self.shared.store.me().is_some_and(|me| self.record.is_open_to(&me.node))
    }

    /// Another node has the claim, and its session is over.
    pub(super) fn is_writer_gone(&self) -> bool {
        self.other_writer().is_some() && self.writers_session() == Session::Over
    }

    fn other_writer(&self) -> Option<&NodeName> {
        let me = self.shared.store.me()?;
        self.record.writer().filter(|writer| **writer != me.node)
    }

    /// Whether other nodes could reach it through this one.
    pub(super) fn can_lend(&self) -> bool {
        self.shared.can_serve(&self.record) && plan::can_be_lent(&self.record)
    }

    /// A task here would do with a volume that stays where it is.
    pub(super) fn asks_remotely(&self) -> Remotely {
        let task = self.want() == Want::Mounted && self.waiters.taken.is_empty();
        let stays = plan::can_be_lent(&self.record) && !self.is_user();
        if task && stays && self.way() == Way::Open { Remotely::Welcome } else { Remotely::No }
    }

    /// What another node writes to is not trimmed or moved. A writer whose session is over is no obstacle: it
    /// is shut out first.
    pub(super) fn refuse_lent(&self, op: &'static str) -> Result<(), EngineError> {
        let owned = self.standing() == Standing::Owner && !self.is_writer_gone();
        let Some(writer) = self.other_writer().filter(|_| owned) else { return Ok(()) };
        let (volume, node) = (self.record.name.clone(), format!("node {writer}"));
        Err(EngineError::Refused { op, volume, refusal: Refusal::HeldElsewhere(node) })
    }

    /// This node wrote, and is shut out by the record that comes.
    pub(super) fn loses_claim(&self, next: &Record) -> bool {
        let Some(me) = self.shared.store.me() else { return false };
        let lost = self.record.writer() == Some(&me.node) && !next.users.contains(&me.node);
        if lost && self.record.is_held() {
            let writer = next.writer().map_or("nobody", NodeName::as_str);
            tracing::error!(
                volume = %self.record.name, writer,
                "the cluster took this node for dead: its tasks may not write to the volume any more, and get I/O errors"
            );
        }
        lost
    }

    /// What is not shared and yet used over the network is never hidden.
    pub(super) fn say_way(&self, step: Effect, seen: &Observed) {
        let remote = step == Effect::Publish && seen.remote.published;
        if let Some(owner) = self.record.lease.owner.as_ref().filter(|_| remote) {
            tracing::info!(
                volume = %self.record.name, owner = %owner.node, shared = !self.record.has_one_writer(),
                "mounted by way of its owner, over the network"
            );
        }
    }

    /// This node has the claim, and is not the owner.
    pub(super) fn is_writer(&self) -> bool {
        self.standing() == Standing::Other && self.record.has_one_writer() && self.is_user()
    }

    /// Tells the nodes that asked for the claim.
    pub(super) fn settle_askers(&mut self) {
        for (node, reply) in std::mem::take(&mut self.askers) {
            let answer = match self.standing() {
                Standing::Other => Some(Released::Released),
                Standing::Owner if self.record.writer() == Some(&node) => {
                    tracing::info!(volume = %self.record.name, %node, "its task writes from there, by way of this node");
                    Some(Released::Joined)
                }
                Standing::Alone | Standing::Owner | Standing::Fencing if self.is_wanted() => {
                    Some(Released::Busy("it is just being mounted there".into()))
                }
                Standing::Alone | Standing::Owner | Standing::Fencing => self
                    .other_writer()
                    .filter(|_| !self.is_writer_gone())
                    .map(|writer| Released::Held(format!("tasks on node {writer}"))),
            };
            match answer {
                Some(answer) => tell(reply, Ok(answer)),
                // Who hung up is not given it.
                None if reply.is_closed() => {}
                None => self.askers.push((node, reply)),
            }
        }
    }

    /// The volume could not be reached through its owner, and no task has it yet.
    pub(super) fn comes_here_instead(&mut self, error: &StepError) {
        tracing::warn!(
            volume = %self.record.name, %error,
            "it cannot be reached through its owner: it is to be attached here instead"
        );
        self.no_way_until = Some(Instant::now() + NO_WAY);
    }
}
