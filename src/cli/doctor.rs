//! `hawser doctor`: what is wrong on this host, and what to do about it.

use std::{fs, path::Path};

use super::{Client, Exit, config::Source, output};
use crate::{
    config::Config,
    engine::State,
    http::admin::wire::VolumeInfo,
    sys::{caps, mountinfo::MountTable, process::Tool, usage},
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
    match args.source.read() {
        Ok(config) => findings.extend(configured(&config)),
        Err(mistakes) => findings.push(problem("configuration", mistakes.to_string())),
    }
    findings.extend(daemon(admin_socket).await);
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
            Ok(usage) if usage.available < config.local.margin => {
                problem(subject, format!("{} has only {} free", dir.display(), usage.available))
            }
            Ok(usage) => good(subject, format!("{}: {} free", dir.display(), usage.available)),
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

async fn daemon(socket: &Path) -> Vec<Finding> {
    let volumes: Vec<VolumeInfo> = match Client::new(socket.into()).get("/volumes").await {
        Ok(volumes) => volumes,
        Err(error) => return vec![problem("daemon", format!("{error:#}"))],
    };
    let mut findings = vec![good("daemon", format!("answers, with {} volumes", volumes.len()))];
    for volume in volumes {
        if volume.state == State::Failed {
            let failure = volume.failure.unwrap_or_default();
            findings.push(problem("volume", format!("{}: {failure}", volume.name)));
        } else if let Some(doing) = volume.doing {
            findings.push(note("volume", format!("{}: {doing} is under way", volume.name)));
        }
        for holder in volume.holders.iter().filter(|holder| holder.orphaned_since.is_some()) {
            let text = format!(
                "{}: {holder} has no Docker engine any more; it is dropped soon",
                volume.name
            );
            findings.push(note("volume", text));
        }
    }
    findings
}
