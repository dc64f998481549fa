//! One virtual machine: started and told what to do.
//!
//! Software emulation on purpose: it is the same wherever the tests run, and needs no privilege. What a
//! machine writes to its root file system stays in its memory: only its [`Disk`]s outlive it.

use std::{
    cell::{Cell, RefCell, RefMut},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    PATIENCE,
    agent::{Agent, Job, Outcome},
    bay::{self, Bay},
    disk::Disk,
    eventually,
    image::Image,
    monitor::Monitor,
    network::Services,
    proxy, switch,
};

/// A kernel that has not come up by then does not; it takes 6 s where nothing else runs.
const BOOT: Duration = Duration::from_secs(120);
/// A command that has not ended by then hangs.
pub(super) const COMMAND: Duration = Duration::from_secs(60);
/// Places for disks, each with a bridge of its own, since only those take a disk while running.
const SLOTS: usize = 6;
/// The memory of a machine that is not said to need more, in MiB.
pub(super) const MEMORY: u32 = 768;

/// The machine, switched on or off.
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    image: Rc<Image>,
    dir: PathBuf,
    console: PathBuf,
    /// In MiB.
    memory: u32,
    boots: Cell<u32>,
    pub(super) live: RefCell<Option<Live>>,
    pub(super) bay: Arc<Bay>,
    pub(super) services: Services,
    /// What hawser is started with there, beside its configuration file.
    pub(super) environment: RefCell<Vec<String>>,
}

pub(super) struct Live {
    pub(super) qemu: Child,
    pub(super) monitor: Monitor,
    agent: Agent,
    /// The monitor for its bay, until it has started.
    bay: Option<Monitor>,
    /// The serial number in each slot.
    pub(super) slots: [Option<String>; SLOTS],
}

impl Machine {
    pub(super) fn new(
        image: &Rc<Image>,
        (dir, console): (PathBuf, PathBuf),
        number: u8,
        memory: u32,
    ) -> Self {
        let name = console.file_stem().unwrap().to_str().unwrap().to_owned();
        Self {
            address: Ipv4Addr::new(10, 77, 0, number),
            image: Rc::clone(image),
            bay: Arc::new(Bay::new(&dir, &name)),
            name,
            dir,
            console,
            memory,
            boots: Cell::new(0),
            live: RefCell::new(None),
            services: RefCell::default(),
            environment: RefCell::default(),
        }
    }

    /// Switches it on and waits until it takes commands.
    #[track_caller]
    pub(crate) fn boot(&self) {
        self.switch_on();
        self.wait_booted();
    }

    /// Switches it on.
    #[track_caller]
    pub(super) fn switch_on(&self) {
        self.switch_on_with("", &[]);
    }

    /// The same with more words on the kernel's command line, and with more of QEMU's arguments.
    #[track_caller]
    pub(super) fn switch_on_with(&self, words: &str, more: &[String]) {
        assert!(self.live.borrow().is_none(), "{} is on", self.name);
        let boot = self.boots.replace(self.boots.get() + 1);
        let socket = |kind: &str| self.dir.join(format!("{}{boot}.{kind}", self.name));
        let sockets = ["qmp", "qga", "bay"].map(socket);
        // Killed with the test's process, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"]);
        command.args(self.arguments(&sockets, words)).args(more);
        let qemu = command.stdin(Stdio::null()).spawn().expect("QEMU runs");
        eventually("QEMU has its sockets", PATIENCE, || sockets.iter().all(|path| path.exists()));
        let [monitor, agent, bay] = &sockets;
        *self.live.borrow_mut() = Some(Live {
            qemu,
            monitor: Monitor::open(monitor),
            bay: Some(Monitor::open(bay)),
            agent: Agent::open(agent).expect("QEMU has the agent's socket"),
            slots: Default::default(),
        });
    }

    #[rustfmt::skip]
    fn arguments(&self, sockets: &[PathBuf; 3], words: &str) -> Vec<String> {
        let Self { name, address, image, .. } = self;
        let [monitor, agent, bay] = sockets.each_ref().map(|path| path.display());
        let (mac, host, guest) = (self.ethernet_address(), proxy::HOST, proxy::GUEST);
        let disk = |node: &str, file: &PathBuf| [
            // All machines share it, and another run of the tests does, too.
            "-blockdev".into(), format!("driver=raw,node-name={node},read-only=on,\
                file.driver=file,file.locking=off,file.filename={}", file.display()),
            "-device".into(), format!("nvme,drive={node},serial=lab-{node}"),
        ];
        let mut arguments: Vec<String> = [
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            // One processor and room for two: QEMU before 8.1 leaves memory barriers out where there can
            // be no second one, and then disks and processor lose each other's messages (seen: NVMe
            // requests that hang for half a minute; https://gitlab.com/qemu-project/qemu c914d46d0a64).
            "-machine", "q35,accel=tcg", "-smp", "1,maxcpus=2", "-m", &self.memory.to_string(),
            // What each processor of a cloud has for AES-GCM, three times as fast in emulation, too. Not `max`:
            // AVX is slower here than what it replaces (a copy of zeroes: seven times).
            "-cpu", "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq",
            "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
        ].map(String::from).into();
        arguments.extend(disk("root", &image.root));
        arguments.extend(disk("tools", &image.tools));
        arguments.extend([
            "-name", name, "-kernel", &image.kernel.display().to_string(),
            // Without the kernel's check of its timer: where the host is busy enough, it ends with a panic.
            "-append", &format!("root=/dev/nvme0n1 ro init=/lab-init console=ttyS0 net.ifnames=0 panic=-1 \
                no_timer_check mitigations=off lab.name={name} lab.address={address}/24 lab.host={guest}/24 {words}"),
            "-chardev", &format!("file,id=console,append=on,path={}", self.console.display()),
            "-serial", "chardev:console",
            "-chardev", &format!("socket,id=monitor,server=on,wait=off,path={monitor}"),
            "-mon", "chardev=monitor,mode=control",
            "-chardev", &format!("socket,id=bay,server=on,wait=off,path={bay}"),
            "-mon", "chardev=bay,mode=control",
            "-chardev", &format!("socket,id=agent,server=on,wait=off,path={agent}"),
            "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
            "-netdev", &format!("stream,id=net,server=off,addr.type=unix,addr.path={}", self.dir.join("switch").display()),
            "-device", &format!("virtio-net-pci,id=nic,netdev=net,romfile=,mac={mac}"),
            // The services on the host, and nothing else: the machine has no route beyond it.
            "-netdev", &format!("user,id=host,ipv6=off,net=10.78.0.0/24,host={host},dhcpstart={guest}"),
            "-device", "virtio-net-pci,netdev=host,romfile=",
        ].map(String::from));
        let own = (0..SLOTS).map(|slot| format!("slot{slot}"));
        for (number, id) in own.chain((0..bay::SLOTS).map(|slot| format!("ebs{slot}"))).enumerate() {
            arguments.extend(["-device".into(), format!("pcie-root-port,id={id},chassis={},slot={0}", number + 1)]);
        }
        arguments
    }

    /// Waits until it takes commands.
    #[track_caller]
    pub(super) fn wait_booted(&self) {
        let start = Instant::now();
        let mut live = self.live();
        while live.agent.synchronise(Duration::from_millis(500)).is_err() {
            let ended = live.qemu.try_wait().unwrap();
            assert!(ended.is_none(), "{} ended while it started: {ended:?}", self.name);
            assert!(start.elapsed() < BOOT, "{} does not start", self.name);
        }
        if let Some(monitor) = live.bay.take() {
            self.bay.power_on(monitor);
        }
    }

    /// Which of the lab's machines it is, from 1.
    pub(super) fn number(&self) -> u8 {
        let [.., number] = self.address.octets();
        number
    }

    fn ethernet_address(&self) -> String {
        switch::address_of(self.number()).map(|byte| format!("{byte:02x}")).join(":")
    }

    #[track_caller]
    pub(super) fn live(&self) -> RefMut<'_, Live> {
        RefMut::map(self.live.borrow_mut(), |live| {
            live.as_mut().unwrap_or_else(|| panic!("{} is off", self.name))
        })
    }

    pub(crate) fn is_off(&self) -> bool {
        self.live.borrow().is_none()
    }

    /// The file with all that it printed, over all its lives.
    pub(super) fn console(&self) -> &Path {
        &self.console
    }

    /// Runs a program to its end.
    #[track_caller]
    pub(crate) fn run(&self, argv: &[&str]) -> Outcome {
        self.wait(&self.spawn(argv), COMMAND)
    }

    /// Runs a shell script to its end.
    #[track_caller]
    pub(crate) fn sh(&self, script: &str) -> Outcome {
        self.sh_within(COMMAND, script)
    }

    /// Runs a shell script with positional parameters.
    #[track_caller]
    pub(crate) fn sh_with(&self, script: &str, parameters: &[&str]) -> Outcome {
        self.run(&[&["/bin/sh", "-c", script, "sh"], parameters].concat())
    }

    /// Runs a shell script that may take longer than others, or has to be quicker.
    #[track_caller]
    pub(crate) fn sh_within(&self, limit: Duration, script: &str) -> Outcome {
        self.wait(&self.spawn(&["/bin/sh", "-c", script]), limit)
    }

    /// Starts a program, and does not wait for its end.
    #[track_caller]
    pub(crate) fn spawn(&self, argv: &[&str]) -> Job {
        let job = self.live().agent.start(argv);
        job.unwrap_or_else(|error| panic!("{}: {}: {error}", self.name, argv.join(" ")))
    }

    /// Waits for the end of what was started.
    #[track_caller]
    pub(crate) fn wait(&self, job: &Job, limit: Duration) -> Outcome {
        let outcome = self.live().agent.wait(job, limit);
        outcome.unwrap_or_else(|error| panic!("{}: {}: {error}", self.name, job.what))
    }

    /// Whether what was started has ended, and how.
    #[track_caller]
    pub(crate) fn poll(&self, job: &Job) -> Option<Outcome> {
        let outcome = self.live().agent.poll(job);
        outcome.unwrap_or_else(|error| panic!("{}: {}: {error}", self.name, job.what))
    }

    /// Kills what was started.
    #[track_caller]
    pub(crate) fn kill(&self, job: &Job) {
        self.run(&["/bin/kill", "-KILL", &job.pid.to_string()]).ok();
    }

    /// Plugs a disk in; answers with the device's path, found by the serial number.
    ///
    /// Not as NVMe: QEMU's does not know writes that are to be durable by themselves (FUA), which file
    /// systems end a commit with, and a power loss would take what fsync had promised. Here the kernel
    /// flushes instead.
    #[track_caller]
    pub(crate) fn attach(&self, disk: &Disk) -> String {
        let serial = &disk.serial;
        let mut live = self.live();
        let slot = live.slots.iter().position(Option::is_none).expect("a slot is free");
        live.slots[slot] = Some(serial.clone());
        let server = json!({"type": "unix", "path": disk.socket});
        let node = json!({"driver": "nbd", "node-name": serial, "server": server});
        live.monitor.execute("blockdev-add", &node);
        let bus = format!("slot{slot}");
        let device = json!({"driver": "virtio-blk-pci", "id": serial, "drive": serial, "serial": serial, "bus": bus});
        live.monitor.execute("device_add", &device);
        drop(live);
        self.run(&["/lab/find-disk.sh", serial]).ok()
    }

    /// Pulls a disk out, in good order: the machine agrees to it.
    #[track_caller]
    pub(crate) fn detach(&self, disk: &Disk) {
        let serial = &disk.serial;
        let mut live = self.live();
        live.monitor.execute("device_del", &json!({"id": serial}));
        live.monitor.wait_event("DEVICE_DELETED", "/data/device", serial, PATIENCE);
        live.monitor.execute("blockdev-del", &json!({"node-name": serial}));
        live.slots
            .iter_mut()
            .filter(|slot| slot.as_ref() == Some(serial))
            .for_each(|slot| *slot = None);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut live) = self.live.get_mut().take() {
            let _ = live.qemu.kill();
            let _ = live.qemu.wait();
        }
    }
}
