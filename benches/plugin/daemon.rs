//! The daemon that is measured: started, killed, started again on the same directory.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    client::{Client, named},
    harness::{PATIENCE, binary},
};

/// Between two attempts to reach a daemon that starts.
const POLL: Duration = Duration::from_micros(200);

pub(crate) struct Daemon {
    dir: PathBuf,
    socket: PathBuf,
    settings: Vec<(&'static str, String)>,
    process: Option<Child>,
}

impl Daemon {
    /// Starts a daemon with default settings, but that removed volumes are deleted at once.
    #[track_caller]
    pub(crate) fn new(dir: &Path) -> Self {
        Self::with(dir, Vec::new())
    }

    /// The same, with these settings besides.
    #[track_caller]
    pub(crate) fn with(dir: &Path, settings: Vec<(&'static str, String)>) -> Self {
        let socket = dir.join("hawser.sock");
        let mut daemon = Self { dir: dir.into(), socket, settings, process: None };
        daemon.start("none");
        daemon
    }

    /// Starts it, and waits until it has answered `Get` for this volume, with whatever answer.
    #[track_caller]
    pub(crate) fn start(&mut self, volume: &str) -> Duration {
        let log =
            File::options().create(true).append(true).open(self.dir.join("hawser.log")).unwrap();
        let mut command = Command::new(binary());
        command.arg("serve").arg("--state-dir").arg(self.dir.join("state"));
        command.arg("--root").arg(self.dir.join("mnt")).arg("--docker-socket").arg(&self.socket);
        command.arg("--admin-socket").arg(self.dir.join("admin.sock"));
        command.env("HAWSER_UNDELETE", "0s").env("HAWSER_LOCAL_OVERCOMMIT", "1000");
        for (key, value) in &self.settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let start = Instant::now();
        let mut process = command.spawn().expect("hawser can be started");
        while self.try_get(volume).is_none() {
            let ended = process.try_wait().unwrap();
            assert!(ended.is_none(), "hawser ended: {ended:?}\n{}", self.log());
            assert!(start.elapsed() < PATIENCE, "hawser does not answer\n{}", self.log());
            std::thread::sleep(POLL);
        }
        let took = start.elapsed();
        self.process = Some(process);
        took
    }

    fn try_get(&self, volume: &str) -> Option<u16> {
        let answer = Client::connect(&self.socket).ok()?.try_call("Get", &named(volume)).ok()?;
        Some(answer.0)
    }

    /// Kills it and starts it again: the time from the start to the first answered `Get`.
    #[track_caller]
    pub(crate) fn restart(&mut self, volume: &str) -> Duration {
        self.kill();
        let took = self.start(volume);
        self.client().call("Get", &named(volume));
        took
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.socket).expect("hawser listens")
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let pid = self.process.as_ref().expect("hawser runs").id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Where the images are.
    pub(crate) fn images(&self) -> PathBuf {
        self.dir.join("state/images")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("hawser.log")).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let skipped = log.lines().count().saturating_sub(40);
            eprintln!("--- the end of hawser's log");
            log.lines().skip(skipped).for_each(|line| eprintln!("{line}"));
        }
        self.kill();
    }
}
