//! What this host has: rights, devices, programs, file systems, room.

use std::{fs, path::Path};

use rustix::fs::{Access, access};

use super::{Finding, good, note, problem};
use crate::{
    config::Config,
    sys::{caps, mountinfo::MountTable, process::Tool, usage},
};

/// What is there whatever the configuration says.
pub(super) fn findings() -> Vec<Finding> {
    let mut findings = vec![root_user(), loop_devices(), ext4_grow()];
    findings.extend(tools());
    findings.extend(file_systems());
    findings
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

/// The configured directories.
pub(super) fn configured(config: &Config) -> Vec<Finding> {
    let mut findings = vec![good("configuration", "is right")];
    for (subject, dir) in [("state directory", &config.state_dir), ("images", &config.local.dir)] {
        findings.push(match usage::of(dir) {
            Ok(_) if let Err(error) = access(dir.as_path(), Access::WRITE_OK) => {
                problem(subject, format!("{} cannot be written to: {error}", dir.display()))
            }
            Ok(usage) if usage.available < config.local.margin => problem(
                subject,
                format!("{} has only {} free", dir.display(), usage.available.rounded()),
            ),
            Ok(usage) => {
                good(subject, format!("{}: {} free", dir.display(), usage.available.rounded()))
            }
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
