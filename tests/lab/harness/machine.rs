//! One virtual machine: started, told what to do, cut off, paused, and killed like a power cut.
//!
//! Software emulation on purpose: it is the same wherever the tests run, and needs no privilege. What a
//! machine writes to its root file system stays in its memory: only its [`Disk`]s outlive it.

use std::{
    cell::{Cell, RefCell, RefMut},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    PATIENCE,
    agent::{Agent, Job, Outcome},
    disk::Disk,
    eventually,
    image::Image,
    monitor::Monitor,
};

/// A kernel that has not come up by then does not; it takes 6 s where nothing else runs.
const BOOT: Duration = Duration::from_secs(120);
/// A command that has not ended by then hangs.
const COMMAND: Duration = Duration::from_secs(60);
/// Places for disks, each with a bridge of its own, since only those take a disk while running.
const SLOTS: usize = 6;

/// The machine, switched on or off.
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    image: Rc<Image>,
    dir: PathBuf,
    console: PathBuf,
    boots: Cell<u32>,
    live: RefCell<Option<Live>>,
}

struct Live {
    qemu: Child,
    monitor: Monitor,
    agent: Agent,
    /// The serial number in each slot.
    slots: [Option<String>; SLOTS],
}

impl Machine {
    pub(super) fn new(image: &Rc<Image>, dir: PathBuf, console: PathBuf, number: u8) -> Self {
        let name = console.file_stem().unwrap().to_str().unwrap().to_owned();
        Self {
            address: Ipv4Addr::new(10, 77, 0, number),
            image: Rc::clone(image),
            name,
            dir,
            console,
            boots: Cell::new(0),
            live: RefCell::new(None),
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
        assert!(self.live.borrow().is_none(), "{} is on", self.name);
        let boot = self.boots.replace(self.boots.get() + 1);
        let socket = |kind: &str| self.dir.join(format!("{}{boot}.{kind}", self.name));
        let (monitor, agent) = (socket("qmp"), socket("qga"));
        // Killed with the test's process, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"]);
        command.args(self.arguments(&monitor.display(), &agent.display()));
        let qemu = command.stdin(Stdio::null()).spawn().expect("QEMU runs");
        eventually("QEMU has its sockets", PATIENCE, || monitor.exists() && agent.exists());
        *self.live.borrow_mut() = Some(Live {
            qemu,
            monitor: Monitor::open(&monitor),
            agent: Agent::open(&agent).expect("QEMU has the agent's socket"),
            slots: Default::default(),
        });
    }

    #[rustfmt::skip]
    fn arguments(&self, monitor: &dyn std::fmt::Display, agent: &dyn std::fmt::Display) -> Vec<String> {
        let Self { name, address, image, .. } = self;
        let [.., number] = address.octets();
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
            "-machine", "q35,accel=tcg", "-smp", "1,maxcpus=2", "-m", "768",
            "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
        ].map(String::from).into();
        arguments.extend(disk("root", &image.root));
        arguments.extend(disk("tools", &image.tools));
        arguments.extend([
            "-name", name, "-kernel", &image.kernel.display().to_string(),
            "-append", &format!("root=/dev/nvme0n1 ro init=/lab-init console=ttyS0 net.ifnames=0 panic=-1 \
                mitigations=off lab.name={name} lab.address={address}/24"),
            "-chardev", &format!("file,id=console,append=on,path={}", self.console.display()),
            "-serial", "chardev:console",
            "-chardev", &format!("socket,id=monitor,server=on,wait=off,path={monitor}"),
            "-mon", "chardev=monitor,mode=control",
            "-chardev", &format!("socket,id=agent,server=on,wait=off,path={agent}"),
            "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
            "-netdev", &format!("stream,id=net,server=off,addr.type=unix,addr.path={}", self.dir.join("switch").display()),
            "-device", &format!("virtio-net-pci,id=nic,netdev=net,romfile=,mac=52:54:00:6c:61:{number:02x}"),
        ].map(String::from));
        for slot in 0..SLOTS {
            arguments.extend(["-device".into(), format!("pcie-root-port,id=slot{slot},chassis={},slot={}", slot + 1, slot + 1)]);
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
    }

    #[track_caller]
    fn live(&self) -> RefMut<'_, Live> {
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
        let device =
            json!({"driver": "nvme", "id": serial, "drive": serial, "serial": serial, "bus": bus});
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

    /// The power fails: its memory is lost, and the caches of its disks, all of which are to be given.
    #[track_caller]
    pub(crate) fn lose_power(&self, disks: &[&Disk]) {
        let mut live = self.live.borrow_mut().take().expect("the machine is on");
        let mut attached: Vec<_> = live.slots.iter().flatten().cloned().collect();
        let mut given: Vec<_> = disks.iter().map(|disk| disk.serial.clone()).collect();
        attached.sort();
        given.sort();
        assert_eq!(given, attached, "the disks that {} has", self.name);
        live.qemu.kill().unwrap();
        live.qemu.wait().unwrap();
        disks.iter().for_each(|disk| disk.lose_cache());
    }

    /// Shuts it down in order, as `poweroff` does.
    #[track_caller]
    pub(crate) fn shut_down(&self) {
        self.spawn(&["/bin/busybox", "poweroff"]);
        let mut live = self.live.borrow_mut().take().expect("the machine is on");
        eventually("the machine is off", COMMAND, || live.qemu.try_wait().unwrap().is_some());
    }

    /// Pulls its network cable out, or back in.
    #[track_caller]
    pub(crate) fn link(&self, link: Link) {
        let up = matches!(link, Link::Up);
        self.live().monitor.execute("set_link", &json!({"name": "nic", "up": up}));
    }

    /// Stops its clock and its processor: it is neither dead nor does it answer.
    #[track_caller]
    pub(crate) fn pause(&self) {
        self.live().monitor.execute("stop", &json!({}));
    }

    /// Lets it go on.
    #[track_caller]
    pub(crate) fn resume(&self) {
        self.live().monitor.execute("cont", &json!({}));
    }
}

/// The state of a network cable.
#[derive(Clone, Copy)]
pub(crate) enum Link {
    Up,
    Down,
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut live) = self.live.get_mut().take() {
            let _ = live.qemu.kill();
            let _ = live.qemu.wait();
        }
    }
}
