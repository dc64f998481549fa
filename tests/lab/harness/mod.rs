//! A [`Lab`] is a directory, a network and some machines, all of which end with the test.

mod agent;
mod bay;
mod cloud;
mod cluster;
mod disk;
mod docker;
mod filer;
mod hawser;
mod image;
mod lines;
mod machine;
mod monitor;
mod nbd;
mod network;
mod postgres;
mod power;
mod proxy;
mod stamps;
mod swarm;
mod switch;
mod systemd;
mod witness;
mod writer;

use std::{
    cell::RefCell,
    fs::{self, File},
    path::{Path, PathBuf},
    process,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

pub(crate) use agent::{Job, Outcome};
pub(crate) use cloud::{Cloud, Detach};
pub(crate) use cluster::Cluster;
pub(crate) use disk::Disk;
pub(crate) use docker::SLOW;
pub(crate) use machine::Machine;
pub(crate) use power::Link;
pub(crate) use proxy::Service;
pub(crate) use stamps::Stamps;

/// How long anything that goes well may take on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Polls until `ready` holds; a test never sleeps for a fixed time.
#[track_caller]
pub(crate) fn eventually(what: &str, limit: Duration, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < limit, "{what}: not so after {limit:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What the machines of one test share.
pub(crate) struct Lab {
    dir: PathBuf,
    /// One file per machine: what it printed, over all its lives. They stay after the test.
    logs: PathBuf,
    step: RefCell<Step>,
    /// They outlive the machines, which would log errors otherwise.
    disks: RefCell<Vec<Rc<Disk>>>,
    switch: switch::Switch,
    /// Machines of one test at a time: they are given the whole host.
    _turn: File,
}

struct Step {
    name: String,
    since: Instant,
}

impl Lab {
    /// Starts one machine for each name; they are called so, too.
    #[track_caller]
    pub(crate) fn start<const N: usize>(test: &str, names: [&str; N]) -> (Self, [Machine; N]) {
        Self::start_with(test, names, machine::MEMORY)
    }

    /// The same with so much memory each, in MiB.
    #[track_caller]
    pub(crate) fn start_with<const N: usize>(
        test: &str,
        names: [&str; N],
        memory: u32,
    ) -> (Self, [Machine; N]) {
        let turn = File::create("/var/tmp/hawser-lab.lock").unwrap();
        if turn.try_lock().is_err() {
            eprintln!("waiting for another test's machines to end");
            turn.lock().unwrap();
        }
        clear_stale();
        // Short: a socket's path has at most 107 bytes.
        let dir = PathBuf::from(format!("{PREFIX}{}", process::id()));
        fs::create_dir(&dir).unwrap();
        let logs = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lab").join(test);
        let _ = fs::remove_dir_all(&logs);
        fs::create_dir_all(&logs).unwrap();
        let step = Step { name: "the image is there".to_owned(), since: Instant::now() };
        let switch = switch::start(&dir.join("switch"));
        let (step, disks) = (RefCell::new(step), RefCell::default());
        let lab = Self { dir, logs, step, disks, switch, _turn: turn };

        let image = Rc::new(image::Image::prepare(&lab.dir));
        lab.step("the machines start");
        let mut number = 0;
        let machines = names.map(|name| {
            number += 1;
            let console = lab.logs.join(format!("{name}.console"));
            Machine::new(&image, (lab.dir.clone(), console), number, memory)
        });
        // All at once, since much of a start is waiting.
        machines.iter().for_each(Machine::switch_on);
        machines.iter().for_each(Machine::wait_booted);
        lab.step("the test's own beginning");
        (lab, machines)
    }

    /// Names what follows, in the test's output and in its failure.
    pub(crate) fn step(&self, name: &str) {
        let next = Step { name: name.to_owned(), since: Instant::now() };
        let Step { name, since } = self.step.replace(next);
        eprintln!("{:7.1} s  {name}", since.elapsed().as_secs_f32());
    }

    /// A blank disk.
    #[track_caller]
    pub(crate) fn disk(&self, serial: &str, bytes: u64) -> Rc<Disk> {
        let disk = Rc::new(Disk::create(&self.dir, serial, bytes));
        self.disks.borrow_mut().push(Rc::clone(&disk));
        disk
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if thread::panicking() {
            let Step { name, since } = &*self.step.borrow();
            eprintln!("failed after {:.1} s of: {name}", since.elapsed().as_secs_f32());
            print_ends(&self.logs);
        } else {
            self.step("");
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The last lines of each log, and where the rest is.
fn print_ends(logs: &Path) {
    for log in fs::read_dir(logs).into_iter().flatten().flatten() {
        if log.path().is_dir() {
            continue;
        }
        let text = fs::read(log.path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let skipped = text.lines().count().saturating_sub(60);
        eprintln!("--- the end of {}", log.path().display());
        text.lines().skip(skipped).for_each(|line| eprintln!("{line}"));
    }
}

const PREFIX: &str = "/var/tmp/hawser-lab-";

/// Directories of test processes that were killed; their machines were killed with them.
fn clear_stale() {
    for entry in fs::read_dir("/var/tmp").into_iter().flatten().flatten() {
        let path = entry.path();
        let pid = path.to_str().and_then(|path| path.strip_prefix(PREFIX)?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = fs::remove_dir_all(path);
        }
    }
}
