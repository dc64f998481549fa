//! A real ZooKeeper on the host: Debian's programs, one server, nothing kept.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::{Lab, Machine, PATIENCE, Service, eventually};

/// Whatever else is needed its manifest names.
const PROGRAMS: &str = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar";

/// The server. It ends with the test.
pub(crate) struct ZooKeeper {
    server: Child,
    address: SocketAddr,
}

impl ZooKeeper {
    /// Starts one, and offers it to these machines as [`Service::ZooKeeper`]. Its log is beside the
    /// machines' consoles.
    #[track_caller]
    pub(crate) fn start<const N: usize>(lab: &Lab, machines: [&Machine; N]) -> Self {
        let dir = lab.dir.join("zookeeper");
        fs::create_dir(&dir).unwrap();
        let address = free_address();
        let server = serve(&dir, address, &lab.logs.join("zookeeper.console"));
        let zookeeper = Self { server, address };
        eventually("ZooKeeper answers", PATIENCE, || zookeeper.answers());
        machines.iter().for_each(|machine| machine.offer(Service::ZooKeeper, address));
        zookeeper
    }

    /// Whether it is there, by its own test.
    pub(crate) fn answers(&self) -> bool {
        let ask = || {
            let mut stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(std::time::Duration::from_secs(1)))?;
            stream.write_all(b"ruok")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        };
        ask().is_ok_and(|answer: String| answer == "imok")
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

#[track_caller]
fn serve(dir: &Path, address: SocketAddr, log: &Path) -> Child {
    let configuration = format!(
        "dataDir={}\nclientPort={}\nclientPortAddress={}\ntickTime=500\nminSessionTimeout=1000\n\
         maxSessionTimeout=60000\nmaxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=ruok\n",
        dir.display(),
        address.port(),
        address.ip()
    );
    let file = dir.join("zoo.cfg");
    File::create_new(&file).unwrap().write_all(configuration.as_bytes()).unwrap();
    let log = File::create(log).unwrap();
    // Killed with the test's thread, however that ends.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "java", "-Xmx128m", "-cp", PROGRAMS]);
    command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=info");
    command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(file);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().expect("ZooKeeper starts (scripts/install-deps.sh installs it)")
}
