//! Looks all the time, while a test runs, whether two nodes have one volume's storage.
//!
//! A volume's storage is its image. What the fake took away by force is behind a copy of it, and is
//! not the volume any more: a node that still has that mounted harms nobody.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, sleep},
    time::Duration,
};

const PAUSE: Duration = Duration::from_millis(20);

/// What was found.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) looks: usize,
    pub(super) wrong: Vec<String>,
}

/// The thread that looks.
pub(super) struct Checker {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Checker {
    /// Looks at the devices of images in a directory, and at the mounts below others, each of one
    /// node.
    pub(super) fn start(images: PathBuf, stages: Vec<(String, PathBuf)>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            let mut before = BTreeSet::new();
            while !stopped.load(Ordering::SeqCst) {
                let now = look(&images, &stages);
                // The table and the devices are not read in one moment: what is wrong is so twice.
                seen.wrong.extend(now.intersection(&before).cloned());
                seen.looks += 1;
                before = now;
                sleep(PAUSE);
            }
            seen
        });
        Self { stop, thread }
    }

    /// What was found until now.
    pub(super) fn end(self) -> Seen {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap_or_default()
    }
}

/// What is wrong in this moment.
fn look(images: &Path, stages: &[(String, PathBuf)]) -> BTreeSet<String> {
    let mut mounted: BTreeMap<PathBuf, BTreeSet<&str>> = BTreeMap::new();
    let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
    for line in table.lines() {
        let mut fields = line.split(' ').skip(2);
        let (Some(number), Some(point)) = (fields.next(), fields.nth(1)) else { continue };
        let node = stages.iter().find(|(_, stage)| Path::new(point).starts_with(stage));
        let image = image_of(&Path::new("/sys/dev/block").join(number));
        if let (Some((node, _)), Some(image)) = (node, image) {
            mounted.entry(image).or_default().insert(node);
        }
    }
    let mut devices: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        if let Some(image) = image_of(&entry.path()).filter(|image| image.starts_with(images)) {
            devices.entry(image).or_default().push(entry.file_name().display().to_string());
        }
    }
    let twice = mounted.into_iter().filter(|(_, nodes)| nodes.len() > 1);
    let twice = twice.map(|(image, nodes)| format!("{}: mounted on {nodes:?}", image.display()));
    let double = devices.into_iter().filter(|(_, devices)| devices.len() > 1);
    let double = double.map(|(image, devices)| format!("{}: is {devices:?}", image.display()));
    twice.chain(double).collect()
}

/// The image behind a device, while it is the volume's.
fn image_of(block: &Path) -> Option<PathBuf> {
    let file = fs::read_to_string(block.join("loop/backing_file")).ok()?;
    let image = PathBuf::from(file.trim_end());
    image.exists().then_some(image)
}
