//! Who may touch a volume's storage: the lease, and the decision what a node may do about it.
//!
//! ```text
//!            claim (compare-and-set, epoch + 1)
//!   Free ─────────────────────────────────────▶ Owned by A
//!    ▲                                            │   │ A is dead: claim (epoch + 1), from = A
//!    └──── A let go of everything: release ───────┘   ▼
//!                                               Owned by B, A not fenced ──fenced──▶ Owned by B
//! ```
//!
//! The lease is part of the volume's record, and the record is changed by compare-and-set only. It
//! grows its epoch with each new owner, and with each writer claim that an owner gives: what was decided
//! under a smaller epoch is void. A lease says who *may* act; that the former owner *cannot* act any
//! more is the fence's business, and while `from` is set nothing is done with the storage but fencing.
//!
//! [`decide`] is the one function behind every takeover. The engine calls it, and so does the model
//! that is checked exhaustively (`tests/lease-model`).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::NodeName;
pub use crate::spec::Preempt;

/// Counts a volume's owners, and those to whom they gave the writer claim: the fencing token.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(u64);

impl Epoch {
    /// Nobody's yet.
    pub const FIRST: Self = Self(0);

    /// The next owner's.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl From<u64> for Epoch {
    fn from(epoch: u64) -> Self {
        Self(epoch)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A node as an owner.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// Its name.
    pub node: NodeName,
    /// What the cloud calls its machine (EC2's instance id): what a fence is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

impl Owner {
    /// Whether both are one machine under one name. Clouds give a name to the next machine, and the
    /// one before may still run and have the volume. Outside a cloud there is the name alone.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let machines = self.machine.as_ref().zip(other.machine.as_ref());
        self.node == other.node && machines.is_none_or(|(mine, theirs)| mine == theirs)
    }
}

/// Where a volume's storage is, to the node that claims it once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// Attached to it.
    Here,
    /// Not, for all that it knows.
    Elsewhere,
}

/// Who has a volume's storage.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Grows with each owner, and each writer claim.
    pub epoch: Epoch,
    /// `None`: nobody has it, and nothing of it is attached anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// A dead owner that the present one has not fenced yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Owner>,
}

impl Lease {
    /// The lease of a volume that a node is about to make.
    #[must_use]
    pub fn first(owner: Owner) -> Self {
        Self { epoch: Epoch::FIRST.next(), owner: Some(owner), from: None }
    }

    /// Never leased: what a node that is in no cluster writes.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a node of that name has it. A node that asks for itself asks [`Owner::is`].
    #[must_use]
    pub fn is_of(&self, node: &NodeName) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.node == *node)
    }

    /// The lease after `me` claimed it. Who had it, and may still write, is to be fenced first; and
    /// so is whom a former claimer did not get to fence.
    #[must_use]
    pub fn claimed_by(&self, me: Owner) -> Self {
        let left = self.owner.clone().filter(|owner| !owner.is(&me));
        // A claimer that died before it had fenced had not attached anything either.
        let from = self.from.clone().or(left).filter(|from| !from.is(&me));
        Self { epoch: self.epoch.next(), owner: Some(me), from }
    }

    /// The lease after its owner's next daemon claimed it once more. One that the cloud did not tell what it
    /// calls this machine knows that from the lease, where the storage is attached here: it was then, too.
    #[must_use]
    pub fn claimed_anew_by(&self, me: Owner, storage: Storage) -> Self {
        let known = self.owner.as_ref().filter(|owner| me.machine.is_none() && owner.is(&me));
        match (known, storage) {
            (Some(known), Storage::Here) => self.claimed_by(known.clone()),
            (Some(_), Storage::Elsewhere) | (None, _) => self.claimed_by(me),
        }
    }

    /// The lease after its owner let go of everything.
    #[must_use]
    pub const fn released(&self) -> Self {
        Self { epoch: self.epoch, owner: None, from: None }
    }

    /// The lease after an operator said that a node is gone for good. Whether it is, the fence of the
    /// next owner makes sure.
    #[must_use]
    pub fn abandoned_by(&self, node: &NodeName) -> Self {
        if !self.is_of(node) {
            return self.clone();
        }
        let from = self.from.clone().or_else(|| self.owner.clone());
        Self { epoch: self.epoch, owner: None, from }
    }

    /// The lease after the former owner was fenced.
    #[must_use]
    pub fn fenced(&self) -> Self {
        Self { from: None, ..self.clone() }
    }
}

/// Whether the store answers this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreReach {
    /// It does.
    Answers,
    /// It does not.
    Away,
}

/// Whether a volume's storage can go to another node at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mobility {
    /// By the cloud, which also cuts off a node that does not answer.
    Fenced,
    /// Only if its owner lets go of it: nothing could stop an owner that does not answer.
    Handed,
    /// Nothing is attached to anybody: what an owner does are single changes, each of which may be
    /// repeated by the next one.
    Unbound,
    /// It is on its node's own disk.
    Fixed,
}

/// The owner's session with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Session {
    /// It lives, for all that is known.
    Lives,
    /// It is over: the owner was away for the whole of its time-out.
    Over,
}

/// What the owner said when it was asked to let go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It was not asked yet.
    NotAsked,
    /// It let go, and says so in the record.
    Released,
    /// Somebody uses it there.
    Held(String),
    /// It cannot now, and says why.
    Busy(String),
    /// Nothing.
    Silent,
}

/// Whether the owner's machine can still write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Machine {
    /// The cloud was not asked yet.
    NotAsked,
    /// It runs, or may run.
    Runs,
    /// It is stopped or terminated.
    Gone,
    /// The cloud does not say.
    Unknown,
}

/// What is known of another owner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Its session.
    pub session: Session,
    /// Its answer.
    pub answer: Answer,
    /// Its machine.
    pub machine: Machine,
}

impl Facts {
    /// Nobody was asked yet.
    #[must_use]
    pub const fn of(session: Session) -> Self {
        Self { session, answer: Answer::NotAsked, machine: Machine::NotAsked }
    }
}

/// What to do to own a volume.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Nothing: it is this node's.
    Mine,
    /// Store this lease, by compare-and-set.
    Claim(Lease),
    /// Ask the owner to let go of it.
    AskOwner,
    /// Ask the cloud about the owner's machine.
    AskCloud,
    /// Read the record again: the owner changed it.
    LookAgain,
    /// It is not to be had now, but may be soon without anybody doing anything.
    Wait(Obstacle),
    /// It is not to be had.
    Refuse(Obstacle),
}

/// Why a volume is not to be had here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Obstacle {
    /// The store is away.
    #[error(
        "the cluster's store does not answer, and without it no volume gets a new owner (volumes that are mounted go on): look at ZooKeeper"
    )]
    StoreAway,
    /// It is used there.
    #[error("it is in use on node {node} by {holders}")]
    Held {
        /// Where.
        node: NodeName,
        /// By whom.
        holders: String,
    },
    /// The owner cannot let go now.
    #[error("node {node}, which has it, cannot let go of it now: {why}")]
    Busy {
        /// The owner.
        node: NodeName,
        /// In its own words.
        why: String,
    },
    /// It is on a disk of that node.
    #[error(
        "it is stored on a disk of node {0}: local volumes are used on their own node only (constrain the task to that node)"
    )]
    Fixed(NodeName),
    /// It is on a disk of a node that is away.
    #[error(
        "it is stored on a disk of node {0}, which is away: it is back when that node is back, and nobody can take a local volume over"
    )]
    FixedAway(NodeName),
    /// The owner is cut off from the store, and goes on.
    #[error(
        "node {0}, which has it, is cut off from the cluster's store and goes on with it: mend its way to ZooKeeper, or stop its machine"
    )]
    CutOff(NodeName),
    /// The owner is silent, and its machine runs.
    #[error(
        "node {0}, which has it, does not answer, but its machine runs and its tasks may be writing: start hawser there, or stop the machine, and it is taken over; `preempt=force` would take it away from a running machine"
    )]
    Silent(NodeName),
    /// The owner is silent, and the cloud does not say how its machine is.
    #[error(
        "node {0}, which has it, does not answer, and the cloud does not say whether its machine runs: hawser asks again"
    )]
    Unknown(NodeName),
    /// The owner has not been silent for long enough.
    #[error("node {0}, which has it, does not answer; its session with the store is not over yet")]
    NotYet(NodeName),
    /// Nothing could stop the owner.
    #[error(
        "node {0}, which has it, does not answer, and nothing can keep that machine from writing to this volume: start hawser there; if the machine is off for good, `hawser node rm {0}` gives its volumes free"
    )]
    NoFence(NodeName),
    /// The owner is another machine, which had this node's name.
    #[error(
        "machine {}, which was node {} before this one, has it and may still be writing: stop that machine",
        .0.machine.as_deref().unwrap_or("(unknown)"), .0.node
    )]
    Namesake(Owner),
    /// The spec forbids it.
    #[error(
        "node {0}, which has it, is down, and `preempt=never` leaves the decision to you: `hawser volume move` takes it over"
    )]
    Forbidden(NodeName),
}

/// What `me` has to do to own the volume, given what it knows. Wrong knowledge may make this wrong,
/// never unsafe: a claim is stored only where the record is still the one that was decided on, and
/// the fence is asked of the cloud, not of this function.
#[must_use]
pub fn decide(
    lease: &Lease,
    me: &Owner,
    store: StoreReach,
    mobility: Mobility,
    preempt: Preempt,
    facts: &Facts,
) -> Decision {
    let mine = match mobility {
        Mobility::Fenced | Mobility::Handed => lease.owner.as_ref().is_some_and(|it| it.is(me)),
        // Who has the disk has the name; and what nobody is attached to needs no machine.
        Mobility::Fixed | Mobility::Unbound => lease.is_of(&me.node),
    };
    if mine {
        return Decision::Mine;
    }
    if store == StoreReach::Away {
        return Decision::Refuse(Obstacle::StoreAway);
    }
    let Some(owner) = &lease.owner else { return Decision::Claim(lease.claimed_by(me.clone())) };
    let node = || owner.node.clone();
    if mobility == Mobility::Fixed {
        return Decision::Refuse(match facts.session {
            Session::Lives => Obstacle::Fixed(node()),
            Session::Over => Obstacle::FixedAway(node()),
        });
    }
    if owner.node == me.node {
        return decide_namesake(lease, owner, me, mobility, preempt, facts.machine);
    }
    match (&facts.answer, facts.session) {
        (Answer::NotAsked, _) => Decision::AskOwner,
        (Answer::Released, _) => Decision::LookAgain,
        (Answer::Held(holders), Session::Lives) => {
            Decision::Refuse(Obstacle::Held { node: node(), holders: holders.clone() })
        }
        (Answer::Busy(why), Session::Lives) => {
            Decision::Wait(Obstacle::Busy { node: node(), why: why.clone() })
        }
        (Answer::Held(_) | Answer::Busy(_), Session::Over) => {
            Decision::Refuse(Obstacle::CutOff(node()))
        }
        (Answer::Silent, Session::Lives) => Decision::Wait(Obstacle::NotYet(node())),
        (Answer::Silent, Session::Over) => match mobility {
            Mobility::Fenced => take_over(lease, owner, me, preempt, facts.machine),
            Mobility::Unbound => Decision::Claim(lease.claimed_by(me.clone())),
            Mobility::Handed | Mobility::Fixed => Decision::Refuse(Obstacle::NoFence(node())),
        },
    }
}

/// The owner is another machine that had this node's name. There is nobody to ask: who answers to the
/// name, and has its session, is this node.
fn decide_namesake(
    lease: &Lease,
    owner: &Owner,
    me: &Owner,
    mobility: Mobility,
    preempt: Preempt,
    machine: Machine,
) -> Decision {
    match (machine, mobility) {
        (Machine::NotAsked, _) => Decision::AskCloud,
        // Nothing is attached, so nothing has to be cut off; and if it starts again, it has to claim.
        (Machine::Gone, Mobility::Handed | Mobility::Fixed | Mobility::Unbound) => {
            Decision::Claim(lease.claimed_by(me.clone()).fenced())
        }
        (Machine::Gone, Mobility::Fenced) => take_over(lease, owner, me, preempt, machine),
        (Machine::Runs | Machine::Unknown, Mobility::Fenced) if preempt != Preempt::DeadOnly => {
            take_over(lease, owner, me, preempt, machine)
        }
        (Machine::Runs | Machine::Unknown, _) => Decision::Wait(Obstacle::Namesake(owner.clone())),
    }
}

/// The owner's session is over and it does not answer.
fn take_over(
    lease: &Lease,
    owner: &Owner,
    me: &Owner,
    preempt: Preempt,
    machine: Machine,
) -> Decision {
    let claim = || Decision::Claim(lease.claimed_by(me.clone()));
    let node = owner.node.clone();
    match (machine, preempt) {
        (Machine::NotAsked, _) => Decision::AskCloud,
        (Machine::Gone, Preempt::DeadOnly | Preempt::Force) => claim(),
        (Machine::Gone | Machine::Runs | Machine::Unknown, Preempt::Never) => {
            Decision::Refuse(Obstacle::Forbidden(node))
        }
        // The fence is the cloud's detach, which holds against a machine that runs, too.
        (Machine::Runs | Machine::Unknown, Preempt::Force) => claim(),
        (Machine::Runs, Preempt::DeadOnly) => Decision::Wait(Obstacle::Silent(node)),
        (Machine::Unknown, Preempt::DeadOnly) => Decision::Wait(Obstacle::Unknown(node)),
    }
}

#[cfg(test)]
mod tests;
