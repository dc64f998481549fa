//! A private `dockerd`: its own data, socket and containerd, started, stopped, killed, started again.
//!
//! It shares `/run/docker/plugins` with every other engine of the host (the path is compiled in), so
//! a test that lists volumes asks for its own driver's: another test's killed plugin would make
//! the engine wait for 15 s.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Outcome, PATIENCE, cleanup, eventually, images, run};

/// Whether containers survive the engine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LiveRestore {
    Yes,
    No,
}

/// A dockerd, running or not.
pub(crate) struct Engine {
    dir: PathBuf,
    live_restore: LiveRestore,
    daemon: Option<Child>,
}

impl Engine {
    /// Starts an engine in an empty directory and gives it the images `busybox` and `seeded`.
    pub(crate) fn start(dir: &Path, live_restore: LiveRestore) -> Self {
        fs::create_dir_all(dir).unwrap();
        let mut engine = Self { dir: dir.to_owned(), live_restore, daemon: None };
        engine.up();
        let (busybox, seeded) = images::build(dir);
        engine.docker(&["import", busybox.to_str().unwrap(), "busybox"]).ok();
        let volume = "VOLUME /data";
        engine.docker(&["import", "--change", volume, seeded.to_str().unwrap(), "seeded"]).ok();
        engine
    }

    /// Starts the daemon on its directory and waits until it answers.
    #[track_caller]
    pub(crate) fn up(&mut self) {
        self.forget_dead_containerd();
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        // The daemon goes when this thread goes, even if the test is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", dockerd()]);
        for (option, name) in [
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "docker.pid"),
            ("--config-file", "daemon.json"),
        ] {
            command.arg(option).arg(self.dir.join(name));
        }
        fs::write(self.dir.join("daemon.json"), "{}").unwrap();
        command.arg("--host").arg(self.host());
        command.args(["--iptables=false", "--ip6tables=false", "--ip-forward=false"]);
        command.args(["--bridge=none", "--storage-driver=vfs"]);
        if self.live_restore == LiveRestore::Yes {
            command.arg("--live-restore");
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut daemon = command.spawn().expect("util-linux' setpriv runs");
        eventually("dockerd answers", PATIENCE, || {
            let ended = daemon.try_wait().unwrap();
            assert!(ended.is_none(), "dockerd ended: {ended:?}\n{}", self.log());
            self.docker(&["version"]).code == 0
        });
        self.daemon = Some(daemon);
    }

    /// A killed dockerd's containerd dies with it, but may stay a zombie where pid 1 reaps late; the
    /// next dockerd would believe its pid file and wait for it in vain.
    fn forget_dead_containerd(&self) {
        let _ = fs::remove_file(self.dir.join("exec/containerd/containerd.pid"));
    }

    /// Stops the daemon as an operator does; its containers end unless live-restore keeps them.
    #[track_caller]
    pub(crate) fn down(&mut self) {
        self.end(Signal::TERM);
    }

    /// Kills the daemon: no container is told, and no volume is unmounted.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    #[track_caller]
    fn end(&mut self, signal: Signal) {
        let mut daemon = self.daemon.take().expect("the engine runs");
        let pid = Pid::from_child(&daemon);
        kill_process(pid, signal).unwrap();
        eventually("dockerd ends", PATIENCE, || daemon.try_wait().unwrap().is_some());
    }

    /// Runs the docker client against this engine.
    pub(crate) fn docker<A: AsRef<OsStr>>(&self, args: &[A]) -> Outcome {
        run(client(), args, &[("DOCKER_HOST", &self.host()), ("DOCKER_CONFIG", "/nonexistent")])
    }

    /// As [`Self::docker`], for a command that must succeed: its output.
    #[track_caller]
    pub(crate) fn run_ok(&self, args: &[&str]) -> String {
        self.docker(args).ok()
    }

    /// As [`Self::docker`], for a command that must fail: its error.
    #[track_caller]
    pub(crate) fn run_err(&self, args: &[&str]) -> String {
        self.docker(args).err()
    }

    /// `DOCKER_HOST` of this engine.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.dir.join("docker.sock").display())
    }

    /// Everything that the daemon has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("dockerd.log")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(40).collect();
            eprintln!("--- the end of dockerd's log");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
        cleanup::end_processes(&self.dir);
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.wait();
        }
    }
}

/// Debian's client fits Debian's daemon; another one may stand before it in `PATH`.
pub(crate) fn client() -> &'static Path {
    let found = ["/usr/bin/docker", "/usr/local/bin/docker"].map(Path::new);
    found.into_iter().find(|path| path.exists()).expect("no docker client: install docker.io")
}

fn dockerd() -> &'static str {
    let found = ["/usr/sbin/dockerd", "/usr/bin/dockerd", "/usr/local/bin/dockerd"];
    found.into_iter().find(|path| Path::new(path).exists()).expect("no dockerd: install docker.io")
}
