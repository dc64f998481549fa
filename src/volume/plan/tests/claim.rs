//! Three nodes and a volume that is not shared, reached through its owner: never two that can write to it,
//! in whatever order they act, are cut off, die and come back.

use proptest::prelude::*;

use super::*;
use crate::{
    spec::Sharing,
    volume::{Epoch, Lease, NodeName},
};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Lives,
    /// It stands still, or is not heard of: its session is over, and its kernel and its tunnel go on.
    Cut,
    Dead,
}

struct Node {
    me: Owner,
    seen: Observed,
    wanted: bool,
    life: Life,
    /// Whom its tunnel lets in, and under which epoch.
    lets_in: Option<(NodeName, Epoch)>,
    /// Under which claim its kernel mounted what it reaches.
    mounted_under: u32,
    way: Way,
    /// Whether it asked for the claim.
    asked: bool,
    /// Whether it could own it: it is in its zone, say.
    able: bool,
    write_back: WriteBack,
}

struct World {
    record: Record,
    /// After the three, machines whose names they have now.
    nodes: Vec<Node>,
    /// How many claims there were.
    claims: u32,
    asker: Option<usize>,
    done: Vec<(usize, Effect)>,
}

impl Node {
    fn new(name: &str, machine: &str) -> Self {
        Self {
            me: Owner { node: name.parse().unwrap(), machine: Some(machine.to_owned()) },
            seen: provisioned(),
            wanted: false,
            life: Life::Lives,
            lets_in: None,
            mounted_under: 0,
            way: Way::Open,
            asked: false,
            able: true,
            write_back: WriteBack::Works,
        }
    }
}

impl World {
    fn new() -> Self {
        let mut record = on_ebs(used_record(), AttachPolicy::Stay);
        record.spec.sharing = Sharing::Exclusive;
        record.lease = Lease { epoch: 1.into(), owner: None, from: None };
        let nodes = ["a", "b", "c"].map(|name| Node::new(name, &format!("i-{name}"))).into();
        Self { record, nodes, claims: 0, asker: None, done: Vec::new() }
    }

    /// One that A has attached, and nobody uses.
    fn idle_on_a() -> Self {
        let mut world = Self::new();
        world.mounts(A);
        world.unmounts(A);
        assert!(world.nodes[A].seen.device.is_some() && !world.nodes[A].seen.staged);
        world
    }

    fn owner(&self) -> Option<usize> {
        self.nodes.iter().position(|node| self.record.lease.is_of(&node.me.node))
    }

    fn writer(&self) -> Option<usize> {
        let writer = self.record.writer()?;
        self.nodes.iter().position(|node| node.me.node == *writer)
    }

    fn session(&self, node: Option<usize>) -> Session {
        let lives = node.is_some_and(|node| self.nodes[node].life == Life::Lives);
        if lives { Session::Lives } else { Session::Over }
    }

    fn want(&self, node: usize) -> Want {
        if self.nodes[node].wanted { Want::Mounted } else { Want::Released }
    }

    /// One step on one node. False where it has nothing to do.
    fn step(&mut self, node: usize) -> bool {
        if self.nodes[node].life != Life::Lives {
            return false;
        }
        let Node { me, seen, way, asked, .. } = &self.nodes[node];
        let (me, seen, way, asked) = (me.clone(), seen.clone(), *way, *asked);
        let able = self.nodes[node].able || self.owner() == Some(node);
        let serving = if able { Serving::Able } else { Serving::Unable(Unable::OtherZone) };
        let asker = self.asker.filter(|_| self.owner() == Some(node));
        let asker = asker.map(|asker| self.nodes[asker].me.node.clone());
        let writer = self.session(self.writer());
        let here = Here {
            owner: self.session(self.owner()),
            serving,
            lending: Lending {
                writer,
                asker: asker.as_ref(),
                way,
                asked,
                task_waits: self.nodes[node].wanted && !self.nodes[node].seen.is_published(),
            },
            write_back: self.nodes[node].write_back,
            ..here(Some(&me))
        };
        let event = match super::super::next(&self.record, Some(&seen), self.want(node), &here) {
            Step::Record(event) => Some(event),
            Step::Do(Effect::Own) => return self.own(node),
            // Its writer has a task with it; or leaves by itself.
            Step::Do(Effect::Recall) if self.nodes[self.writer().unwrap()].wanted => {
                return self.refuse(node);
            }
            Step::Do(Effect::Recall) => return false,
            Step::Do(Effect::Reach) if !self.is_let_in(node) => return false,
            Step::Do(Effect::Unreach) if self.cannot_write_back(node) => {
                let before = std::mem::replace(&mut self.nodes[node].write_back, WriteBack::Fails);
                return before == WriteBack::Works;
            }
            Step::Do(effect) => self.carry_out(node, effect),
            Step::Idle | Step::Wait(_) | Step::Leave(_) => return false,
            other @ (Step::Stuck(_) | Step::Forget) => panic!("{other:?}"),
        };
        if let Some(event) = event {
            self.claims += u32::from(matches!(event, Event::Joined { .. }));
            self.record = transition::apply(&self.record, event, START).unwrap();
        }
        self.forget_who_was_shut_out();
        self.check();
        true
    }

    fn carry_out(&mut self, node: usize, effect: Effect) -> Option<Event> {
        self.done.push((node, effect));
        if effect == Effect::Export {
            assert!(self.record.writer().is_some(), "nobody to let in");
            let writer = self.record.writer().cloned();
            self.nodes[node].lets_in = writer.map(|writer| (writer, self.record.lease.epoch));
        } else if effect == Effect::Unexport {
            self.nodes[node].lets_in = None;
        } else if effect == Effect::Reach {
            self.nodes[node].mounted_under = self.claims;
        }
        let seen = self.nodes[node].seen.clone();
        let outcome = effect::Outcome::foreseen(effect, &self.record);
        let (after, event) = effect::absorb(seen, effect, outcome);
        self.nodes[node].seen = after;
        event
    }

    /// What `engine::ownership` and the owner's task do.
    fn own(&mut self, node: usize) -> bool {
        let me = self.nodes[node].me.clone();
        let owner = self.owner();
        let writer = self.record.writer_elsewhere().and(self.writer());
        let heir = writer.filter(|writer| *writer != node);
        match owner.map(|owner| self.nodes[owner].life) {
            // Time is given to one that could have it itself.
            None | Some(Life::Dead)
                if self.session(heir) == Session::Lives
                    && heir.is_some_and(|writer| self.nodes[writer].able) =>
            {
                let written = heir.is_some_and(|writer| self.nodes[writer].wanted);
                written && self.refuse(node)
            }
            None | Some(Life::Dead) => {
                // Its machine is gone, which is as good as the fence.
                let lease = self.record.lease.claimed_by(me).fenced();
                self.record.lease = lease;
                true
            }
            Some(Life::Cut) => false,
            Some(Life::Lives) => {
                let owner = owner.unwrap();
                let used = self.nodes[owner].wanted;
                let lives = self.session(heir) == Session::Lives;
                let written = lives && heir.is_some_and(|writer| self.nodes[writer].wanted);
                if used || written {
                    return self.refuse(node);
                }
                if lives {
                    // It is asked first, and leaves.
                    return false;
                }
                let news = self.asker != Some(node);
                self.nodes[node].asked = self.nodes[node].way == Way::Open;
                if self.nodes[node].way == Way::Closed {
                    self.asker = None;
                    return self.let_go(owner);
                }
                self.asker.get_or_insert(node);
                news && self.asker == Some(node)
            }
        }
    }

    fn refuse(&mut self, node: usize) -> bool {
        self.nodes[node].wanted = false;
        true
    }

    /// As an owner that is asked to let go of it.
    fn let_go(&mut self, owner: usize) -> bool {
        let Step::Do(effect) = self.decide(owner, Want::Detached) else {
            self.record = transition::apply(&self.record, Event::Disowned, START).unwrap();
            return true;
        };
        assert!(self.carry_out(owner, effect).is_none());
        self.check();
        true
    }

    fn decide(&self, node: usize, want: Want) -> Step {
        let Node { me, seen, .. } = &self.nodes[node];
        let here = Here {
            owner: self.session(self.owner()),
            lending: Lending {
                writer: self.session(self.writer()),
                task_waits: want == Want::Mounted,
                ..Lending::NONE
            },
            ..here(Some(me))
        };
        super::super::next(&self.record, Some(seen), want, &here)
    }

    /// Who asked has its answer; and a writer that was shut out has no holders any more.
    fn forget_who_was_shut_out(&mut self) {
        if self.asker.is_some() && self.asker == self.writer() {
            self.asker = None;
        }
        for node in &mut self.nodes {
            let reaches = node.seen.is_reached() && node.life == Life::Lives;
            let user = self.record.users.contains(&node.me.node);
            if reaches && !user && node.seen.remote.published {
                node.wanted = false;
            }
        }
    }

    /// Its connections come through to the owner's server.
    fn is_let_in(&self, node: usize) -> bool {
        let Node { me, seen, .. } = &self.nodes[node];
        let caller = seen.remote.connected.map(|epoch| (me.node.clone(), epoch));
        let lives = |owner: &&Node| owner.life != Life::Dead;
        caller.is_some() && self.nodes.iter().filter(lives).any(|owner| owner.lets_in == caller)
    }

    /// What it wrote is to be with the volume before it leaves; not so of who lost the claim.
    fn cannot_write_back(&self, node: usize) -> bool {
        let Node { me, seen, .. } = &self.nodes[node];
        let writer = self.record.users.contains(&me.node);
        writer && seen.remote.mounted && !self.is_let_in(node)
    }

    /// What may never be.
    fn check(&self) {
        let mut writers = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            if node.life == Life::Dead {
                continue;
            }
            let seen = &node.seen;
            assert!(!(seen.published && seen.remote.published), "a path shows one thing");
            let lets_in = node.lets_in.is_some();
            assert!(!lets_in || seen.staged, "what is served is mounted");
            let direct = seen.staged && seen.published;
            let remote = seen.remote.mounted && self.is_let_in(index);
            let stale = remote && node.mounted_under != self.claims;
            assert!(!stale, "{}: what was written under an earlier claim comes back", node.me.node);
            if direct || remote {
                writers.push(node.me.node.as_str());
            }
        }
        assert!(writers.len() < 2, "two can write: {writers:?}, {:?}", self.done);
    }

    fn settle(&mut self) {
        for _ in 0..200 {
            let did = (0..self.nodes.len()).map(|node| self.step(node));
            if !did.fold(false, |any, did| any | did) {
                return;
            }
        }
        panic!("it never ends: {:?}", self.done);
    }

    /// A task comes.
    fn asks(&mut self, node: usize) {
        self.nodes[node].wanted = true;
        if self.owner() == Some(node) {
            // Whoever asks for it is told so.
            self.asker = None;
        }
    }

    fn mounts(&mut self, node: usize) {
        self.asks(node);
        self.settle();
        assert!(self.nodes[node].seen.is_mounted(), "{:?}", self.done);
    }

    fn is_refused(&mut self, node: usize) {
        self.asks(node);
        self.settle();
        assert!(!self.nodes[node].wanted && !self.nodes[node].seen.is_mounted());
    }

    fn unmounts(&mut self, node: usize) {
        self.nodes[node].wanted = false;
        self.settle();
        assert!(!self.nodes[node].seen.is_published());
    }

    fn comes_back(&mut self, node: usize) {
        if self.nodes[node].life == Life::Dead {
            (self.nodes[node].seen, self.nodes[node].asked) = (provisioned(), false);
        }
        self.nodes[node].life = Life::Lives;
        self.forget_who_was_shut_out();
    }

    /// Its machine is gone.
    fn dies(&mut self, node: usize) {
        let node_of = &mut self.nodes[node];
        (node_of.life, node_of.wanted, node_of.lets_in) = (Life::Dead, false, None);
        self.asker = self.asker.filter(|asker| *asker != node);
    }

    fn is_cut(&mut self, node: usize) {
        self.nodes[node].life = Life::Cut;
        self.asker = self.asker.filter(|asker| *asker != node);
    }

    /// Another machine comes up under its name; the one before is not heard of, and goes on.
    fn is_replaced(&mut self, node: usize) {
        if self.nodes[node].life == Life::Lives {
            self.is_cut(node);
        }
        let name = self.nodes[node].me.node.as_str();
        let next = Node::new(name, &format!("i-{name}{}", self.nodes.len()));
        let before = std::mem::replace(&mut self.nodes[node], next);
        self.nodes.push(before);
    }

    fn did(&self, node: usize, effect: Effect) -> usize {
        self.done.iter().filter(|done| **done == (node, effect)).count()
    }
}

#[test]
fn a_free_volume_stays_where_it_is_and_one_other_node_writes_to_it() {
    let mut world = World::idle_on_a();
    world.mounts(B);

    assert_eq!((world.owner(), world.writer()), (Some(A), Some(B)));
    assert!(world.nodes[B].seen.remote.published);
    assert_eq!(world.did(A, Effect::Detach), 0);
    world.is_refused(A);
    world.is_refused(C);

    world.unmounts(B);
    assert_eq!(world.writer(), None);
    let seen = &world.nodes[A].seen;
    assert!(seen.device.is_some() && !seen.staged && seen.exported.is_none(), "{seen:?}");
    world.mounts(A);
    assert!(world.nodes[A].seen.published, "directly");
    world.unmounts(A);
    world.mounts(C);
    assert_eq!(world.writer(), Some(C));
}

#[test]
fn a_volume_that_follows_its_task_is_never_lent() {
    let mut world = World::idle_on_a();
    world.record = on_ebs(world.record, AttachPolicy::Follow);
    world.asker = Some(B);
    world.nodes[B].wanted = true;
    world.settle();
    assert_eq!((world.claims, world.owner()), (0, Some(B)), "{:?}", world.done);
    assert!(world.nodes[B].seen.published);
}

#[test]
fn a_writer_that_is_cut_off_is_shut_out_for_the_next_one_and_drops_what_it_had() {
    let mut world = World::idle_on_a();
    world.mounts(B);
    world.is_cut(B);
    world.settle();
    assert_eq!(world.writer(), Some(B), "nobody else wants it");

    world.mounts(C);
    assert_eq!(world.writer(), Some(C));

    world.comes_back(B);
    assert!(!world.nodes[B].wanted, "its tasks hold nothing any more");
    world.settle();
    assert_eq!(world.nodes[B].seen, provisioned());
    world.is_refused(B);
    world.unmounts(C);
    world.mounts(B);
}

/// The machine before has a certificate of that name, too, and its kernel has pages to write.
#[test]
fn a_machine_under_the_writers_name_gets_a_claim_of_its_own_and_the_one_before_stays_out() {
    for left_first in [true, false] {
        let mut world = World::idle_on_a();
        world.mounts(B);
        world.is_replaced(B);
        if left_first {
            world.settle();
            assert_eq!(world.writer(), None, "there is nothing of it here");
        }
        let before = world.record.lease.epoch;

        world.mounts(B);

        assert_eq!((world.writer(), world.claims), (Some(B), 2));
        assert!(world.record.lease.epoch > before, "what the former claim let in is old");
        let former = world.nodes.len() - 1;
        assert!(world.nodes[former].seen.remote.mounted && !world.is_let_in(former));
    }
}

#[test]
fn the_owners_own_task_waits_until_a_dead_writer_is_shut_out() {
    let mut world = World::idle_on_a();
    world.mounts(B);
    world.is_cut(B);
    world.mounts(A);
    assert!(world.nodes[A].seen.published && world.nodes[A].lets_in.is_none());
    let order: Vec<_> = world.done.iter().rev().filter(|(node, _)| *node == A).take(2).collect();
    assert_eq!(order, [&(A, Effect::Publish), &(A, Effect::Unexport)]);
}

#[test]
fn when_the_owner_dies_the_writer_goes_on_with_it_and_nobody_else_gets_it() {
    let mut world = World::idle_on_a();
    world.mounts(B);
    world.dies(A);
    world.is_refused(C);

    world.settle();
    assert_eq!((world.owner(), world.writer()), (Some(B), Some(B)));
    assert!(world.nodes[B].seen.remote.published, "its tasks kept what they had");
    assert_eq!((world.did(B, Effect::Unreach), world.did(B, Effect::Reach)), (0, 1));

    world.unmounts(B);
    assert_eq!(world.writer(), None);
    world.mounts(B);
    assert!(world.nodes[B].seen.published && world.nodes[B].lets_in.is_none());
}

#[test]
fn a_writer_that_could_not_own_it_goes_on_through_whichever_node_wants_it_next() {
    let mut world = World::idle_on_a();
    world.nodes[B].able = false;
    world.mounts(B);
    world.dies(A);
    world.settle();
    assert_eq!(world.owner(), Some(A), "B leaves it to others, and there are none");

    world.is_refused(C);

    assert_eq!((world.owner(), world.writer()), (Some(C), Some(B)), "{:?}", world.done);
    assert!(world.nodes[B].seen.remote.published);
    assert_eq!((world.did(B, Effect::Unreach), world.did(B, Effect::Reach)), (0, 1));
    let lets_in = world.nodes[C].lets_in.as_ref().map(|(writer, _)| writer);
    assert_eq!(lets_in, world.record.writer());
    world.unmounts(B);
    world.mounts(C);
    assert!(world.nodes[C].seen.published);
}

#[test]
fn a_writer_that_leaves_a_dead_owner_writes_back_to_itself_and_one_that_cannot_own_it_to_the_next()
{
    let mut world = World::idle_on_a();
    world.mounts(B);
    world.dies(A);
    world.unmounts(B);
    assert_eq!((world.owner(), world.writer()), (Some(B), None));
    let seen = &world.nodes[B].seen;
    assert!(!seen.is_reached() && !seen.staged && seen.exported.is_none(), "{seen:?}");

    let mut world = World::idle_on_a();
    world.mounts(B);
    world.nodes[B].able = false;
    world.dies(A);
    world.unmounts(B);
    assert_eq!((world.owner(), world.writer()), (Some(A), Some(B)));
    assert!(world.nodes[B].seen.remote.mounted, "what is not written back is kept");
    world.mounts(C);
    assert_eq!((world.owner(), world.writer()), (Some(C), None));
    assert!(!world.nodes[B].seen.is_reached());
}

#[test]
fn an_owner_whose_task_waits_serves_the_writer_first_which_has_to_write_back() {
    let mut world = World::idle_on_a();
    world.mounts(B);
    assert_eq!(world.decide(A, Want::Mounted), Step::Do(Effect::Recall));
    // Its server has died.
    world.nodes[A].seen.exported = None;
    assert_eq!(world.decide(A, Want::Mounted), Step::Do(Effect::Export));
}

#[test]
fn a_writer_that_became_the_owner_is_asked_as_the_owner_which_it_stays() {
    let mut world = World::idle_on_a();
    world.mounts(B);
    assert_eq!(world.record.writer_elsewhere(), Some(&world.nodes[B].me.node));
    world.dies(A);
    world.settle();
    assert_eq!((world.writer(), world.record.writer_elsewhere()), (Some(B), None));

    world.nodes[B].wanted = false;
    world.mounts(C);

    assert_eq!((world.owner(), world.writer()), (Some(B), Some(C)));
    assert_eq!(world.did(B, Effect::Detach), 0);
}

#[test]
fn when_owner_and_writer_are_dead_the_next_one_claims_it_and_drops_the_writer() {
    let mut world = World::idle_on_a();
    world.mounts(B);
    world.dies(A);
    world.dies(B);
    world.mounts(C);
    assert_eq!((world.owner(), world.writer()), (Some(C), None));
    assert!(world.nodes[C].seen.published);
    world.comes_back(B);
    world.settle();
    world.is_refused(B);
}

#[test]
fn a_node_that_cannot_reach_it_after_all_leaves_and_has_it_moved() {
    let mut world = World::idle_on_a();
    world.asks(B);
    while world.writer().is_none() {
        assert!(world.step(B) | world.step(A));
    }
    // Its server does not start, say.
    world.nodes[B].way = Way::Closed;
    world.settle();
    assert_eq!((world.owner(), world.writer()), (Some(B), None), "{:?}", world.done);
    assert!(world.nodes[B].seen.published, "directly");
}

#[test]
fn the_claim_is_not_given_twice() {
    let mut world = World::idle_on_a();
    world.mounts(B);
    let second = Event::Joined { node: "c".parse().unwrap() };
    let refused = transition::apply(&world.record, second, START).unwrap_err();
    assert!(refused.to_string().contains("node b"), "{refused}");
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Step(usize),
    Mount(usize),
    Unmount(usize),
    Cut(usize),
    Die(usize),
    Back(usize),
    Replace(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let node = || 0..3_usize;
    let act = prop_oneof![
        20 => node().prop_map(Act::Step),
        3 => node().prop_map(Act::Mount),
        2 => node().prop_map(Act::Unmount),
        1 => node().prop_map(Act::Cut),
        1 => node().prop_map(Act::Die),
        2 => node().prop_map(Act::Back),
        1 => node().prop_map(Act::Replace),
    ];
    prop::collection::vec(act, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_happens_two_nodes_never_can_write_and_no_old_page_comes_back(acts in acts()) {
        let mut world = World::new();
        for act in acts {
            match act {
                Act::Step(node) => {
                    world.step(node);
                }
                Act::Mount(node) if world.nodes[node].life == Life::Lives => world.asks(node),
                Act::Unmount(node) if world.nodes[node].life == Life::Lives => {
                    world.nodes[node].wanted = false;
                }
                Act::Cut(node) if world.nodes[node].life == Life::Lives => world.is_cut(node),
                Act::Die(node) => world.dies(node),
                Act::Back(node) => world.comes_back(node),
                // An owner's machine that goes on has to be fenced: `lease::decide`.
                Act::Replace(node) if world.owner() != Some(node) => world.is_replaced(node),
                Act::Mount(_) | Act::Unmount(_) | Act::Cut(_) | Act::Replace(_) => {}
            }
            world.check();
        }
        // All come back, and the volume is to be had.
        (0..3).for_each(|node| world.comes_back(node));
        (0..3).for_each(|node| world.nodes[node].wanted = false);
        world.settle();
        world.mounts(B);
    }
}
