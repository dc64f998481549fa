//! `hawser doctor`: what is wrong on this host, and what to do about it.

use std::{fs, path::Path};

use jiff::Timestamp;

use super::{Client, Exit, config::Source, output, serve::open_host};
use crate::{
    cluster::Store,
    config::Config,
    engine::{Host, State, StepError, Subject, ext4_online_grow},
    http::admin::wire::VolumeInfo,
    sys::{caps, mountinfo::MountTable, process::Tool, usage},
    volume::{
        Record,
        effect::{Effect, Outcome},
        plan,
    },
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What one look found.
#[derive(Debug, serde::Serialize)]
struct Finding {
    /// What was looked at.
    subject: &'static str,
    verdict: Verdict,
    /// What was found, and what to do.
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Note,
    Problem,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Problem => "PROBLEM",
        }
    }
}

pub(super) async fn run(args: &Args, admin_socket: &Path) -> anyhow::Result<Exit> {
    let mut findings = vec![root_user(), loop_devices(), ext4_grow()];
    findings.extend(tools());
    findings.extend(file_systems());
    let config = args.source.read();
    match &config {
        Ok(config) => findings.extend(configured(config)),
        Err(mistakes) => findings.push(problem("configuration", mistakes.to_string())),
    }
    match Client::new(admin_socket.into()).get("/volumes").await {
        Ok(volumes) => findings.extend(daemon(volumes)),
        Err(error) => {
            findings.push(problem("daemon", format!("{error:#}")));
            if let Ok(config) = &config {
                findings.extend(recovery(config).await);
            }
        }
    }
    if args.json {
        output::json(&findings)?;
    } else {
        let row = |f: &Finding| vec![f.verdict.as_str().into(), f.subject.into(), f.detail.clone()];
        output::table(&["", "", ""], findings.iter().map(row));
    }
    let problems = findings.iter().filter(|f| f.verdict == Verdict::Problem).count();
    Ok(if problems == 0 { Exit::Success } else { Exit::Failure })
}

fn good(subject: &'static str, detail: impl Into<String>) -> Finding {
    Finding { subject, verdict: Verdict::Good, detail: detail.into() }
}

fn note(subject: &'static str, detail: impl Into<String>) -> Finding {
    Finding { subject, verdict: Verdict::Note, detail: detail.into() }
}

fn problem(subject: &'static str, detail: impl Into<String>) -> Finding {
    Finding { subject, verdict: Verdict::Problem, detail: detail.into() }
}

fn root_user() -> Finding {
    if caps::has_sys_admin() {
        good("rights", "may mount (CAP_SYS_ADMIN)")
    } else {
        problem("rights", "may not mount: run as root, or give CAP_SYS_ADMIN")
    }
}

fn loop_devices() -> Finding {
    if Path::new("/dev/loop-control").exists() {
        good("loop devices", "/dev/loop-control is there")
    } else {
        problem("loop devices", "/dev/loop-control is missing: `modprobe loop`")
    }
}

fn ext4_grow() -> Finding {
    if caps::has_sys_resource() {
        good("ext4 growth", "online (CAP_SYS_RESOURCE)")
    } else {
        note(
            "ext4 growth",
            "not while mounted: CAP_SYS_RESOURCE is missing; ext4 volumes grow at their next mount, xfs volumes at once",
        )
    }
}

/// The programs that are called, and the Debian package of each.
fn tools() -> Vec<Finding> {
    const TOOLS: [(Tool, &str); 8] = [
        (Tool::new("blkid"), "util-linux"),
        (Tool::new("mkfs.ext4"), "e2fsprogs"),
        (Tool::new("e2fsck"), "e2fsprogs"),
        (Tool::new("resize2fs"), "e2fsprogs"),
        (Tool::new("mkfs.xfs"), "xfsprogs"),
        (Tool::new("xfs_repair"), "xfsprogs"),
        (Tool::new("xfs_growfs"), "xfsprogs"),
        (Tool::new("dockerd"), "docker.io"),
    ];
    let missing = TOOLS.iter().filter(|(tool, _)| tool.find().is_none());
    let findings: Vec<_> = missing
        .map(|(tool, package)| {
            let detail = format!("{} is missing: install {package}", tool.name());
            match tool.name() {
                "dockerd" => note("docker", detail),
                _ => problem("programs", detail),
            }
        })
        .collect();
    if findings.is_empty() { vec![good("programs", "all are there")] } else { findings }
}

fn file_systems() -> Option<Finding> {
    let known = fs::read_to_string("/proc/filesystems").ok()?;
    let missing: Vec<_> = ["ext4", "xfs"]
        .into_iter()
        .filter(|fs| !known.split_whitespace().any(|word| word == *fs))
        .collect();
    Some(if missing.is_empty() {
        good("file systems", "the kernel has ext4 and xfs")
    } else {
        // A module may be loaded at the first mount.
        note("file systems", format!("not loaded yet: {}", missing.join(", ")))
    })
}

fn configured(config: &Config) -> Vec<Finding> {
    let mut findings = vec![good("configuration", "is right")];
    for (subject, dir) in [("state directory", &config.state_dir), ("images", &config.local.dir)] {
        findings.push(match usage::of(dir) {
            Ok(usage) if usage.available < config.local.margin => problem(
                subject,
                format!("{} has only {} free", dir.display(), output::rounded(usage.available)),
            ),
            Ok(usage) => good(
                subject,
                format!("{}: {} free", dir.display(), output::rounded(usage.available)),
            ),
            Err(_) => note(subject, format!("{} is not there yet", dir.display())),
        });
    }
    if let Ok(mounts) = MountTable::read()
        && let Some(mount) = mounts.at(&config.root)
        && !mount.shared
    {
        findings.push(problem(
            "mounts",
            format!(
                "{} has private propagation: containers started by systemd services may keep volumes busy; restart hawser",
                config.root.display()
            ),
        ));
    }
    findings
}

/// What the daemon says of its volumes.
fn daemon(volumes: Vec<VolumeInfo>) -> Vec<Finding> {
    let mut findings = vec![good("daemon", format!("answers, with {} volumes", volumes.len()))];
    for volume in volumes {
        let name = &volume.name;
        if volume.state == State::Failed {
            let failure = volume.failure.unwrap_or_default();
            findings.push(problem("volume", format!("{name}: {failure}")));
        } else if let Some(doing) = volume.doing {
            findings.push(note("volume", format!("{name}: {doing} is under way")));
        }
        for holder in volume.holders.iter().filter(|holder| holder.orphaned_since.is_some()) {
            let detail = format!(
                "{name}: {holder} has no engine and no container any more; it is dropped soon"
            );
            findings.push(note("volume", detail));
        }
    }
    findings
}

/// What the daemon would do when it starts: the same plan, looked at and not carried out.
async fn recovery(config: &Config) -> Vec<Finding> {
    if !config.state_dir.join("records.redb").exists() {
        return vec![good("recovery", "there are no records yet")];
    }
    let (store, host) = (Store::open(&config.state_dir), open_host(config));
    let (records, host) = match (store, host) {
        (Ok((_, records)), Ok(host)) => (records, host),
        (Err(error), _) => return vec![problem("recovery", error.to_string())],
        (_, Err(error)) => return vec![problem("recovery", format!("{error:#}"))],
    };
    let mut findings = Vec::new();
    let count = records.len();
    for record in records {
        let name = record.name.clone();
        match foreseen(&host, record).await {
            Ok(steps) if steps.is_empty() => {}
            Ok(steps) => {
                findings.push(note("recovery", format!("{name}: would {}", steps.join(", "))));
            }
            Err(error) => findings.push(problem("recovery", format!("{name}: {error}"))),
        }
    }
    if findings.is_empty() {
        findings.push(good("recovery", format!("nothing to do for {count} volumes")));
    }
    findings
}

async fn foreseen(host: &Host, record: Record) -> Result<Vec<String>, StepError> {
    let subject = Subject { record: record.clone(), device: None, mounts: None };
    let Outcome::Observed(seen) = host.execute(Effect::Observe, &subject).await? else {
        return Ok(Vec::new());
    };
    Ok(plan::foresee(record, seen, ext4_online_grow(), Timestamp::now()))
}
