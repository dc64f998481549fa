//! A service as Consul is: three tasks, each with a volume of its own under one name (`scale=3`). Who a
//! task is, it finds in its data, whichever node it is on.

use std::time::Instant;

use ec2_fake::InstanceState;

use super::{A, B, C, NAMES, World, row, swarm::WRITE};

const VOLUME: &str = "source=elk,volume-opt=backend=ebs,volume-opt=size=1GiB,volume-opt=scale=3,volume-opt=attach=follow";
/// The first task on a volume calls itself after its node, and all others after it.
const WHO: &str = "[ -s /data/identity ] || echo $NODE >/data/identity
    sync /data/identity
    tag=elk-$(cat /data/identity) own=/data/lines
    echo \"started as $tag\"";

impl World {
    /// How often a task with the data of each node's first one was started.
    fn starts(&self) -> [usize; 3] {
        NAMES.map(|name| {
            let started = format!("]: started as elk-{name}");
            self.nodes.iter().map(|node| node.said(&started)).sum()
        })
    }

    fn told(&self) -> [u64; 3] {
        NAMES.map(|name| self.last_line(&format!("elk-{name}")))
    }

    /// Waits until these were started again, and all write.
    #[track_caller]
    fn wait_started(&self, before: [usize; 3], again: &[usize]) {
        let what = format!("{again:?} are started again, of which there were {before:?}");
        self.wait_service("elk", &what, || {
            let now = self.starts();
            again.iter().all(|task| now[*task] > before[*task])
        });
        let told = self.told();
        self.wait_service("elk", "all three write", || {
            self.told().iter().zip(told).all(|(now, before)| *now > before + 1)
        });
    }

    /// The members that are mounted on these nodes: each task's data once, with all that it was told.
    /// Answers with where each is.
    #[track_caller]
    fn each_has_its_own(&self, nodes: &[usize]) -> [usize; 3] {
        let told = self.told();
        let mut found = Vec::new();
        for node in nodes {
            let look = "cd /var/lib/hawser/mnt/volumes
                for lines in elk_*/lines; do
                    [ -e $lines ] || continue
                    echo \"$(cat ${lines%lines}identity) $(head -n 1 $lines) $(tail -n 1 $lines) ${lines%/lines} $(wc -l <$lines) $1\"
                done";
            found.extend(
                self.nodes[*node]
                    .sh_with(look, &[&node.to_string()])
                    .ok()
                    .lines()
                    .map(str::to_owned),
            );
        }
        found.sort();
        eprintln!("           identity, first line, last line, member, lines, node: {found:?}");
        assert_eq!(found.len(), 3, "{found:?}");
        [A, B, C].map(|task| {
            let words: Vec<_> = found[task].split(' ').collect();
            assert_eq!(words[..3], [NAMES[task], "1", NAMES[task]], "who it was: {found:?}");
            let [number, lines] = [words[3], words[6]].map(|word| word.parse::<u64>().unwrap());
            assert!(lines >= told[task] && number <= lines, "{told:?} were told: {found:?}");
            words[7].parse().unwrap()
        })
    }
}

#[test]
#[ignore = "a part of `make lab`"]
fn each_of_three_tasks_finds_its_own_data_when_they_are_restarted_or_their_node_is_drained_or_dies()
{
    let world = World::start("cluster-consul");
    let World { lab, cluster, nodes: [a, _, c], .. } = &world;
    lab.step("three Docker engines are a swarm");
    world.start_swarm();

    lab.step("three tasks have a volume each");
    world.create_service("elk", &[], VOLUME, &format!("{WHO}\n{WRITE}"));
    world.wait_started([0; 3], &[A, B, C]);
    world.each_has_its_own(&[A, B, C]);

    lab.step("all are restarted at once");
    let before = world.starts();
    let update = ["service", "update", "--detach", "--force", "--update-parallelism", "0", "elk"];
    c.docker(&update);
    world.wait_started(before, &[A, B, C]);
    let places = world.each_has_its_own(&[A, B, C]);

    lab.step("a node is drained: its task moves, and its volume with it");
    let (before, moved) = (world.starts(), those_on(B, places));
    let since = Instant::now();
    c.set_availability("drain", &["b"]);
    world.wait_started(before, &moved);
    eprintln!("           all three write {:.1} s later", since.elapsed().as_secs_f32());
    let places = world.each_has_its_own(&[A, C]);
    c.set_availability("active", &["b"]);

    lab.step("a node is killed: its tasks are started elsewhere, each on its data");
    let (before, moved) = (world.starts(), those_on(A, places));
    let since = Instant::now();
    a.crash();
    cluster.cloud.says(a, InstanceState::Terminated);
    let told = world.told();
    world.wait_service("elk", "its tasks go on", || {
        moved.iter().all(|task| world.starts()[*task] > before[*task])
    });
    world.wait_service("elk", "its tasks write", || {
        moved.iter().all(|task| world.told()[*task] > told[*task])
    });
    let took = format!("{:.1} s", since.elapsed().as_secs_f32());
    let tasks = if moved.len() == 1 { "one" } else { "two" };
    let fault = format!("Swarm: a node killed with {tasks} of three tasks of a group");
    row(&fault, "it ends; Swarm starts it on another one, on its data", &took, "-");
    world.wait_started(before, &moved);
    world.each_has_its_own(&[B, C]);
    let found = world.nodes[C].hawser(&["volume", "ls"]).ok();
    assert!(!found.contains("elk_004"), "{found}");
    cluster.witness.assert_one_attachment_at_a_time();
}

/// Of the tasks at these places; a node without one would prove nothing.
#[track_caller]
fn those_on(node: usize, places: [usize; 3]) -> Vec<usize> {
    let tasks: Vec<_> = [A, B, C].into_iter().filter(|task| places[*task] == node).collect();
    assert!(!tasks.is_empty(), "{} has no task: {places:?}", NAMES[node]);
    tasks
}
