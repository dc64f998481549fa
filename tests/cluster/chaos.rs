//! Everything at once: tasks on all nodes take turns with a few volumes, while daemons are killed and
//! wires are cut. Each task adds one to a number on its volume: what is lost, or written twice, shows
//! in the sum.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, sleep},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    harness::{Connection, Reply, until},
    nodes::{A, B, C, Cluster, text},
};

const LENGTH: Duration = Duration::from_secs(40);
const VOLUMES: usize = 3;

/// What all tasks have in common.
#[derive(Default)]
struct Score {
    over: AtomicBool,
    counts: Mutex<BTreeMap<String, u64>>,
    refused: AtomicUsize,
}

/// Dropped, it is over: also where the trouble itself failed.
struct Over<'a>(&'a Score);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
    }
}

fn call(socket: &Path, call: &str, body: &Value) -> Option<Reply> {
    let mut connection = Connection::open(socket).ok()?;
    connection.post(&format!("VolumeDriver.{call}"), &body.to_string()).ok()
}

/// As the task of a container: mounts, writes, unmounts.
fn work(socket: &Path, node: usize, score: &Score) {
    for turn in 0.. {
        if score.over.load(Ordering::SeqCst) {
            return;
        }
        let name = format!("v{}", (turn + node) % VOLUMES);
        let use_of = json!({ "Name": name, "ID": format!("task-{node}-{turn}") });
        let mounted = call(socket, "Mount", &use_of);
        match mounted.filter(|reply| reply.status == 200) {
            Some(reply) => {
                add_one(&PathBuf::from(text(&reply.json()["Mountpoint"])));
                *score.counts.lock().unwrap().entry(name).or_default() += 1;
            }
            None => {
                score.refused.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_millis(50));
            }
        }
        // Also after a mount without an answer: it may have been made.
        while call(socket, "Unmount", &use_of).is_none_or(|reply| reply.status != 200) {
            sleep(Duration::from_millis(20));
        }
    }
}

fn add_one(path: &Path) {
    let file = path.join("count");
    let count = fs::read_to_string(&file).map_or(0, |text| text.parse::<u64>().unwrap());
    let mut next = File::create(path.join("next")).unwrap();
    next.write_all((count + 1).to_string().as_bytes()).unwrap();
    next.sync_all().unwrap();
    fs::rename(path.join("next"), file).unwrap();
    File::open(path).unwrap().sync_all().unwrap();
}

/// One fault after the other, each shorter and longer than a session in turn.
fn make_trouble(cluster: &mut Cluster) {
    let begun = Instant::now();
    for round in 0.. {
        if begun.elapsed() > LENGTH {
            return;
        }
        let node = [A, B, C][round % 3];
        match round % 5 {
            0 => cluster[node].crash(),
            1 => {
                cluster[node].store.cut();
                sleep(Duration::from_secs(if round % 2 == 1 { 1 } else { 6 }));
                cluster[node].store.heal();
            }
            2 => {
                cluster[node].peers.refuse();
                sleep(Duration::from_secs(2));
                cluster[node].peers.heal();
            }
            3 => {
                cluster[node].signal(Signal::STOP);
                sleep(Duration::from_secs(6));
                cluster[node].signal(Signal::CONT);
            }
            _ => {
                cluster.zookeeper.freeze();
                sleep(Duration::from_secs(2));
                cluster.zookeeper.thaw();
            }
        }
        sleep(Duration::from_secs(2));
    }
}

#[test]
fn tasks_that_take_turns_on_three_nodes_lose_nothing_under_faults() {
    let mut cluster = Cluster::started(3);
    for volume in 0..VOLUMES {
        cluster[A].create(&format!("name=v{volume},size=1GiB,attach=follow"));
        cluster.until_known(B, &format!("v{volume}"));
        cluster.until_known(C, &format!("v{volume}"));
    }
    let score = Score::default();
    let sockets = [A, B, C].map(|node| cluster[node].path("hawser.sock"));
    thread::scope(|scope| {
        for (node, socket) in sockets.iter().enumerate() {
            let score = &score;
            scope.spawn(move || work(socket, node, score));
        }
        let _over = Over(&score);
        make_trouble(&mut cluster);
    });
    cluster.until_all_live();
    let counts = score.counts.lock().unwrap().clone();
    println!("counted {counts:?}, refused {}", score.refused.load(Ordering::SeqCst));
    for (name, count) in &counts {
        let path = cluster[B].mount_at_last(name, "reader");
        let found = fs::read_to_string(path.join("count")).unwrap();
        assert_eq!(found, count.to_string(), "{name}");
        cluster[B].unmount(name, "reader");
    }
    assert!(counts.values().sum::<u64>() > 5, "hardly anything was mounted: {counts:?}");
    for volume in 0..VOLUMES {
        let name = format!("v{volume}");
        until("it can be removed", || {
            cluster[C].call("Remove", &json!({ "Name": name })).status == 200
        });
    }
    cluster.until_nothing_is_left();
}
