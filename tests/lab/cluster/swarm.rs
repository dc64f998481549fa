//! The machines as a Docker Swarm: a service whose tasks share a volume, as examples/swarm has it, and one
//! with a task on each node. Both lose the node that owns their volume.

use std::{
    thread,
    time::{Duration, Instant},
};

use ec2_fake::InstanceState;

use super::{A, B, C, NAMES, World, row};
use crate::harness::{Machine, SLOW};

const EXAMPLE: &str = include_str!("../../../examples/swarm/shared.yml");
/// Swarm's time-outs, the fence, the server's start and its grace period, all on emulated processors.
const RECOVERY: Duration = Duration::from_secs(240);

/// A task that appends lines to the file `$own`, as the example's does.
pub(super) const WRITE: &str = "touch $own
    while true; do
        line=$(($(wc -l <$own) + 1))
        echo \"$line $NODE\" >>$own
        sync $own
        echo \"acked $tag $line 0\"
        sleep 0.2
    done";

impl World {
    /// Docker on all machines as one swarm. The last one manages it: the others are those that die.
    #[track_caller]
    pub(super) fn start_swarm(&self) {
        let started = self.nodes.each_ref().map(Machine::begin_swarm_docker);
        for (machine, started) in self.nodes.iter().zip(started) {
            machine.wait(&started, SLOW).ok();
        }
        let [a, b, manager] = &self.nodes;
        manager.manage_swarm(&[a, b]);
    }

    /// A service of three tasks, if the options do not say another number, each with a mount of a volume of hawser's at /data.
    #[track_caller]
    pub(super) fn create_service(&self, name: &str, options: &[&str], volume: &str, script: &str) {
        let mount = format!("type=volume,volume-driver=hawser,target=/data,{volume}");
        let create = ["service", "create", "--detach", "--name", name, "--replicas", "3", "--init"];
        let names = ["--env", "NODE={{.Node.Hostname}}", "--env", "SLOT={{.Task.Slot}}"];
        let task = ["--mount", &mount, "busybox", "sh", "-ec", script];
        self.nodes[C].docker(&[&create, options, &names, &task].concat());
    }

    /// Waits for tasks of a service; where it is in vain, the swarm is asked why.
    #[track_caller]
    pub(super) fn wait_service(&self, service: &str, what: &str, mut ready: impl FnMut() -> bool) {
        let since = Instant::now();
        while !ready() {
            if since.elapsed() > RECOVERY {
                let manager = &self.nodes[C];
                let nodes = manager.docker(&["node", "ls"]);
                panic!("{what}: not so\n{}\n{nodes}", manager.service_tasks(service));
            }
            // Reading consoles takes the processors from the machines.
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The next line of a task, wherever it runs.
    #[track_caller]
    pub(super) fn last_line(&self, tag: &str) -> u64 {
        self.nodes.iter().map(|node| node.acknowledged(tag).last).max().unwrap_or(0)
    }

    /// The tags of the tasks on each node, once there is one on each. The service was made while a alone got
    /// tasks, so a is the volume's owner.
    #[track_caller]
    fn one_on_each_node(&self, service: &str, prefix: &str) -> [String; 3] {
        let manager = &self.nodes[C];
        self.tag_on(A, service, prefix);
        manager.set_availability("active", &["b", "c"]);
        // Swarm leaves tasks where they are when a node is there again; new ones go to those without.
        for replicas in ["1", "3"] {
            manager.docker(&["service", "scale", &format!("{service}={replicas}")]);
        }
        let there = [B, C].map(|node| self.tag_on(node, service, prefix));
        let moved = |tag: &String| there.contains(tag);
        let tags = (1..=3).map(|slot| format!("{prefix}-{slot}"));
        let first = tags.into_iter().find(|tag| !moved(tag)).expect("one of three is on a");
        let [b, c] = there;
        [first, b, c]
    }

    /// The tag of a service's task on a node, once it writes.
    #[track_caller]
    fn tag_on(&self, node: usize, service: &str, prefix: &str) -> String {
        let tags = || (1..=3).map(|slot| format!("{prefix}-{slot}"));
        let runs = |tag: &String| self.nodes[node].acknowledged(tag).last > 2;
        let what = format!("a task of {service} on {}", NAMES[node]);
        self.wait_service(service, &what, || tags().any(|tag| runs(&tag)));
        tags().find(runs).expect("it was there a moment ago")
    }

    /// The first node dies, now.
    #[track_caller]
    fn kill_first(&self) -> Instant {
        let since = Instant::now();
        self.nodes[A].crash();
        self.cluster.cloud.says(&self.nodes[A], InstanceState::Stopped);
        since
    }

    /// It starts again, with Docker as it was.
    #[track_caller]
    fn revive_first(&self) {
        self.nodes[A].boot();
        self.cluster.cloud.says(&self.nodes[A], InstanceState::Running);
        self.join(&[A]);
        self.wait_alive(B, 3);
        self.nodes[A].wait(&self.nodes[A].begin_swarm_docker(), SLOW).ok();
    }

    /// A task's file as a node sees it: its lines are numbered without a gap, and at least so many are there.
    /// Answers with who wrote each.
    #[track_caller]
    fn writers(&self, node: usize, volume: &str, tag: &str, at_least: u64) -> Vec<String> {
        let read = "cat /var/lib/hawser/mnt/volumes/$1/$2";
        let text = self.nodes[node].sh_with(read, &[volume, tag]).ok();
        let lines = text.lines().map(|line| line.split_once(' ').expect("a number and a node"));
        let (numbers, writers): (Vec<u64>, Vec<String>) =
            lines.map(|(number, node)| (number.parse::<u64>().unwrap(), node.to_owned())).unzip();
        let count = numbers.len() as u64;
        assert_eq!(numbers, (1..=count).collect::<Vec<_>>(), "{tag}, seen from {}", NAMES[node]);
        assert!(count >= at_least, "{tag}: {at_least} acknowledged, {count} on {}", NAMES[node]);
        writers
    }

    /// All see what each was told is written.
    #[track_caller]
    fn all_see_all(&self, volume: &str, nodes: &[usize], tags: &[String; 3]) {
        let told = tags.each_ref().map(|tag| self.last_line(tag));
        for &node in nodes {
            for (tag, told) in tags.iter().zip(told) {
                self.writers(node, volume, tag, told);
            }
        }
    }

    /// Nobody but this task was started a second time.
    #[track_caller]
    fn only_was_restarted(&self, service: &str, tag: &str) {
        let tasks = self.nodes[C].service_tasks(service);
        let slot = tag.rsplit('-').next().unwrap();
        let others = (1..=3).map(|other| other.to_string()).filter(|other| other != slot);
        for other in others {
            let name = format!("{service}.{other} on ");
            let mut of_it = tasks.lines().filter(|line| line.contains(&name));
            assert!(of_it.all(|line| line.contains(": Running, Running ")), "{tasks}");
        }
    }
}

#[test]
#[ignore = "a part of `make lab`"]
fn tasks_of_a_swarm_share_a_volume_and_one_whose_node_dies_goes_on_elsewhere_on_its_data() {
    let world = World::start("cluster-swarm");
    let World { lab, nodes: [a, _, c], .. } = &world;
    lab.step("three Docker engines are a swarm");
    world.start_swarm();

    lab.step("the example is deployed: three tasks on three nodes, one volume");
    c.set_availability("drain", &["b", "c"]);
    c.deploy_stack("example", EXAMPLE);
    let service = "example_writer";
    let tags = world.one_on_each_node(service, "task");
    assert_eq!(world.whereabouts(B, "site")["owner"], "a");
    world.all_see_all("site", &[A, B, C], &tags);

    lab.step("the node of the owner is killed: its task starts elsewhere, the others pause");
    let since = world.kill_first();
    let told = tags.each_ref().map(|tag| world.last_line(tag));
    let mut took = [None; 3];
    world.wait_service(service, "all go on", || {
        for ((tag, told), took) in tags.iter().zip(told).zip(&mut took) {
            if took.is_none() && world.last_line(tag) > told + 1 {
                *took = Some(since.elapsed().as_secs_f32());
            }
        }
        took.iter().all(Option::is_some)
    });
    let [moved, others @ ..] = took.map(Option::unwrap_or_default);
    let sees = "it ends with its machine; Swarm starts it on another one, on its data";
    row(
        "Swarm: the node of a task and of its shared volume's owner killed",
        sees,
        &format!("{moved:.1} s"),
        "-",
    );
    let paused = format!("{:.1} s", others[0].max(others[1]));
    row("the same, the tasks on the other nodes", "a pause, and no error", &paused, "-");
    let writers = world.writers(C, "site", &tags[A], told[A] + 1);
    let elsewhere = writers.iter().position(|node| node != "a").expect("it has written elsewhere");
    assert!(elsewhere as u64 >= told[A], "{told:?} were told: {writers:?}");
    assert!(writers[elsewhere..].iter().all(|node| node != "a"), "{writers:?}");
    world.all_see_all("site", &[B, C], &tags);
    world.only_was_restarted(service, &tags[A]);

    lab.step("the node comes back, and the stack is removed");
    world.revive_first();
    c.docker(&["stack", "rm", "example"]);

    lab.step("another service, with one task for each node at the most");
    c.set_availability("drain", &["b", "c"]);
    let volume = "source=only,volume-opt=backend=ebs,volume-opt=size=1GiB,volume-opt=shared=true";
    let script = format!("tag=only-$SLOT own=/data/only-$SLOT\n{WRITE}");
    let limit = ["--replicas", "1", "--replicas-max-per-node", "1"];
    world.create_service("only", &limit, volume, &script);
    let tags = world.one_on_each_node("only", "only");
    assert_eq!(world.whereabouts(B, "only")["owner"], "a");

    lab.step("the node of the owner is killed: its task waits for a node, the others go on");
    let since = world.kill_first();
    let told = tags.each_ref().map(|tag| world.last_line(tag));
    world.wait_service("only", "the others go on", || {
        [B, C].iter().all(|node| world.last_line(&tags[*node]) > told[*node] + 1)
    });
    eprintln!("           after {:.1} s", since.elapsed().as_secs_f32());
    world.wait_service("only", "the third one waits", || {
        c.service_tasks("only").contains("max replicas per node limit exceed")
    });
    assert_eq!(world.last_line(&tags[A]), told[A], "there is no place for it");

    lab.step("the node comes back, and the task on it, on its data");
    world.revive_first();
    world.wait_service("only", "it goes on", || a.acknowledged(&tags[A]).last > told[A]);
    world.all_see_all("only", &[A, B, C], &tags);
    world.only_was_restarted("only", &tags[A]);

    lab.step("three tasks mount a new volume in the same moment");
    let script = format!("tag=new-$SLOT own=/data/new-$SLOT\n{WRITE}");
    world.create_service("new", &[], &volume.replace("source=only", "source=new"), &script);
    let tags = ["new-1", "new-2", "new-3"].map(str::to_owned);
    world.wait_service("new", "all write", || tags.iter().all(|tag| world.last_line(tag) > 2));
    world.all_see_all("new", &[A, B, C], &tags);
    world.cluster.witness.assert_one_attachment_at_a_time();
}
