//! Fifty nodes and five thousand volumes: real daemons, real ZooKeeper, images that are never attached.
//! A measurement, not a test: it prints figures (docs/cluster.md says how), and asserts only that every node
//! knows every volume in the end.

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::nodes::{Cluster, Node, SESSION};

const NODES: usize = 50;
const VOLUMES: usize = 5_000;
/// So many nodes make volumes at the same time.
const MAKERS: usize = 4;
/// How long the cluster is left alone to see what it does at rest.
const REST: Duration = Duration::from_secs(20);

#[test]
#[ignore = "a measurement of some minutes, on a quiet machine"]
fn what_fifty_nodes_with_five_thousand_volumes_cost() {
    let (nodes, volumes) = (number("NODES", NODES), number("VOLUMES", VOLUMES));
    let mut cluster = Cluster::of(nodes);
    let begun = Instant::now();
    cluster.start();
    say(&format!("{nodes} nodes started and known to each other"), begun);

    let begun = Instant::now();
    let before = packets(&cluster);
    create(&cluster, volumes);
    let took = begun.elapsed().as_secs_f64();
    println!("measured: {:.0} creates/s, known to {nodes} nodes", volumes as f64 / took);
    println!(
        "measured: {:.1} packets at ZooKeeper per create",
        (packets(&cluster) - before) / volumes as f64
    );
    until_all_know(&cluster, volumes);
    say(&format!("{volumes} volumes made, and known to all"), begun);
    rest(&cluster);

    // ZooKeeper's view of a mass restart: nobody's session is over, and everybody reads everything.
    let before = packets(&cluster);
    (0..nodes).for_each(|node| cluster[node].kill9());
    let begun = Instant::now();
    cluster.start();
    until_all_know(&cluster, volumes);
    say("all killed and started again, and all volumes known to all", begun);
    println!(
        "measured: {:.0} packets at ZooKeeper per node for it",
        (packets(&cluster) - before) / nodes as f64
    );
    println!("(the session's time-out is {} s)", SESSION.as_secs());
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A few nodes at once: all nodes follow each change, and here they share two processors and one disk.
fn create(cluster: &Cluster, volumes: usize) {
    let count = cluster.len().min(MAKERS);
    thread::scope(|scope| {
        for at in 0..count {
            let node = &cluster[at];
            let socket = node.path("hawser.sock");
            scope.spawn(move || {
                let mut connection = crate::harness::Connection::open(&socket).unwrap();
                for n in (at..volumes).step_by(count) {
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
}

#[track_caller]
fn until_all_know(cluster: &Cluster, volumes: usize) {
    let deadline = Instant::now() + Duration::from_secs(300);
    for at in 0..cluster.len() {
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

fn rest(cluster: &Cluster) {
    let (before, cpu) = (packets(cluster), cpu_seconds(cluster));
    thread::sleep(REST);
    let nodes = cluster.len() as f64;
    let seconds = REST.as_secs_f64() * nodes;
    println!(
        "measured: at rest {:.2} packets/s at ZooKeeper and {:.2} ms/s of CPU per node",
        (packets(cluster) - before) / seconds,
        (cpu_seconds(cluster) - cpu) * 1000.0 / seconds,
    );
    let memory: Vec<u64> = (0..cluster.len()).map(|at| resident_kib(&cluster[at])).collect();
    let mean = memory.iter().sum::<u64>() / memory.len() as u64;
    println!(
        "measured: {} MiB resident per node in the mean, {} MiB at most",
        mean / 1024,
        memory.iter().max().unwrap() / 1024
    );
}

/// What ZooKeeper has got and sent, by itself (`mntr`).
fn packets(cluster: &Cluster) -> f64 {
    let figures = cluster.zookeeper.figures();
    let figures: BTreeMap<_, _> =
        figures.lines().filter_map(|line| line.split_once('\t')).collect();
    let of = |name: &str| figures[name].parse::<f64>().unwrap();
    of("zk_packets_received") + of("zk_packets_sent")
}

fn resident_kib(node: &Node) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn cpu_seconds(cluster: &Cluster) -> f64 {
    let of = |node: &Node| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", node.pid())).unwrap();
        let after = stat.rsplit_once(") ").unwrap().1.to_owned();
        let fields: Vec<f64> =
            after.split(' ').skip(11).take(2).map(|ticks| ticks.parse().unwrap()).collect();
        fields.iter().sum::<f64>() / 100.0
    };
    (0..cluster.len()).map(|at| of(&cluster[at])).sum()
}

fn say(what: &str, since: Instant) {
    println!("measured: {what}: {:.1} s", since.elapsed().as_secs_f64());
}
