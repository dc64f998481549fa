//! What moto does not have: its volumes as block devices, in a directory that plays an instance's
//! `/dev` and `/sys`, in the layout of the project's fake.
//!
//! Moto is asked many times a second what is attached, and the devices are made so: images behind
//! loop devices. A snapshot's content is copied when it is first seen, so a test changes nothing
//! between a snapshot and [`Devices::until_seen`].

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, sleep, spawn},
    time::Duration,
};

use rustix::fs::{CWD, FileType, Mode, major, makedev, minor, mknodat, stat};

use crate::{
    harness::{run, until},
    server::{Moto, Volume},
};

const PAUSE: Duration = Duration::from_millis(50);

/// An instance's devices, kept as moto says until it is dropped.
pub(crate) struct Devices {
    seen: Arc<Mutex<BTreeSet<String>>>,
    stop: Arc<AtomicBool>,
    keeper: Option<JoinHandle<()>>,
}

struct Keeper {
    dir: PathBuf,
    instance: String,
    /// What is attached, by volume: its number, its loop device, its size.
    attached: BTreeMap<String, (usize, String, u64)>,
    seen: Arc<Mutex<BTreeSet<String>>>,
}

impl Devices {
    pub(crate) fn of(moto: &Arc<Moto>, instance: &str, dir: &Path) -> Self {
        for path in ["dev/disk/by-id", "sys/block", "images"] {
            fs::create_dir_all(dir.join(path)).unwrap();
        }
        let (seen, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let mut keeper = Keeper {
            dir: dir.to_owned(),
            instance: instance.to_owned(),
            attached: BTreeMap::new(),
            seen: Arc::clone(&seen),
        };
        let (moto, ended) = (Arc::clone(moto), Arc::clone(&stop));
        let keep = move || {
            // A test that failed takes its directory away.
            while !ended.load(Ordering::SeqCst) && keeper.dir.exists() {
                keeper.follow(&moto);
                sleep(PAUSE);
            }
            keeper.detach_all();
        };
        Self { seen, stop, keeper: Some(spawn(keep)) }
    }

    /// Waits until that snapshot's content was copied.
    #[track_caller]
    pub(crate) fn until_seen(&self, snapshot: &str) {
        until("the snapshot is copied", || self.seen.lock().unwrap().contains(snapshot));
    }

    /// Ends it, and gives all devices back.
    pub(crate) fn stop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(keeper) = self.keeper.take() {
            let kept = keeper.join();
            assert!(std::thread::panicking() || kept.is_ok(), "the devices were not kept");
        }
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Keeper {
    fn follow(&mut self, moto: &Moto) {
        for (id, volume) in moto.snapshots() {
            if !self.image(&id).exists() && self.image(&volume).exists() {
                run("cp", ["--sparse=always", &self.shown(&volume), &self.shown(&id)]);
                self.seen.lock().unwrap().insert(id);
            }
        }
        let volumes = moto.volumes();
        let here = |volume: &&Volume| volume.instance.as_deref() == Some(&self.instance);
        let ids: BTreeSet<_> = volumes.iter().filter(here).map(|volume| &volume.id).collect();
        let gone: Vec<_> = self.attached.keys().filter(|id| !ids.contains(id)).cloned().collect();
        for id in gone {
            self.disappear(&id);
        }
        for volume in &volumes {
            self.fit_image(volume);
            if ids.contains(&volume.id) {
                self.appear(volume);
            }
        }
    }

    fn image(&self, id: &str) -> PathBuf {
        self.dir.join("images").join(id)
    }

    fn shown(&self, id: &str) -> String {
        self.image(id).display().to_string()
    }

    fn fit_image(&self, volume: &Volume) {
        let image = self.image(&volume.id);
        if let Some(snapshot) = &volume.snapshot
            && !image.exists()
        {
            run("cp", ["--sparse=always", &self.shown(snapshot), &self.shown(&volume.id)]);
        }
        let file = File::options().create(true).append(true).open(image).unwrap();
        if file.metadata().unwrap().len() < volume.gib << 30 {
            file.set_len(volume.gib << 30).unwrap();
        }
    }

    fn appear(&mut self, volume: &Volume) {
        if let Some((number, device, gib)) = self.attached.get_mut(&volume.id) {
            if *gib != volume.gib {
                run("losetup", ["--set-capacity", device]);
                *gib = volume.gib;
                let size = self.dir.join(format!("sys/block/nvme{number}n1/size"));
                fs::write(size, format!("{}\n", volume.gib << 21)).unwrap();
            }
            return;
        }
        let taken: BTreeSet<_> = self.attached.values().map(|(number, ..)| *number).collect();
        let number = (1..).find(|number| !taken.contains(number)).unwrap();
        let device = run("losetup", ["--find", "--show", &self.shown(&volume.id)]);
        let device = device.trim().to_owned();
        let rdev = stat(&device).unwrap().st_rdev;
        let (major, minor) = (major(rdev), minor(rdev));
        let name = format!("nvme{number}n1");
        let sys = self.dir.join("sys/block").join(&name);
        fs::create_dir_all(sys.join("device")).unwrap();
        fs::write(sys.join("size"), format!("{}\n", volume.gib << 21)).unwrap();
        let serial = volume.id.replace('-', "");
        fs::write(sys.join("device/serial"), format!("{serial:<20}\n")).unwrap();
        let node = self.dir.join("dev").join(&name);
        let mode = Mode::from_raw_mode(0o660);
        mknodat(CWD, &node, FileType::BlockDevice, mode, makedev(major, minor)).unwrap();
        fs::write(sys.join("dev"), format!("{major}:{minor}\n")).unwrap();
        self.attached.insert(volume.id.clone(), (number, device, volume.gib));
    }

    fn disappear(&mut self, id: &str) {
        let (number, device, _) = self.attached.remove(id).unwrap();
        let name = format!("nvme{number}n1");
        fs::remove_file(self.dir.join("dev").join(&name)).unwrap();
        fs::remove_dir_all(self.dir.join("sys/block").join(&name)).unwrap();
        run("losetup", ["--detach", &device]);
    }

    fn detach_all(&mut self) {
        for id in self.attached.keys().cloned().collect::<Vec<_>>() {
            self.disappear(&id);
        }
    }
}
