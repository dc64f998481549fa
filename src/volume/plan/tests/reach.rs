//! Several nodes that share one volume: the same plan on each of them, over one record.

use super::*;
use crate::{
    spec::Sharing,
    volume::{Epoch, Lease, NodeName, Remote},
};

struct Node {
    me: Owner,
    seen: Observed,
    wanted: bool,
    /// Another node asked it to let go.
    asked: bool,
    alive: bool,
    serving: Serving,
    /// Its attaches fail, though nothing that it knows says why.
    attaches: Attaches,
    write_back: WriteBack,
}

#[derive(Clone, Copy, PartialEq)]
enum Attaches {
    Work,
    Fail,
}

/// The nodes `a`, `b` and `c`, and a shared volume that nobody has.
struct World {
    record: Record,
    nodes: Vec<Node>,
    /// Those whose machines are gone for certain.
    gone: Vec<NodeName>,
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
            serving: Serving::Able,
            attaches: Attaches::Work,
            write_back: WriteBack::Works,
        };
        let mut record = on_ebs(used_record(), AttachPolicy::Stay);
        record.spec.sharing = Sharing::Shared;
        record.lease = Lease { epoch: 1.into(), owner: None, from: None };
        Self { record, nodes: ["a", "b", "c"].map(node).into(), gone: Vec::new(), done: Vec::new() }
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
        let departed = self.record.users.iter().find(|user| self.gone.contains(user)).cloned();
        let here = Here {
            owner: self.session(),
            serving: self.nodes[node].serving,
            departed: departed.as_ref(),
            write_back: self.nodes[node].write_back,
            ..here(Some(&me))
        };
        let event = match super::super::next(&self.record, Some(&seen), self.want(node), &here) {
            Step::Do(Effect::Own) => match self.session() {
                Session::Over => Some(Event::Claimed { lease: self.record.lease.claimed_by(me) }),
                Session::Lives => return false,
            },
            Step::Do(Effect::Attach) if self.nodes[node].attaches == Attaches::Fail => {
                // The engine tells the plan so after some failures.
                self.nodes[node].serving = Serving::Failing;
                return true;
            }
            Step::Record(Event::Disowned) if here.serving == Serving::Failing => {
                let until = START + SignedDuration::from_secs(10);
                self.nodes[node].serving = Serving::Unable(Unable::Failed(until));
                Some(Event::Disowned)
            }
            Step::Record(event) => Some(event),
            // What tasks wrote goes to the owner first.
            Step::Do(Effect::Unreach) if !self.is_led_to_the_owner(node) => {
                let before = std::mem::replace(&mut self.nodes[node].write_back, WriteBack::Fails);
                return before == WriteBack::Works;
            }
            Step::Do(effect) => {
                self.done.push((node, effect));
                let outcome = effect::Outcome::foreseen(effect, &self.record);
                let (after, event) = effect::absorb(seen, effect, outcome);
                self.nodes[node].seen = after;
                event
            }
            Step::Idle | Step::Wait(_) | Step::Leave(_) => return false,
            other @ (Step::Stuck(_) | Step::Forget) => panic!("{other:?}"),
        };
        if let Some(event) = event {
            self.record = transition::apply(&self.record, event, START).unwrap();
        }
        self.check();
        true
    }

    fn is_led_to_the_owner(&self, node: usize) -> bool {
        let Node { me, seen, .. } = &self.nodes[node];
        let led = seen.remote.connected == Some(self.record.lease.epoch);
        let served = self.owner().is_some_and(|owner| {
            self.nodes[owner].alive && self.nodes[owner].seen.exported.is_some()
        });
        !self.record.users.contains(&me.node) || !seen.remote.mounted || led && served
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
            serving: Serving::Able,
            attaches: Attaches::Work,
            write_back: WriteBack::Works,
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

/// Three tasks, and the owner of the volume is dead.
fn with_a_dead_owner(prepare: impl FnOnce(&mut World)) -> World {
    let mut world = World::new();
    for node in [A, B, C] {
        world.mount(node);
    }
    prepare(&mut world);
    world.kill(A);
    world.settle();
    world
}

#[test]
fn a_node_that_could_not_serve_a_volume_leaves_it_to_those_who_can() {
    let unable = Serving::Unable(Unable::OtherZone);
    let world = with_a_dead_owner(|world| world.nodes[B].serving = unable);
    assert_eq!(world.owner(), Some(C));
    assert_eq!(world.nodes[C].seen.exported, Some(world.record.lease.epoch));
    let seen = &world.nodes[B].seen;
    assert!(seen.remote.published && seen.remote.connected == Some(world.record.lease.epoch));

    let mut world = with_a_dead_owner(|world| {
        world.nodes[B].serving = unable;
        world.nodes[C].serving = Serving::Unable(Unable::Drained);
    });
    assert_eq!(world.owner(), Some(A), "nobody can, and nobody keeps it from who could");
    world.nodes[C].serving = Serving::Able;
    world.settle();
    assert_eq!(world.owner(), Some(C));
}

/// Whom it would be left to are none: the step that fails says best why it does.
#[test]
fn a_node_that_is_alone_with_a_volume_tries_whatever_it_thinks_of_itself() {
    let mut world = World::new();
    world.nodes[A].serving = Serving::Unable(Unable::NoServer);
    world.mount(A);
    assert!(world.nodes[A].seen.published, "and no other node needs it to be served");
}

#[test]
fn a_node_that_claimed_a_volume_and_cannot_attach_it_gives_it_to_the_others() {
    let world = with_a_dead_owner(|world| world.nodes[B].attaches = Attaches::Fail);
    assert_eq!(world.owner(), Some(C));
    for node in [B, C] {
        let seen = &world.nodes[node].seen;
        assert!(seen.remote.published, "the tasks kept what they had");
        assert_eq!(seen.remote.connected, Some(world.record.lease.epoch));
    }
    assert_eq!(world.did(B, Effect::Unreach), 0);
}

#[test]
fn a_node_that_gave_a_volume_up_and_is_alone_tries_again_after_its_pause() {
    let mut world = World::new();
    world.mount(A);
    world.mount(B);
    world.nodes[B].attaches = Attaches::Fail;
    // Of a node that is not there, either.
    world.record.users.insert("d".parse().unwrap());
    world.kill(A);
    world.settle();
    assert_eq!(world.record.lease.owner, None);

    world.nodes[B].serving = Serving::Able;
    world.nodes[B].attaches = Attaches::Work;
    world.settle();

    assert_eq!(world.owner(), Some(B));
}

/// Its own tasks use the file system itself: that is not taken from them because others cannot be served.
#[test]
fn an_owner_whose_own_tasks_use_a_volume_keeps_it_though_it_cannot_serve_it() {
    let mut world = World::new();
    world.mount(A);
    world.mount(B);
    world.nodes[A].seen.exported = None;
    world.nodes[A].serving = Serving::Failing;
    let here =
        Here { owner: Session::Lives, serving: Serving::Failing, ..here(Some(&world.nodes[A].me)) };
    let seen = &world.nodes[A].seen;
    let step = super::super::next(&world.record, Some(seen), Want::Mounted, &here);
    assert_eq!(step, Step::Do(Effect::Export));

    world.nodes[A].wanted = false;
    world.nodes[A].seen.published = false;
    world.settle();
    assert_eq!(world.owner(), Some(B), "nobody else's tasks are in the way now");
}

#[test]
fn a_user_whose_machine_is_gone_is_dropped_by_the_owner_and_by_the_next_owner_after_its_server_runs()
 {
    let mut world = World::new();
    world.mount(A);
    world.mount(B);
    world.kill(B);
    world.settle();
    assert_eq!(world.users(), ["b"], "it may run");
    world.gone.push("b".parse().unwrap());
    world.settle();
    assert_eq!(world.users(), [""; 0]);
    assert!(world.nodes[A].seen.published, "its own tasks notice nothing");

    let mut world = World::new();
    for node in [A, B, C] {
        world.mount(node);
    }
    world.kill(B);
    world.gone.push("b".parse().unwrap());
    world.kill(A);
    while world.users().contains(&"b") {
        let served = world.nodes[C].seen.exported == Some(world.record.lease.epoch);
        assert!(world.step(C), "it rests: {:?}", world.done);
        assert!(
            served || world.users().contains(&"b"),
            "its server would wait for a client that is gone"
        );
    }
    world.settle();
    assert_eq!((world.owner(), world.users()), (Some(C), vec!["c"]));
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
    let here = Here { owner: Session::Lives, ..here(Some(&world.nodes[A].me)) };
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
fn half_of_an_export_which_is_of_nobody_s_epoch_is_mended_by_the_owner() {
    let mut world = World::new();
    world.mount(A);
    world.mount(B);
    let before = world.did(A, Effect::Export);
    world.nodes[A].seen.exported = Some(Epoch::FIRST);

    world.settle();

    assert_eq!(world.did(A, Effect::Export), before + 1);
    assert_eq!(world.nodes[A].seen.exported, Some(world.record.lease.epoch));
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

/// What is next on the owner, `a`, of which `b` is a user.
fn next_on_the_owner(world: &World, seen: &Observed, want: Want) -> Step {
    let here = Here { owner: Session::Lives, ..here(Some(&world.nodes[A].me)) };
    super::super::next(&world.record, Some(seen), want, &here)
}

#[test]
fn tasks_of_the_owner_do_not_wait_for_a_server_that_does_not_start() {
    let mut world = World::new();
    world.mount(A);
    world.mount(B);
    let seen = Observed { exported: None, ..world.nodes[A].seen.clone() };

    let hidden = Observed { published: false, ..seen.clone() };
    assert_eq!(next_on_the_owner(&world, &hidden, Want::Mounted), Step::Do(Effect::Publish));
    assert_eq!(next_on_the_owner(&world, &seen, Want::Released), Step::Do(Effect::Unpublish));
    assert_eq!(next_on_the_owner(&world, &seen, Want::Mounted), Step::Do(Effect::Export));
}

/// What they wrote by the way through the former owner goes to the volume through the new server.
#[test]
fn a_new_owner_serves_before_it_leaves_the_way_that_its_tasks_came() {
    let mut world = World::new();
    world.mount(A);
    world.mount(B);
    world.kill(A);
    while world.owner() != Some(B) || !world.nodes[B].seen.staged {
        assert!(world.step(B));
    }
    world.nodes[B].wanted = false;
    world.done.clear();

    world.settle();

    let order: Vec<_> = world.done.iter().map(|(_, effect)| *effect).collect();
    let at = |effect| order.iter().position(|done| *done == effect).unwrap();
    assert!(at(Effect::Export) < at(Effect::Connect), "{order:?}");
    assert!(at(Effect::Connect) < at(Effect::Unreach), "{order:?}");
}

/// Its last task ends just before the owner dies.
#[test]
fn who_leaves_is_led_to_the_next_owner_and_gets_away() {
    let mut world = World::new();
    world.mount(A);
    world.mount(B);
    world.mount(C);
    world.nodes[C].wanted = false;
    world.kill(A);

    world.settle();

    assert_eq!((world.owner(), world.users()), (Some(B), vec!["b"]));
    assert_eq!(world.nodes[C].seen, provisioned());
}

/// All that wrote to it left with the owner's end, and what they wrote is in the memory of the one node.
fn left_alone_with_a_dead_owner(prepare: impl FnOnce(&mut World)) -> World {
    let mut world = World::new();
    world.mount(A);
    world.mount(B);
    prepare(&mut world);
    world.nodes[B].wanted = false;
    world.kill(A);
    world.settle();
    world
}

#[test]
fn who_leaves_what_nobody_else_wants_takes_it_from_its_dead_owner_and_writes_back_to_itself() {
    let world = left_alone_with_a_dead_owner(|_| {});

    assert_eq!((world.owner(), world.users()), (Some(B), vec![]));
    let seen = &world.nodes[B].seen;
    assert!(!seen.is_reached() && !seen.staged && seen.exported.is_none(), "{seen:?}");
    let order: Vec<_> = world.done.iter().filter(|(node, _)| *node == B).collect();
    let at = |effect| order.iter().position(|(_, done)| *done == effect).unwrap();
    assert!(at(Effect::Export) < at(Effect::Unreach), "{order:?}");
}

#[test]
fn who_leaves_and_could_not_serve_it_does_not_take_it() {
    for why in [Unable::Drained, Unable::OtherZone, Unable::NoSlot, Unable::NoServer] {
        let unable = Serving::Unable(why);
        let mut world = left_alone_with_a_dead_owner(|world| world.nodes[B].serving = unable);

        assert_eq!((world.owner(), world.users()), (Some(A), vec!["b"]), "{why}");
        assert!(world.nodes[B].seen.remote.mounted, "what is not written back is kept");

        // It can by now; or another node is asked to have it.
        world.nodes[B].serving = Serving::Able;
        world.settle();
        assert_eq!((world.owner(), world.users()), (Some(B), vec![]));
    }
}

#[test]
fn who_leaves_and_is_asked_for_it_meanwhile_writes_back_first() {
    let world = left_alone_with_a_dead_owner(|world| world.nodes[B].asked = true);

    assert_eq!((world.owner(), world.users()), (None, vec![]), "it goes to who asked");
    let seen = &world.nodes[B].seen;
    assert!(seen.is_released(), "{seen:?}");
    let at = |effect| world.done.iter().position(|done| *done == (B, effect)).unwrap();
    assert!(at(Effect::Export) < at(Effect::Unreach), "{:?}", world.done);
}

#[test]
fn what_another_node_serves_by_then_is_written_back_there() {
    let unable = Serving::Unable(Unable::OtherZone);
    let mut world = left_alone_with_a_dead_owner(|world| world.nodes[B].serving = unable);

    world.mount(C);

    assert_eq!((world.owner(), world.users()), (Some(C), vec![]));
    assert_eq!(world.nodes[B].seen, provisioned());
}

/// What of it is on the dead node's own disk is nowhere else.
#[test]
fn who_leaves_a_dead_nodes_local_volume_waits_for_that_node() {
    let mut world = World::new();
    world.mount(A);
    world.mount(B);
    world.record.spec.backend = testing::spec().backend;
    let me = world.nodes[B].me.clone();
    let seen = Observed { published: false, ..world.nodes[B].seen.clone() };
    let seen = Observed { remote: Remote { published: false, ..seen.remote }, ..seen };
    let here = Here { write_back: WriteBack::Fails, ..here(Some(&me)) };

    let step = super::super::next(&world.record, Some(&seen), Want::Released, &here);

    assert_eq!(step, Step::Do(Effect::Unreach));
}
