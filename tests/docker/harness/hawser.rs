//! A `hawser serve` of its own: started, killed, restarted on the same directory, and looked at.
//!
//! The driver's name is the socket's file name and unique, since all engines share one directory.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Outcome, PATIENCE, call, cleanup, eventually, run};

/// A file of this size below the directory can only be a volume's image.
const IMAGE_SIZE: u64 = 8 << 20;

/// The daemon, running or not.
pub(crate) struct Hawser {
    /// The name that `--volume-driver` takes.
    pub(crate) driver: String,
    /// The directory of records and images.
    pub(crate) state: PathBuf,
    /// Where volumes are mounted.
    pub(crate) root: PathBuf,
    socket: PathBuf,
    admin: PathBuf,
    log: PathBuf,
    settings: Vec<String>,
    daemon: Option<Child>,
}

impl Hawser {
    /// Starts a daemon in this directory, with `section.key=value` settings beside the test's own.
    #[track_caller]
    pub(crate) fn start(dir: &Path, settings: &[&str]) -> Self {
        fs::create_dir_all(cleanup::PLUGINS).unwrap();
        let driver = dir.file_name().unwrap().to_str().unwrap().to_owned();
        let mut hawser = Self {
            socket: Path::new(cleanup::PLUGINS).join(format!("{driver}.sock")),
            driver,
            state: dir.join("state"),
            root: dir.join("mnt"),
            admin: dir.join("admin.sock"),
            log: dir.join("hawser.log"),
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
            daemon: None,
        };
        hawser.up();
        hawser
    }

    /// Starts the daemon and waits until it answers Docker's first call.
    #[track_caller]
    pub(crate) fn up(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(binary()).arg("serve");
        command.arg("--state-dir").arg(&self.state).arg("--root").arg(&self.root);
        command.arg("--docker-socket").arg(&self.socket).arg("--admin-socket").arg(&self.admin);
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        // Small and quick: volumes without a size, the linger, and no undelete window.
        command
            .env("HAWSER_DEFAULT_SIZE", "64MiB")
            .env("HAWSER_ANONYMOUS_SIZE", "64MiB")
            .env("HAWSER_LINGER", "200ms");
        command.env("HAWSER_UNDELETE", "0s").env("HAWSER_LOG", "debug");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut daemon = command.spawn().expect("util-linux' setpriv runs");
        eventually("hawser answers", PATIENCE, || {
            let ended = daemon.try_wait().unwrap();
            assert!(ended.is_none(), "hawser ended: {ended:?}\n{}", self.log());
            call(&self.socket, "Plugin.Activate", "").is_ok_and(|(status, _)| status == 200)
        });
        self.daemon = Some(daemon);
    }

    /// Asks the daemon to stop, and says how it ended.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.end(Signal::TERM)
    }

    /// Kills the daemon between any two instructions.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        let status = self.end(Signal::KILL);
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "it had ended by itself");
    }

    #[track_caller]
    fn end(&mut self, signal: Signal) -> ExitStatus {
        let mut daemon = self.daemon.take().expect("hawser runs");
        kill_process(Pid::from_child(&daemon), signal).unwrap();
        let mut status = None;
        eventually("hawser ends", PATIENCE, || {
            status = daemon.try_wait().unwrap();
            status.is_some()
        });
        status.expect("the wait above ends with one")
    }

    /// Calls the plugin as Docker does: the status, and the answer.
    #[track_caller]
    pub(crate) fn call(&self, method: &str, body: &str) -> (u16, serde_json::Value) {
        call(&self.socket, method, body).expect("hawser answers")
    }

    /// The command line, talking to this daemon.
    pub(crate) fn cli(&self, args: &[&str]) -> Outcome {
        run(&binary(), args, &[("HAWSER_ADMIN_SOCKET", self.admin.to_str().unwrap())])
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether Docker's path of this volume is mounted.
    pub(crate) fn is_published(&self, name: &str) -> bool {
        cleanup::mounts_below(&self.root).contains(&self.root.join("volumes").join(name))
    }

    /// Waits until nothing holds the volume and the linger is over.
    #[track_caller]
    pub(crate) fn wait_unpublished(&self, name: &str) {
        eventually(&format!("{name} is unmounted"), PATIENCE, || !self.is_published(name));
    }

    /// Fails if a mount, a loop device or an image is left: call it when no volume exists.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        let mut left = Vec::new();
        let look = |left: &mut Vec<String>| {
            let mounts = cleanup::mounts_below(&self.root);
            let devices = cleanup::loops_below(&self.state);
            let files = cleanup::files_below(&self.state).into_iter();
            let images = files.filter(|file| file.metadata().is_ok_and(|m| m.len() >= IMAGE_SIZE));
            left.clear();
            left.extend(mounts.iter().map(|path| format!("mount {}", path.display())));
            left.extend(devices.iter().map(|(device, file)| format!("loop {device} of {file}")));
            left.extend(images.map(|path| format!("image {}", path.display())));
            left.is_empty()
        };
        let start = std::time::Instant::now();
        while !look(&mut left) {
            assert!(start.elapsed() < PATIENCE, "leaked: {left:#?}\n{}", self.log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// Everything that the daemon has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Hawser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let skipped = log.lines().count().saturating_sub(60);
            eprintln!("--- the end of hawser's log");
            log.lines().skip(skipped).for_each(|line| eprintln!("{line}"));
        }
        if let Some(mut daemon) = self.daemon.take() {
            let _ = kill_process(Pid::from_child(&daemon), Signal::TERM);
            let start = std::time::Instant::now();
            while start.elapsed() < PATIENCE && matches!(daemon.try_wait(), Ok(None)) {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let _ = fs::remove_file(&self.socket);
    }
}

/// The binary under test; `HAWSER_TEST_BINARY` names another one, such as a packaged release.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("HAWSER_TEST_BINARY")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_hawser")), PathBuf::from)
}
