//! A PostgreSQL of its own: made, started, asked, crashed.
//!
//! It runs as an unprivileged user, listens on a socket in the test's directory only, and syncs
//! what it acknowledges. `cluster_name` puts the test's directory into the title of each of its
//! processes, by which the harness finds what a failed test leaves running.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Outcome, PATIENCE, eventually, run};

/// Small, so that WAL segments are reused, and with nothing taken back that durability needs.
const SETTINGS: &str = "
listen_addresses = ''
fsync = on
full_page_writes = on
synchronous_commit = on
max_wal_size = 64MB
min_wal_size = 32MB
shared_buffers = 16MB
checkpoint_timeout = 30s
";

/// PostgreSQL refuses to run as root.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl User {
    /// `postgres`, which Debian's package makes, or `nobody`.
    pub(crate) fn unprivileged() -> Self {
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let find = |name: &str| {
            let fields: Vec<_> =
                users.lines().map(|line| line.split(':').collect::<Vec<_>>()).collect();
            let user = fields.into_iter().find(|fields| fields.first() == Some(&name))?;
            Some(Self { uid: user.get(2)?.parse().ok()?, gid: user.get(3)?.parse().ok()? })
        };
        find("postgres").or_else(|| find("nobody")).expect("a user postgres or nobody")
    }

    /// The arguments with which setpriv(1) becomes this user, before those of the program.
    fn become_user(&self) -> Vec<String> {
        let Self { uid, gid } = self;
        let ids = [format!("--reuid={uid}"), format!("--regid={gid}")];
        // The program goes when the test's thread goes, even if that is killed.
        ids.into_iter()
            .chain(["--clear-groups", "--pdeathsig=KILL", "--"].map(Into::into))
            .collect()
    }
}

/// How a database ends that is not asked to end well.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Crash {
    /// `pg_ctl stop -m immediate`: it aborts without a checkpoint.
    Immediate,
    /// Every process is killed between any two instructions.
    KillAll,
}

/// A database cluster on a volume, running or not.
#[derive(Debug)]
pub(crate) struct Database {
    programs: PathBuf,
    user: User,
    volume: PathBuf,
    /// The socket and the log.
    dir: PathBuf,
}

impl Database {
    /// Makes a cluster with checksums below the volume's path, and the table of the test.
    #[track_caller]
    pub(crate) fn init(test: &Path, volume: &Path, user: User) -> Self {
        let dir = test.join("postgres");
        fs::create_dir(&dir).unwrap();
        chown(&dir, Some(user.uid), Some(user.gid)).unwrap();
        let database = Self { programs: programs(), user, volume: volume.into(), dir };
        let options = ["--auth=trust", "--username=test", "--data-checksums", "--encoding=UTF8"];
        let mut args: Vec<_> = options.iter().map(OsStr::new).collect();
        let data = database.data();
        args.extend([OsStr::new("--locale=C"), OsStr::new("--pgdata"), data.as_os_str()]);
        database.run("initdb", &args).ok();
        // The slash at its end completes the name that the harness looks for.
        let cluster = format!("cluster_name = '{}/'\n", test.display());
        let path = data.join("postgresql.conf");
        let settings = fs::read_to_string(&path).unwrap();
        fs::write(&path, settings + SETTINGS + &cluster).unwrap();

        let server = database.start();
        database.query("CREATE TABLE rows (n bigint PRIMARY KEY, payload text NOT NULL)");
        assert_eq!(database.query("SHOW fsync"), "on");
        server.stop();
        database
    }

    /// Starts the server and waits until it answers, after recovery where that is needed.
    #[track_caller]
    pub(crate) fn start(&self) -> Server<'_> {
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let seen = self.log().len();
        let mut command = Command::new("setpriv");
        command.args(self.user.become_user()).arg(self.programs.join("postgres"));
        command.arg("-D").arg(self.data()).arg("-k").arg(&self.dir);
        command.env_clear().env("LC_ALL", "C").current_dir("/");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut process = command.spawn().expect("util-linux' setpriv runs");
        eventually("postgres answers", PATIENCE, || {
            let ended = process.try_wait().unwrap();
            assert!(ended.is_none(), "postgres ended: {ended:?}\n{}", self.log());
            self.psql("SELECT 1").code == 0
        });
        Server { database: self, process, log_from: seen }
    }

    /// Runs a statement: its rows, one a line, columns separated by `|`.
    #[track_caller]
    pub(crate) fn query(&self, statement: &str) -> String {
        self.psql(statement).ok()
    }

    fn psql(&self, statement: &str) -> Outcome {
        let mut args: Vec<_> = self.client_options();
        args.extend(["-c".into(), statement.into()]);
        run(&self.programs.join("psql"), &args, &[])
    }

    /// A client that runs the statements it reads, and prints each result as it comes.
    pub(crate) fn client(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig=KILL", "--"]).arg(self.programs.join("psql"));
        command.args(self.client_options());
        command
    }

    fn client_options(&self) -> Vec<String> {
        let host = format!("--host={}", self.dir.display());
        let plain = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "-v"];
        let who = ["ON_ERROR_STOP=1", "--username=test", "--dbname=postgres"];
        plain.into_iter().chain(who).map(Into::into).chain([host]).collect()
    }

    fn run(&self, program: &str, args: &[&OsStr]) -> Outcome {
        let mut all: Vec<_> = self.user.become_user().into_iter().map(Into::into).collect();
        all.push(self.programs.join(program).into_os_string());
        all.extend(args.iter().map(|&arg| arg.to_owned()));
        run(Path::new("setpriv"), &all, &[("LC_ALL", "C")])
    }

    /// The path of the volume.
    pub(crate) fn volume(&self) -> &Path {
        &self.volume
    }

    fn data(&self) -> PathBuf {
        self.volume.join("pgdata")
    }

    /// Everything that the server has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("log")
    }
}

/// A server that runs.
pub(crate) struct Server<'a> {
    database: &'a Database,
    process: Child,
    log_from: usize,
}

impl Server<'_> {
    /// Whether this start had to recover what a crash left.
    pub(crate) fn recovered_from_crash(&self) -> bool {
        let log = &self.database.log()[self.log_from..];
        log.contains("was not properly shut down") && log.contains("redo done at")
    }

    /// Stops it as an operator does.
    #[track_caller]
    pub(crate) fn stop(self) {
        self.end(Signal::INT);
    }

    #[track_caller]
    pub(crate) fn crash(self, how: Crash) {
        match how {
            Crash::Immediate => self.end(Signal::QUIT),
            Crash::KillAll => {
                let children = self.children();
                assert!(!children.is_empty(), "a server has processes");
                for pid in [Pid::from_child(&self.process)].into_iter().chain(children) {
                    // One that has just ended by itself is as good.
                    let _ = kill_process(pid, Signal::KILL);
                }
                self.wait();
            }
        }
    }

    fn children(&self) -> Vec<Pid> {
        let pid = self.process.id();
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
    }

    fn end(self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
        self.wait();
    }

    /// Waits until the server is gone, and nothing works in the volume any more.
    fn wait(mut self) {
        eventually("postgres ends", PATIENCE, || self.process.try_wait().unwrap().is_some());
        let volume = &self.database.volume;
        eventually("its processes end", PATIENCE, || {
            let works_there = |process: fs::DirEntry| {
                fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(volume))
            };
            !fs::read_dir("/proc").unwrap().flatten().any(works_there)
        });
    }
}

/// The newest installed version's programs.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    versions
        .map(|entry| entry.path())
        .filter(|path| path.join("bin/postgres").exists() && path.join("bin/initdb").exists())
        .max_by_key(|path| version(path))
        .expect("no /usr/lib/postgresql/*/bin/postgres: install Debian's postgresql")
        .join("bin")
}
