//! A hawser daemon of a test's own: the real binary, real loop devices and mounts, in a mount
//! namespace that only this test's thread and its children live in.
//!
//! The namespace matters: what one test's `unshare` copies must not hold another test's devices,
//! and whatever a failed test leaves mounted ends with its thread. It is a slave of the one before:
//! what it copied of other tests' mounts goes away when they unmount it, and holds nothing. Loop
//! devices have no namespace: they are freed on drop.

mod callers;
#[allow(dead_code, reason = "by the EBS suites, which share this harness")]
mod cloud;
mod daemon;
#[allow(dead_code, reason = "by the NFS suites, which share this harness")]
mod filer;
mod http;
mod kernel;
mod on_ebs;
mod on_nfs;
mod plugin;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    time::{Duration, Instant},
};

use ec2_fake::Fake;
use rustix::{
    mount::{MountPropagationFlags, mount_change},
    thread::UnshareFlags,
};

#[allow(unused_imports, reason = "not by the crash suite, which shares this harness")]
pub(crate) use callers::Caller;
#[allow(unused_imports, reason = "not by the EBS suites, which share this harness")]
pub(crate) use daemon::Start;
pub(crate) use http::{Connection, Reply};
#[allow(unused_imports, reason = "not by the crash suite, which shares this harness")]
pub(crate) use kernel::is_mount_point;
#[allow(unused_imports, reason = "by the suite of clusters, which shares this harness")]
pub(crate) use on_ebs::settings as cloud_settings;
#[allow(unused_imports, reason = "by the NFS suites, which share this harness")]
pub(crate) use on_nfs::settings as filer_settings;

/// Longer than anything takes on a busy machine; a test that waits this long fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) const HAWSER: &str = env!("CARGO_BIN_EXE_hawser");

/// A directory, a daemon in it, and everything that is to be undone.
pub(crate) struct World {
    dir: PathBuf,
    settings: BTreeMap<String, String>,
    /// For the next start only: the crash suite's variables.
    pub(crate) environment: BTreeMap<String, String>,
    /// What its host is called, from the next start on, where that is not this machine's name.
    host: Option<String>,
    daemon: Option<Child>,
    others: Vec<Child>,
    cloud: Option<Fake>,
    filer: Option<ganesha::Server>,
}

impl World {
    /// A daemon with no linger, no undelete window and frequent sweeps, not started yet.
    #[track_caller]
    pub(crate) fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test needs root: it mounts");
        own_mount_namespace();
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let dir = tempfile::Builder::new().prefix("w").tempdir_in(base).unwrap().keep();
        let dir = dir.canonicalize().unwrap();
        let world = Self {
            dir,
            settings: BTreeMap::new(),
            environment: BTreeMap::new(),
            host: None,
            daemon: None,
            others: Vec::new(),
            cloud: None,
            filer: None,
        };
        let path = |name: &str| world.path(name).display().to_string();
        let paths = [
            ("daemon.state_dir", path("state")),
            ("daemon.root", path("mnt")),
            ("daemon.docker_socket", path("hawser.sock")),
            ("daemon.admin_socket", path("admin.sock")),
            ("backends.local.dir", path("images")),
        ];
        let mut world = world;
        for (key, value) in paths {
            world.set(key, &value);
        }
        for (key, value) in [
            ("daemon.log", "debug"),
            ("volumes.linger", "0s"),
            ("volumes.undelete", "0s"),
            ("volumes.sweep", "200ms"),
            ("volumes.default_size", "64MiB"),
            ("backends.local.margin", "16MiB"),
        ] {
            world.set(key, value);
        }
        world
    }

    /// [`World::new`], started.
    #[track_caller]
    pub(crate) fn started() -> Self {
        let mut world = Self::new();
        world.start();
        world
    }

    /// Changes a setting, from the next start on.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> &mut Self {
        self.settings.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The daemon believes to be on a host of that name, from the next start on.
    #[allow(dead_code, reason = "by the suite of clusters, which shares this harness")]
    pub(crate) fn call_host(&mut self, name: &str) {
        self.host = Some(name.to_owned());
    }

    /// A path in the test's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Runs a `hawser` command against this daemon.
    pub(crate) fn cli<const N: usize>(&self, arguments: [&str; N]) -> Output {
        self.command(HAWSER).args(arguments).output().unwrap()
    }

    /// The same; it must succeed. Its standard output.
    #[track_caller]
    pub(crate) fn hawser<const N: usize>(&self, arguments: [&str; N]) -> String {
        let output = self.cli(arguments);
        assert!(output.status.success(), "hawser {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same; it must fail. Its standard error.
    #[track_caller]
    pub(crate) fn hawser_fails<const N: usize>(&self, arguments: [&str; N]) -> String {
        let output = self.cli(arguments);
        assert_eq!(output.status.code(), Some(1), "hawser {arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// A program with this world's configuration and nothing else of `HAWSER_*`.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("HAWSER_")) {
                command.env_remove(name);
            }
        }
        command.env("HAWSER_CONFIG", self.path("hawser.toml"));
        command.env("HAWSER_ADMIN_SOCKET", self.path("admin.sock"));
        command
    }

    /// Starts a program that is killed with the test.
    pub(crate) fn background<const N: usize>(&mut self, program: &str, args: [&str; N]) -> u32 {
        let child = self.command(program).args(args).spawn().unwrap();
        let pid = child.id();
        self.others.push(child);
        pid
    }

    /// Starts a program that has a copy of every mount there is now, as a container has. Its pid.
    #[track_caller]
    #[allow(dead_code, reason = "not by the crash suite, which shares this harness")]
    pub(crate) fn copy_mounts(&mut self) -> u32 {
        let copy = ["-m", "--propagation", "private", "sleep", "1000"];
        let pid = self.background("unshare", copy);
        until("the namespace is copied", || {
            std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n")
        });
        pid
    }

    /// Kills such a program.
    pub(crate) fn kill_background(&mut self, pid: u32) {
        let at = self.others.iter().position(|child| child.id() == pid).unwrap();
        let mut child = self.others.remove(at);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for mut child in self.others.drain(..).chain(self.daemon.take()) {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            self.print_log();
        }
        drop(self.filer.take());
        daemon::end_what_outlives_it(&self.dir);
        if let Some(fake) = self.cloud.take() {
            self.undo_mounts();
            drop(fake);
        }
        kernel::undo_everything(&self.dir);
    }
}

/// Polls until the condition holds.
#[track_caller]
pub(crate) fn until(what: &str, condition: impl FnMut() -> bool) {
    until_within(PATIENCE, what, condition);
}

/// Polls until the condition holds, with a patience of its own.
#[track_caller]
pub(crate) fn until_within(patience: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "gave up waiting until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a program to its end; it must succeed. Its standard output.
#[track_caller]
pub(crate) fn run<const N: usize>(program: &str, args: [&str; N]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Moves this thread, and what it starts from now on, into a mount namespace of its own.
fn own_mount_namespace() {
    #[expect(unsafe_code, reason = "the thread gets another mount table, and no other flag is set")]
    // SAFETY: only CLONE_FILES can invalidate what other threads hold, and it is not given.
    unsafe {
        rustix::thread::unshare_unsafe(UnshareFlags::NEWNS).unwrap();
    }
    // Not private: a private copy would hold every volume that another test has mounted.
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC).unwrap();
}
