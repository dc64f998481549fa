//! What a node does, a step at a time. Between two of its steps everything may change.
//!
//! ```text
//! Look ─▶ AskCloud ─▶ Claim ─▶ Fence ─▶ AwaitFence ─▶ StoreFenced ─▶ Attach ─▶ Confirm ─▶ Mount
//!   └── a free volume ──▶┘ └── nobody to fence ──────────────────────▶┘ └▶ CheckEvict ─▶ Evict
//! LetGo ─▶ Detach ─▶ AwaitDetach ─▶ StoreReleased
//! ```

use hawser::volume::lease::{
    Answer, Decision, Facts, Machine, Mobility, Preempt, Session, StoreReach, decide,
};

use crate::{
    Heard, Protocol, Slip, Step,
    world::{Doing, Held, Seen, Stored, World, Wrong},
};

impl Protocol {
    pub(crate) fn steps_of(&self, world: &World, index: usize, steps: &mut Vec<Step>) {
        let node = &world.nodes[index];
        if node.mounted.is_some() && world.is_attached_to(index) {
            steps.push(Step::Sync(index));
        }
        match node.doing {
            Doing::Off => return,
            Doing::Rest => return self.steps_at_rest(world, index, steps),
            Doing::AskCloud => {
                let owner = node.copy.held.owner.map(usize::from);
                let runs = owner.is_none_or(|owner| world.nodes[owner].runs);
                steps.push(Step::Hear(index, if runs { Machine::Runs } else { Machine::Gone }));
                steps.push(Step::Hear(index, Machine::Unknown));
            }
            Doing::Claim(_) | Doing::StoreFenced | Doing::StoreReleased => {
                steps.push(Step::Store { node: index, heard: Heard::Yes });
                steps.push(Step::Store { node: index, heard: Heard::No });
            }
            Doing::Fence | Doing::Attach | Doing::Evict(_) | Doing::Detach => {
                steps.push(Step::Call(index));
            }
            Doing::AwaitFence | Doing::AwaitDetach => steps.push(Step::See(index)),
            Doing::Confirm | Doing::CheckEvict(_) => steps.push(Step::Confirm(index)),
            Doing::Mount => steps.push(Step::Mount(index)),
        }
        steps.push(Step::GiveUp(index));
    }

    fn steps_at_rest(&self, world: &World, index: usize, steps: &mut Vec<Step>) {
        let node = &world.nodes[index];
        if node.mounted.is_some() {
            steps.push(Step::Unmount(index));
        } else if node.copy.held.is_settled_on(index) {
            steps.push(Step::LetGo(index));
        }
        let owner = world.record.held.owner.map(usize::from).filter(|owner| *owner != index);
        let talks = owner.is_some_and(|owner| world.nodes[owner].doing != Doing::Off);
        let mut look = |store, session, answer| {
            steps.push(Step::Look { node: index, store, session, answer });
        };
        look(StoreReach::Away, Session::Over, Answer::Silent);
        for session in [Session::Lives, Session::Over] {
            look(StoreReach::Answers, session, Answer::Silent);
            if talks {
                for answer in [Answer::Held(String::new()), Answer::Busy(String::new())] {
                    look(StoreReach::Answers, session, answer);
                }
                look(StoreReach::Answers, session, Answer::Released);
            }
        }
    }

    /// Reads the record and decides: with the engine's function, on what it has heard.
    pub(crate) fn look(
        &self,
        world: &mut World,
        node: usize,
        store: StoreReach,
        session: Session,
        answer: &Answer,
    ) {
        if store == StoreReach::Answers {
            world.nodes[node].copy = world.record;
        }
        let mut facts = Facts::of(session);
        let mut decision = self.decided(world, node, store, &facts);
        if decision == Decision::AskOwner {
            facts.answer = answer.clone();
            decision = self.decided(world, node, store, &facts);
        }
        self.follow(world, node, store, decision);
    }

    fn decided(&self, world: &World, node: usize, store: StoreReach, facts: &Facts) -> Decision {
        let lease = self.real(world.nodes[node].copy.held);
        decide(&lease, &self.machines[node], store, self.mobility, self.preempt, facts)
    }

    fn follow(&self, world: &mut World, node: usize, store: StoreReach, decision: Decision) {
        let others = decision != Decision::Mine;
        let refused = matches!(decision, Decision::Wait(_) | Decision::Refuse(_));
        if store == StoreReach::Away && others && !refused {
            world.wrong = Some(Wrong::WithoutStore);
        }
        let doing = match decision {
            Decision::Mine => return self.mine(world, node, store),
            Decision::Claim(lease) => self.within_bounds(self.held(&lease)),
            Decision::AskCloud => Doing::AskCloud,
            Decision::AskOwner | Decision::LookAgain => Doing::Rest,
            Decision::Wait(_) | Decision::Refuse(_) => Doing::Rest,
        };
        let stray = world.is_attached_to(node) && world.nodes[node].mounted.is_none();
        // It is another's, or will be claimed when nothing of it is here.
        let stray = others && stray && store == StoreReach::Answers && !world.detaching;
        world.nodes[node].doing = if stray { Doing::Detach } else { doing };
    }

    fn within_bounds(&self, claim: Held) -> Doing {
        if claim.epoch > self.epochs { Doing::Rest } else { Doing::Claim(claim) }
    }

    pub(crate) fn hear(&self, world: &mut World, node: usize, machine: Machine) {
        let facts = Facts { session: Session::Over, answer: Answer::Silent, machine };
        let decision = self.decided(world, node, StoreReach::Answers, &facts);
        self.follow(world, node, StoreReach::Answers, decision);
    }

    /// It is this node's, as far as it knows: on towards the mount.
    fn mine(&self, world: &mut World, index: usize, store: StoreReach) {
        let attached = world.is_attached_to(index);
        let node = &mut world.nodes[index];
        let held = node.copy.held;
        node.doing = match store {
            _ if node.mounted.is_some() => Doing::Rest,
            StoreReach::Away if held.from.is_some() => {
                if self.slips(Slip::FenceFromCopy) {
                    Doing::Fence
                } else {
                    Doing::Rest
                }
            }
            _ if node.sure => Doing::Mount,
            StoreReach::Away if self.slips(Slip::TrustAttached) && attached => {
                node.sure = true;
                Doing::Mount
            }
            StoreReach::Away if self.slips(Slip::BlindEvict) => Doing::Attach,
            StoreReach::Away => Doing::Rest,
            // A claim that was decided on while this machine was down must find another record.
            StoreReach::Answers if !node.fresh && !self.slips(Slip::TrustAtBoot) => {
                let anew = self.real(held).claimed_by(self.machines[index].clone());
                self.within_bounds(self.held(&anew))
            }
            StoreReach::Answers if held.from.is_none() => Doing::Attach,
            StoreReach::Answers if self.slips(Slip::NoFence) => Doing::StoreFenced,
            StoreReach::Answers => Doing::Fence,
        };
    }

    /// Compare-and-set, as `cluster::Store::replace` has it.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "steps_of offers a step only where it can be taken"
    )]
    pub(crate) fn store(&self, world: &mut World, index: usize, heard: Heard) {
        let node = &world.nodes[index];
        let (doing, copy) = (node.doing, node.copy);
        let blind = self.slips(Slip::BlindClaim) && matches!(doing, Doing::Claim(_));
        world.nodes[index].doing = Doing::Rest;
        if copy.revision != world.record.revision && !blind {
            return;
        }
        let next = match doing {
            Doing::Claim(claim) => claim,
            Doing::StoreFenced => self.held(&self.real(copy.held).fenced()),
            Doing::StoreReleased => self.held(&self.real(copy.held).released()),
            _ => return,
        };
        self.judge(world, index, next);
        world.record = Stored { held: next, revision: world.record.revision + 1 };
        if heard == Heard::No {
            return;
        }
        let node = &mut world.nodes[index];
        node.copy = world.record;
        if matches!(doing, Doing::Claim(_)) {
            node.fresh = true;
        }
        if doing != Doing::StoreReleased {
            self.mine(world, index, StoreReach::Answers);
        }
    }

    /// Whether that change of the record is one that may be made.
    fn judge(&self, world: &mut World, index: usize, next: Held) {
        let before = world.record.held;
        let claims = next.epoch != before.epoch;
        let former = before.owner.map(usize::from).filter(|owner| *owner != index);
        if next.epoch < before.epoch || claims != (next.epoch == before.epoch + 1) {
            world.wrong = Some(Wrong::Epoch);
        }
        if !claims {
            return;
        }
        if let Some(former) = former {
            let spared = self.preempt != Preempt::Force && world.nodes[former].mounted.is_some();
            let namesake = self.machines[former].node == self.machines[index].node;
            let allowed = match self.mobility {
                Mobility::Fenced => self.preempt != Preempt::Never,
                // A stopped machine is its own fence where nothing is attached.
                Mobility::Handed => namesake,
                // Directories: nothing is attached, and the model is about what is.
                Mobility::Fixed | Mobility::Unbound => false,
            };
            if !allowed {
                world.wrong = Some(Wrong::TakenForbidden);
            } else if spared {
                world.wrong = Some(Wrong::TakenFromRunning);
            }
        }
        world.seen = match former {
            Some(former) if world.nodes[former].runs => Some(Seen::Running),
            Some(_) => Some(Seen::Dead),
            None if before.owner.is_some() => world.seen,
            None if before.epoch == 0 => Some(Seen::Unused),
            None => Some(Seen::Released),
        };
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "steps_of offers a step only where it can be taken"
    )]
    pub(crate) fn call(&self, world: &mut World, index: usize) {
        let node = &world.nodes[index];
        let from = node.copy.held.from;
        let (ask, next) = match node.doing {
            Doing::Fence => (from, Doing::AwaitFence),
            Doing::Evict(machine) => (Some(machine), Doing::Rest),
            Doing::Detach if self.slips(Slip::EarlyRelease) => {
                (number(index), Doing::StoreReleased)
            }
            Doing::Detach => (number(index), Doing::AwaitDetach),
            _ => return self.attach(world, index),
        };
        world.nodes[index].doing = next;
        // EC2 is told which machine to detach it from, and refuses where another one has it.
        if world.attached.is_some() && world.attached == ask {
            let spared = self.preempt != Preempt::Force && ask != number(index);
            let there = ask.map_or(index, usize::from);
            if spared && world.can_write(there) {
                world.wrong = Some(Wrong::CutOff);
            }
            world.detaching = true;
        }
    }

    fn attach(&self, world: &mut World, index: usize) {
        let unconfirmed = self.slips(Slip::NoConfirm);
        let confirm = if unconfirmed { Doing::Mount } else { Doing::Confirm };
        world.nodes[index].sure =
            unconfirmed && (world.attached.is_none() || world.is_attached_to(index));
        world.nodes[index].doing = match world.attached {
            None => {
                world.attached = number(index);
                confirm
            }
            Some(_) if world.is_attached_to(index) && !world.detaching => confirm,
            Some(other) if !world.is_attached_to(index) && self.mobility == Mobility::Fenced => {
                let blind = self.slips(Slip::BlindEvict);
                if blind { Doing::Evict(other) } else { Doing::CheckEvict(other) }
            }
            Some(_) => Doing::Rest,
        };
    }

    pub(crate) fn see(&self, world: &mut World, index: usize) {
        let node = &world.nodes[index];
        let fencing = node.doing == Doing::AwaitFence;
        let machine = if fencing { node.copy.held.from } else { number(index) };
        if world.attached.is_some() && world.attached == machine {
            return;
        }
        let own = node.copy.held.is_settled_on(index);
        let node = &mut world.nodes[index];
        node.doing = match (fencing, own) {
            (true, _) if self.slips(Slip::FenceNotStored) => Doing::Attach,
            (true, _) => Doing::StoreFenced,
            (false, true) => Doing::StoreReleased,
            (false, false) => Doing::Rest,
        };
    }

    /// Reads the record, not older than now, before what cannot be taken back.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "steps_of offers a step only where it can be taken"
    )]
    pub(crate) fn confirm(&self, world: &mut World, index: usize) {
        let (record, machine) = (world.record, world.attached);
        let node = &mut world.nodes[index];
        node.copy = record;
        let own = record.held.is_settled_on(index)
            || (self.slips(Slip::FenceNotStored) && record.held.is_of(index));
        node.doing = match node.doing {
            Doing::CheckEvict(machine) if own => Doing::Evict(machine),
            Doing::CheckEvict(_) => Doing::Rest,
            // Of the device that it has open, if it still has it.
            _ if own && machine == number(index) => {
                node.sure = true;
                Doing::Mount
            }
            _ if own => Doing::Rest,
            // Attached too late: it is another's.
            _ if machine == number(index) => Doing::Detach,
            _ => Doing::Rest,
        };
    }

    /// Only what nobody is to be fenced for is released.
    pub(crate) fn let_go(&self, world: &mut World, index: usize) {
        world.nodes[index].doing = Doing::Detach;
    }
}

fn number(index: usize) -> Option<u8> {
    u8::try_from(index).ok()
}
