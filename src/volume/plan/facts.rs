//! What a decision is told beside record and observation: what is wanted, where and when it is made, and what this
//! node may do.

use jiff::{SignedDuration, Timestamp};

use crate::{
    spec::BackendKind,
    volume::{NodeName, Owner, Record, lease::Session, serving::Serving},
};

/// Whether the volume is to be usable on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Somebody holds it, asks for it, or held it a moment ago (the linger).
    Mounted,
    /// Nobody does.
    Released,
    /// Nobody does, and its device is not to stay attached either: its slot is needed, or another
    /// node wants it.
    Detached,
    /// Nobody does, and something is to be done with it that only its owner may do.
    Owned,
}

/// Where a decision is made, and when.
#[derive(Debug, Clone, Copy)]
pub struct Here<'a> {
    /// This node, where it is in a cluster.
    pub me: Option<&'a Owner>,
    /// Whether it can grow a mounted ext4.
    pub ext4: Ext4OnlineGrow,
    /// The time.
    pub now: Timestamp,
    /// How long this node leaves to others what any node may do: they do not all begin at once.
    pub turn: SignedDuration,
    /// The session of the volume's owner.
    pub owner: Session,
    /// Whether this node could serve the volume to others, or does.
    pub serving: Serving,
    /// A user of the volume whose machine is gone for certain.
    pub departed: Option<&'a NodeName>,
    /// What it takes to reach what is not shared.
    pub lending: Lending<'a>,
    /// How it goes with what tasks of this node wrote by the way through the volume's owner, once they are gone.
    pub write_back: WriteBack,
}

/// Whether what was written by the way through a volume's owner gets to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteBack {
    /// For all that is known.
    Works,
    /// It was tried a moment ago, and failed.
    Fails,
}

/// What is known of the writer claim of a volume that is not shared.
#[derive(Debug, Clone, Copy)]
pub struct Lending<'a> {
    /// The session of the node that has it.
    pub writer: Session,
    /// A node that asks this one for it, and waits.
    pub asker: Option<&'a NodeName>,
    /// Whether this node could use it.
    pub way: Way,
    /// Whether this node asked for the claim that it has. One that it only finds under its name may be
    /// that of a machine before it, which goes on.
    pub asked: bool,
    /// Whether a task of this node waits for the volume.
    pub task_waits: bool,
}

impl Lending<'_> {
    /// Nobody has it, and nobody wants it.
    pub const NONE: Self =
        Self { writer: Session::Over, asker: None, way: Way::Open, asked: true, task_waits: false };
}

/// Whether a volume that is not shared can be reached through its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As far as is known.
    Open,
    /// It was tried a moment ago, and failed: the volume is to come here instead.
    Closed,
}

/// What the lease lets this node do with a volume's storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Anything: it is in no cluster, or the volume is not in the cluster yet.
    Alone,
    /// Anything: the lease is its own.
    Owner,
    /// Nothing but to fence the former owner.
    Fencing,
    /// Nothing but to let go of what it has.
    Other,
}

impl Standing {
    /// Of a node, with a record.
    #[must_use]
    pub fn of(me: Option<&Owner>, record: &Record) -> Self {
        match me {
            None => Self::Alone,
            // From before this node was in a cluster: its own, until the cluster knows it.
            Some(_) if record.lease.is_unused() => Self::Alone,
            Some(me) if !is_of(me, record) => Self::Other,
            Some(_) if record.lease.from.is_some() => Self::Fencing,
            Some(_) => Self::Owner,
        }
    }
}

/// Whether this node can grow a mounted ext4 (it takes `CAP_SYS_RESOURCE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ext4OnlineGrow {
    /// It can.
    Possible,
    /// It cannot: such volumes grow before they are mounted.
    NotPossible,
}

/// A machine under a name, where it could have something attached; else the name.
fn is_of(me: &Owner, record: &Record) -> bool {
    let backend = &record.spec.backend;
    if backend.kind() == BackendKind::Local || backend.is_directory() {
        return record.lease.is_of(&me.node);
    }
    record.lease.owner.as_ref().is_some_and(|owner| owner.is(me))
}
