//! What was measured, as Markdown.

use std::{
    fmt::Write,
    fs,
    path::Path,
    time::{Duration, Instant},
};

/// Measurements of one thing.
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    /// Runs `work` `n` times, each with its number.
    pub(crate) fn of(n: usize, mut work: impl FnMut(usize)) -> Self {
        Self((0..n).map(|i| timed(|| work(i))).collect())
    }

    /// Several as one.
    pub(crate) fn joined(parts: Vec<Self>) -> Self {
        parts.into_iter().flat_map(|part| part.0).collect()
    }

    /// The value below which this part of the samples lies.
    fn quantile(&self, part: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        let rank = (part * sorted.len() as f64).ceil().max(1.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1")]
        let index = rank as usize - 1;
        sorted[index.min(sorted.len() - 1)]
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<I: IntoIterator<Item = Duration>>(samples: I) -> Self {
        Self(samples.into_iter().collect())
    }
}

/// How long it takes.
pub(crate) fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[derive(Default)]
pub(crate) struct Report {
    calls: String,
    sizes: String,
    data: String,
    links: String,
}

impl Report {
    pub(crate) fn call(&mut self, what: &str, samples: &Samples) {
        let (n, p50, p99) = (samples.0.len(), samples.quantile(0.5), samples.quantile(0.99));
        eprintln!("{what}: {} (p99 {}, n {n})", shown(p50), shown(p99));
        writeln!(self.calls, "| {what} | {} | {} | {n} |", shown(p50), shown(p99)).unwrap();
    }

    pub(crate) fn size(&mut self, what: &str, kib: u64) {
        eprintln!("{what}: {kib} KiB");
        let tenths = kib * 10 / 1024;
        writeln!(self.sizes, "| {what} | {}.{} MiB |", tenths / 10, tenths % 10).unwrap();
    }

    pub(crate) fn data(&mut self, what: &str, bare: &str, volume: &str, ratio: f64) {
        eprintln!("{what}: {volume} on {bare}, {ratio:.3}");
        writeln!(self.data, "| {what} | {bare} | {volume} | {ratio:.2} |").unwrap();
    }

    pub(crate) fn link(&mut self, what: &str, plain: &str, tunnel: &str) {
        eprintln!("tunnel: {what}: {tunnel} ({plain} by plain TCP)");
        writeln!(self.links, "| {what} | {plain} | {tunnel} |").unwrap();
    }

    /// The tables; `dir` is where it was measured.
    pub(crate) fn markdown(&self, dir: &Path) -> String {
        let Self { calls, sizes, data, links } = self;
        let machine = machine(dir);
        format!(
            "{machine} Of fewer than 100 measurements, p99 is the largest.\n\n\
             | call | median | p99 | n |\n|---|--:|--:|--:|\n{calls}\n\
             | | |\n|---|--:|\n{sizes}\n\
             | fio | bare file system | volume | ratio |\n|---|--:|--:|--:|\n{data}\n\
             | on loopback | plain TCP | tunnel |\n|---|--:|--:|\n{links}"
        )
    }
}

/// Three digits and a unit.
fn shown(time: Duration) -> String {
    let (value, unit) = match time.as_secs_f64() {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "µs"),
    };
    match value {
        v if v >= 100.0 => format!("{v:.0} {unit}"),
        v if v >= 10.0 => format!("{v:.1} {unit}"),
        v => format!("{v:.2} {unit}"),
    }
}

/// One sentence on the machine, without anything that names it.
fn machine(dir: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let version: String = kernel.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or_else(String::new, |(_, name)| format!(" ({name})"));
    let (disk, fs) = disk(dir);
    format!("{cores} cores{model}, Linux {version}, images on {fs} on {disk}.")
}

/// The device and the file system below a directory.
fn disk(dir: &Path) -> (String, String) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = table.lines().filter_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?;
        dir.starts_with(point).then_some((point.len(), file_system))
    });
    let (_, file_system) = mount.max_by_key(|(length, _)| *length).expect("there is a root");
    let mut words = file_system.split(' ');
    let mut fs = words.next().unwrap_or_default().to_owned();
    let device = words.next().unwrap_or_default().trim_start_matches("/dev/").to_owned();
    // An fsync there costs no commit, which one in a volume does.
    let journal = Path::new("/proc/fs/jbd2").join(format!("{device}-8"));
    if fs == "ext4" && !journal.exists() {
        fs.push_str(" without a journal");
    }
    (device, fs)
}
