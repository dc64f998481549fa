//! `make bench`: what the plugin's calls cost, and what a volume costs its data.
//!
//! Prints Markdown to stdout and its progress to stderr; takes about five minutes, and 12 GiB of the
//! disk that `/var/tmp` is on. Needs root, fio, and a kernel that mounts loop devices. Everything
//! that it makes lies in one directory and goes away with it, also when it fails.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a benchmark runs programs, writes scratch files, and fails by panicking"
)]

mod calls;
mod client;
mod daemon;
mod data;
#[path = "../../tests/docker/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the tests that start a Docker engine")]
mod harness;
mod many;
mod report;

use daemon::Daemon;
use harness::TestDir;
use report::Report;

fn main() {
    let dir = TestDir::new();
    let mut report = Report::default();
    {
        let mut daemon = Daemon::new(dir.path());
        calls::measure(&mut daemon, &mut report);
        many::measure(&mut daemon, &mut report);
    }
    // A daemon of its own, without the thousand volumes.
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    data::measure(&data, &mut report);
    print!("{}", report.markdown(dir.path()));
}
