//! `make bench`: what the plugin's calls cost, and what a volume costs its data.
//!
//! One part of it: `cargo bench -- ebs` (or calls, nfs, tunnel, or data).
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
mod ebs;
#[path = "../../tests/docker/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the tests that start a Docker engine")]
mod harness;
mod many;
mod nfs;
mod report;
mod tunnel;

use daemon::Daemon;
use harness::TestDir;
use report::Report;

fn main() {
    let dir = TestDir::new();
    let mut report = Report::default();
    let asked: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |part: &str| asked.is_empty() || asked.iter().any(|word| word == part);
    if wants("calls") {
        let mut daemon = Daemon::new(dir.path());
        calls::measure(&mut daemon, &mut report);
        many::measure(&mut daemon, &mut report);
    }
    // Daemons of their own, without the thousand volumes.
    let part = |name: &str| {
        let dir = dir.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        dir
    };
    if wants("ebs") {
        ebs::measure(&part("ebs"), &mut report);
    }
    if wants("nfs") {
        nfs::measure(&part("nfs"), &mut report);
    }
    if wants("tunnel") {
        tunnel::measure(&mut report);
    }
    if wants("data") {
        data::measure(&part("data"), &mut report);
    }
    print!("{}", report.markdown(dir.path()));
}
