//! Many nodes and thousands of volumes: real daemons, real ZooKeeper, images that are never attached.
//! A measurement, not a test: it prints figures (docs/cluster.md has them), and asserts only that every
//! node knows every volume in the end. Alone on the machine, as root:
//!
//! ```text
//! NODES=20 VOLUMES=2000 unshare -m --propagation slave \
//!     cargo test --all-features --test cluster scale -- --ignored --nocapture
//! ```
//!
//! Without the two it is 50 nodes and 5,000 volumes. All daemons share the machine's processors and its
//! disk, which in life each has for itself: so the figures that mean something elsewhere are those per
//! node, per create and per volume, and each phase also says how busy the machine was.

use std::{
    collections::BTreeMap,
    fs,
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::nodes::{Cluster, Node};

const NODES: usize = 50;
const VOLUMES: usize = 5_000;
/// So many nodes make volumes at the same time.
const MAKERS: usize = 4;
/// So many volumes are made while all nodes follow; the others before, when there are the makers alone.
const FOLLOWED: usize = 200;
/// How long the cluster is left alone to see what it does at rest.
const REST: Duration = Duration::from_secs(20);
/// How long the nodes may take until all of them know everything.
const PATIENCE: Duration = Duration::from_secs(600);

#[test]
#[ignore = "a measurement of some minutes, on a quiet machine"]
fn what_many_nodes_with_thousands_of_volumes_cost() {
    let (nodes, volumes) = (number("NODES", NODES), number("VOLUMES", VOLUMES));
    let mut cluster = Cluster::of(nodes);
    // The default: a machine that is this busy must not lose sessions by it.
    for node in 0..nodes {
        cluster[node].set("cluster.session", "20s");
        // The images are never written to.
        cluster[node].set("backends.local.overcommit", "1000");
    }
    println!("measured: {nodes} nodes, {volumes} volumes");
    let (makers, early) = (nodes.min(MAKERS), volumes.saturating_sub(FOLLOWED));
    cluster.start_these(0..makers);
    rest("at rest without volumes", &cluster, makers);
    make("volumes made, the makers alone", &cluster, makers, 0..early);

    let phase = Phase::begin("the other nodes started, one after the other", &cluster);
    cluster.start_these(makers..nodes);
    until_all_know(&cluster, nodes, early);
    phase.end(&cluster, (nodes - makers).max(1), "new node");
    make("volumes made, all nodes following", &cluster, nodes, early..volumes);
    // What was told last is stored, and nothing of the making is left to do.
    thread::sleep(Duration::from_secs(5));
    rest("at rest with the volumes", &cluster, nodes);

    // Nobody's session is over, and everybody reads everything.
    let phase = Phase::begin("all killed and started at once", &cluster);
    cluster.restart_all();
    println!("measured: all answer Docker after {:.1} s", phase.begun.elapsed().as_secs_f64());
    until_all_know(&cluster, nodes, volumes);
    until_quiet(&cluster);
    phase.end(&cluster, nodes, "node");
    cluster.until_all_live();

    // The same of ZooKeeper: all connections are made anew.
    let phase = Phase::begin("ZooKeeper killed and started", &cluster);
    cluster.zookeeper.kill();
    cluster.zookeeper.restart();
    println!("measured: ZooKeeper answers after {:.1} s", phase.begun.elapsed().as_secs_f64());
    cluster.until_all_live();
    phase.end(&cluster, nodes, "node");
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Makes volumes on a few nodes at once, and waits until the first so many nodes know them.
fn make(what: &'static str, cluster: &Cluster, nodes: usize, volumes: Range<usize>) {
    if volumes.is_empty() {
        return;
    }
    let phase = Phase::begin(what, cluster);
    let (count, makers) = (volumes.len(), nodes.min(MAKERS));
    thread::scope(|scope| {
        for at in 0..makers {
            let socket = cluster[at].path("hawser.sock");
            let volumes = volumes.clone();
            scope.spawn(move || {
                let mut connection = crate::harness::Connection::open(&socket).unwrap();
                for n in volumes.skip(at).step_by(makers) {
                    let body = json!({
                        "Name": format!("vol-{n}"),
                        "Opts": { "size": "64MiB", "provision": "thin" },
                    });
                    let call = "VolumeDriver.Create";
                    connection.post(call, &body.to_string()).unwrap().ok();
                }
            });
        }
    });
    println!("measured: {:.1} creates/s", count as f64 / phase.begun.elapsed().as_secs_f64());
    until_all_know(cluster, nodes, volumes.end);
    phase.end(cluster, count, "create");
}

#[track_caller]
fn until_all_know(cluster: &Cluster, nodes: usize, volumes: usize) {
    let deadline = Instant::now() + PATIENCE;
    for at in 0..nodes {
        while known(&cluster[at]) < volumes {
            assert!(Instant::now() < deadline, "node {at} knows {}", known(&cluster[at]));
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn known(node: &Node) -> usize {
    let list = node.call("List", &json!({})).ok();
    list["Volumes"].as_array().map_or(0, Vec::len)
}

/// A node knows its copy's volumes at once; that it has read ZooKeeper's shows by its silence.
#[track_caller]
fn until_quiet(cluster: &Cluster) {
    let deadline = Instant::now() + PATIENCE;
    let second = Duration::from_secs(1);
    let busy = || {
        let before = carried(cluster);
        thread::sleep(second);
        // More than signs of life, and these figures.
        (carried(cluster) - before) / cluster.len() as f64 > 500.0
    };
    while busy() {
        assert!(Instant::now() < deadline, "the nodes are not quiet");
    }
}

fn rest(what: &'static str, cluster: &Cluster, nodes: usize) {
    let phase = Phase::begin(what, cluster);
    thread::sleep(REST);
    phase.end(cluster, nodes * usize::try_from(REST.as_secs()).unwrap(), "node and second");
    let pids: Vec<u32> = (0..nodes).map(|at| cluster[at].pid()).collect();
    let all: Vec<f64> = pids.iter().map(|pid| mib_of(*pid, "VmRSS:")).collect();
    let own: Vec<f64> = pids.iter().map(|pid| mib_of(*pid, "RssAnon:")).collect();
    let mean = |memory: &[f64]| memory.iter().sum::<f64>() / memory.len() as f64;
    println!(
        "measured: a daemon has {:.1} MiB resident, {:.1} of them its own (at most {:.1})",
        mean(&all),
        mean(&own),
        own.iter().copied().fold(0.0, f64::max)
    );
    let figures = figures(cluster);
    println!(
        "measured: ZooKeeper has {:.0} MiB resident, {} znodes, {:.0} KiB of data, {} watches",
        mib_of(cluster.zookeeper.pid().unwrap(), "VmRSS:"),
        figures["zk_znode_count"],
        figures["zk_approximate_data_size"] / 1024.0,
        figures["zk_watch_count"],
    );
}

/// A part of the measurement: what was counted since it began.
struct Phase {
    what: &'static str,
    begun: Instant,
    packets: f64,
    carried: f64,
    daemons: BTreeMap<u32, Used>,
    zookeeper: (u32, Used),
    idle: f64,
}

/// What a process has used.
#[derive(Clone, Copy, Default)]
struct Used {
    cpu: f64,
    written: f64,
}

impl Phase {
    fn begin(what: &'static str, cluster: &Cluster) -> Self {
        let zookeeper = cluster.zookeeper.pid().unwrap();
        Self {
            what,
            packets: packets(cluster),
            carried: carried(cluster),
            daemons: daemons(cluster),
            zookeeper: (zookeeper, used(zookeeper)),
            idle: idle_seconds(),
            begun: Instant::now(),
        }
    }

    /// Each figure for the whole, and for each of so many.
    fn end(self, cluster: &Cluster, count: usize, each: &str) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let processors = thread::available_parallelism().unwrap().get() as f64;
        let idle = (idle_seconds() - self.idle) / (seconds * processors) * 100.0;
        // A process that was started meanwhile counts from its beginning.
        let since = |pid: u32, before: Option<&Used>| {
            let (now, before) = (used(pid), before.copied().unwrap_or_default());
            Used { cpu: now.cpu - before.cpu, written: now.written - before.written }
        };
        let daemons = daemons(cluster);
        let daemons = daemons.keys().map(|pid| since(*pid, self.daemons.get(pid)));
        let all = daemons.fold(Used::default(), |sum, used| Used {
            cpu: sum.cpu + used.cpu,
            written: sum.written + used.written,
        });
        let server = cluster.zookeeper.pid().unwrap();
        let known = (server == self.zookeeper.0).then_some(&self.zookeeper.1);
        let zookeeper = since(server, known);
        // One that was started meanwhile has counted from nothing, too.
        let packets = packets(cluster) - known.map_or(0.0, |_| self.packets);
        let count = count as f64;
        println!("measured: {}: {seconds:.1} s, the machine idle for {idle:.0} %", self.what);
        println!(
            "measured:   per {each}: {:.2} packets and {:.2} KiB at ZooKeeper, {:.2} ms of its CPU, {:.2} ms of the daemons', which wrote {:.1} KiB",
            packets / count,
            (carried(cluster) - self.carried) / 1024.0 / count,
            zookeeper.cpu * 1000.0 / count,
            all.cpu * 1000.0 / count,
            all.written / 1024.0 / count,
        );
    }
}

fn daemons(cluster: &Cluster) -> BTreeMap<u32, Used> {
    let running = (0..cluster.len()).filter(|at| cluster[*at].runs());
    running.map(|at| cluster[at].pid()).map(|pid| (pid, used(pid))).collect()
}

/// What ZooKeeper says of itself (`mntr`), where it is a number.
fn figures(cluster: &Cluster) -> BTreeMap<String, f64> {
    let figures = cluster.zookeeper.figures();
    let lines = figures.lines().filter_map(|line| line.split_once('\t'));
    lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

/// What ZooKeeper has got and sent.
fn packets(cluster: &Cluster) -> f64 {
    let figures = figures(cluster);
    figures["zk_packets_received"] + figures["zk_packets_sent"]
}

/// How many bytes the nodes and ZooKeeper have exchanged.
fn carried(cluster: &Cluster) -> f64 {
    (0..cluster.len()).map(|at| cluster[at].store.carried() as f64).sum()
}

fn mib_of(pid: u32, field: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn used(pid: u32) -> Used {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after = stat.rsplit_once(") ").unwrap().1;
    let ticks = after.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap());
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    Used { cpu: ticks.sum::<f64>() / 100.0, written: written.parse().unwrap() }
}

/// How long all processors together have had nothing to do, not even to wait for a disk.
fn idle_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    stat.split_whitespace().nth(4).unwrap().parse::<f64>().unwrap() / 100.0
}
