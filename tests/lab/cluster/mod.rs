//! Three machines as one cluster, and what happens to a volume when something fails: each row of
//! docs/faults.md's second table is measured here, and printed as `measured: | …`.
//!
//! A task writes stamps to an EBS volume, in a mount namespace as a container has it. After the fault
//! another one goes on elsewhere. In the end the image itself is looked at: nothing acknowledged is
//! missing, and there is no stamp of the former task after the first one of the next.

mod chosen;
mod consul;
mod container;
mod cuts;
mod directory;
mod ec2;
mod held_up;
mod killed;
mod many;
mod moves;
mod plain;
mod postgres;
mod remote;
mod replaced;
mod shared;
mod shared_away;
mod shared_cuts;
mod shared_kinds;
mod shared_moves;
mod shared_pressure;
mod shared_tasks;
mod speed;
mod store;
mod suites;
mod swarm;
mod workloads;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::Instant,
};

use serde_json::{Value, json};

use crate::harness::{Cluster, Disk, Job, Lab, Machine, PATIENCE, Stamps, eventually};

const GIB: u64 = 1 << 30;

/// A cluster of three, each machine with its state on a disk of its own.
struct World {
    cluster: Cluster,
    nodes: [Machine; 3],
    states: [Rc<Disk>; 3],
    lab: Lab,
    /// How many tasks were started: their stamps' number.
    tasks: Cell<u64>,
    /// hawser's own names of the volumes.
    ids: RefCell<HashMap<String, String>>,
    /// Who wrote to which volume, in order.
    wrote: RefCell<Vec<Wrote>>,
}

/// A task wrote to a volume.
struct Wrote {
    volume: String,
    node: usize,
    number: u64,
}

/// A running task.
struct Task {
    volume: String,
    node: usize,
    /// Of its stamps.
    number: u64,
    /// The volume's epoch.
    epoch: u64,
    job: Job,
    /// When its first stamp was acknowledged.
    since: Instant,
}

const NAMES: [&str; 3] = ["a", "b", "c"];
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

impl World {
    #[track_caller]
    fn start(test: &str) -> Self {
        let world = Self::prepare(test);
        world.lab.step("hawser starts on three machines");
        world.join(&[A, B, C]);
        world.wait_alive(A, 3);
        world
    }

    /// The machines alone: hawser does not run yet.
    #[track_caller]
    fn prepare(test: &str) -> Self {
        Self::on(Lab::start(test, NAMES), GIB)
    }

    /// On these machines, each with so many bytes for its state.
    #[track_caller]
    fn on((lab, nodes): (Lab, [Machine; 3]), state: u64) -> Self {
        let cluster = Cluster::start(&lab, nodes.each_ref());
        let states = NAMES.map(|name| lab.disk(&format!("state-{name}"), state));
        Self {
            cluster,
            nodes,
            states,
            lab,
            tasks: Cell::default(),
            ids: RefCell::default(),
            wrote: RefCell::default(),
        }
    }

    /// Starts hawser on these machines.
    #[track_caller]
    fn join(&self, nodes: &[usize]) {
        let of = |node: &usize| (&self.nodes[*node], &*self.states[*node]);
        self.cluster.join(&nodes.iter().map(of).collect::<Vec<_>>());
    }

    /// Waits until a node sees so many living ones.
    #[track_caller]
    fn wait_alive(&self, node: usize, count: usize) {
        eventually("the nodes see each other", PATIENCE, || {
            let nodes = self.nodes[node].hawser_json(&["node", "ls"]);
            let alive = nodes.as_array().into_iter().flatten().filter(|row| row["alive"] == true);
            alive.count() == count
        });
    }

    /// Makes a volume; `options` beside the usual ones. A shared one has the file system that hawser chooses;
    /// of the others the images are read on the host, which is done for ext4 alone.
    #[track_caller]
    fn create(&self, node: usize, volume: &str, options: Value) {
        let mut all = json!({"backend": "ebs", "size": "1GiB", "attach": "follow"});
        if options["shared"].is_null() {
            all["fs"] = "ext4".into();
        }
        let Value::Object(options) = options else { panic!("options are an object") };
        all.as_object_mut().unwrap().extend(options);
        self.nodes[node].create_volume(volume, &all);
        let id = self.nodes[node].hawser_json(&["volume", "inspect", volume])["id"].clone();
        self.ids.borrow_mut().insert(volume.to_owned(), id.as_str().unwrap().to_owned());
    }

    /// Where a volume is, as this node knows.
    #[track_caller]
    fn whereabouts(&self, node: usize, volume: &str) -> Value {
        self.nodes[node].hawser_json(&["volume", "where", volume])
    }

    /// What EC2 calls it.
    #[track_caller]
    fn ec2_id(&self, volume: &str) -> String {
        let volumes = self.cluster.cloud.volumes();
        let of_name = |found: &&ec2_fake::VolumeInfo| {
            found.tags.values().any(|value| value == volume || value == &format!("lab/{volume}"))
        };
        let found = volumes.iter().find(of_name);
        found.unwrap_or_else(|| panic!("no {volume} among {volumes:#?}")).id.clone()
    }

    /// Starts a task with a volume, and waits until it writes.
    #[track_caller]
    fn run(&self, node: usize, volume: &str) -> Task {
        let mount = self.begin_mount(node, volume);
        self.run_mounted(node, volume, &mount)
    }

    /// Begins to mount a volume for the next task.
    #[track_caller]
    fn begin_mount(&self, node: usize, volume: &str) -> Job {
        self.nodes[node].begin_mount(volume, &holder(self.tasks.get() + 1))
    }

    /// The same once a mount has been begun.
    #[track_caller]
    fn run_mounted(&self, node: usize, volume: &str, mount: &Job) -> Task {
        let machine = &self.nodes[node];
        let path = machine.mounted(mount);
        let number = self.tasks.get() + 1;
        self.tasks.set(number);
        let (name, epoch) = (&*machine.name, number.to_string());
        let stamp = ["/lab/stamp.py", "file", "/mnt/data/stamps", name, &epoch];
        let job = machine.spawn(&[&["/lab/task.sh", &*path], &stamp[..]].concat());
        eventually("the task writes", PATIENCE, || {
            if machine.stamped(number) == 0
                && let Some(ended) = machine.poll(&job)
            {
                panic!("the task ended: {ended}");
            }
            machine.stamped(number) > 0
        });
        let since = Instant::now();
        self.wrote.borrow_mut().push(Wrote { volume: volume.to_owned(), node, number });
        let epoch = self.whereabouts(node, volume)["epoch"].as_u64().expect("it has an epoch");
        Task { volume: volume.to_owned(), node, number, epoch, job, since }
    }

    /// The task ends, and Docker says so.
    #[track_caller]
    fn end(&self, task: &Task) {
        let machine = &self.nodes[task.node];
        if machine.poll(&task.job).is_none() {
            machine.kill(&task.job);
        }
        machine.unmount_volume(&task.volume, &holder(task.number));
    }

    #[track_caller]
    fn goes_on(&self, task: &Task) {
        self.nodes[task.node].wait_stamps(task.number, 10);
    }

    /// What a mount that was begun is refused with.
    #[track_caller]
    fn refused(&self, node: usize, mount: &Job) -> String {
        let answer = self.nodes[node].answer(mount);
        let why = answer["Err"].as_str().unwrap_or_default().to_owned();
        assert!(!why.is_empty(), "it should have been refused: {answer}");
        eprintln!("           {}: {why}", self.nodes[node].name);
        why
    }

    /// Waits until a node says in its log why it waits.
    #[track_caller]
    fn wait_said(&self, node: usize, why: &str) {
        let machine = &self.nodes[node];
        eventually(&format!("{} says: {why}", machine.name), PATIENCE, || machine.said(why) > 0);
    }

    /// The volume has the owner that it had.
    #[track_caller]
    fn assert_unmoved(&self, asked: usize, task: &Task) {
        let found = self.whereabouts(asked, &task.volume);
        let owner = (found["owner"].as_str(), found["epoch"].as_u64());
        assert_eq!(owner, (Some(NAMES[task.node]), Some(task.epoch)), "{found}");
    }

    /// No machine that runs has the volume mounted anywhere, but for this one.
    #[track_caller]
    fn assert_mounted_only_on(&self, node: usize, volume: &str) {
        let id = &self.ids.borrow()[volume];
        for (other, machine) in self.nodes.iter().enumerate() {
            if machine.is_off() {
                continue;
            }
            // The stage, the published path, and what is left of it with tasks.
            let look = "disk=$(grep -ls $3 /sys/block/nvme*/device/serial | head -n 1 | cut -d/ -f4)
                grep -h -e stage/$1 -e volumes/$2 -e \" /dev/${disk:-none} \" /proc/[0-9]*/mountinfo | sort -u";
            let found = machine.sh_with(look, &[id, volume, &self.ec2_id(volume).replace('-', "")]);
            assert_eq!(!found.stdout.is_empty(), other == node, "{}: {found}", machine.name);
        }
    }

    /// The volume is let go of, and its image has what its tasks were told to be safe, in order.
    #[track_caller]
    fn assert_image(&self, volume: &str) {
        let id = self.ec2_id(volume);
        self.cluster.cloud.wait_for(&id, "available");
        let stamps = Stamps::in_image(&self.cluster.cloud.image(&id));
        stamps.assert_one_writer_at_a_time();
        for wrote in self.wrote.borrow().iter().filter(|wrote| wrote.volume == volume) {
            stamps.assert_has(&self.nodes[wrote.node], wrote.number);
        }
        self.cluster.witness.assert_one_attachment_at_a_time();
    }

    /// The table's row of a fault that began then, after which this task went on.
    fn measured(&self, fault: &str, sees: &str, since: Instant, next: &Task) {
        let took = next.since - since;
        let ec2 = self.cluster.witness.ec2_took(&self.ec2_id(&next.volume), since, next.since);
        let [took, ec2] = [took, ec2].map(|time| time.as_secs_f32());
        row(fault, sees, &format!("{took:.1} s"), &format!("{ec2:.1} s"));
    }

    /// The row of a fault through which this task went on.
    fn undisturbed(&self, fault: &str, task: &Task) {
        let longest = self.nodes[task.node].longest_stamp(task.number).as_secs_f32();
        row(fault, "nothing", &format!("{longest:.1} s, its longest write"), "-");
    }
}

/// A row of the table. What it says of losses and double mounts is asserted: a test that finds some fails.
fn row(fault: &str, sees: &str, took: &str, ec2: &str) {
    eprintln!("measured: | {fault} | {sees} | {took} | {ec2} | 0 | 0 |");
}

fn holder(task: u64) -> String {
    format!("task-{task}")
}
