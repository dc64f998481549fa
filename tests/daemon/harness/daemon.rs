//! The daemon's process: started, stopped, killed, and its log.

use std::{
    fmt::Write,
    fs::{self, File},
    path::Path,
    process::{Child, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Connection, HAWSER, PATIENCE, World};

/// How a start went.
#[derive(Debug)]
pub(crate) enum Start {
    /// It answers.
    Ready,
    /// It ended before it answered.
    Ended(ExitStatus),
}

impl World {
    /// Starts the daemon and waits until it answers.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        match self.try_start() {
            Start::Ready => {}
            Start::Ended(status) => panic!("the daemon ended: {status}\n{}", self.log()),
        }
    }

    /// Starts the daemon and waits until it answers or ends.
    #[track_caller]
    pub(crate) fn try_start(&mut self) -> Start {
        assert!(self.daemon.is_none(), "the daemon runs already");
        self.write_configuration();
        let mut child = self.spawn();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return Start::Ended(status);
            }
            if self.answers() {
                self.daemon = Some(child);
                return Start::Ready;
            }
            assert!(Instant::now() < deadline, "the daemon does not answer\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The daemon's process.
    #[allow(dead_code, reason = "by the suite of clusters, which shares this harness")]
    pub(crate) fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("the daemon runs").id()
    }

    /// Starts a daemon that must end by itself, on a socket that somebody else has.
    #[track_caller]
    pub(crate) fn try_start_blind(&mut self) -> Start {
        self.write_configuration();
        Start::Ended(self.spawn().wait().unwrap())
    }

    fn spawn(&self) -> Child {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = match &self.host {
            None => self.command(HAWSER),
            Some(name) => {
                // Each of these becomes the next one: the pid is the daemon's in the end.
                let script = "echo $0 >/proc/sys/kernel/hostname && exec \"$@\"";
                let mut command = self.command("unshare");
                command.args(["--uts", "sh", "-c", script, name, HAWSER]);
                command
            }
        };
        command.arg("serve").envs(&self.environment);
        for (flag, path) in [
            ("--state-dir", "state"),
            ("--root", "mnt"),
            ("--docker-socket", "hawser.sock"),
            ("--admin-socket", "admin.sock"),
        ] {
            command.arg(flag).arg(self.path(path));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// The settings as a file, which all commands read.
    pub(crate) fn write_configuration(&self) {
        let mut text = String::new();
        for (key, value) in &self.settings {
            writeln!(text, "{key} = {value:?}").unwrap();
        }
        fs::write(self.path("hawser.toml"), text).unwrap();
    }

    fn answers(&self) -> bool {
        let Ok(mut connection) = Connection::open(&self.path("hawser.sock")) else { return false };
        connection.post("Plugin.Activate", "").is_ok_and(|reply| reply.status == 200)
    }

    /// SIGTERM; the daemon must end in order.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        let mut child = self.daemon.take().expect("the daemon runs");
        kill_process(pid_of(&child), Signal::TERM).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "the daemon ended with {status}\n{}", self.log());
                return;
            }
            assert!(Instant::now() < deadline, "the daemon does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether the daemon was started and not ended since.
    #[allow(dead_code, reason = "by the suite of clusters, which shares this harness")]
    pub(crate) const fn runs(&self) -> bool {
        self.daemon.is_some()
    }

    /// Has the daemon stand still, or go on.
    #[track_caller]
    #[allow(dead_code, reason = "by the suite of clusters, which shares this harness")]
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid_of(self.daemon.as_ref().expect("the daemon runs")), signal).unwrap();
    }

    /// SIGKILL.
    #[track_caller]
    pub(crate) fn kill9(&mut self) {
        let mut child = self.daemon.take().expect("the daemon runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Kills it and starts it again.
    #[track_caller]
    pub(crate) fn crash(&mut self) {
        self.kill9();
        self.start();
    }

    /// Stops it and starts it again.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// Whether the daemon ended by itself; it is not running any more then.
    #[allow(dead_code, reason = "for the crash suite, which shares this harness")]
    pub(crate) fn has_died(&mut self) -> bool {
        let died = self.daemon.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
        if died {
            self.daemon = None;
        }
        died
    }

    /// Everything that the daemon logged so far, over all its lives.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// How often the log has a line with all of these words.
    pub(crate) fn logged<const N: usize>(&self, words: [&str; N]) -> usize {
        self.log().lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }

    pub(super) fn print_log(&self) {
        let log = self.log();
        // The answers to what a test polls say nothing.
        let polled = |line: &&str| line.contains("answered") && line.contains("took");
        let lines: Vec<_> = log.lines().filter(|line| !polled(line)).collect();
        eprintln!("the end of the daemon's log:");
        for line in lines.iter().skip(lines.len().saturating_sub(60)) {
            eprintln!("  {line}");
        }
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap()).unwrap()
}

/// Kills the tunnel and the NFS servers of a world, which go on when its daemon ends: what names its directory.
pub(super) fn end_what_outlives_it(dir: &Path) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let theirs = processes_of(dir);
        if theirs.is_empty() || Instant::now() > deadline {
            return;
        }
        for pid in theirs {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn processes_of(dir: &Path) -> Vec<Pid> {
    let names = |pid: &Pid| {
        let command =
            fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        let mut words = command.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word));
        let program = words.next().is_some_and(|it| {
            it.ends_with("ganesha.nfsd") || it == "/proc/self/exe" || *it == *HAWSER
        });
        program && words.any(|word| Path::new(&*word).starts_with(dir))
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Pid::from_raw).filter(names).collect()
}
