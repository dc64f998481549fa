//! Why a request is refused, and what to do then.

use crate::{spec::Bytes, volume::NodeName};

/// Why an event is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody uses it.
    #[error("it is in use here by {0}")]
    Held(String),
    /// Another task was faster, or it is not to be claimed at all.
    #[error("it is another's: {0}")]
    Claimed(String),
    /// Members of the group are in use.
    #[error("volumes of the group are in use: {0}")]
    Members(String),
    /// It is a group.
    #[error(
        "it is a group of volumes, each of which is an ordinary volume: do this to a member (`hawser volume inspect` shows them)"
    )]
    Group,
    /// It is none.
    #[error(
        "it is one volume, and scale= makes a group only when it is created: use another volume name"
    )]
    NoGroup,
    /// It is removed.
    #[error("it was removed (hawser volume undelete brings it back)")]
    Removed,
    /// It is not removed.
    #[error("it is not removed")]
    NotRemoved,
    /// The time of its deletion has come.
    #[error("its data is being deleted: it is too late to bring it back")]
    Purged,
    /// Protected.
    #[error("it is sticky: `hawser volume set NAME -o sticky=false` allows its removal")]
    Sticky,
    /// A smaller size was asked for.
    #[error("it has {present} and cannot shrink to {asked}")]
    Shrink {
        /// Its size.
        present: Bytes,
        /// The size asked for.
        asked: Bytes,
    },
    /// Its owner could not grow it, or change its storage.
    #[error("{}; it is as it was", not_grown(.0.as_ref()))]
    NotGrown(Option<NodeName>),
    /// There is nothing on it.
    #[error("it was never mounted: there is nothing on it yet")]
    Unused,
    /// It has no file system of its own.
    #[error(
        "it is a directory on a server: it has no file system of its own that could be checked or trimmed"
    )]
    Directory,
    /// It holds more than its size.
    #[error(
        "it holds {used}, and its size is {size}: delete something in it, or grow it with `hawser volume grow`"
    )]
    Full {
        /// What it holds.
        used: Bytes,
        /// Its size.
        size: Bytes,
    },
    /// Other nodes have it mounted.
    #[error(
        "it is mounted on {0}: stop its tasks there first (`hawser volume where` shows them; `hawser node rm` forgets a node that is gone for good)"
    )]
    HeldElsewhere(String),
    /// It is another node's now.
    #[error("it is attached to node {0}, where its tasks are: ask hawser on that node")]
    Elsewhere(String),
    /// There are no unused blocks to give back.
    #[error("it is thick: its space is reserved and stays so; only thin volumes are trimmed")]
    Thick,
}

fn not_grown(owner: Option<&NodeName>) -> String {
    owner.map_or_else(
        || "the node that owned it could not".into(),
        |node| format!("its owner, node {node}, could not: its log says why, and so does this command there"),
    )
}
