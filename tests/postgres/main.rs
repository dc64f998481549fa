//! PostgreSQL with its data directory on a volume: whatever dies, no acknowledged row is lost.
//!
//! Four clients insert numbered rows and remember which commits were acknowledged. hawser is killed
//! and started again under them; then the database crashes, its volume is unmounted, released and
//! mounted again, and the database that recovers on it must have every remembered row.
//!
//! The test needs root and Debian's PostgreSQL (`scripts/install-deps.sh` installs it), and fails
//! with the reason where one is missing.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "test code runs programs, writes scratch files, and fails by panicking"
)]

mod database;
#[path = "../docker/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the tests that start a Docker engine")]
mod harness;
mod load;

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::json;

use database::{Crash, Database, User};
use harness::{Hawser, PATIENCE, TestDir, eventually};
use load::Load;

const CLIENTS: u32 = 4;
/// So many more rows are acknowledged between any two events.
const STRIDE: usize = 50;

#[test]
fn ext4_keeps_every_acknowledged_row() {
    keeps_every_acknowledged_row("ext4");
}

#[test]
fn xfs_keeps_every_acknowledged_row() {
    keeps_every_acknowledged_row("xfs");
}

fn keeps_every_acknowledged_row(fs: &str) {
    let user = User::unprivileged();
    let dir = TestDir::new();
    let mut hawser = Hawser::start(dir.path(), &[]);
    let volume = Volume { name: format!("pg{fs}") };
    volume.create(&hawser, fs, &user);
    let database = Database::init(dir.path(), &volume.mount(&hawser), user);

    // hawser dies twice under load, and the database crashes.
    let server = database.start();
    let load = Load::start(&database, CLIENTS);
    for _ in 0..2 {
        load.wait_for(STRIDE);
        hawser.kill();
        load.wait_for(STRIDE);
        hawser.up();
        load.wait_for(STRIDE);
    }
    server.crash(Crash::Immediate);
    let mut acknowledged = load.finish();
    volume.release(&hawser);

    // It recovers on the volume mounted anew, and every process dies while hawser is away.
    assert_eq!(volume.mount(&hawser), database.volume());
    let server = database.start();
    assert!(server.recovered_from_crash(), "{}", database.log());
    assert_all_there(&database, &acknowledged);
    let load = Load::start(&database, CLIENTS);
    load.wait_for(STRIDE);
    hawser.kill();
    load.wait_for(STRIDE);
    server.crash(Crash::KillAll);
    acknowledged.extend(load.finish());
    hawser.up();
    volume.release(&hawser);

    volume.mount(&hawser);
    let server = database.start();
    assert!(server.recovered_from_crash(), "{}", database.log());
    assert_all_there(&database, &acknowledged);
    server.stop();
    volume.release(&hawser);
    volume.call(&hawser, "Remove", json!({}));
    hawser.assert_clean();
}

/// Every acknowledged row, whole; and beside them at most one per client and round, whose commit
/// was on its way when the database crashed.
#[track_caller]
fn assert_all_there(database: &Database, acknowledged: &BTreeSet<u64>) {
    let rows = database.query("SELECT n FROM rows ORDER BY n");
    let rows: BTreeSet<u64> = rows.lines().map(|n| n.parse().unwrap()).collect();
    let lost: Vec<_> = acknowledged.difference(&rows).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?} of {}", acknowledged.len());
    let unasked = rows.difference(acknowledged).count();
    assert!(unasked <= 2 * CLIENTS as usize, "{unasked} rows that were not acknowledged");
    let broken = format!("SELECT count(*) FROM rows WHERE payload <> {}", load::payload("n"));
    assert_eq!(database.query(&broken), "0", "rows that are not what was inserted");
}

/// A volume, seen through the plugin's socket.
struct Volume {
    name: String,
}

impl Volume {
    fn create(&self, hawser: &Hawser, fs: &str, owner: &User) {
        let (uid, gid) = (owner.uid.to_string(), owner.gid.to_string());
        let options = json!({"size": "512MiB", "fs": fs, "uid": uid, "gid": gid, "mode": "0755"});
        self.call(hawser, "Create", json!({ "Opts": options }));
    }

    /// The path at which it is mounted, which is the same every time.
    #[track_caller]
    fn mount(&self, hawser: &Hawser) -> PathBuf {
        let answer = self.call(hawser, "Mount", json!({"ID": "postgres"}));
        assert!(hawser.is_published(&self.name));
        answer["Mountpoint"].as_str().unwrap().into()
    }

    /// Unmounts it and waits until nothing is left of it but its image.
    #[track_caller]
    fn release(&self, hawser: &Hawser) {
        self.call(hawser, "Unmount", json!({"ID": "postgres"}));
        let mut left = Vec::new();
        eventually("the volume is released", PATIENCE, || {
            left = mounts_and_loops(hawser);
            left.is_empty()
        });
    }

    #[track_caller]
    fn call(
        &self,
        hawser: &Hawser,
        method: &str,
        mut body: serde_json::Value,
    ) -> serde_json::Value {
        body["Name"] = self.name.as_str().into();
        let (status, answer) = hawser.call(&format!("VolumeDriver.{method}"), &body.to_string());
        assert_eq!(status, 200, "{method}: {answer}");
        answer
    }
}

/// What the kernel still holds of this hawser's volumes.
fn mounts_and_loops(hawser: &Hawser) -> Vec<String> {
    let root = format!("{}/", hawser.root.display());
    let images = format!("{}/", hawser.state.display());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let loops = fs::read_dir("/sys/block").unwrap().flatten();
    let backing =
        loops.filter_map(|entry| fs::read_to_string(entry.path().join("loop/backing_file")).ok());
    points
        .filter(|point| point.starts_with(&root))
        .map(str::to_owned)
        .chain(backing.filter(|file| file.starts_with(&images)))
        .collect()
}
