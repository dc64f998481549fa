//! Deleting the storage of a removed volume, by a node that may be held up before the call.
//!
//! ```text
//!            Remove                condemn
//!   Ready ──────────▶ Removed ──────────────▶ Condemned ─▶ DeleteVolume ─▶ (forgotten)
//!     ▲                  │
//!     └──── undelete ────┘   never from here: ───┘
//! ```
//!
//! DeleteVolume cannot be told an epoch. Whoever read the record, found the volume its own and due, and was
//! held up before the call, deletes what another node took over and undeleted meanwhile: EC2 refuses only
//! while it is attached. So the decision is stored, by compare-and-set and for good, before the first
//! call; after it nobody undeletes, attaches or mounts the volume, and anybody may make the call.

use stateright::{Model, Property};

/// What is looked at before the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Before {
    /// The record: it is this node's, removed, and due.
    Read,
    /// The same, twice.
    ReadTwice,
    /// That it was condemned: stored by compare-and-set.
    Condemned,
}

/// Nodes that remove, undelete, use and delete one volume.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// That many nodes.
    pub nodes: u8,
    /// The rule.
    pub before: Before,
    /// So often the record changes.
    pub revisions: u8,
}

/// Where the record says that the volume is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// In use.
    Ready,
    /// It can be brought back. No clock says until when: nodes' clocks differ.
    Removed,
    /// Its storage is being deleted.
    Condemned,
    /// There is no record any more.
    Forgotten,
}

/// The record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Record {
    phase: Phase,
    owner: Option<u8>,
    revision: u8,
}

/// What a node is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Doing {
    Rest,
    Store(Phase, Option<u8>),
    ReadAgain,
    Delete,
    Attach,
    Confirm,
    Detach,
}

/// A node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node {
    copy: Record,
    doing: Doing,
    mounted: bool,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    record: Record,
    exists: bool,
    attached: Option<u8>,
    nodes: Vec<Node>,
    undeleted: bool,
}

/// One step of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It reads the record, in order to do that.
    Look(u8, Wish),
    /// It does what it was about to do.
    Act(u8),
    /// It unmounts.
    Unmount(u8),
    /// Its step failed, or it was restarted.
    GiveUp(u8),
}

/// What a node wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To own it. Whether it may is the other model's subject.
    Own,
    /// To mount it.
    Use,
    /// To detach it.
    LetGo,
    /// To remove it.
    Remove,
    /// To bring it back.
    Undelete,
    /// To delete its storage: its time has come, by this node's clock.
    Purge,
}

const WISHES: [Wish; 6] =
    [Wish::Own, Wish::Use, Wish::LetGo, Wish::Remove, Wish::Undelete, Wish::Purge];

impl Model for Deletion {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let record = Record { phase: Phase::Ready, owner: Some(0), revision: 0 };
        let node = Node { copy: record, doing: Doing::Rest, mounted: false };
        let nodes = vec![node; usize::from(self.nodes)];
        vec![World { record, exists: true, attached: None, nodes, undeleted: false }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        for (index, node) in (0..self.nodes).zip(&world.nodes) {
            if node.doing == Doing::Rest {
                steps.extend(WISHES.map(|wish| Step::Look(index, wish)));
            } else {
                steps.extend([Step::Act(index), Step::GiveUp(index)]);
            }
            if node.mounted {
                steps.push(Step::Unmount(index));
            }
        }
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = last.clone();
        match step {
            Step::Look(index, wish) => self.look(&mut world, index, wish),
            Step::Act(index) => self.act(&mut world, index),
            Step::Unmount(index) => world.nodes[usize::from(index)].mounted = false,
            Step::GiveUp(index) => world.nodes[usize::from(index)].doing = Doing::Rest,
        }
        (world != *last && world.record.revision <= self.revisions).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(KEPT, |_, world: &World| match world.record.phase {
                Phase::Ready | Phase::Removed => world.exists,
                Phase::Condemned | Phase::Forgotten => true,
            }),
            Property::always(LEAKED, |_, world: &World| {
                world.record.phase != Phase::Forgotten || !world.exists
            }),
            Property::sometimes("a removed volume is deleted and forgotten", |_, world: &World| {
                world.record.phase == Phase::Forgotten
            }),
            Property::sometimes("a volume that was undeleted is used", |_, world: &World| {
                world.undeleted && world.nodes.iter().any(|node| node.mounted)
            }),
        ]
    }
}

/// A volume that is used, or that can be brought back, has its data.
pub const KEPT: &str = "what is not condemned is there";
/// Storage is not paid for by nobody.
pub const LEAKED: &str = "what is forgotten is deleted";

impl Deletion {
    fn look(&self, world: &mut World, index: u8, wish: Wish) {
        let record = world.record;
        let own = record.owner == Some(index);
        let here = world.attached == Some(index);
        let node = &mut world.nodes[usize::from(index)];
        node.copy = record;
        node.doing = match (wish, record.phase) {
            (Wish::Purge, Phase::Condemned) => Doing::Delete,
            (Wish::LetGo, _) if here && !node.mounted => Doing::Detach,
            (_, Phase::Condemned | Phase::Forgotten) => Doing::Rest,
            (Wish::Own, phase) if !own => Doing::Store(phase, Some(index)),
            (Wish::Use, Phase::Ready) if own && !node.mounted => Doing::Attach,
            // Unmounted and detached before: as the plan has it.
            (Wish::Remove, Phase::Ready) if own && !here => {
                Doing::Store(Phase::Removed, Some(index))
            }
            (Wish::Undelete, Phase::Removed) if own => Doing::Store(Phase::Ready, Some(index)),
            (Wish::Purge, Phase::Removed) if own && !here => match self.before {
                Before::Read => Doing::Delete,
                Before::ReadTwice => Doing::ReadAgain,
                Before::Condemned => Doing::Store(Phase::Condemned, Some(index)),
            },
            (
                Wish::Own | Wish::Use | Wish::LetGo | Wish::Remove | Wish::Undelete | Wish::Purge,
                Phase::Ready | Phase::Removed,
            ) => Doing::Rest,
        };
    }

    fn act(&self, world: &mut World, index: u8) {
        let node = world.nodes[usize::from(index)];
        let next = match node.doing {
            Doing::Rest => Doing::Rest,
            Doing::Store(phase, owner) => store(world, node.copy, phase, owner),
            Doing::ReadAgain if world.record == node.copy => Doing::Delete,
            Doing::ReadAgain => Doing::Rest,
            Doing::Delete => delete(world, index),
            Doing::Attach => attach(world, index),
            Doing::Confirm => {
                let (record, here) = (world.record, world.attached == Some(index));
                let own = record.owner == Some(index) && record.phase == Phase::Ready;
                world.nodes[usize::from(index)].mounted = own && here;
                if own || !here { Doing::Rest } else { Doing::Detach }
            }
            Doing::Detach => {
                if world.attached == Some(index) {
                    world.attached = None;
                }
                Doing::Rest
            }
        };
        world.nodes[usize::from(index)].doing = next;
    }
}

fn store(world: &mut World, copy: Record, phase: Phase, owner: Option<u8>) -> Doing {
    if world.record != copy {
        return Doing::Rest;
    }
    world.undeleted |= (copy.phase, phase) == (Phase::Removed, Phase::Ready);
    world.record = Record { phase, owner, revision: copy.revision + 1 };
    Doing::Rest
}

/// EC2 refuses to delete what is attached. What is gone is forgotten.
fn delete(world: &mut World, index: u8) -> Doing {
    let copy = world.nodes[usize::from(index)].copy;
    if world.exists && world.attached.is_none() {
        world.exists = false;
    }
    if world.exists { Doing::Rest } else { Doing::Store(Phase::Forgotten, copy.owner) }
}

/// By the owner, as far as it knows; who has it otherwise is fenced first.
fn attach(world: &mut World, index: u8) -> Doing {
    if let Some(other) = world.attached.filter(|other| *other != index) {
        world.nodes[usize::from(other)].mounted = false;
        world.attached = None;
        return Doing::Attach;
    }
    if world.exists {
        world.attached = Some(index);
        return Doing::Confirm;
    }
    Doing::Rest
}
