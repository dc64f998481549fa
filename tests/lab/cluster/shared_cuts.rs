//! A shared volume, and parts of the network that are cut, for less and for more than a lease (10 s); and
//! a machine that dies with a lock.

use std::{
    thread,
    time::{Duration, Instant},
};

use ec2_fake::InstanceState;
use serde_json::json;

use super::{A, B, C, World, row, shared_tasks::Shared};
use crate::harness::{Lab, Link, Machine, PATIENCE, Service, eventually};

/// Longer than a session.
const LONG: Duration = Duration::from_secs(30);
/// What tasks saw where no lock was lost.
const KEPT: &str = "a pause, and no error";

/// The tasks of a test: on each node one that writes files; on B one with a lock that one on C tries for.
struct Tasks {
    files: [Shared; 3],
    hold: Shared,
    tries: Shared,
    paths: [String; 3],
}

impl Tasks {
    #[track_caller]
    fn start(world: &World) -> Self {
        world.create(A, "shared", json!({"shared": "true"}));
        let paths = [A, B, C].map(|node| world.mount_shared(node, "task"));
        let files = [A, B, C].map(|node| world.share_task(node, &paths[node], "files", ""));
        let (hold, tries) = Self::lock(world, &paths, "/lock");
        for task in &files {
            world.nodes[task.node].wait_acknowledged(&task.tag, 5);
        }
        Self { files, hold, tries, paths }
    }

    #[track_caller]
    fn lock(world: &World, paths: &[String; 3], file: &str) -> (Shared, Shared) {
        let hold = world.share_task(B, &paths[B], "hold", file);
        world.nodes[B].wait_acknowledged(&hold.tag, 2);
        let tries = world.share_task(C, &paths[C], "try", file);
        world.nodes[C].wait_acknowledged(&tries.tag, 2);
        (hold, tries)
    }

    /// After a cut longer than the lease, during which the lock's holder had come as far as this: whether
    /// the lock was lost. Then its holder was told, and was not told of one more line that is safe.
    #[track_caller]
    fn lost(&self, world: &World, during: u64) -> &'static str {
        let (b, c) = (&world.nodes[B], &world.nodes[C]);
        let told = || b.writer_failed(&self.hold.tag);
        eventually("the lock's holder goes on, or is told", PATIENCE * 2, || {
            told().is_some() || b.reported(&self.hold.tag).last > during + 3
        });
        let given = c.writer_failed(&self.tries.tag);
        eprintln!("           the holder: {:?}; the other one: {given:?}", told());
        let other_error = given.as_ref().is_some_and(|why| !why.contains("to a second one"));
        assert!(!other_error, "{given:?}");
        if told().is_none() {
            assert_eq!(given, None, "the lock was lost, and nobody was told");
            return KEPT;
        }
        assert_eq!(
            b.reported(&self.hold.tag).last,
            during,
            "it wrote under a lock that it had lost"
        );
        "a pause; an I/O error where a lock was held"
    }

    fn held(&self, world: &World) -> u64 {
        world.nodes[B].reported(&self.hold.tag).last
    }

    #[track_caller]
    fn lock_again(&mut self, world: &World, file: &str) {
        for task in [&self.hold, &self.tries] {
            if world.nodes[task.node].poll(&task.job).is_none() {
                world.nodes[task.node].kill(&task.job);
            }
        }
        (self.hold, self.tries) = Self::lock(world, &self.paths, file);
    }

    /// Nothing that was acknowledged is missing, seen from the next node.
    #[track_caller]
    fn nothing_is_missing(&self, world: &World, nodes: &[usize]) {
        for task in &self.files {
            let from = nodes.iter().find(|node| **node != task.node).unwrap();
            world.files_are_there(*from, &self.paths[*from], task);
        }
    }
}

pub(super) fn cut_off(lab: &Lab, machine: &Machine) {
    machine.link(Link::Down);
    for service in [Service::ZooKeeper, Service::Ec2, Service::Metadata] {
        lab.cut(machine, service);
    }
}

pub(super) fn healed(lab: &Lab, machine: &Machine) {
    machine.link(Link::Up);
    for service in [Service::ZooKeeper, Service::Ec2, Service::Metadata] {
        lab.heal(machine, service);
    }
}

fn measured(fault: &str, sees: &str, took: Duration) {
    row(fault, sees, &format!("{:.1} s", took.as_secs_f32()), "-");
}

#[test]
#[ignore = "a part of `make lab`"]
fn tasks_on_a_shared_volume_pause_while_the_network_is_cut_and_are_told_of_a_lock_they_lost() {
    let world = World::start("cluster-shared-cuts");
    let World { lab, nodes, .. } = &world;
    let mut tasks = Tasks::start(&world);
    let epoch = world.whereabouts(C, "shared")["epoch"].clone();

    for seconds in [4, 8, 30] {
        lab.step(&format!("a node and the owner do not see each other for {seconds} s"));
        let since = Instant::now();
        lab.cut_between(&nodes[A], &nodes[B]);
        if seconds > 8 {
            world.all_go_on(&[&tasks.files[A], &tasks.files[C]], 2);
        }
        thread::sleep(Duration::from_secs(seconds).saturating_sub(since.elapsed()));
        let during = tasks.held(&world);
        lab.heal_between(&nodes[A], &nodes[B]);
        let took = world.pause(since, &[&tasks.files[B]]);
        let sees = tasks.lost(&world, during);
        measured(
            &format!("shared: cut between owner and another node for {seconds} s"),
            sees,
            took,
        );
        // TCP sends again ever later, so a cut is up to twice as long as it was.
        assert!(seconds > 4 || sees == KEPT, "the lease is 10 s");
        tasks.nothing_is_missing(&world, &[A, B, C]);
        tasks.lock_again(&world, &format!("/lock-{seconds}"));
    }

    lab.step("the owner is cut off from everything, for longer than its session");
    let since = Instant::now();
    cut_off(lab, &nodes[A]);
    world.wait_alive(B, 2);
    thread::sleep(LONG.saturating_sub(since.elapsed()));
    let found = world.whereabouts(B, "shared");
    assert_eq!((&found["owner"], &found["epoch"]), (&json!("a"), &epoch), "{found}");
    world.all_go_on(&[&tasks.files[A]], 3);
    let during = tasks.held(&world);
    healed(lab, &nodes[A]);
    let took = world.pause(since, &[&tasks.files[B], &tasks.files[C]]);
    let sees = tasks.lost(&world, during);
    measured("shared: owner cut off from everything for 30 s, and healed", sees, took);
    world.wait_alive(B, 3);
    tasks.nothing_is_missing(&world, &[A, B, C]);
    tasks.lock_again(&world, "/lock3");

    lab.step("the owner is cut off from ZooKeeper alone: nobody notices");
    lab.cut(&nodes[A], Service::ZooKeeper);
    world.wait_alive(B, 2);
    let since = Instant::now();
    while since.elapsed() < LONG / 3 {
        world.all_go_on(&[&tasks.files[B], &tasks.files[C], &tasks.hold, &tasks.tries], 2);
    }
    lab.heal(&nodes[A], Service::ZooKeeper);
    world.wait_alive(B, 3);
    world.all_go_on(&[&tasks.files[B], &tasks.hold, &tasks.tries], 3);
    let found = world.whereabouts(B, "shared");
    assert_eq!(found["owner"], "a", "{found}");

    a_machine_dies_with_a_lock(&world, &tasks);
}

#[track_caller]
fn a_machine_dies_with_a_lock(world: &World, tasks: &Tasks) {
    let World { lab, cluster, nodes, .. } = world;
    lab.step("a node that reaches it dies with a lock: another one gets it, and all goes on");
    nodes[C].kill(&tasks.tries.job);
    let claim = world.share_task(C, &tasks.paths[C], "claim", "/lock3");
    let since = Instant::now();
    nodes[B].crash();
    cluster.cloud.says(&nodes[B], InstanceState::Terminated);
    nodes[C].wait_acknowledged(&claim.tag, 1);
    let fault = "shared: a node that holds a lock is killed; another one's task gets it";
    measured(fault, "it waits for the lock", since.elapsed());
    world.all_go_on(&[&tasks.files[A], &tasks.files[C], &claim], 5);
    let last = nodes[B].reported(&tasks.hold.tag).last;
    // Its own lines, and after them the next one's.
    let lines = nodes[C].sh_with("cat $1/lock3", &[&tasks.paths[C]]).ok();
    let of_dead: Vec<u64> = lines.lines().map_while(|line| line.parse().ok()).collect();
    let found = of_dead.iter().zip(1..).take_while(|(line, number)| *line == number).count();
    assert!(found as u64 >= last, "{last} lines were acknowledged under the lock: {lines}");
    tasks.nothing_is_missing(world, &[A, C]);
    assert_eq!(world.owner(C), A);
    world.assert_attached_once();
}
