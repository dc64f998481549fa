//! What the tests share: nodes with tunnels, servers that stand for Ganesha, and connections that stand
//! for the kernel's.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{
    peer::{
        pki::Authority,
        testing::{Files, member},
    },
    share::tunnel::{Access, Export, Figures, Remote, RunError, Running, Table, Way},
    sys::protect::Protection,
    volume::VolumeId,
};

pub(super) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A port that nobody has.
pub(super) fn free_port() -> u16 {
    // Not of those that the system gives to connections: a connection to a port on which nobody listens
    // may get that very port, and then is connected to itself.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 199).unwrap() * 100;
    loop {
        let port = 10_000 + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if std::net::TcpListener::bind(loopback(port)).is_ok() {
            return port;
        }
    }
}

/// A node and its tunnel.
pub(super) struct Node {
    pub(super) table: Table,
    pub(super) files: Files,
    dir: tempfile::TempDir,
    running: Option<Arc<Running>>,
}

impl Node {
    /// Not started yet.
    pub(super) fn new(name: &str, authority: &Authority) -> Self {
        Self::with(member(name, authority))
    }

    pub(super) fn with(files: Files) -> Self {
        let table = Table::idle(files.config(), loopback(free_port()));
        Self { table, files, dir: tempfile::tempdir().unwrap(), running: None }
    }

    /// Starts it, or has it read its table again.
    pub(super) async fn apply(&mut self) -> Result<(), RunError> {
        let path = self.dir.path().join("table.json");
        self.table.write(&path).unwrap();
        if let Some(running) = &self.running {
            return running.reload().await;
        }
        let none = Protection { locked: false, io_flusher: false, oom: false };
        let running = Running::start(path, none).await?;
        let insisting = Arc::clone(&running);
        tokio::spawn(async move { insisting.insist().await });
        self.running = Some(running);
        Ok(())
    }

    pub(super) fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(super) fn export(&mut self, volume: VolumeId, epoch: u64, port: u16) -> &mut Export {
        let export = Export { volume, epoch: epoch.into(), port, access: Access::Any };
        self.table.exports.push(export);
        self.table.exports.last_mut().unwrap()
    }

    /// Reaches a volume at its owner; returns the port for the kernel.
    pub(super) fn remote(&mut self, volume: VolumeId, epoch: u64, owner: &Node) -> u16 {
        let port = free_port();
        self.table.remotes.push(Remote {
            volume,
            epoch: epoch.into(),
            port,
            owner: owner.table.node.clone(),
            address: owner.table.listen.to_string(),
            way: Way::Open,
        });
        port
    }

    pub(super) fn reached(&self) -> Figures {
        self.running().status().remotes[0].figures.clone()
    }

    pub(super) fn exported(&self) -> Figures {
        self.running().status().exports[0].figures.clone()
    }
}

/// One volume, owned by `b`, reached by `a`, both in force.
pub(super) struct Pair {
    pub(super) authority: Authority,
    pub(super) volume: VolumeId,
    pub(super) a: Node,
    pub(super) b: Node,
    /// For the kernel on `a`.
    pub(super) port: u16,
}

impl Pair {
    pub(super) async fn new(server: u16) -> Self {
        let authority = crate::peer::testing::authority();
        let (mut a, mut b) = (Node::new("a", &authority), Node::new("b", &authority));
        let volume = VolumeId::random();
        b.export(volume, 1, server);
        let port = a.remote(volume, 1, &b);
        b.apply().await.unwrap();
        a.apply().await.unwrap();
        Self { authority, volume, a, b, port }
    }
}

/// A server that sends back what it gets, and ends when its caller has ended.
pub(super) async fn echo() -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind(loopback(0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut reads, mut writes) = stream.split();
                let _ = copy(&mut reads, &mut writes).await;
                let _ = writes.shutdown().await;
            });
        }
    });
    (port, task)
}

/// Connects as the kernel would.
pub(super) async fn kernel(port: u16) -> TcpStream {
    TcpStream::connect(loopback(port)).await.unwrap()
}

/// Bytes that differ from place to place.
pub(super) fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(31) ^ (i >> 8) ^ seed).to_le_bytes()[0]).collect()
}

/// Sends these and gets them back.
pub(super) async fn said_and_heard(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).await.unwrap();
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).await.unwrap();
    assert!(back == text, "other bytes came back");
}

/// Waits until it is so, and says what was awaited if it never is.
#[track_caller]
pub(super) fn until(what: &str, mut so: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        for _ in 0..1000 {
            if so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{place}: never: {what}");
    }
}

/// That a connection ended, in whatever way, within some seconds.
pub(super) async fn ends(stream: &mut TcpStream) {
    let mut rest = [0; 1024];
    let ended = async { while matches!(stream.read(&mut rest).await, Ok(1..)) {} };
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("it stays open");
}
