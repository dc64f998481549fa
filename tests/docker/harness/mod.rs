//! What the scenarios stand on: a [`World`] is a directory, a `hawser serve` and a private `dockerd`.
//!
//! Fields drop in order: the engine first, since its containers hold what hawser has mounted, then
//! hawser, then the directory. A test that was killed leaves a directory behind; the next test
//! finds that its process is gone and clears it.

mod cgroups;
mod cleanup;
mod command;
mod engine;
mod hawser;
mod images;
#[path = "../../daemon/harness/on_ebs.rs"]
pub(crate) mod on_ebs;
#[path = "../../daemon/harness/on_nfs.rs"]
pub(crate) mod on_nfs;
mod wire;
mod world;

pub(crate) use command::{Outcome, run};
pub(crate) use engine::{Engine, LiveRestore, client};
pub(crate) use hawser::{Hawser, binary};
pub(crate) use wire::{Connection, call};
pub(crate) use world::{TestDir, World};

use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// Polls until `ready` holds; a test never sleeps for a fixed time.
#[track_caller]
pub(crate) fn eventually(what: &str, limit: Duration, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < limit, "{what}: not so after {limit:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// How long anything that goes well may take on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// `CAP_SYS_RESOURCE` is number 24.
pub(crate) fn host_has_sys_resource() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap();
    u64::from_str_radix(bounding.trim(), 16).unwrap() >> 24 & 1 == 1
}

/// Settings with which a holder that nobody will release is collected at once.
pub(crate) const FORGETS_QUICKLY: &[&str] = &["volumes.orphan_after=1s", "volumes.sweep=200ms"];
