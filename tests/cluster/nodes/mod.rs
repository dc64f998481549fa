//! A cluster for a test.
//!
//! ```text
//! Cluster ─▶ ZooKeeper ◀── Link ── node ── Link ──▶ the others' peer ports
//!        ├▶ Fake (EC2), in a world without a daemon: an instance for each node
//!        └▶ Checker: looks all the time for a volume that two nodes have
//! ```

mod checker;
mod node;

use std::{
    fs,
    net::Ipv4Addr,
    ops::{Index, IndexMut, Range},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use ec2_fake::{Fake, InstanceSpec};
use ganesha::{Filesystem, Options};
use serde_json::{Value, json};
use tempfile::TempDir;
use zookeeper::{Link, ZooKeeper, free_port};

use crate::harness::{World, cloud_settings, filer_settings, run, until, until_within};
use checker::Checker;
pub(crate) use node::Node;

/// The first node.
pub(crate) const A: usize = 0;
/// The second.
pub(crate) const B: usize = 1;
/// The third, where there is one.
pub(crate) const C: usize = 2;

/// The least that there is.
pub(crate) const SESSION: Duration = Duration::from_secs(4);

/// Nodes, called `n1`, `n2`, …, and what they share. That no two of them ever had a volume is asserted
/// when it is dropped.
pub(crate) struct Cluster {
    checker: Option<Checker>,
    nodes: Vec<Node>,
    pub(crate) zookeeper: ZooKeeper,
    /// What is no node's: EC2, the CA, the NFS server, ZooKeeper's data.
    pub(crate) home: World,
}

impl Cluster {
    /// So many nodes, none of them started.
    #[track_caller]
    pub(crate) fn of(count: usize) -> Self {
        let home = World::on_ebs();
        // Each of these has a mount namespace of its own, and the last one's is everybody's.
        let worlds: Vec<_> = (0..count).map(|_| World::new()).collect();
        let zookeeper = ZooKeeper::start(&home.path("zookeeper"));
        let mut nodes = Vec::new();
        for (at, mut world) in worlds.into_iter().enumerate() {
            let instance = InstanceSpec::new("us-east-1a");
            home.ec2().add_instance(instance.clone()).unwrap();
            for (key, value) in cloud_settings(home.ec2(), &instance) {
                world.set(key, &value);
            }
            let listen = free_port(Ipv4Addr::LOCALHOST).to_string();
            world.set("peer.tunnel_listen", &free_port(Ipv4Addr::LOCALHOST).to_string());
            nodes.push(Node {
                name: format!("n{}", at + 1),
                instance: instance.id,
                peers: Link::to(&listen),
                store: Link::to(&zookeeper.address()),
                tunnel: free_port(Ipv4Addr::LOCALHOST).to_string(),
                listen,
                world,
            });
        }
        let stages = nodes.iter().map(|node| (node.name.clone(), node.path("mnt/stage")));
        let checker = Checker::start(home.path("ec2"), stages.collect());
        let mut cluster = Self { checker: Some(checker), nodes, zookeeper, home };
        cluster.make_certificates();
        cluster.nodes.iter_mut().for_each(Node::join);
        cluster
    }

    /// So many nodes, which know each other.
    #[track_caller]
    pub(crate) fn started(count: usize) -> Self {
        let mut cluster = Self::of(count);
        cluster.start();
        cluster
    }

    /// So many nodes, each on a host of another name; none of them started.
    #[track_caller]
    pub(crate) fn on_hosts(count: usize) -> Self {
        let mut cluster = Self::of(count);
        for node in &mut cluster.nodes {
            let host = format!("host-of-{}", node.name);
            node.call_host(&host);
        }
        cluster
    }

    /// So many nodes that have an NFS export in common, which is their default; none of them started.
    #[track_caller]
    pub(crate) fn on_filer(count: usize) -> Self {
        let mut cluster = Self::of(count);
        // Sparse: the size costs nothing.
        let filesystem = Filesystem::Ext4(8192);
        cluster.home.start_filer(Options { filesystem, ..Options::default() });
        for (key, value) in filer_settings(cluster.home.filer()) {
            for node in &mut cluster.nodes {
                node.set(key, &value);
            }
        }
        cluster
    }

    /// Starts all of them, and waits until they know each other.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        self.start_these(0..self.nodes.len());
    }

    /// Starts some of them, and waits until they and those before them know each other.
    #[track_caller]
    pub(crate) fn start_these(&mut self, these: Range<usize>) {
        let count = these.end;
        for node in &mut self.nodes[these] {
            node.start();
        }
        self.until_acquainted(count);
    }

    /// Waits until each of the first so many nodes says that all of these live.
    #[track_caller]
    fn until_acquainted(&self, count: usize) {
        // Fifty that read thousands of volumes on two processors need longer than three do.
        let patience = Duration::from_secs(60 + 10 * count as u64);
        for node in &self.nodes[..count] {
            let known = || node.live_nodes().len() == count;
            until_within(patience, "the nodes know each other", known);
        }
    }

    /// Kills all of them, and starts all of them again, at once.
    #[track_caller]
    pub(crate) fn restart_all(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.kill9());
        thread::scope(|scope| {
            for node in &mut self.nodes {
                scope.spawn(|| node.start());
            }
        });
    }

    /// Waits until each node says that all of them live.
    #[track_caller]
    pub(crate) fn until_all_live(&self) {
        self.until_acquainted(self.nodes.len());
    }

    fn make_certificates(&self) {
        let ca = self.make_authority("ca");
        self.nodes.iter().for_each(|node| self.certify(node, &ca));
    }

    /// Gives a node a certificate of an authority that the others do not know.
    #[track_caller]
    pub(crate) fn certify_by_a_stranger(&self, node: usize) {
        let node = &self.nodes[node];
        fs::remove_dir_all(node.path("pki")).unwrap();
        self.certify(node, &self.make_authority("stranger"));
    }

    fn make_authority(&self, dir: &str) -> PathBuf {
        let dir = self.home.path(dir);
        self.home.write_configuration();
        self.home.hawser(["pki", "init", "--dir", &dir.display().to_string(), "--cluster", "test"]);
        dir
    }

    fn certify(&self, node: &Node, ca: &Path) {
        let out = node.path("pki");
        fs::create_dir_all(&out).unwrap();
        fs::copy(ca.join("ca.pem"), out.join("ca.pem")).unwrap();
        let (ca, out, name) = (ca.display().to_string(), out.display().to_string(), &*node.name);
        let make = ["pki", "node", name, "--dir", &ca, "--cluster", "test", "--out", &out];
        self.home.hawser(make);
    }

    /// ZooKeeper begins anew, with nothing.
    pub(crate) fn lose_the_store(&mut self) {
        self.zookeeper.kill();
        fs::remove_dir_all(self.home.path("zookeeper/data")).unwrap();
        self.zookeeper.restart();
    }

    /// Keeps what ZooKeeper has now, as a backup of its data directory.
    pub(crate) fn back_up_the_store(&mut self) {
        self.zookeeper.stop();
        self.copy("zookeeper/data", "zookeeper/backup");
        self.zookeeper.restart();
        self.until_answered();
    }

    /// ZooKeeper has what it had at the backup.
    pub(crate) fn restore_the_store(&mut self) {
        self.zookeeper.kill();
        fs::remove_dir_all(self.home.path("zookeeper/data")).unwrap();
        self.copy("zookeeper/backup", "zookeeper/data");
        self.zookeeper.restart();
    }

    fn copy(&self, from: &str, to: &str) {
        let path = |name: &str| self.home.path(name).display().to_string();
        run("cp", ["-a", &path(from), &path(to)]);
    }

    /// Waits until the store answers each node that runs.
    #[track_caller]
    pub(crate) fn until_answered(&self) {
        for node in self.nodes.iter().filter(|node| node.runs()) {
            let probe = format!("probe-{}", node.name);
            until("the store answers", || {
                node.call("Create", &json!({ "Name": probe, "Opts": null })).status == 200
            });
            node.remove(&probe);
        }
    }

    /// A node is called as another one from its next start on, with a certificate for that name.
    #[track_caller]
    pub(crate) fn take_name_of(&mut self, node: usize, other: usize) {
        let name = self.nodes[other].name.clone();
        self.nodes[node].name = name;
        let ca = self.home.path("ca");
        self.certify(&self.nodes[node], &ca);
        self.nodes[node].join();
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The EC2 of all of them.
    pub(crate) fn ec2(&self) -> &Fake {
        self.home.ec2()
    }

    /// What EC2 calls the instance that has a volume.
    pub(crate) fn instance_with(&self, vol: &str) -> Option<String> {
        Some(self.ec2().volume(vol)?.attachment?.instance)
    }

    /// Waits until a node knows a volume.
    #[track_caller]
    pub(crate) fn until_known(&self, node: usize, name: &str) {
        until("the volume is known there", || self[node].knows(name));
    }
}

impl Cluster {
    /// The first two, each by itself.
    pub(crate) fn pair(&mut self) -> (&mut Node, &Node) {
        let [first, second, ..] = self.nodes.as_mut_slice() else { panic!("there is but one") };
        (first, second)
    }

    /// Waits until nothing of any volume is left: on the nodes, in EC2, in ZooKeeper.
    #[track_caller]
    pub(crate) fn until_nothing_is_left(&self) {
        let left = || -> Vec<String> {
            let of = |node: &Node| {
                let listed = [node.volumes(), node.removed_volumes()].concat();
                let listed = listed.into_iter().map(|volume| volume.to_string());
                let there = node.leftovers().into_iter().map(|path| path.display().to_string());
                listed.chain(there).collect::<Vec<_>>()
            };
            let running = self.nodes.iter().filter(|node| node.runs());
            let storage = self.ec2().volumes().into_iter().map(|volume| volume.id);
            running.flat_map(of).chain(storage).collect()
        };
        let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
        while !left().is_empty() {
            let late = std::time::Instant::now() > deadline;
            assert!(!late, "left behind: {:#?}", left());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Index<usize> for Cluster {
    type Output = Node;

    fn index(&self, at: usize) -> &Node {
        &self.nodes[at]
    }
}

impl IndexMut<usize> for Cluster {
    fn index_mut(&mut self, at: usize) -> &mut Node {
        &mut self.nodes[at]
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let seen = self.checker.take().map(Checker::end);
        // Before the devices that they have mounted.
        self.nodes.clear();
        let Some(seen) = seen else { return };
        if !thread::panicking() {
            assert!(seen.looks > 0, "nobody looked");
            assert!(seen.wrong.is_empty(), "two nodes had a volume: {:#?}", seen.wrong);
        }
    }
}

/// What `hawser` asks how the machine is, in this test's own mount namespace.
pub(crate) struct Systemd {
    dir: TempDir,
}

impl Systemd {
    pub(crate) fn in_the_way() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let systemctl = dir.path().join("systemctl");
        fs::write(&systemctl, "").unwrap();
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
        run("mount", ["--bind", systemctl.to_str().unwrap(), "/usr/bin/systemctl"]);
        Self { dir }
    }

    /// From now on.
    pub(crate) fn says(&self, state: &str) {
        fs::write(self.dir.path().join("systemctl"), format!("#!/bin/sh\necho {state}\n")).unwrap();
    }
}

/// A figure that a test measured, for the documentation. Nothing is judged by it.
pub(crate) fn measured(what: &str, took: Duration) {
    println!("measured: {what}: {:.1} s", took.as_secs_f64());
}

/// A field of JSON as text; empty where there is none.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
