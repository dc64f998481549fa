//! The writer claim as its owner gives it, keeps to it and takes it back. Where no kernel here has an NFS
//! client, nobody asks for it by itself: the tests ask in a node's name. What the other end does is tested in
//! the lab (`tests/lab/cluster/remote.rs`).

use std::{
    fs,
    ops::{Deref, DerefMut},
    path::Path,
    time::Duration,
};

use hawser::{
    engine::{ReleaseRequest, Released},
    peer::{Identity, PeerConfig, Peers},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    harness::{until, until_within},
    nodes::{A, B, C, Cluster, Node, Systemd},
};

/// Longer than the steps of a test take: until then a node that stands still counts as living.
const SESSION: Duration = Duration::from_secs(20);

/// A cluster whose first node serves. What serves outlives the daemon, and must not outlive the test.
struct Serving(Cluster);

impl Deref for Serving {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.0
    }
}

impl DerefMut for Serving {
    fn deref_mut(&mut self) -> &mut Cluster {
        &mut self.0
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self[A].runs() {
            // It would start them again.
            self.0[A].kill9();
        }
        for pid in ["ganesha", "tunnel"].into_iter().flat_map(|what| processes(&self[A], what)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The node's processes in whose command line that is.
fn processes(node: &Node, what: &str) -> Vec<Pid> {
    let theirs = node.path("").display().to_string();
    let found = |entry: fs::DirEntry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line);
        (line.contains(what) && line.contains(&theirs)).then_some(pid)
    };
    fs::read_dir("/proc").unwrap().flatten().filter_map(found).collect()
}

impl Cluster {
    /// Three nodes with a long session, and a volume that the first one has attached.
    #[track_caller]
    fn with_an_idle_volume() -> Serving {
        let mut cluster = Self::of(3);
        // The port after that of its peers is another node's here.
        let listen = zookeeper::free_port(std::net::Ipv4Addr::LOCALHOST).to_string();
        cluster[A].set("peer.tunnel_listen", &listen);
        for node in [A, B, C] {
            cluster[node].set("cluster.session", &format!("{}s", SESSION.as_secs()));
        }
        cluster.start();
        let cluster = Serving(cluster);
        cluster[A].with_data("name=v,size=1GiB", "precious");
        cluster[A].until_unmounted("v");
        cluster.until_known(C, "v");
        cluster
    }

    /// The first node is asked for a volume in another one's name, which says that it could reach it.
    #[track_caller]
    fn ask_for(&self, node: usize, volume: &str) -> Released {
        let (asker, found) = (&self[node], self[A].whereabouts(volume));
        let pki = |file: &str| asker.path("pki").join(file);
        let config = PeerConfig {
            cluster: "test".to_owned(),
            node: asker.name.parse().unwrap(),
            ca: pki("ca.pem"),
            certificate: pki(&format!("{}.pem", asker.name)),
            key: pki(&format!("{}.key", asker.name)),
        };
        let peers = Peers::new(Identity::load(config).unwrap());
        let request = ReleaseRequest {
            volume: found["id"].as_str().unwrap().parse().unwrap(),
            epoch: found["epoch"].as_u64().unwrap().into(),
            remotely: true,
        };
        let (owner, address) = (self[A].name.parse().unwrap(), self[A].peers.address());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let limit = Duration::from_secs(60);
        runtime
            .block_on(peers.call(&owner, &address, "/release", &request, limit))
            .unwrap_or_else(|error| panic!("{error}\n{}", self[A].log()))
    }
}

/// Whom a node's tunnel lets to its volumes.
fn lets_in(node: &Node) -> Vec<Value> {
    let table = fs::read(node.path("tunnel.json")).unwrap_or_default();
    let table: Value = serde_json::from_slice(&table).unwrap_or_default();
    let exports = table["exports"].as_array().cloned().unwrap_or_default();
    exports.into_iter().map(|export| export["access"].clone()).collect()
}

fn only(node: &str) -> Vec<Value> {
    vec![serde_json::json!({ "only": node })]
}

/// The options of the file system at the stage.
fn stage_options(node: &Node) -> String {
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let stage = node.path("mnt/stage").display().to_string();
    mounts.lines().filter(|line| line.contains(&stage)).collect()
}

fn daemons_file(path: &Path) -> String {
    fs::read_to_string(path.join("file")).unwrap()
}

#[test]
fn an_owner_serves_a_free_volume_to_the_one_node_that_has_the_claim_and_to_nobody_else() {
    let mut cluster = Cluster::with_an_idle_volume();
    let (vol, epoch) = (cluster[A].vol("v"), cluster[A].epoch_of("v"));
    // It would give the claim back at once: no task of it has a use for it.
    cluster[B].kill9();

    assert_eq!(cluster.ask_for(B, "v"), Released::Joined);
    assert_eq!(cluster.ask_for(B, "v"), Released::Joined, "once more, as after a lost answer");
    until("it is served", || lets_in(&cluster[A]) == only("n2"));
    assert!(stage_options(&cluster[A]).contains("dirsync"), "{}", stage_options(&cluster[A]));
    let found = cluster[A].whereabouts("v");
    assert_eq!((&found["owner"], &found["writer"]), (&"n1".into(), &"n2".into()), "{found}");
    assert_eq!(cluster[A].get("v")["Status"]["written_from"], "n2");

    assert_eq!(cluster.ask_for(C, "v"), Released::Held("tasks on node n2".to_owned()));
    assert!(cluster[A].remove_fails("v").contains("node n2"));
    let error = cluster[A].hawser_fails(["volume", "move", "v", "--to", "n1"]);
    assert!(error.contains("node n2"), "{error}");
    cluster[A].hawser(["volume", "grow", "v", "2GiB"]);

    // The owner's daemon dies and comes back: nothing changes.
    cluster[A].crash();
    assert!(cluster[A].remove_fails("v").contains("node n2"));
    assert_eq!(lets_in(&cluster[A]), only("n2"));

    // Its node is back, and has no task with it: the claim ends.
    cluster[B].start();
    until("nobody has the claim", || cluster[A].whereabouts("v")["writer"].is_null());
    until("nobody is let in", || lets_in(&cluster[A]).is_empty());
    until("it is unmounted", || stage_options(&cluster[A]).is_empty());
    assert_eq!(cluster.instance_with(&vol), Some(cluster[A].instance.clone()), "and attached");
    assert!(cluster[A].epoch_of("v") > epoch, "the claim had one of its own");
    assert_eq!(cluster[A].data_of("v"), "precious");
    cluster[A].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn a_writer_whose_session_is_over_is_shut_out_before_the_next_one_may_write() {
    let mut cluster = Cluster::with_an_idle_volume();
    cluster[B].kill9();
    assert_eq!(cluster.ask_for(B, "v"), Released::Joined);
    until("it is served", || lets_in(&cluster[A]) == only("n2"));
    until_within(SESSION * 3, "its session is over", || cluster[C].live_nodes().len() == 2);
    assert_eq!(lets_in(&cluster[A]), only("n2"), "nobody else wants it");

    // Another node gets it in turn.
    cluster[C].kill9();
    assert_eq!(cluster.ask_for(C, "v"), Released::Joined);
    until("it is served to that one", || lets_in(&cluster[A]) == only("n3"));

    // And the owner's own task: it waits for that one's session to end, and has the file system itself.
    let path = cluster[A].mount("v", "task-1");
    assert_eq!(lets_in(&cluster[A]), Vec::<Value>::new());
    assert_eq!(daemons_file(&path), "precious");
    assert!(cluster[A].whereabouts("v")["writer"].is_null());
    assert_eq!(cluster[A].live_nodes(), ["n1"]);

    cluster[B].start();
    cluster.until_known(B, "v");
    cluster.until_answered();
    let error = cluster[B].mount_fails("v", "task-2");
    assert!(error.contains("in use on node n1 by mount task-1"), "{error}");
    cluster[A].unmount("v", "task-1");
    // This kernel cannot reach it, so it is moved; where one can, it is reached.
    assert_eq!(cluster[B].data_of("v"), "precious");
    cluster[C].start();
    cluster[B].remove("v");
    cluster.until_nothing_is_left();
}

/// Server and tunnel go on without a daemon: the record alone shuts nobody out.
#[test]
fn an_owner_that_cannot_share_any_more_does_not_write_beside_whom_the_one_before_let_in() {
    let mut cluster = Cluster::with_an_idle_volume();
    cluster[B].kill9();
    assert_eq!(cluster.ask_for(B, "v"), Released::Joined);
    until("it is served", || lets_in(&cluster[A]) == only("n2"));
    let table = cluster[A].path("tunnel.json");
    let before = fs::read(&table).unwrap();

    cluster[A].kill9();
    fs::write(&table, "no table").unwrap();
    cluster[A].start();
    cluster.until_answered();
    until_within(SESSION * 3, "its session is over", || cluster[C].live_nodes().len() == 2);
    let error = cluster[A].mount_fails("v", "task-1");
    assert!(error.contains("this node shares no volumes with others"), "{error}");

    cluster[A].kill9();
    fs::write(&table, before).unwrap();
    cluster[A].start();
    cluster.until_answered();
    assert_eq!(cluster[A].data_of("v"), "precious");
    assert_eq!(lets_in(&cluster[A]), Vec::<Value>::new());
    cluster[A].remove("v");
}

/// The writer needs it to write back, before it can give the claim up.
#[test]
fn a_server_that_dies_while_the_owners_task_waits_for_the_writer_is_started_again() {
    let mut cluster = Cluster::with_an_idle_volume();
    cluster[B].kill9();
    assert_eq!(cluster.ask_for(B, "v"), Released::Joined);
    until("it is served", || lets_in(&cluster[A]) == only("n2"));
    let servers = processes(&cluster[A], "ganesha");
    let mut connection = cluster[A].connect();
    let body = serde_json::json!({ "Name": "v", "ID": "task-1" }).to_string();
    let mounting = std::thread::spawn(move || connection.post("VolumeDriver.Mount", &body));
    let waits = || cluster[A].inspect("v")["doing"] == "recall";
    until("the task waits for the writer", waits);

    for server in &servers {
        kill_process(*server, Signal::KILL).unwrap();
    }
    until("there is another server, and the task waits on", || {
        let now = processes(&cluster[A], "ganesha");
        !now.is_empty() && now.iter().all(|server| !servers.contains(server)) && waits()
    });
    assert_eq!(lets_in(&cluster[A]), only("n2"));
    assert!(!mounting.is_finished());

    // The writer's session ends.
    mounting.join().unwrap().unwrap().ok();
    assert_eq!(cluster[A].data_of("v"), "precious");
    cluster[A].unmount("v", "task-1");
    cluster[A].remove("v");
}

/// Whoever reached it there would stand still as soon as the machine is gone.
#[test]
fn a_node_whose_machine_stops_lends_nothing_and_takes_nothing() {
    let mut cluster = Cluster::with_an_idle_volume();
    let systemd = Systemd::in_the_way();
    systemd.says("stopping");
    cluster[A].hawser(["node", "hand-over", "--if-stopping"]);

    let released = cluster.ask_for(B, "v");
    assert_eq!(released, Released::Released, "it is to come where its task is");
    let refused = cluster[A].hawser_fails(["volume", "move", "v", "--to", "n1"]);
    assert!(refused.contains("is just stopped"), "{refused}");
    assert!(cluster[A].mount_fails("v", "task-1").contains("is just stopped"));

    // Should it come to nothing.
    systemd.says("running");
    cluster[A].restart();
    cluster.until_answered();
    assert_eq!(cluster[A].data_of("v"), "precious");
    cluster[A].remove("v");
    cluster.until_nothing_is_left();
}

#[test]
fn a_volume_in_use_or_one_that_follows_its_task_is_not_lent() {
    let mut cluster = Cluster::with_an_idle_volume();
    cluster[A].mount("v", "task-1");
    let held = cluster.ask_for(B, "v");
    assert!(matches!(&held, Released::Held(who) if who.contains("task-1")), "{held:?}");
    cluster[A].unmount("v", "task-1");
    cluster[A].set("volumes.linger", "60s");
    cluster[A].restart();
    cluster.until_answered();
    cluster[A].with_data("name=w,size=1GiB,attach=follow", "precious");

    let released = cluster.ask_for(B, "w");
    assert_eq!(released, Released::Released, "it is to come where its task is");
    let found = cluster[A].whereabouts("w");
    assert!(found["owner"].is_null() && found["writer"].is_null(), "{found}");
    for volume in ["v", "w"] {
        cluster[C].remove(volume);
    }
    cluster.until_nothing_is_left();
}
