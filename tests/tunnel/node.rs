//! A cluster's nodes as far as tunnels know them: certificates, a table, a process that ends with the test.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use hawser::{
    peer::PeerConfig,
    share::tunnel::{Access, Export, Remote, Status, Table, Way, process::Tunnel},
    volume::VolumeId,
};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::loopback;

const HAWSER: &str = env!("CARGO_BIN_EXE_hawser");

/// A CA, in a directory.
pub(crate) struct Cluster {
    dir: tempfile::TempDir,
}

/// A node, in a directory of its own.
pub(crate) struct Node {
    pub(crate) table: Table,
    pub(crate) tunnel: Tunnel,
    dir: tempfile::TempDir,
}

fn pki(args: &[&str], dir: &Path) {
    let output = Command::new(HAWSER).arg("pki").args(args).arg("--dir").arg(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn free_port() -> u16 {
    // Not of those that the system gives to connections: a connection to a port on which nobody listens
    // may get that very port, and then is connected to itself.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 199).unwrap() * 100;
    loop {
        let port = 10_000 + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if TcpListener::bind(loopback(port)).is_ok() {
            return port;
        }
    }
}

/// The tunnel of a node that has its files there.
pub(crate) fn tunnel_in(dir: &Path) -> Tunnel {
    Tunnel {
        program: HAWSER.into(),
        table: dir.join("table.json"),
        socket: dir.join("tunnel.sock"),
        log: "info".to_owned(),
    }
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let cluster = Self { dir: tempfile::tempdir().unwrap() };
        pki(&["init", "--cluster", "prod"], &cluster.path());
        cluster
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("pki")
    }

    pub(crate) fn node(&self, name: &str) -> Node {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().to_str().unwrap();
        pki(&["node", name, "--cluster", "prod", "--out", out], &self.path());
        let me = PeerConfig {
            cluster: "prod".to_owned(),
            node: name.parse().unwrap(),
            ca: self.path().join("ca.pem"),
            certificate: dir.path().join(format!("{name}.pem")),
            key: dir.path().join(format!("{name}.key")),
        };
        let table = Table::idle(me, loopback(free_port()));
        Node { table, tunnel: tunnel_in(dir.path()), dir }
    }
}

impl Node {
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// One more volume of the owner's, in both tables; returns the port for the kernel.
    pub(crate) fn reaches(&mut self, owner: &mut Self, server: u16) -> u16 {
        let (volume, port) = (VolumeId::random(), free_port());
        let epoch = 1.into();
        owner.table.exports.push(Export { volume, epoch, port: server, access: Access::Any });
        let (node, address) = (owner.table.node.clone(), owner.table.listen.to_string());
        self.table.remotes.push(Remote {
            volume,
            epoch,
            port,
            owner: node,
            address,
            way: Way::Open,
        });
        port
    }

    pub(crate) fn write(&self) {
        self.table.write(&self.tunnel.table).unwrap();
    }

    pub(crate) async fn apply(&mut self) -> Status {
        self.tunnel.apply(&self.table).await.unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Whoever it is that holds the socket of this directory.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let tunnel = self.tunnel.clone();
        let asked = thread::spawn(move || runtime.block_on(async { tunnel.status().await.ok() }));
        if let Some(status) = asked.join().unwrap() {
            kill(status.pid);
        }
    }
}

fn pid(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().unwrap()).unwrap()
}

pub(crate) fn kill(process: u32) {
    kill_process(pid(process), Signal::KILL).unwrap();
}

pub(crate) fn terminate(process: u32) {
    kill_process(pid(process), Signal::TERM).unwrap();
}

/// Whether it runs: a zombie whose parent has not looked yet does not.
pub(crate) fn alive(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    test_kill_process(pid(process)).is_ok() && !stat.contains(") Z ")
}

#[track_caller]
pub(crate) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}: not so after 30 s");
        thread::sleep(Duration::from_millis(20));
    }
}
