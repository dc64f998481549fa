//! The data path: fio on a file in a volume, and on one in the file system that the images are on.
//!
//! Both files are written whole first, so that neither side allocates while it is measured. The two
//! take turns, and the order changes from round to round.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    calls::spec,
    client::with_id,
    daemon::Daemon,
    harness::run,
    report::{Report, median},
};

const ROUNDS: usize = 3;
const SECONDS: &str = "3";
const SIZE: &str = "1g";

/// What fio does, and whether its rate is counted in operations or bytes.
struct Job {
    what: &'static str,
    args: &'static [&'static str],
    direction: &'static str,
    unit: Unit,
}

#[derive(Clone, Copy)]
enum Unit {
    Operations,
    Bytes,
}

const JOBS: &[Job] = &[
    Job {
        what: "random read, 4 KiB, direct, queue depth 16",
        args: &["--rw=randread", "--bs=4k", "--direct=1", "--iodepth=16"],
        direction: "read",
        unit: Unit::Operations,
    },
    Job {
        what: "random write, 4 KiB, direct, queue depth 16",
        args: &["--rw=randwrite", "--bs=4k", "--direct=1", "--iodepth=16"],
        direction: "write",
        unit: Unit::Operations,
    },
    Job {
        what: "sequential read, 1 MiB, direct, queue depth 4",
        args: &["--rw=read", "--bs=1m", "--direct=1", "--iodepth=4"],
        direction: "read",
        unit: Unit::Bytes,
    },
    Job {
        what: "sequential write, 1 MiB, direct, queue depth 4",
        args: &["--rw=write", "--bs=1m", "--direct=1", "--iodepth=4"],
        direction: "write",
        unit: Unit::Bytes,
    },
    Job {
        what: "random write, 4 KiB, fdatasync after each",
        args: &["--rw=randwrite", "--bs=4k", "--direct=0", "--iodepth=1", "--fdatasync=1"],
        direction: "write",
        unit: Unit::Operations,
    },
    Job {
        what: "random write, 4 KiB, fsync after each",
        args: &["--rw=randwrite", "--bs=4k", "--direct=0", "--iodepth=1", "--fsync=1"],
        direction: "write",
        unit: Unit::Operations,
    },
];

pub(crate) fn measure(dir: &Path, report: &mut Report) {
    let daemon = Daemon::new(dir);
    let mut client = daemon.client();
    for fs in ["ext4", "xfs"] {
        let name = format!("data-{fs}");
        client.call("Create", &spec(&name, "2GiB", "thick", fs));
        let answer = client.call("Mount", &with_id(&name, "a"));
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let volume = Path::new(answer["Mountpoint"].as_str().unwrap()).join("file");
        let bare = dir.join("bare");
        for file in [&bare, &volume] {
            eprintln!("writing a file of {SIZE} on {fs}");
            fio(file, &["--rw=write", "--bs=1m", "--direct=1", "--iodepth=4", "--end_fsync=1"]);
        }
        for job in JOBS {
            compare(job, fs, &bare, &volume, report);
        }
        fs::remove_file(&bare).unwrap();
        client.call("Unmount", &with_id(&name, "a"));
        client.call("Remove", &crate::client::named(&name));
    }
}

fn compare(job: &Job, fs: &str, bare: &Path, volume: &Path, report: &mut Report) {
    let (mut on_bare, mut on_volume) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut sides = [(bare, &mut on_bare), (volume, &mut on_volume)];
        if round % 2 == 1 {
            sides.reverse();
        }
        for (file, rates) in sides {
            let timed = ["--time_based", "--runtime", SECONDS, "--ramp_time=0.5"];
            let result = fio(file, &[job.args, &timed].concat());
            let key = match job.unit {
                Unit::Operations => "iops",
                Unit::Bytes => "bw_bytes",
            };
            rates.push(result["jobs"][0][job.direction][key].as_f64().unwrap());
        }
    }
    let (bare, volume) = (median(on_bare), median(on_volume));
    let shown = |rate: f64| match job.unit {
        Unit::Operations => format!("{rate:.0}/s"),
        Unit::Bytes => format!("{:.0} MiB/s", rate / 1_048_576.0),
    };
    report.data(&format!("{fs}: {}", job.what), &shown(bare), &shown(volume), volume / bare);
}

fn fio(file: &Path, args: &[&str]) -> Value {
    let file = format!("--filename={}", file.display());
    let common = ["--name=bench", &file, "--size", SIZE, "--ioengine=libaio"];
    let rest = ["--invalidate=1", "--output-format=json"];
    let output = run(Path::new("fio"), &[&common[..], &rest, args].concat(), &[]).ok();
    serde_json::from_str(&output[output.find('{').expect("fio prints JSON")..]).unwrap()
}
