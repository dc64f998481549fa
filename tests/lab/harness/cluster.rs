//! Machines as the nodes of one cluster: ZooKeeper on the host, EC2, certificates made by `hawser pki`,
//! and each machine's own way to all of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use ec2_fake::Delays;
use serde_json::Value;
use zookeeper::ZooKeeper;

use super::{Cloud, Disk, Lab, Machine, PATIENCE, Service, witness::Witness};

/// The nodes' session time-out. Real ones have 20 s; here each fault would wait for all of it.
const SESSION: Duration = Duration::from_secs(6);
/// What EC2 takes to attach, and to detach.
const TRANSITION: Duration = Duration::from_secs(2);
/// The tag of everything in EC2, and a part of the certificates.
const NAME: &str = "lab";

/// The services of a cluster. Its nodes are the machines that were started with it.
pub(crate) struct Cluster {
    pub(crate) cloud: Cloud,
    pub(crate) zookeeper: ZooKeeper,
    pub(crate) witness: Witness,
    pki: PathBuf,
}

impl Lab {
    /// Starts a real ZooKeeper on the host, and offers it to these machines as [`Service::ZooKeeper`].
    /// Its log is beside the machines' consoles.
    #[track_caller]
    pub(crate) fn zookeeper<const N: usize>(&self, machines: [&Machine; N]) -> ZooKeeper {
        let dir = self.logs.join("zookeeper");
        let zookeeper = ZooKeeper::start(&dir);
        fs::hard_link(dir.join("log"), self.logs.join("zookeeper.console")).unwrap();
        let address = zookeeper.address().parse().unwrap();
        machines.iter().for_each(|machine| machine.offer(Service::ZooKeeper, address));
        zookeeper
    }
}

impl Cluster {
    /// Starts what these machines need to be nodes of one cluster.
    #[track_caller]
    pub(crate) fn start<const N: usize>(lab: &Lab, machines: [&Machine; N]) -> Self {
        let cloud = Cloud::start(lab, machines);
        cloud.set_delays(Delays { attach: TRANSITION, detach: TRANSITION, ..Delays::default() });
        let zookeeper = lab.zookeeper(machines);
        let pki = lab.dir.join("pki");
        make_certificates(&pki, &["init"]);
        for machine in machines {
            make_certificates(&pki, &["node", &machine.name]);
            machine.environment.borrow_mut().extend([
                format!("HAWSER_CLUSTER_ZOOKEEPER={}", machine.address_of(Service::ZooKeeper)),
                format!("HAWSER_CLUSTER_SESSION={}s", SESSION.as_secs()),
                format!("HAWSER_PEER_ADDRESS={}:7420", machine.address),
            ]);
        }
        let witness = cloud.watch();
        Self { cloud, zookeeper, witness, pki }
    }

    /// Starts hawser on these machines, each with its state on its disk: all at once, since they are slow.
    #[track_caller]
    pub(crate) fn join(&self, nodes: &[(&Machine, &Disk)]) {
        let machines = || nodes.iter().map(|(machine, _)| *machine);
        let mounts: Vec<_> = nodes
            .iter()
            .map(|(machine, state)| machine.begin_mount_state(&machine.attach(state)))
            .collect();
        for (machine, mount) in machines().zip(mounts) {
            machine.wait(&mount, PATIENCE).ok();
            self.certify(machine);
        }
        let started: Vec<_> = machines().map(|machine| machine.begin_hawser("")).collect();
        for (machine, started) in machines().zip(started) {
            machine.wait(&started, PATIENCE).ok();
        }
    }

    #[track_caller]
    fn certify(&self, machine: &Machine) {
        let read = |file: &str| fs::read_to_string(self.pki.join(file)).unwrap();
        let name = &machine.name;
        let files = ["ca.pem".to_owned(), format!("{name}.pem"), format!("{name}.key")];
        let [ca, certificate, key] = files.map(|file| read(&file));
        let install = "umask 077; mkdir -p /var/lib/hawser/pki; cd /var/lib/hawser/pki
            printf %s \"$1\" >ca.pem; printf %s \"$2\" >node.pem; printf %s \"$3\" >node.key";
        machine.sh_with(install, &[&ca, &certificate, &key]).ok();
    }
}

#[track_caller]
fn make_certificates(dir: &Path, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hawser"));
    command.arg("pki").args(arguments).arg("--dir").arg(dir).args(["--cluster", NAME]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Machine {
    /// What `hawser … --json` says.
    #[track_caller]
    pub(crate) fn hawser_json(&self, arguments: &[&str]) -> Value {
        let said = self.hawser(&[arguments, &["--json"]].concat()).ok();
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{arguments:?}: no JSON: {said}"))
    }
}
