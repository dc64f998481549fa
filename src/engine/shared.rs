//! What all of a daemon's volumes share: its settings, the store, this node's hands, and what is known of the cluster.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Callers, Host, Neighbours, NotShared, Sharing, departed, group, registry::Registry,
    slots::Slots,
};
use crate::{
    cluster::{Keeper, NodeInfo},
    spec::Defaults,
    volume::{Holder, plan::Ext4OnlineGrow, transition::Inherited},
};

/// How the engine behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What a spec leaves open.
    pub defaults: Defaults,
    /// How long a volume stays mounted after its last holder.
    pub linger: Duration,
    /// How long a holder may be without its process and without a mount before it is dropped.
    pub orphan_after: SignedDuration,
    /// How long a removed volume can be brought back.
    pub undelete: SignedDuration,
    /// The same for Docker's anonymous volumes.
    pub undelete_anonymous: SignedDuration,
    /// How often mounts, file systems and forgotten holders are looked at.
    pub sweep: Duration,
    /// After how long a shared volume goes to the one other node that uses it; `None` is never.
    pub move_after: Option<Duration>,
}

/// What all tasks share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) store: Keeper,
    pub(super) host: Host,
    pub(super) registry: Registry,
    pub(super) callers: Callers,
    pub(super) ext4_online_grow: Ext4OnlineGrow,
    pub(super) slots: Slots,
    /// The other nodes of the cluster, where they can be asked.
    pub(super) neighbours: Option<Arc<dyn Neighbours>>,
    /// What shares volumes between nodes.
    /// Or why nothing can.
    pub(super) sharing: Result<Sharing, NotShared>,
    /// What the cloud said of machines whose nodes are away.
    pub(super) departed: departed::Said,
    /// This node takes no more volumes.
    pub(super) drained: AtomicBool,
    /// Neither does it here: its machine stops, and nothing ends that but the end of this daemon.
    pub(super) leaving: AtomicBool,
    /// What this node last said of itself, as far as that is known. Held while it says something new.
    pub(super) said: tokio::sync::Mutex<Option<NodeInfo>>,
    /// How long this node leaves to others what any node may do.
    pub(super) turn: SignedDuration,
    /// When this daemon started.
    pub(super) started_at: Timestamp,
    /// Who is just choosing a member of a group.
    pub(super) turns: group::Turns,
    /// Held during an import.
    pub(super) importing: tokio::sync::Mutex<()>,
    /// Cancelled when the daemon stops: what holds tasks still lets them go.
    pub(super) stopping: CancellationToken,
    /// The steps under way; closed when the daemon stops, and no step is begun then.
    pub(super) steps: TaskTracker,
}

impl Shared {
    /// Nobody may ever release this holder: its Docker engine is gone, or this daemon was away for
    /// a while and may have missed the Unmount, which Docker sends for 15 seconds and never again.
    /// A caller without an id is a short-lived dvdcli, whose end says nothing.
    pub(super) fn may_be_forgotten(&self, holder: &Holder) -> bool {
        !holder.id.is_anonymous()
            && (holder.since < self.started_at
                || self.callers.inherited(&holder.epoch) == Inherited::Yes)
    }
}
