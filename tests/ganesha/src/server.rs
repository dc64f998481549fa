//! The server: started, killed, started again, stopped and continued.

use std::{
    fs,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    Filesystem, Options, Protocols,
    config::{self, Ports},
    disk::Disk,
    process::{self, Running},
    ready::{MOUNT, NFS, answers, free_port},
};

const GANESHA: (&str, &str) = ("ganesha.nfsd", "nfs-ganesha (and nfs-ganesha-vfs)");
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Other ports are tried that often: somebody may take one before Ganesha does.
const ATTEMPTS: usize = 3;

/// An NFS server that exports one directory. Dropped, it is killed, and what it needed is gone.
#[derive(Debug)]
pub struct Server {
    // In this order they end: a file system is unmounted when no process has it any more.
    ganesha: Option<Running>,
    rpcbind: Running,
    _below: Option<Disk>,
    _disk: Option<Disk>,
    private: TempDir,
    export: PathBuf,
    options: Options,
    ports: Ports,
}

impl Server {
    /// Exports a directory, and answers when this returns.
    ///
    /// # Panics
    ///
    /// Where that is not possible, with the reason: a missing program, or the end of Ganesha's log.
    #[track_caller]
    pub fn start(export: &Path, options: Options) -> Self {
        process::require(GANESHA.0, GANESHA.1);
        process::require("rpcbind", "rpcbind");
        let private = match TempDir::with_prefix("ganesha-") {
            Ok(directory) => directory,
            Err(error) => panic!("no directory for Ganesha can be made: {error}"),
        };
        for name in ["run", "recovery"] {
            if let Err(error) = fs::create_dir(private.path().join(name)) {
                panic!("no directory for Ganesha can be made: {error}");
            }
        }
        let disk = match options.filesystem {
            Filesystem::Ext4(mebibytes) => {
                Some(Disk::mount_ext4(mebibytes, private.path(), export))
            }
            Filesystem::AsItIs => None,
        };
        let below = options.mounted_below.map(|name| Disk::mount_tmpfs(export.join(name)));
        let rpcbind = start_rpcbind(private.path(), export);
        let ports = Ports { nfs: free_port(), mount: free_port() };
        let export = export.to_owned();
        let mut server = Self {
            ganesha: None,
            rpcbind,
            _below: below,
            _disk: disk,
            private,
            export,
            options,
            ports,
        };
        for _ in 1..ATTEMPTS {
            if server.try_start() {
                return server;
            }
            server.ports = Ports { nfs: free_port(), mount: free_port() };
        }
        server.start_again();
        server
    }

    /// The port of NFS.
    pub fn port(&self) -> u16 {
        self.ports.nfs
    }

    /// The port of MOUNT.
    pub fn mount_port(&self) -> u16 {
        self.ports.mount
    }

    /// The exported directory: what NFSv3 knows it by, and where it is on this machine.
    pub fn export(&self) -> &Path {
        &self.export
    }

    /// What Ganesha has written to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.private.path().join("log")).unwrap_or_default()
    }

    /// Kills it, as a power failure of the server would.
    pub fn kill(&mut self) {
        self.ganesha = None;
    }

    /// Starts it again on the same ports.
    ///
    /// # Panics
    ///
    /// Where it does not start, with the end of its log.
    #[track_caller]
    pub fn start_again(&mut self) {
        if !self.try_start() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(20)..].join("\n");
            panic!("{} does not start; its log ends so:\n{end}", GANESHA.0);
        }
    }

    /// Stops it without an end: connections stay, and nobody answers.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn cont(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(ganesha) = &self.ganesha {
            ganesha.signal(signal);
        }
    }

    /// Whether it answers; `false` when it ended instead.
    #[track_caller]
    fn try_start(&mut self) -> bool {
        self.ganesha = None;
        let private = self.private.path();
        let file = private.join("ganesha.conf");
        let text = config::file(&self.options, self.ports, private, &self.export);
        if let Err(error) = write(&file, &text) {
            panic!("Ganesha's configuration cannot be written: {error}");
        }
        let namespace = format!("--mount=/proc/{}/ns/mnt", self.rpcbind.pid());
        let path = |name: &str| private.join(name).display().to_string();
        let (file, log, pid) = (path("ganesha.conf"), path("log"), path("pid"));
        let arguments = [&namespace, GANESHA.0, "-F", "-f", &file, "-L", &log, "-p", &pid];
        let output = private.join("output");
        let mut ganesha = Running::start("nsenter", "util-linux", &arguments, &output);
        let begun = Instant::now();
        while begun.elapsed() < START_TIMEOUT && !ganesha.has_ended() {
            if self.answers() {
                self.ganesha = Some(ganesha);
                return true;
            }
            sleep(Duration::from_millis(20));
        }
        false
    }

    fn answers(&self) -> bool {
        let Ports { nfs, mount } = self.ports;
        let v3 = || answers(nfs, NFS, 3) && answers(mount, MOUNT, 3);
        let v4 = || answers(nfs, NFS, 4);
        match self.options.protocols {
            Protocols::V3 => v3(),
            Protocols::V4 => v4(),
            Protocols::Both => v3() && v4(),
        }
    }
}

/// Starts rpcbind without a network, in a mount namespace that Ganesha then shares: its `/run` is
/// private. Other tests' loop devices are let go of, which a copy of their mounts would hold.
#[track_caller]
fn start_rpcbind(private: &Path, export: &Path) -> Running {
    let script = r#"
        set -e
        mount --bind "$1/run" /run
        awk '$1 ~ "^/dev/loop" { print $2 }' /proc/self/mounts | while read -r place; do
            # Its test may have unmounted it a moment ago, here too.
            [ "$place" = "$2" ] || umount -l "$place" 2>/dev/null || true
        done
        exec unshare --net rpcbind -f
    "#;
    let (private_text, export) = (private.display().to_string(), export.display().to_string());
    let arguments =
        ["--mount", "--propagation", "slave", "sh", "-c", script, "sh", &private_text, &export];
    let output = private.join("output");
    let mut rpcbind = Running::start("unshare", "util-linux", &arguments, &output);
    let begun = Instant::now();
    while !private.join("run/rpcbind.sock").exists() {
        if rpcbind.has_ended() || begun.elapsed() > START_TIMEOUT {
            let text = fs::read_to_string(&output).unwrap_or_default();
            panic!("rpcbind does not start in a namespace of its own (are you root?): {text}");
        }
        sleep(Duration::from_millis(10));
    }
    rpcbind
}

#[expect(clippy::disallowed_methods, reason = "a file for a test need not survive a crash")]
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    fs::write(path, text)
}
