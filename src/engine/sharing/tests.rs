//! What is found of sharing, whatever the table says of it. A process that has a server's lock stands for
//! the server.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::fs::symlink,
    time::Instant,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use super::{reach::PAUSE, serve::CLOSE, *};
use crate::{
    peer::testing::{Files, authority, member, node},
    share::tunnel::Way,
    spec::FsType,
    sys::{
        durable,
        protect::Protection,
        testing::{Background, World, until},
    },
    volume::{Lease, Owner, testing::used_record},
};

const LOCK: &str = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); \
                    fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(1000)";

/// A node's directories, with nothing in them yet.
struct Node {
    table: Table,
    _files: Files,
    world: World,
}

impl Node {
    fn new() -> Self {
        let files = member("a", &authority());
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let table = Table::idle(files.config(), free.local_addr().unwrap());
        Self { table, _files: files, world: World::alone() }
    }

    fn tunnel(&self) -> Tunnel {
        Tunnel {
            program: "/proc/self/exe".into(),
            table: self.world.path("tunnel.json"),
            socket: self.world.path("tunnel.sock"),
            log: "off".to_owned(),
        }
    }

    /// As a daemon that starts.
    fn open(&self) -> Sharing {
        self.table.write(&self.tunnel().table).unwrap();
        let dir = self.world.path("share");
        Sharing::open(self.tunnel(), self.table.clone(), dir, Helper::itself(), Times::default())
            .unwrap()
    }

    fn exports(&mut self, volume: VolumeId, port: u16) {
        let access = tunnel::Access::Any;
        self.table.exports.push(tunnel::Export { volume, epoch: 7.into(), port, access });
    }

    /// Something that lives as the volume's server, and was told this port.
    fn server(&self, volume: VolumeId, port: u16) -> Background {
        let directory = self.world.dir(&format!("share/{volume}"));
        let told = format!("  NFS_Port = {port};\n");
        durable::replace(&directory.join("ganesha.conf"), told.as_bytes(), 0o600).unwrap();
        let file = directory.join("pid");
        let server = Background::start("python3", ["-c", LOCK, file.to_str().unwrap()]);
        let found = || share::running(&self.world.path("share")).unwrap();
        until("it has its lock", || found().contains_key(&volume));
        server
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = Netns::forget(&self.world.path("share/netns"));
    }
}

fn record() -> Record {
    let owner = Owner { node: node("a"), machine: None };
    Record { id: VolumeId::random(), lease: Lease::first(owner), ..used_record() }
}

#[test]
fn no_server_gets_a_port_that_another_one_has_or_that_is_not_free() {
    let mut own = Node::new();
    let [unknown, known, other, next] = [0; 4].map(|_| VolumeId::random());
    own.exports(known, 20_001);
    let _server = own.server(unknown, 20_000);

    let sharing = own.open();
    let listen =
        || [20_002, 20_003].map(|port| TcpListener::bind(SocketAddr::from(([0; 4], port))));
    let listeners = sharing.netns.run(listen).unwrap();

    assert!(sharing.knows(unknown) && sharing.knows(known) && !sharing.knows(other));
    assert_eq!(sharing.server_port(unknown).unwrap(), 20_000);
    assert_eq!(sharing.server_port(known).unwrap(), 20_001);
    assert_eq!(sharing.server_port(other).unwrap(), 20_004);
    drop(listeners);
    assert_eq!(sharing.server_port(other).unwrap(), 20_004);
    assert_eq!(sharing.server_port(next).unwrap(), 20_002);
}

#[tokio::test]
async fn the_port_of_a_server_that_did_not_start_is_given_up() {
    let mut own = Node::new();
    let record = record();
    own.exports(record.id, 20_000);
    let sharing = own.open();
    let disk = own.world.formatted(FsType::Ext4, 32).await;
    let stage = own.world.mount(&disk, FsType::Ext4, &["dirsync".into()]);
    fs::create_dir(stage.path().join("data")).unwrap();
    symlink("/", stage.path().join(".hawser")).unwrap();

    let failed =
        sharing.export(&record, stage.path(), Path::new("data"), Vec::new()).await.unwrap_err();

    assert!(failed.to_string().contains(".hawser"), "{failed}");
    assert!(sharing.ports().is_empty(), "it would get the same one for ever");
    // The tunnel still leads there for the one.
    assert_eq!(sharing.server_port(VolumeId::random()).unwrap(), 20_001);
    assert_eq!(sharing.server_port(record.id).unwrap(), 20_000);
}

#[test]
fn half_of_an_export_is_observed_as_nobody_s_and_so_it_is_mended_or_ended() {
    let mounts = MountTable::read().unwrap();
    let observed = |sharing: &Sharing, record: &Record| {
        sharing.observe(record, Path::new("/none"), Path::new("/nothing"), &mounts).0
    };
    let mut own = Node::new();
    let (record, other) = (record(), record());
    assert_eq!(observed(&own.open(), &record), None);
    own.exports(record.id, 20_000);
    assert_eq!(observed(&own.open(), &record), Some(Epoch::FIRST), "its server died");
    let _servers = [own.server(record.id, 20_000), own.server(other.id, 20_001)];
    assert_eq!(observed(&own.open(), &record), Some(7.into()));
    assert_eq!(observed(&own.open(), &other), Some(Epoch::FIRST), "nobody is let to it");
    own.exports(other.id, 20_002);
    assert_eq!(observed(&own.open(), &other), Some(Epoch::FIRST), "the way leads elsewhere");
    // No owner has it.
    assert!(record.lease.epoch > Epoch::FIRST);
}

/// Its tasks would write beside those of another node, which nobody has shut out.
#[test]
fn a_daemon_that_cannot_share_knows_what_the_one_before_it_left_serving() {
    let own = Node::new();
    let [served, ended] = [0; 2].map(|_| VolumeId::random());
    let _server = own.server(served, 20_000);
    own.world.dir(&format!("share/{ended}"));
    let broken = NotShared::now(&io::Error::other("broken"), own.world.path("share"));

    assert_eq!(
        [served, ended, VolumeId::random()].map(|id| broken.may_serve(id)),
        [true, false, false]
    );
    assert!(!NotShared::now(&io::Error::other("broken"), own.world.path("none")).may_serve(served));
    assert!(!NotShared::alone().may_serve(served));
    assert_eq!(broken.to_string(), "broken");
}

#[tokio::test]
async fn what_is_no_more_is_ended_with_its_files_and_the_rest_goes_on() {
    let mut own = Node::new();
    let [present, gone, unlisted, away, reached] = [0; 5].map(|_| VolumeId::random());
    own.exports(present, 20_000);
    own.exports(gone, 20_001);
    for (volume, port) in [(away, 10_000), (reached, 10_001)] {
        let (owner, address) = (node("b"), "127.0.0.1:1".to_owned());
        let remote =
            tunnel::Remote { volume, epoch: 1.into(), port, owner, address, way: Way::Open };
        own.table.remotes.push(remote);
    }
    let _present = own.server(present, 20_000);
    let _others = [own.server(gone, 20_001), own.server(unlisted, 20_002)];
    let sharing = own.open();
    let (table, socket) = (own.tunnel().table, own.tunnel().socket);
    let none = Protection { locked: false, io_flusher: false, oom: false };
    let tunnel = tokio::spawn(async move { tunnel::run(table, &socket, none).await });
    while own.tunnel().status().await.is_err() {
        assert!(!tunnel.is_finished(), "{:?}", tunnel.await);
        sleep(PAUSE).await;
    }

    // Something is mounted at the one's place still: here, the root.
    let place = |volume| if volume == reached { "/".into() } else { own.world.path("nowhere") };
    sharing.forget_unknown(|volume| volume == present, place).await.unwrap();

    let known = [present, gone, unlisted, away, reached].map(|volume| sharing.knows(volume));
    assert_eq!(known, [true, false, false, false, true]);
    let left = Table::read(&own.tunnel().table).unwrap();
    assert_eq!((left.exports.len(), left.remotes.len()), (1, 1));
    let has_files = |volume: VolumeId| own.world.path(&format!("share/{volume}")).exists();
    assert_eq!([present, gone, unlisted].map(has_files), [true, false, false]);
    assert_eq!(
        [present, gone, unlisted].map(|volume| sharing.serves(volume)),
        [true, false, false]
    );
    tunnel.abort();
}

/// Taken back, the next change would let in again whoever was shut out.
#[tokio::test]
async fn a_change_that_is_not_waited_for_any_more_is_put_in_force_and_known() {
    let mut own = Node::new();
    let [closed, other] = [0; 2].map(|_| VolumeId::random());
    own.exports(closed, 20_000);
    own.exports(other, 20_001);
    let sharing = own.open();
    // It is slower than the patience of who shuts the volume down.
    let listener = tokio::net::UnixListener::bind(own.tunnel().socket).unwrap();
    let slow = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
            sleep(2 * CLOSE).await;
            let answer = b"HTTP/1.1 422 \r\ncontent-length: 14\r\n\r\n{\"error\": \"-\"}";
            stream.write_all(answer).await.unwrap();
        }
    });

    let start = Instant::now();
    // The one waits for the tunnel, the other for its turn.
    tokio::join!(sharing.close(closed), sharing.close(other));
    assert!(start.elapsed() < 2 * CLOSE, "nobody waits longer");
    sharing.in_force.change(Whose::Nodes, |_| Ok(())).await.unwrap();

    let left = Table::read(&own.tunnel().table).unwrap();
    assert!(left.exports.is_empty(), "{left:?}");
    slow.abort();
}

#[tokio::test]
async fn connections_that_do_not_end_keep_only_the_changes_of_their_volume_from_being_made() {
    let mut own = Node::new();
    let (stuck, other) = (record(), VolumeId::random());
    own.exports(stuck.id, 20_000);
    own.exports(other, 20_001);
    let sharing = own.open();
    let listener = tokio::net::UnixListener::bind(own.tunnel().socket).unwrap();
    let still_open = format!(r#"{{"error": "-", "open": ["{}"]}}"#, stuck.id);
    let (ends, ended) = tokio::sync::watch::channel(false);
    let tunnel = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // Unread, it would be reset, and the answer with it.
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            let (code, body) =
                if *ended.borrow() { (422, r#"{"error": "-"}"#) } else { (409, &*still_open) };
            let answer =
                format!("HTTP/1.1 {code} \r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let mounts = MountTable::read().unwrap();
    let observed = || sharing.observe(&stuck, Path::new("/none"), Path::new("/nothing"), &mounts).0;

    for _ in 0..2 {
        let error = sharing.end_server(stuck.id).await.unwrap_err();
        assert_eq!(error.to_string(), "the tunnel: -", "also when it is asked again");
        assert_eq!(observed(), Some(Epoch::FIRST), "somebody may be let in still");
    }
    sharing.end_server(other).await.unwrap();
    sharing.moved(&node("b"), "127.0.0.1:1", HashSet::from([stuck.id])).await;
    let left = Table::read(&own.tunnel().table).unwrap();
    assert!(left.exports.is_empty(), "nobody is let in again: {left:?}");

    ends.send(true).unwrap();
    sharing.end_server(stuck.id).await.unwrap();
    assert_eq!(observed(), None);
    tunnel.abort();
}
