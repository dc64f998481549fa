//! With a real NFS-Ganesha, on a real ext4, in a real network namespace.

mod client;
mod strangers;
mod volume;

use std::os::unix::fs::PermissionsExt;

use client::Client;

use super::*;
use crate::{
    share::{Squash, Times},
    spec::{Bytes, FsType},
    sys::{
        format,
        testing::{Disk, Unmount, World},
    },
};

const LIMIT: Duration = Duration::from_secs(30);
const PORT: u16 = 3001;

/// Ended in this order: the server, the mount, the disk, the namespace.
struct Lab {
    server: Server,
    export: Export,
    mounted: Option<Unmount>,
    _disk: Disk,
    netns: PathBuf,
    world: World,
}

impl Lab {
    async fn new() -> Self {
        Self::on(64, &[], &["dirsync".to_owned()]).await
    }

    /// On an ext4 of this many MiB, made and mounted with these options.
    async fn on(mib: u64, mkfs: &[String], mount: &[String]) -> Self {
        assert!(
            GANESHA.find().is_some(),
            "this test needs ganesha.nfsd: run scripts/install-deps.sh, or install the packages \
             nfs-ganesha and nfs-ganesha-vfs"
        );
        let world = World::alone();
        let (disk, uuid) = (world.disk(mib), uuid::Uuid::new_v4());
        format::format(disk.path(), FsType::Ext4, mkfs, "test", &uuid).await.unwrap();
        let mounted = world.mount(&disk, FsType::Ext4, mount);
        let top = mounted.path().to_owned();
        fs::create_dir(top.join("data")).unwrap();
        let netns = world.path("netns");
        let export = Export {
            // The largest numbers that can be made of a UUID.
            volume: "ffffffff-ffff-4fff-bfff-ffffffffffff".parse().unwrap(),
            data: top.join("data"),
            recovery: top.join(".hawser"),
            squash: Squash::Nobody,
            times: Times::default(),
        };
        let server = Server {
            directory: world.path("a server"),
            netns: Arc::new(Netns::ensure(&netns).unwrap()),
            port: PORT,
        };
        Self { server, export, mounted: Some(mounted), _disk: disk, netns, world }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.server.file("log")).unwrap_or_default()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        kill(&self.server);
        self.mounted = None;
        let _ = Netns::forget(&self.netns);
    }
}

fn kill(server: &Server) {
    if let Ok(Some(process)) = server.find() {
        let _ = process.signal(Signal::KILL);
        crate::sys::testing::until("the server has ended", || !process.is_alive());
    }
}

#[tokio::test]
async fn it_answers_is_found_again_and_lets_go_of_the_file_system() {
    let lab = Lab::new().await;
    let Lab { server, export, .. } = &lab;
    assert!(!server.is_running().unwrap());
    assert!(!server.answers().await);

    let begun = Instant::now();
    server.ensure(export, LIMIT).await.unwrap();
    let started = begun.elapsed();
    let pid = server.pid().unwrap().unwrap();
    assert!(answers::null(PORT, ANSWER).is_err(), "the host reaches it");
    assert!(!lab.log().contains(":CRIT :"), "{}", lab.log());
    let mode = fs::metadata(&export.recovery).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "tasks of other users see who the clients are");

    // As a new daemon does it, which knows nothing.
    let again = server.clone();
    again.ensure(export, LIMIT).await.unwrap();
    assert_eq!(again.pid().unwrap(), Some(pid), "it was started a second time");

    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let figure = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let (memory, threads) = (figure("VmRSS:"), figure("Threads:"));
    let begun = Instant::now();
    again.stop(LIMIT).await.unwrap();
    let stopped = begun.elapsed();
    assert!(!again.is_running().unwrap() && !again.answers().await);
    let begun = Instant::now();
    crate::sys::mount::unmount(lab.mounted.as_ref().unwrap().path()).await.unwrap();
    eprintln!(
        "measured: NFS server: {started:.1?} to its first answer, stopped in {stopped:.1?}, \
         unmounted {:.1?} after; {memory}, {threads} threads without clients",
        begun.elapsed()
    );
}

#[tokio::test]
async fn it_comes_back_on_its_port_after_it_was_killed_and_after_a_stop() {
    let lab = Lab::new().await;
    let Lab { server, export, .. } = &lab;
    server.ensure(export, LIMIT).await.unwrap();
    let first = server.find().unwrap().unwrap();

    first.signal(Signal::KILL).unwrap();
    crate::sys::testing::until("it is gone", || !server.is_running().unwrap());
    server.ensure(export, LIMIT).await.unwrap();
    let second = server.pid().unwrap();
    assert_ne!(second, Some(first.pid()));

    server.stop(LIMIT).await.unwrap();
    server.ensure(export, LIMIT).await.unwrap();
    assert!(server.answers().await && server.pid().unwrap() != second);
}

#[tokio::test]
async fn another_export_is_another_server_and_the_same_one_is_not() {
    let lab = Lab::new().await;
    let Lab { server, export, .. } = &lab;
    server.ensure(export, LIMIT).await.unwrap();
    let first = server.pid().unwrap();

    let squashed = Export { squash: Squash::Root, ..export.clone() };
    server.ensure(&squashed, LIMIT).await.unwrap();

    assert_ne!(server.pid().unwrap(), first);
    let text = fs::read_to_string(server.file("ganesha.conf")).unwrap();
    assert_eq!(text, config::text(&squashed, PORT).unwrap());
}

#[tokio::test]
async fn a_start_that_fails_says_why_and_leaves_nothing_behind() {
    let lab = Lab::new().await;
    let taken = lab.server.netns.run(|| std::net::TcpListener::bind(("::", PORT)));
    let listener = taken.unwrap().unwrap();

    let error = lab.server.ensure(&lab.export, LIMIT).await.unwrap_err();

    let text = error.to_string();
    assert!(matches!(error, ServerError::Ended { .. }), "{text}");
    assert!(text.contains("ffffffff-ffff") && text.to_lowercase().contains("bind"), "{text}");
    assert!(!lab.server.is_running().unwrap());
    drop(listener);
    lab.server.ensure(&lab.export, LIMIT).await.unwrap();
}

#[tokio::test]
async fn one_that_stands_still_is_killed_when_its_time_is_up() {
    let lab = Lab::new().await;
    lab.server.ensure(&lab.export, LIMIT).await.unwrap();
    let process = lab.server.find().unwrap().unwrap();
    process.signal(Signal::STOP).unwrap();
    assert!(!lab.server.answers().await, "a stopped process answers");

    lab.server.stop(Duration::from_millis(200)).await.unwrap();

    assert!(!process.is_alive() && !lab.server.is_running().unwrap());
}

#[tokio::test]
async fn a_long_log_is_put_aside_under_a_running_server() {
    let lab = Lab::new().await;
    lab.server.ensure(&lab.export, LIMIT).await.unwrap();
    let path = lab.server.file("log");
    lab.server.bound_log().unwrap();
    assert!(!lab.server.file("log.old").exists(), "a short one was put aside");

    fs::File::options().write(true).open(&path).unwrap().set_len(log::LIMIT + 1).unwrap();
    lab.server.bound_log().unwrap();

    assert!(!path.exists());
    lab.server.stop(LIMIT).await.unwrap();
    assert!(lab.log().contains("NFS EXIT"), "it does not log anew: {}", lab.log());
}
