//! Stamps: who wrote, at which epoch, and the how manieth it was (tests/lab/guest/stamp.py). They show,
//! on the disk itself, that nothing acknowledged is lost and that there are never two writers.

use std::{fmt, fs::File, os::unix::fs::FileExt, path::Path, process::Command, time::Duration};

use super::{Job, Machine};

const BLOCK: u64 = 4096;
const REGION: u64 = 64 << 20;

/// One stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    node: String,
    epoch: u64,
    sequence: u64,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at epoch {}, number {}", self.node, self.epoch, self.sequence)
    }
}

impl Stamp {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let node = words.next()?.to_owned();
        let mut number = || words.next()?.parse().ok();
        Some(Self { node, epoch: number()?, sequence: number()? })
    }
}

/// All stamps of a file or a disk, in its order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamps(Vec<Stamp>);

impl Stamps {
    /// Those of a file.
    ///
    /// # Panics
    /// When a line is none; the last one may be half written.
    #[track_caller]
    fn parse(text: &str) -> Self {
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let stamp = |line| Stamp::parse(line).unwrap_or_else(|| panic!("no stamp: {line:?}"));
        Self(whole.lines().map(stamp).collect())
    }

    /// Those of the file in a volume's directory, by looking into the image, which no machine has mounted.
    #[track_caller]
    pub(crate) fn in_image(image: &Path) -> Self {
        let mut command = Command::new("debugfs");
        let output = command.args(["-R", "cat /data/stamps"]).arg(image).output();
        let output = output.expect("e2fsprogs are there");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!text.is_empty(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        Self::parse(&text)
    }

    /// Those of an epoch on a disk, by looking into its image.
    pub(crate) fn on_disk(image: &Path, epoch: u64) -> Self {
        let image = File::open(image).unwrap();
        let read = |block: u64| {
            let mut bytes = [0; 64];
            image.read_exact_at(&mut bytes, epoch * REGION + block * BLOCK).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            Stamp::parse(text.split('\n').next()?)
        };
        let mut stamps: Vec<_> = (0..REGION / BLOCK).filter_map(read).collect();
        // The first block is written again by the one that comes round.
        stamps.sort_by_key(|stamp| stamp.sequence);
        Self(stamps)
    }

    /// After a stamp of one epoch there is none of an older one, an epoch has one node, and each node
    /// counted without a gap.
    #[track_caller]
    pub(crate) fn assert_one_writer_at_a_time(&self) {
        for pair in self.0.windows(2) {
            let [before, after] = pair else { continue };
            let goes_on = after.epoch == before.epoch
                && after.node == before.node
                && after.sequence == before.sequence + 1;
            let takes_over = after.epoch > before.epoch && after.sequence == 1;
            assert!(goes_on || takes_over, "{after} comes after {before}");
        }
    }

    /// What this machine was told to be safe is there.
    #[track_caller]
    pub(crate) fn assert_has(&self, machine: &Machine, epoch: u64) {
        let acknowledged = machine.stamped(epoch);
        let there = self.last(&machine.name, epoch);
        assert!(
            there >= acknowledged,
            "{}, epoch {epoch}: stamp {acknowledged} was acknowledged, and {there} is the last one",
            machine.name
        );
    }

    fn last(&self, node: &str, epoch: u64) -> u64 {
        let of_it = self.0.iter().filter(|stamp| stamp.node == node && stamp.epoch == epoch);
        of_it.map(|stamp| stamp.sequence).max().unwrap_or(0)
    }
}

impl Machine {
    /// Starts a writer of stamps to a file in this directory.
    #[track_caller]
    pub(crate) fn start_stamps(&self, dir: &str, epoch: u64) -> Job {
        let file = format!("{dir}/stamps");
        self.spawn(&["/lab/stamp.py", "file", &file, &self.name, &epoch.to_string()])
    }

    /// The stamps in the file in this directory.
    #[track_caller]
    pub(crate) fn stamps(&self, dir: &str) -> Stamps {
        let read = self.run(&["/bin/cat", &format!("{dir}/stamps")]);
        assert!(read.code == 0, "{read}");
        Stamps::parse(&read.stdout)
    }

    /// Starts a writer of stamps to a whole disk.
    #[track_caller]
    pub(crate) fn start_stamps_on_disk(&self, device: &str, epoch: u64) -> Job {
        self.spawn(&["/lab/stamp.py", "disk", device, &self.name, &epoch.to_string()])
    }

    /// The last stamp of an epoch that was acknowledged to this machine.
    pub(crate) fn stamped(&self, epoch: u64) -> u64 {
        self.reported(&self.tag(epoch)).last
    }

    /// The longest time that one of them took.
    pub(crate) fn longest_stamp(&self, epoch: u64) -> Duration {
        self.reported(&self.tag(epoch)).longest
    }

    /// Waits for so many more stamps than there are.
    #[track_caller]
    pub(crate) fn wait_stamps(&self, epoch: u64, more: u64) {
        let enough = self.stamped(epoch) + more;
        self.wait_acknowledged(&self.tag(epoch), enough);
    }

    /// What a writer of stamps said when it could not go on.
    pub(crate) fn stamps_failed(&self, epoch: u64) -> Option<String> {
        self.writer_failed(&self.tag(epoch))
    }

    fn tag(&self, epoch: u64) -> String {
        format!("{}@{epoch}", self.name)
    }
}
