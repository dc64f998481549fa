//! What sharing rests on: machines that own a volume in turn, and clients that go on with it.
//!
//! The server is told what hawser tells it (`hawser::share`), the clients mount as hawser mounts, and a
//! forwarder on each client stands for the tunnel (guest/forward.py). Locks are judged from the other
//! client. The disk has a cache that a power loss empties, so what was acknowledged and not flushed is
//! lost for certain.

mod metadata;
mod owner;
mod takeover;

use std::{rc::Rc, time::Duration};

use hawser::{
    share::{self, Export, Squash, Times, mount::RemoteMount},
    sys::nfs::Version,
};
use uuid::Uuid;

use crate::harness::{Disk, Job, Lab, Machine};

const GIB: u64 = 1 << 30;
const PORT: u16 = 3001;

/// What a volume is shared with.
#[derive(Clone, Copy)]
struct Setting {
    fs: &'static str,
    /// What makes names durable before they are acknowledged.
    sync: &'static str,
    lease: u64,
    grace: u64,
    version: Version,
}

const USUAL: Setting =
    Setting { fs: "ext4", sync: "dirsync", lease: 10, grace: 10, version: Version::V4_2 };

struct World {
    lab: Lab,
    disk: Rc<Disk>,
    owners: [Machine; 2],
    clients: [Machine; 2],
    volume: Uuid,
}

impl World {
    #[track_caller]
    fn start(test: &str) -> Self {
        let names = ["first", "second", "one", "other"];
        let (lab, [first, second, one, other]) = Lab::start(test, names);
        let disk = lab.disk("shared", 2 * GIB);
        let volume = Uuid::from_u128(0x5b0c_4f1d_9a52_4b6e_8f1e_3a7c_2d90_e6b1);
        Self { lab, disk, owners: [first, second], clients: [one, other], volume }
    }

    /// Has an owner mount and serve it, as hawser would.
    #[track_caller]
    fn serve(&self, owner: &Machine, device: &str, top: &str, setting: &Setting) {
        let export = Export {
            volume: self.volume,
            data: format!("{top}/data").into(),
            recovery: format!("{top}/.hawser").into(),
            squash: Squash::default(),
            times: Times {
                lease: Duration::from_secs(setting.lease),
                grace: Duration::from_secs(setting.grace),
            },
        };
        let text = share::text(&export, PORT).unwrap();
        let mount = "mkdir -p $2 && mount -o rw$3 $1 $2 && mkdir -p $2/data $2/.hawser && sync $2 \
                     && printf %s \"$4\" >/run/ganesha.conf";
        let options = format!(",{}", setting.sync);
        let options = options.trim_end_matches(',');
        owner.sh_with(mount, &[device, top, options, &text]).ok();
        let port = PORT.to_string();
        owner.run(&["/lab/share-server.sh", "/run/ganesha.conf", &port]).ok();
    }

    /// Where the client's end of the tunnel leads.
    #[track_caller]
    fn point(client: &Machine, owner: &Machine) {
        let address = format!("{}:{PORT}", owner.address);
        client
            .sh_with("echo $1 >/run/target.new && mv /run/target.new /run/target", &[&address])
            .ok();
    }

    /// The new owner is known, and the old connection is ended.
    #[track_caller]
    fn move_on(&self, owner: &Machine, tunnels: &[Job]) {
        for (client, tunnel) in self.clients.iter().zip(tunnels) {
            Self::point(client, owner);
            client.run(&["/bin/kill", "-HUP", &tunnel.pid.to_string()]).ok();
        }
    }

    /// The tunnel's end and the mount of each client.
    #[track_caller]
    fn reach(&self, owner: &Machine, setting: &Setting) -> Vec<Job> {
        let remote = RemoteMount { volume: self.volume, netns: "/run/netns".into(), port: PORT };
        let options = remote.wanted().options(setting.version);
        let source = format!("hawser:{}", share::pseudo_path(&self.volume));
        let reach = |client: &Machine| {
            Self::point(client, owner);
            let tunnel = client.spawn(&["/lab/forward.py", &PORT.to_string(), "/run/target"]);
            let wait = "until ss -ltn | grep -q :$1; do sleep 0.1; done";
            client.sh_with(wait, &[&PORT.to_string()]).ok();
            let mount = "mkdir -p /shared && mount -i -t nfs -o $1 $2 /shared";
            client.sh_with(mount, &[&options, &source]).ok();
            tunnel
        };
        self.clients.iter().map(reach).collect()
    }

    /// What is not there of the files that were acknowledged.
    #[track_caller]
    fn missing(machine: &Machine, directory: &str, tag: &str, last: u64) -> String {
        let verify = ["/lab/share-task.py", "verify", directory, tag, &last.to_string()];
        machine.run(&verify).ok().trim_start_matches("missing").trim().to_owned()
    }

    /// Ends the server, and takes the disk from its owner.
    #[track_caller]
    fn give_up(&self, owner: &Machine, top: &str) {
        owner.sh("kill $(cat /run/ganesha.pid); while pidof ganesha.nfsd; do sleep 0.1; done").ok();
        owner.run(&["/bin/umount", top]).ok();
        owner.detach(&self.disk);
    }

    /// A fresh file system on the disk, for this owner: the device.
    #[track_caller]
    fn format(&self, owner: &Machine, setting: &Setting) -> String {
        // The last one to lose its power is to be the next owner.
        self.owners.iter().filter(|machine| machine.is_off()).for_each(Machine::boot);
        let device = owner.attach(&self.disk);
        owner.sh_with("wipefs -qa $1; mkfs.$2 -q $1", &[&device, setting.fs]).ok();
        device
    }

    #[track_caller]
    fn leave(&self, jobs: [&[Job]; 2], tunnels: &[Job]) {
        // The second client first: it may be trying for a lock that the first one holds.
        for ((client, jobs), tunnel) in self.clients.iter().zip(jobs).zip(tunnels).rev() {
            jobs.iter().for_each(|job| client.kill(job));
            let umount = "for _ in $(seq 50); do umount /shared && exit; sleep 0.2; done; exit 1";
            client.sh(umount).ok();
            client.kill(tunnel);
        }
    }
}
