//! The lease protocol, checked exhaustively: every order in which nodes, store and cloud can act.
//!
//! What a node may do about a volume is not modelled: it is [`hawser::volume::lease`], the functions that
//! the engine runs. Around them stand
//!
//! - [`world`]: what there is: the record in the store, EC2's one attachment, machines, the disk
//! - [`node`]: what a node does, one step at a time, on what it knew when it last looked
//! - [`environment`]: what happens to nodes: crashes, power, calls of theirs that arrive late
//! - [`properties`]: what must be true of every state that can be reached
//! - [`destroy`]: a second, smaller model: deleting the storage of a removed volume
//!
//! There are no clocks: a node may be held up between any two of its steps for as long as all others
//! take to do whatever they can, which is what a frozen machine, a partition, a lost message and a
//! slow clock have in common. What a node knows of another's session is any value at any time.
//!
//! Each rule of the protocol can be left out ([`Slip`]), and the tests show that the model then finds
//! what goes wrong: a model that cannot fail says nothing.

pub mod destroy;
pub mod environment;
pub mod node;
pub mod properties;
pub mod world;

use hawser::volume::lease::{Answer, Machine, Mobility, Owner, Preempt, Session, StoreReach};
use stateright::{Model, Property};
use world::{Held, World};

/// A rule of the protocol that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slip {
    /// The former owner is said to be fenced, and was not.
    NoFence,
    /// A claim is stored whatever became of the record that it was decided on.
    BlindClaim,
    /// It is said to be released before the detach is complete.
    EarlyRelease,
    /// The new owner attaches without storing that the former one was fenced.
    FenceNotStored,
    /// The record is not read again between attaching and mounting.
    NoConfirm,
    /// A machine that started uses what it owned before, without claiming it anew.
    TrustAtBoot,
    /// An attachment that is in the way is cut off without reading the record again.
    BlindEvict,
    /// A fence is done on the word of the node's own copy, without the store.
    FenceFromCopy,
    /// What is attached here is mounted on the word of the node's own copy, without having been
    /// confirmed since it was attached.
    TrustAttached,
}

/// The protocol, under given circumstances.
#[derive(Debug, Clone)]
pub struct Protocol {
    /// The machines as owners: by index everywhere else.
    pub machines: Vec<Owner>,
    /// Whether the volume can go to another node.
    pub mobility: Mobility,
    /// Its policy.
    pub preempt: Preempt,
    /// So often it gets an owner.
    pub epochs: u8,
    /// So often a daemon or a machine ends.
    pub crashes: u8,
    /// What becomes of an attach that its caller gave up. That of a caller that crashed may always
    /// arrive yet.
    pub late: Late,
    /// The rule that is not kept.
    pub slip: Option<Slip>,
}

impl Protocol {
    /// That many nodes.
    #[must_use]
    pub fn of(nodes: usize, preempt: Preempt) -> Self {
        let names = ["a", "b", "c"];
        let machines =
            names[..nodes].iter().map(|name| owner(name, &format!("i-{name}"))).collect();
        Self {
            machines,
            mobility: Mobility::Fenced,
            preempt,
            epochs: 3,
            crashes: 1,
            late: Late::Arrives,
            slip: None,
        }
    }

    /// Two machines, of which the second came up under the first one's name.
    #[must_use]
    pub fn namesakes(preempt: Preempt) -> Self {
        let machines = vec![owner("a", "i-1"), owner("a", "i-2")];
        Self { machines, ..Self::of(2, preempt) }
    }

    /// With that rule not kept.
    #[must_use]
    pub fn without(self, slip: Slip) -> Self {
        Self { slip: Some(slip), ..self }
    }

    fn slips(&self, slip: Slip) -> bool {
        self.slip == Some(slip)
    }
}

fn owner(node: &str, machine: &str) -> Owner {
    Owner {
        node: node.parse().unwrap_or_else(|error| panic!("{node}: {error}")),
        machine: Some(machine.to_owned()),
    }
}

/// One step of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It wants the volume: reads the record (or, with the store away, its copy) and decides.
    Look {
        /// Who.
        node: usize,
        /// Whether the store answers it.
        store: StoreReach,
        /// What it believes of the owner's session.
        session: Session,
        /// What it hears from the owner.
        answer: Answer,
    },
    /// The cloud says that of the owner's machine.
    Hear(usize, Machine),
    /// What it was about to store reaches the store.
    Store {
        /// Who.
        node: usize,
        /// Whether it hears the answer.
        heard: Heard,
    },
    /// What it was about to ask of the cloud reaches the cloud.
    Call(usize),
    /// It sees that a detach is complete.
    See(usize),
    /// It reads the record before it goes on.
    Confirm(usize),
    /// It mounts.
    Mount(usize),
    /// What its tasks wrote gets to the disk, and they are told so.
    Sync(usize),
    /// It unmounts; the volume stays attached.
    Unmount(usize),
    /// It is asked for the volume, or does not need it any more.
    LetGo(usize),
    /// Its step failed, or it never heard how it ended: back to the beginning.
    GiveUp(usize),
    /// The daemon is killed. Mounts stay.
    Kill(usize),
    /// The machine ends.
    PowerOff(usize),
    /// Machine and daemon start.
    Start(usize),
    /// An attach that was on its way when its caller gave up arrives.
    AttachArrives(usize),
    /// A detach is complete.
    Detached,
}

/// A call that nobody waits for any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// It may have its effect at any later time.
    Arrives,
    /// It had its effect at once, or has none.
    Never,
}

/// Whether the answer to a change arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It does.
    Yes,
    /// The change is made, and its author does not know.
    No,
}

impl Model for Protocol {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.machines.len())]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if world.wrong.is_some() {
            return;
        }
        for node in 0..self.machines.len() {
            self.steps_of(world, node, steps);
        }
        self.steps_of_environment(world, steps);
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = last.clone();
        self.take(&mut world, &step);
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}

impl Protocol {
    fn take(&self, world: &mut World, step: &Step) {
        match step {
            Step::Look { node, store, session, answer } => {
                self.look(world, *node, *store, *session, answer);
            }
            Step::Hear(node, machine) => self.hear(world, *node, *machine),
            Step::Store { node, heard } => self.store(world, *node, *heard),
            Step::Call(node) => self.call(world, *node),
            Step::See(node) => self.see(world, *node),
            Step::Confirm(node) => self.confirm(world, *node),
            Step::Mount(node) => world.mount(*node),
            Step::Sync(node) => world.sync(*node),
            Step::Unmount(node) => world.nodes[*node].mounted = None,
            Step::LetGo(node) => self.let_go(world, *node),
            Step::GiveUp(node) => world.give_up(*node, self.late),
            Step::Kill(node) => world.kill(*node),
            Step::PowerOff(node) => world.power_off(*node),
            Step::Start(node) => world.start(*node),
            Step::AttachArrives(node) => world.attach_arrives(*node),
            Step::Detached => world.detached(),
        }
    }

    /// The lease as the engine knows it.
    fn real(&self, held: Held) -> hawser::volume::lease::Lease {
        let owner = |index: u8| self.machines[usize::from(index)].clone();
        hawser::volume::lease::Lease {
            epoch: u64::from(held.epoch).into(),
            owner: held.owner.map(owner),
            from: held.from.map(owner),
        }
    }

    /// And back: what makes states small.
    fn held(&self, lease: &hawser::volume::lease::Lease) -> Held {
        let index = |owner: &Owner| {
            let at = self.machines.iter().position(|machine| machine == owner);
            u8::try_from(at.unwrap_or_else(|| panic!("{owner:?} is nobody"))).unwrap_or(u8::MAX)
        };
        let epoch = (0..=u8::MAX).find(|epoch| lease.epoch == u64::from(*epoch).into());
        Held {
            epoch: epoch.unwrap_or(u8::MAX),
            owner: lease.owner.as_ref().map(index),
            from: lease.from.as_ref().map(index),
        }
    }
}
