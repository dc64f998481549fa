//! Ten thousand directories on a real NFS server, and one with a hundred thousand files.

use std::{fs, path::Path, thread, time::Duration};

use ganesha::{Filesystem, Options, Server};

use crate::{
    client::named,
    daemon::Daemon,
    harness::on_nfs,
    report::{Report, Samples, timed},
};

const FIRST: usize = 1000;
const ALL: usize = 10_000;
const MAKERS: usize = 8;
const FILES: usize = 100_000;
const DIRECTORIES: usize = 100;

/// Measures in a directory of its own.
pub(crate) fn measure(dir: &Path, report: &mut Report) {
    let export = dir.join("export");
    fs::create_dir(&export).unwrap();
    let filesystem = Filesystem::Ext4(8192);
    let server = Server::start(&export, Options { filesystem, ..Options::default() });
    let mut daemon = Daemon::with(dir, on_nfs::settings(&server));
    make(&daemon, 0..FIRST, report);
    make(&daemon, FIRST..ALL, report);

    let mut client = daemon.client();
    let samples = Samples::of(50, |_| _ = client.call("List", "{}"));
    report.call(&format!("NFS: List, {ALL} volumes"), &samples);
    let samples = Samples::of(1000, |i| _ = client.call("Get", &named(&name(i))));
    report.call(&format!("NFS: Get, {ALL} volumes"), &samples);
    report.size(&format!("NFS: resident memory, {ALL} volumes"), daemon.resident());
    delete_a_large_one(&daemon, &export, report);
    let restarts = (0..5).map(|_| daemon.restart(&name(1))).collect();
    report.call(&format!("NFS: restart to the first answered Get, {ALL} volumes"), &restarts);
}

fn name(i: usize) -> String {
    format!("nfs-{i:05}")
}

fn make(daemon: &Daemon, range: std::ops::Range<usize>, report: &mut Report) {
    eprintln!("making NFS volumes {range:?}");
    let mut parts = Vec::new();
    let all = timed(|| {
        parts = thread::scope(|scope| {
            let makers: Vec<_> = (0..MAKERS)
                .map(|maker| {
                    let (mut client, range) = (daemon.client(), range.clone());
                    scope.spawn(move || {
                        let mine = range.skip(maker).step_by(MAKERS);
                        let create = |i| {
                            let name = name(i);
                            let body = format!(r#"{{"Name":"{name}","Opts":{{"size":"100KiB"}}}}"#);
                            timed(|| _ = client.call("Create", &body))
                        };
                        mine.map(create).collect::<Samples>()
                    })
                })
                .collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
    });
    let count = range.len();
    report.call(&format!("NFS: Create, {MAKERS} at a time, of {count}"), &Samples::joined(parts));
    report.call(
        &format!("NFS: {count} volumes, {MAKERS} at a time"),
        &std::iter::once(all).collect(),
    );
}

fn delete_a_large_one(daemon: &Daemon, export: &Path, report: &mut Report) {
    eprintln!("making {FILES} files");
    let volume = export.join(name(0));
    for i in 0..DIRECTORIES {
        let dir = volume.join(format!("data/{i}"));
        fs::create_dir(&dir).unwrap();
        for j in 0..FILES / DIRECTORIES {
            fs::File::create(dir.join(j.to_string())).unwrap();
        }
    }
    let removed = export.join(".hawser-removed");
    let answered = timed(|| _ = daemon.client().call("Remove", &named(&name(0))));
    let deleted = timed(|| {
        while volume.exists() || fs::read_dir(&removed).is_ok_and(|mut dir| dir.next().is_some()) {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let what = format!("NFS: Remove of a volume with {FILES} files");
    report.call(&format!("{what}, to the answer"), &std::iter::once(answered).collect());
    report.call(&format!("{what}, to the end of its files"), &std::iter::once(deleted).collect());
}
