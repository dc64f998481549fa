//! What there is: the store's record, the cloud's attachment, machines, daemons, and the disk.

/// A lease, small: machines are indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Held {
    /// The epoch.
    pub epoch: u8,
    /// Whose it is.
    pub owner: Option<u8>,
    /// Who is to be fenced.
    pub from: Option<u8>,
}

impl Held {
    /// Whether that machine has it.
    #[must_use]
    pub fn is_of(self, node: usize) -> bool {
        self.owner.is_some_and(|owner| usize::from(owner) == node)
    }

    /// Whether that machine has it, and nobody is to be fenced first.
    #[must_use]
    pub fn is_settled_on(self, node: usize) -> bool {
        self.is_of(node) && self.from.is_none()
    }
}

/// The record as the store has it: changed only where the revision is the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stored {
    /// The lease.
    pub held: Held,
    /// The number of this state.
    pub revision: u8,
}

/// What a node is about to do. It may be held up before it for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Doing {
    /// Its daemon does not run.
    Off,
    /// Nothing.
    Rest,
    /// To ask the cloud about the owner's machine.
    AskCloud,
    /// To store that claim.
    Claim(Held),
    /// To have the cloud take the volume from `from`.
    Fence,
    /// To see that it is done.
    AwaitFence,
    /// To store that it is done.
    StoreFenced,
    /// To have the cloud attach the volume here.
    Attach,
    /// To read whether it is still its own.
    Confirm,
    /// To mount it.
    Mount,
    /// To read whether it is its own, since that machine has it attached.
    CheckEvict(u8),
    /// To have the cloud take it from that machine, which has it attached by mistake.
    Evict(u8),
    /// To have the cloud detach it from here.
    Detach,
    /// To see that it is done.
    AwaitDetach,
    /// To store that it let go of everything.
    StoreReleased,
}

/// A machine and its daemon.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Node {
    /// Whether the machine runs.
    pub runs: bool,
    /// What the daemon is about to do.
    pub doing: Doing,
    /// The record as the node last read or stored it: kept on its disk.
    pub copy: Stored,
    /// It claimed the lease in `copy` since its machine started. Known by the boot id.
    pub fresh: bool,
    /// The store said that it is this node's since the device is there: a device that was detached and
    /// attached again is another one. Known by the boot id and the kernel's number of the device
    /// (`diskseq`), which are kept on the node's disk; between reading the record and mounting, by
    /// holding the device open.
    pub sure: bool,
    /// The epoch under which the kernel has it mounted: it stays when the daemon ends.
    pub mounted: Option<u8>,
    /// An attach is on its way that nobody waits for.
    pub late: bool,
}

/// What went wrong in a step, where the state after it does not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrong {
    /// A write landed under a smaller epoch than an earlier write.
    StaleWrite,
    /// The record's epoch did not grow with a new owner, or changed without one.
    Epoch,
    /// A running machine's volume was claimed though the policy forbids it.
    TakenFromRunning,
    /// A running machine's mounted volume was cut off though the policy forbids it.
    CutOff,
    /// A volume was claimed from an owner that nothing may take it from.
    TakenForbidden,
    /// A new owner was decided on without the store.
    WithoutStore,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    /// The store.
    pub record: Stored,
    /// The machine that EC2 has it attached to: one at most, by EC2's word.
    pub attached: Option<u8>,
    /// A detach was asked for: it ends at any time, and cannot be taken back.
    pub detaching: bool,
    /// The machines.
    pub nodes: Vec<Node>,
    /// The epoch of the last write on the disk.
    pub written: u8,
    /// The largest epoch of a write that was acknowledged.
    pub acknowledged: u8,
    /// How often something crashed.
    pub crashes: u8,
    /// What went wrong.
    pub wrong: Option<Wrong>,
    /// What went well once, for the properties that ask whether anything does.
    pub seen: Option<Seen>,
}

/// How the last claim came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seen {
    /// Nobody had had it.
    Unused,
    /// Its owner had let go of it.
    Released,
    /// Its owner's machine was down.
    Dead,
    /// Its owner's machine ran.
    Running,
}

impl World {
    /// A volume that nobody has, and machines that run.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        let record = Stored { held: Held { epoch: 0, owner: None, from: None }, revision: 0 };
        let node = Node {
            runs: true,
            doing: Doing::Rest,
            copy: record,
            fresh: false,
            sure: false,
            mounted: None,
            late: false,
        };
        Self {
            record,
            attached: None,
            detaching: false,
            nodes: vec![node; nodes],
            written: 0,
            acknowledged: 0,
            crashes: 0,
            wrong: None,
            seen: None,
        }
    }

    /// Whether EC2 has it attached there.
    #[must_use]
    pub fn is_attached_to(&self, node: usize) -> bool {
        self.attached.is_some_and(|machine| usize::from(machine) == node)
    }

    /// Whether that machine's kernel can write to the disk.
    #[must_use]
    pub fn can_write(&self, node: usize) -> bool {
        self.is_attached_to(node) && self.nodes[node].mounted.is_some()
    }

    pub(crate) fn mount(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        node.doing = Doing::Rest;
        if node.sure {
            node.mounted = Some(node.copy.held.epoch);
        }
    }

    /// Pages may have been written to long before they get to the disk: any mount may do it any time.
    pub(crate) fn sync(&mut self, node: usize) {
        let Some(epoch) = self.nodes[node].mounted else { return };
        if epoch < self.written {
            self.wrong = Some(Wrong::StaleWrite);
        }
        self.written = epoch;
        self.acknowledged = self.acknowledged.max(epoch);
    }
}
