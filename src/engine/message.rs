//! What a volume's task can be asked, and how it answers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{
    accounting::Measured,
    error::EngineError,
    neighbours::{Effort, Released},
    registry::{Handle, Reservation},
    snapshots::Taken,
};
use crate::{
    cluster::Past,
    spec::{Bytes, Stated, VolumeName},
    sys::{format::Repair, namespaces::OutsideHolder},
    volume::{CallerEpoch, Claim, Epoch, MountId, NodeName, Purge, Record, transition::Changes},
};

/// Where an answer goes. The receiver is gone when the caller hung up or its deadline passed.
pub(super) type Reply<T> = oneshot::Sender<Result<T, EngineError>>;

/// A request to a volume's task.
#[derive(Debug)]
pub(super) enum Message {
    /// Make sure that it exists, as stated.
    Ensure { stated: Stated, reply: Reply<()> },
    /// Hold it.
    Mount {
        stated: Stated,
        id: MountId,
        epoch: CallerEpoch,
        /// As a member of a group.
        chosen: Option<Chosen>,
        reply: Reply<MountGrant>,
    },
    /// Let go of it.
    Unmount { id: MountId, epoch: CallerEpoch, reply: Reply<()> },
    /// Drop a reference whose caller never got it; then, where it still waits, tell it why not.
    Abandon { id: MountId, epoch: CallerEpoch, answer: Option<(Reply<MountGrant>, EngineError)> },
    /// Make it larger (`None`: leave its size), and give its storage other settings.
    Grow { to: Option<Bytes>, settings: Stated, reply: Reply<Grown> },
    /// Make a snapshot.
    Snapshot { description: String, reply: Reply<Taken> },
    /// Detach it, if nobody wants it: its slot is needed.
    GiveUpSlot { reply: Reply<()> },
    /// Change what can be changed.
    Set { changes: Changes, reply: Reply<()> },
    /// Do something that needs the volume to be unmounted.
    Exclusive(Exclusive),
    /// Another node asks for it, or this one is to give it away.
    Release {
        /// As another node knows it: it speaks of what was then. This node's own view may be behind its task.
        epoch: Option<Epoch>,
        users: Users,
        /// The node, where it could reach it remotely.
        asker: Option<NodeName>,
        reply: Reply<Released>,
    },
    /// Its machine stops: who holds it here may never let go of it.
    Forsaken { reply: Reply<()> },
    /// Get it to this node, and mount it once.
    Take { effort: Effort, reply: Reply<()> },
    /// That node is gone for good.
    NodeGone { node: NodeName, reply: Reply<()> },
    /// The cluster's store has this state of its record.
    Stored(Box<Record>),
    /// The cluster's store may not have it any more.
    Missing(Past),
    /// This node's copy of the record is to be written.
    Mirror,
    /// Delete a removed volume's data now.
    Purge { reply: Reply<()> },
    /// Give unused blocks back to the storage.
    Trim { reply: Reply<Bytes> },
    /// Who else has it: asked when a holder looks as if nobody would release it.
    Outside(Vec<OutsideHolder>),
    /// How its mounted file system is.
    Health(Result<(), String>),
    /// Its mount seems to be gone.
    Vanished,
    /// What it holds, where it is a directory.
    Measured(Measured),
    /// Look at what there is, and go on from there.
    Wake,
    /// What serves it to other nodes is gone.
    Unserved,
}

/// A claim to a member of a group, and the one that it was chosen by.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) claim: Claim,
    pub(super) instead_of: Option<Claim>,
}

/// What needs the volume to be unmounted, and is refused while somebody holds it.
#[derive(Debug)]
pub(super) enum Exclusive {
    /// Remove it.
    Remove { purge: Purge, reply: Reply<()> },
    /// Give it another name, which is reserved unless it is its own.
    Rename { to: VolumeName, reserved: Option<Reservation>, reply: Reply<()> },
    /// Bring it back after a removal, under that name.
    Undelete { name: VolumeName, reserved: Option<Reservation>, reply: Reply<()> },
    /// Check its file system.
    Check { repair: Repair, reply: Reply<Checked> },
}

/// What becomes of tasks on other nodes that reach a volume through its owner, when that is to let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Users {
    /// They are served: it does not let go.
    Stay,
    /// They pause, until another node serves them.
    Pause,
}

/// Whether volumes on the disks of a node that is gone are forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forget {
    /// They are.
    Yes,
    /// They are not.
    No,
}

/// What a grow came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grown {
    /// Tasks see the new size.
    Now,
    /// The storage has it; the file system follows when the volume is next mounted.
    AtNextMount,
}

/// What a check of the file system came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Nothing is wrong with it (any more).
    pub clean: bool,
    /// What the checking program said.
    pub output: String,
}

/// A mounted volume, given to a caller.
///
/// Dropped without [`MountGrant::keep`], it gives back the reference that the call added: so a
/// caller that hung up, or whose deadline passed, holds nothing.
#[derive(Debug)]
pub struct MountGrant {
    path: PathBuf,
    abandon: Option<(Handle, Message)>,
}

impl MountGrant {
    /// A grant, and what to tell the volume's task if nobody takes it.
    pub(super) const fn new(path: PathBuf, abandon: Option<(Handle, Message)>) -> Self {
        Self { path, abandon }
    }

    /// The caller has it: the published path.
    #[must_use]
    pub fn keep(mut self) -> PathBuf {
        self.abandon = None;
        std::mem::take(&mut self.path)
    }
}

impl Drop for MountGrant {
    fn drop(&mut self) {
        if let Some((task, message)) = self.abandon.take() {
            task.tell(message);
        }
    }
}
