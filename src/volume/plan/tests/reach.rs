//! Several nodes that share one volume: the same plan on each of them, over one record.

use super::*;
use crate::{
    spec::Sharing,
    volume::{Lease, NodeName},
};

struct Node {
    me: Owner,
    seen: Observed,
    wanted: bool,
    /// Another node asked it to let go.
    asked: bool,
    alive: bool,
}

/// The nodes `a`, `b` and `c`, and a shared volume that nobody has.
struct World {
    record: Record,
    nodes: Vec<Node>,
    done: Vec<(usize, Effect)>,
}

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

impl World {
    fn new() -> Self {
        let node = |name: &str| Node {
            me: Owner { node: name.parse().unwrap(), machine: Some(format!("i-{name}")) },
            seen: provisioned(),
            wanted: false,
            asked: false,
            alive: true,
        };
        let mut record = on_ebs(used_record(), AttachPolicy::Stay);
        record.spec.sharing = Sharing::Shared;
        record.lease = Lease { epoch: 1.into(), owner: None, from: None };
        Self { record, nodes: ["a", "b", "c"].map(node).into(), done: Vec::new() }
    }

    fn owner(&self) -> Option<usize> {
        self.nodes.iter().position(|node| self.record.lease.is_of(&node.me.node))
    }

    fn session(&self) -> Session {
        match self.owner() {
            Some(owner) if self.nodes[owner].alive => Session::Lives,
            Some(_) | None => Session::Over,
        }
    }

    fn want(&self, node: usize) -> Want {
        match (self.nodes[node].wanted, self.nodes[node].asked) {
            (_, true) => Want::Detached,
            (true, false) => Want::Mounted,
            (false, false) => Want::Released,
        }
    }

    /// One step on one node. False where it has nothing to do.
    fn step(&mut self, node: usize) -> bool {
        let Node { me, seen, .. } = &self.nodes[node];
        let (me, seen) = (me.clone(), seen.clone());
        let here = Here {
            me: Some(&me),
            ext4: Ext4OnlineGrow::Possible,
            now: START,
            turn: SignedDuration::ZERO,
            owner: self.session(),
            lending: Lending::NONE,
        };
        let event = match super::super::next(&self.record, Some(&seen), self.want(node), &here) {
            Step::Record(event) => Some(event),
            Step::Do(Effect::Own) => match self.session() {
                Session::Over => Some(Event::Claimed { lease: self.record.lease.claimed_by(me) }),
                Session::Lives => return false,
            },
            Step::Do(effect) => {
                self.done.push((node, effect));
                let outcome = effect::Outcome::foreseen(effect, &self.record);
                let (after, event) = effect::absorb(seen, effect, outcome);
                self.nodes[node].seen = after;
                event
            }
            Step::Idle | Step::Wait(_) => return false,
            other @ (Step::Stuck(_) | Step::Forget) => panic!("{other:?}"),
        };
        if let Some(event) = event {
            self.record = transition::apply(&self.record, event, START).unwrap();
        }
        self.check();
        true
    }

    /// Until nobody has anything to do.
    fn settle(&mut self) {
        for _ in 0..100 {
            let alive = |&node: &usize| self.nodes[node].alive;
            let nodes: Vec<_> = (0..self.nodes.len()).filter(alive).collect();
            if !nodes.into_iter().map(|node| self.step(node)).fold(false, |any, did| any | did) {
                return;
            }
        }
        panic!("it never ends: {:?}", self.done);
    }

    /// What may never be.
    fn check(&self) {
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.alive) {
            let seen = &node.seen;
            assert!(!seen.staged || self.owner() == Some(index), "mounted by the owner alone");
            assert!(seen.exported.is_none() || seen.staged, "what is served is mounted");
            assert!(!(seen.published && seen.remote.published), "a path shows one thing");
            let user = self.record.users.contains(&node.me.node);
            assert!(!seen.remote.mounted || user, "who reaches it is known to the others");
        }
    }

    fn mount(&mut self, node: usize) {
        self.nodes[node].wanted = true;
        self.settle();
        assert!(self.nodes[node].seen.is_mounted());
    }

    fn unmount(&mut self, node: usize) {
        self.nodes[node].wanted = false;
        self.settle();
        assert!(!self.nodes[node].seen.is_published());
    }

    /// Its machine is gone, and starts again with nothing.
    fn kill(&mut self, node: usize) {
        let (alive, wanted) = (false, false);
        self.nodes[node] = Node {
            me: self.nodes[node].me.clone(),
            seen: provisioned(),
            wanted,
            asked: false,
            alive,
        };
    }

    fn did(&self, node: usize, effect: Effect) -> usize {
        self.done.iter().filter(|done| **done == (node, effect)).count()
    }

    fn users(&self) -> Vec<&str> {
        self.record.users.iter().map(NodeName::as_str).collect()
    }
}

#[test]
fn the_first_node_uses_the_file_system_itself_and_the_others_go_by_way_of_it() {
    let mut world = World::new();
    world.mount(A);
    assert_eq!((world.owner(), world.nodes[A].seen.exported), (Some(A), None));
    assert!(world.nodes[A].seen.published, "no NFS for the owner's own tasks");

    world.mount(B);
    world.mount(C);

    assert_eq!(world.users(), ["b", "c"]);
    assert_eq!(world.nodes[A].seen.exported, Some(world.record.lease.epoch));
    assert!(world.nodes[B].seen.remote.published && world.nodes[C].seen.remote.published);
    assert_eq!(world.did(A, Effect::Unpublish), 0, "its tasks notice nothing");
}

#[test]
fn a_volume_is_served_as_long_as_somebody_reaches_it_though_no_task_of_the_owner_uses_it() {
    let mut world = World::new();
    world.mount(A);
    world.mount(B);
    world.unmount(A);
    assert!(world.nodes[A].seen.staged && world.nodes[A].seen.exported.is_some());

    world.unmount(B);

    assert_eq!(world.users(), [""; 0]);
    let seen = &world.nodes[A].seen;
    assert!(seen.exported.is_none() && !seen.staged && seen.device.is_some(), "attach=stay");
    assert_eq!(world.nodes[B].seen, provisioned());
}

#[test]
fn when_the_owner_dies_one_of_those_who_reach_it_serves_the_others_and_no_mount_is_taken_away() {
    let mut world = World::new();
    world.mount(A);
    world.mount(B);
    world.mount(C);
    let before = world.record.lease.epoch;

    world.kill(A);
    world.settle();

    let owner = world.owner().unwrap();
    assert!(owner == B || owner == C);
    assert!(world.record.lease.epoch > before);
    for node in [B, C] {
        let seen = &world.nodes[node].seen;
        assert!(seen.remote.published, "the tasks kept what they had");
        assert_eq!(seen.remote.connected, Some(world.record.lease.epoch));
        assert_eq!((world.did(node, Effect::Unreach), world.did(node, Effect::Reach)), (0, 1));
    }
    assert_eq!(world.nodes[owner].seen.exported, Some(world.record.lease.epoch));
}

#[test]
fn an_owner_that_came_by_another_one_uses_the_file_system_itself_once_its_tasks_are_gone() {
    let mut world = World::new();
    world.mount(A);
    world.mount(B);
    world.kill(A);
    world.settle();
    assert_eq!(world.owner(), Some(B));

    world.unmount(B);
    assert_eq!((world.users(), world.nodes[B].seen.is_reached()), (vec![], false));
    world.mount(B);

    assert!(world.nodes[B].seen.published && world.nodes[B].seen.exported.is_none());
}

#[test]
fn an_owner_that_is_asked_for_it_lets_go_and_those_who_reach_it_go_on_with_the_next_one() {
    let mut world = World::new();
    world.mount(A);
    world.mount(B);
    world.unmount(A);

    world.nodes[A].asked = true;
    world.settle();

    assert_eq!(world.owner(), Some(B));
    let seen = &world.nodes[A].seen;
    assert!(seen.is_released(), "{seen:?}");
    assert!(world.nodes[B].seen.remote.published);
    assert_eq!(world.did(B, Effect::Unreach), 0);
}

#[test]
fn an_owner_that_was_replaced_ends_what_it_served_and_reaches_the_next_one() {
    let mut world = World::new();
    world.mount(A);
    world.mount(B);
    // By force, while it was cut off.
    let lease = world.record.lease.claimed_by(world.nodes[B].me.clone()).fenced();
    world.record.lease = lease;
    world.nodes[A].seen.device = None;
    let seen = &world.nodes[A].seen;
    let here = Here {
        me: Some(&world.nodes[A].me),
        ext4: Ext4OnlineGrow::Possible,
        now: START,
        turn: SignedDuration::ZERO,
        owner: Session::Lives,
        lending: Lending::NONE,
    };
    let first = super::super::next(&world.record, Some(seen), Want::Released, &here);
    assert_eq!(first, Step::Do(Effect::ShutDown), "nothing comes before that");

    let mut order = Vec::new();
    let mut seen = seen.clone();
    while let Step::Do(effect) =
        super::super::next(&world.record, Some(&seen), Want::Released, &here)
    {
        order.push(effect);
        let outcome = effect::Outcome::foreseen(effect, &world.record);
        seen = effect::absorb(seen, effect, outcome).0;
    }
    use Effect::{ShutDown, Unexport, Unpublish, Unstage};
    assert_eq!(order, [ShutDown, Unpublish, Unexport, Unstage]);
}

#[test]
fn a_removed_volume_leaves_nothing_of_any_way_to_it() {
    let mut world = World::new();
    world.mount(A);
    world.mount(B);
    let refused = transition::apply(&world.record, Event::Remove { purge: Purge::Never }, START);
    assert!(refused.unwrap_err().to_string().contains("node b"));
    world.unmount(A);
    world.unmount(B);

    let removed = Event::Remove { purge: Purge::At(START) };
    world.record = transition::apply(&world.record, removed, START).unwrap();
    let mut seen = world.nodes[A].seen.clone();
    seen.exported = Some(1.into());
    seen.staged = true;
    seen.remote =
        crate::volume::Remote { connected: Some(1.into()), mounted: true, published: true };
    let mut steps = Vec::new();
    while let Some(effect) = release(&seen) {
        steps.push(effect);
        seen = effect::absorb(seen, effect, effect::Outcome::foreseen(effect, &world.record)).0;
    }
    assert!(seen.is_released(), "{seen:?}");
    assert_eq!(steps.last(), Some(&Effect::Detach));
}

#[test]
fn a_served_file_system_fills_its_storage_though_no_task_of_the_owner_uses_it() {
    let mut world = World::new();
    world.mount(A);
    world.mount(B);
    world.unmount(A);
    world.record.file_system_behind = true;

    world.settle();

    assert!(!world.record.file_system_behind);
    assert_eq!((world.did(A, Effect::GrowOnline), world.did(A, Effect::Unexport)), (1, 0));
}
