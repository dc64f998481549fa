//! The calls, one after the other, while there are few volumes.

use std::{
    collections::HashSet,
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Barrier, Mutex},
    thread,
    time::Duration,
};

use crate::{
    client::{Client, named, with_id},
    daemon::Daemon,
    harness::{PATIENCE, eventually},
    report::{Report, Samples, timed},
};

const SLOW: usize = 20;
const QUICK: usize = 1000;
const STORED: usize = 200;
const PARALLEL: usize = 100;
const ROUNDS: usize = 5;

/// With less free space the large volumes are thin.
const ENOUGH: u64 = 40 << 30;

pub(crate) fn measure(daemon: &mut Daemon, report: &mut Report) {
    let provision = provision(&daemon.images());
    disk(&daemon.images(), report);
    let mut client = daemon.client();
    create(&mut client, provision, report);
    for fs in ["ext4", "xfs"] {
        first_mount(&mut client, fs, provision, report);
    }
    one_volume(&mut client, report);
    parallel(daemon, provision, report);
    let restarts = (0..SLOW).map(|_| daemon.restart("one")).collect();
    report.call("restart after `kill -9` to the first answered Get, 1 mounted volume", &restarts);
    // The memory of a daemon that has come to rest.
    thread::sleep(Duration::from_secs(2));
    report.size("resident memory, 1 mounted volume", daemon.resident());
    let binary = crate::harness::binary().metadata().unwrap().len();
    report.size("the program", binary / 1024);
}

fn provision(images: &Path) -> &'static str {
    let space = rustix::fs::statvfs(images).unwrap();
    if space.f_bavail * space.f_frsize >= ENOUGH { "thick" } else { "thin" }
}

/// What any durable change costs on this disk.
fn disk(images: &Path, report: &mut Report) {
    let path = images.join("fsync");
    let file = File::create(&path).unwrap();
    file.write_all_at(&[0; 4096], 0).unwrap();
    file.sync_all().unwrap();
    let samples = Samples::of(STORED, |i| {
        file.write_all_at(&[u8::try_from(i % 256).unwrap(); 4096], 0).unwrap();
        file.sync_data().unwrap();
    });
    std::fs::remove_file(path).unwrap();
    report.call("for comparison: 4 KiB written over and synced, bare", &samples);
}

fn create(client: &mut Client, provision: &str, report: &mut Report) {
    // Few large ones at a time, for the sake of the disk.
    for (size, provision, n, rounds) in [("64MiB", "thick", 50, 1), ("10GiB", provision, 4, 5)] {
        let rounds = (0..rounds).map(|_| {
            let name = |i: usize| format!("create{i}");
            let made =
                Samples::of(n, |i| _ = client.call("Create", &spec(&name(i), size, provision, "")));
            let gone = Samples::of(n, |i| _ = client.call("Remove", &named(&name(i))));
            (made, gone)
        });
        let (made, gone): (Vec<_>, Vec<_>) = rounds.unzip();
        let size = size.replace("GiB", " GiB").replace("MiB", " MiB");
        report.call(&format!("Create, {size} {provision}"), &Samples::joined(made));
        // Answered when it is decided: the data is deleted in the background.
        report.call(&format!("Remove, {size} {provision}"), &Samples::joined(gone));
    }
}

fn first_mount(client: &mut Client, fs: &str, provision: &str, report: &mut Report) {
    let [mut mounts, mut unmounts, mut removals, mut again] = [const { Vec::new() }; 4];
    for _ in 0..SLOW {
        client.call("Create", &spec("first", "10GiB", provision, fs));
        let body = with_id("first", "a");
        mounts.push(timed(|| _ = client.call("Mount", &body)));
        unmounts.push(timed(|| _ = client.call("Unmount", &body)));
        again.push(timed(|| _ = client.call("Mount", &body)));
        client.call("Unmount", &body);
        removals.push(timed(|| _ = client.call("Remove", &named("first"))));
    }
    let new = format!("first Mount of a new volume, 10 GiB {provision}");
    let rows = [
        (new.as_str(), mounts),
        ("Unmount of the last holder", unmounts),
        ("Mount within the linger", again),
        ("Remove within the linger (unmounts first)", removals),
    ];
    for (what, samples) in rows {
        report.call(&format!("{what}, {fs}"), &samples.into_iter().collect());
    }
}

fn one_volume(client: &mut Client, report: &mut Report) {
    client.call("Create", &spec("one", "64MiB", "thick", "ext4"));
    client.call("Mount", &with_id("one", "a"));
    let (mut mounts, mut unmounts) = (Vec::new(), Vec::new());
    for i in 0..STORED {
        let body = with_id("one", &format!("b{i}"));
        mounts.push(timed(|| _ = client.call("Mount", &body)));
        unmounts.push(timed(|| _ = client.call("Unmount", &body)));
    }
    report.call("second Mount", &mounts.into_iter().collect());
    report.call("Unmount of one of two holders", &unmounts.into_iter().collect());
    for method in ["Get", "Path"] {
        let samples = Samples::of(QUICK, |_| _ = client.call(method, &named("one")));
        report.call(method, &samples);
    }
    let samples = Samples::of(QUICK, |_| _ = client.call("List", "{}"));
    report.call("List, 1 volume", &samples);
}

/// All at once, for a volume that was never mounted: one mkfs, one mount, one path.
fn parallel(daemon: &Daemon, provision: &str, report: &mut Report) {
    let mut client = daemon.client();
    let mut samples = Vec::new();
    for _ in 0..ROUNDS {
        client.call("Create", &spec("parallel", "10GiB", provision, "ext4"));
        let (together, answers) = (Barrier::new(PARALLEL + 1), Mutex::new(HashSet::new()));
        let took = thread::scope(|scope| {
            for i in 0..PARALLEL {
                let (mut client, together, answers) = (daemon.client(), &together, &answers);
                scope.spawn(move || {
                    let body = with_id("parallel", &format!("{i}"));
                    together.wait();
                    let answer = client.call("Mount", &body);
                    answers.lock().unwrap().insert(answer);
                    together.wait();
                });
            }
            together.wait();
            timed(|| _ = together.wait())
        });
        samples.push(took);
        let answers = answers.into_inner().unwrap();
        assert_eq!(answers.len(), 1, "not the same path for all: {answers:?}");
        for i in 0..PARALLEL {
            client.call("Unmount", &with_id("parallel", &format!("{i}")));
        }
        client.call("Remove", &named("parallel"));
    }
    let what = format!("{PARALLEL} parallel first Mounts of one 10 GiB volume, all answered");
    report.call(&what, &samples.into_iter().collect());
    eventually("the volume is gone", PATIENCE, || !client.call("List", "{}").contains("parallel"));
}

/// A Create request; without `fs`, the default one.
pub(crate) fn spec(name: &str, size: &str, provision: &str, fs: &str) -> String {
    let fs = if fs.is_empty() { String::new() } else { format!(r#","fs":"{fs}""#) };
    format!(r#"{{"Name":"{name}","Opts":{{"size":"{size}","provision":"{provision}"{fs}}}}}"#)
}
