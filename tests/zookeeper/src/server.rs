//! The server: started, stopped, killed, frozen, and started again on the same port and data.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

const JARS: &str = "/usr/share/java";
const MAIN: &str = "org.apache.zookeeper.server.ZooKeeperServerMain";
const MISSING: &str = "run scripts/install-deps.sh, or install the packages libzookeeper-java and \
                       default-jre-headless";
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Other ports are tried that often: somebody may take one before the server does.
const ATTEMPTS: usize = 3;

/// Below what the kernel gives to clients: a port must still be free when its server is started again.
const FIRST: u16 = 15_000;
const COUNT: u16 = 5_000;

/// A ZooKeeper of one server. Dropped, it is killed; its data stays. The kernel kills it when the
/// *thread* that started it ends: start it in one that lives as long as the test.
#[derive(Debug)]
pub struct ZooKeeper {
    java: Option<Child>,
    dir: PathBuf,
    address: SocketAddr,
}

impl ZooKeeper {
    /// Starts one on the data in a directory, and returns when it answers. Sessions may be as short as
    /// 400 ms.
    ///
    /// # Panics
    ///
    /// Where that is not possible, with the reason: a missing package, or the end of the server's log.
    #[track_caller]
    pub fn start(dir: &Path) -> Self {
        Self::start_on(dir, Ipv4Addr::LOCALHOST)
    }

    /// As [`Self::start`], on another address of this machine.
    ///
    /// # Panics
    ///
    /// As [`Self::start`].
    #[track_caller]
    pub fn start_on(dir: &Path, address: Ipv4Addr) -> Self {
        let mut server = Self { java: None, dir: dir.into(), address: free_port(address) };
        for _ in 1..ATTEMPTS {
            if server.try_start() {
                return server;
            }
            server.address = free_port(address);
        }
        server.restart();
        server
    }

    /// Where it listens, as `HOST:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// What it has written to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Its own figures, one to a line (`mntr`); empty where it does not answer.
    pub fn figures(&self) -> String {
        self.ask("mntr").unwrap_or_default()
    }

    /// The server's process; none where it was ended.
    pub fn pid(&self) -> Option<u32> {
        self.java.as_ref().map(Child::id)
    }

    /// Ends it in order.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        if let Some(mut java) = self.java.take() {
            let _ = java.wait();
        }
    }

    /// Kills it, as a power failure would.
    pub fn kill(&mut self) {
        if let Some(mut java) = self.java.take() {
            let _ = java.kill();
            let _ = java.wait();
        }
    }

    /// Stops it without an end: connections stay, and nobody answers.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Starts it again on the same port and data; one that runs is killed before.
    ///
    /// # Panics
    ///
    /// Where it does not start, with the end of its log.
    #[track_caller]
    pub fn restart(&mut self) {
        if !self.try_start() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(20)..].join("\n");
            panic!(
                "ZooKeeper does not start on {}; its log ends so (if classes are missing: {MISSING}):\n{end}",
                self.address
            );
        }
    }

    fn signal(&self, signal: Signal) {
        let id = self.java.as_ref().map(Child::id);
        let pid = id.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, signal);
        }
    }

    /// Whether it answers; `false` when it ended instead.
    #[track_caller]
    fn try_start(&mut self) -> bool {
        self.kill();
        if !Path::new(JARS).join("zookeeper.jar").exists() {
            panic!("this test needs ZooKeeper, and {JARS}/zookeeper.jar is not there: {MISSING}");
        }
        self.java = Some(match self.spawn() {
            Ok(java) => java,
            Err(error) => {
                panic!("this test needs java, and it cannot be started ({error}): {MISSING}")
            }
        });
        let begun = Instant::now();
        while begun.elapsed() < START_TIMEOUT {
            // It is "ok" (`ruok`) before it serves.
            if self.figures().contains("zk_server_state") {
                return true;
            }
            if !self.java.as_mut().is_some_and(|java| matches!(java.try_wait(), Ok(None))) {
                break;
            }
            sleep(Duration::from_millis(20));
        }
        false
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a harness for tests: hawser's own code is under test"
    )]
    fn spawn(&self) -> std::io::Result<Child> {
        let file = self.dir.join("zoo.cfg");
        fs::create_dir_all(&self.dir)?;
        fs::write(&file, configuration(&self.dir, self.address))?;
        let log = File::options().create(true).append(true).open(self.dir.join("log"))?;
        // The parent-death signal by a program: the call itself is unsafe here. Java, and not a shell
        // before it, has the pid then.
        Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "java", "-Xmx128m", "-XX:TieredStopAtLevel=1"])
            .arg("-XX:+UseSerialGC")
            .args(["-cp", &class_path()?, MAIN])
            .arg(file)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
    }

    /// One of the server's four-letter words.
    fn ask(&self, word: &str) -> std::io::Result<String> {
        let mut tcp = TcpStream::connect_timeout(&self.address, Duration::from_secs(1))?;
        tcp.set_read_timeout(Some(Duration::from_secs(1)))?;
        tcp.write_all(word.as_bytes())?;
        let mut answer = String::new();
        tcp.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ticks of 100 ms, so that sessions end when a test wants them to and not a second later.
fn configuration(dir: &Path, address: SocketAddr) -> String {
    format!(
        "dataDir={}\nclientPortAddress={}\nclientPort={}\ntickTime=100\nminSessionTimeout=400\n\
         maxSessionTimeout=120000\nmaxClientCnxns=0\nadmin.enableServer=false\n\
         preAllocSize=1024\n4lw.commands.whitelist=ruok,mntr,cons,wchs\n",
        dir.join("data").display(),
        address.ip(),
        address.port()
    )
}

/// The server's jars and those that it needs, of which some have no fixed names.
fn class_path() -> std::io::Result<String> {
    let wanted = |name: &str| {
        let exact = ["zookeeper.jar", "zookeeper-jute.jar", "slf4j-api.jar", "slf4j-simple.jar"];
        let begins = ["netty-", "snappy-java", "metrics-core", "jackson-", "commons-"];
        name.ends_with(".jar")
            && (exact.contains(&name) || begins.iter().any(|begin| name.starts_with(begin)))
    };
    let mut jars = Vec::new();
    for entry in fs::read_dir(JARS)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(wanted) {
            jars.push(entry.path().display().to_string());
        }
    }
    Ok(jars.join(":"))
}

/// A port that nobody listens on, and that the kernel gives to no client: it is still free when what
/// listened on it is started again.
///
/// # Panics
///
/// Where there is none.
#[track_caller]
pub fn free_port(address: Ipv4Addr) -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests of several processes begin at places of their own.
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = start.wrapping_add(step) % u32::from(COUNT);
        let port = FIRST + u16::try_from(offset).unwrap_or(0);
        if TcpListener::bind((address, port)).is_ok() {
            return SocketAddr::from((address, port));
        }
    }
    panic!("no port of {address} from {FIRST} on is free");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Link;

    #[test]
    fn it_answers_after_a_restart_and_not_when_it_is_killed_or_frozen() {
        let dir = tempfile::tempdir().unwrap();
        let mut server = ZooKeeper::start(dir.path());
        assert!(server.figures().contains("zk_server_state\tstandalone"), "{}", server.figures());

        server.freeze();
        assert!(server.ask("ruok").is_err());
        server.thaw();
        assert_eq!(server.ask("ruok").unwrap(), "imok");

        server.kill();
        assert!(server.ask("ruok").is_err());
        server.restart();
        assert_eq!(server.ask("ruok").unwrap(), "imok");
        server.stop();
        assert!(server.ask("ruok").is_err());
    }

    #[test]
    fn a_link_carries_is_cut_refuses_and_is_healed() {
        let dir = tempfile::tempdir().unwrap();
        let server = ZooKeeper::start(dir.path());
        let link = Link::to(&server.address());
        let through = |word| {
            let address = link.address().parse().unwrap();
            ZooKeeper { java: None, dir: dir.path().into(), address }.ask(word)
        };

        assert_eq!(through("ruok").unwrap(), "imok");
        link.cut();
        let error = through("ruok").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "no answer, and no end: {error}");
        link.refuse();
        assert!(!through("ruok").is_ok_and(|answer| answer == "imok"));
        link.heal();
        assert_eq!(through("ruok").unwrap(), "imok");
    }
}
