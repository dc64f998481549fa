//! The units in `dist/systemd`: accepted by systemd, and without what would hide mounts from Docker.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code runs programs, writes scratch files, and fails by panicking"
)]

use std::{fs, path::Path, process::Command};

fn unit(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/systemd").join(name);
    fs::read_to_string(path).unwrap()
}

/// The values of a key, in all sections.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    let pairs = unit.lines().filter_map(|line| line.split_once('='));
    pairs.filter(|(k, _)| *k == key).map(|(_, value)| value).collect()
}

/// See systemd.exec(5): each of these sets up a mount namespace.
#[test]
fn the_service_shares_the_hosts_mount_namespace() {
    let service = unit("hawser.service");

    for line in service.lines().filter(|line| !line.starts_with('#')) {
        let key = line.split('=').next().unwrap();
        let sandbox =
            ["Protect", "Private", "ReadOnly", "ReadWrite", "Inaccessible", "Bind", "Root"];
        let sandbox = sandbox.iter().any(|word| key.starts_with(word));
        let other =
            ["DynamicUser", "MountFlags", "MountAPIVFS", "TemporaryFileSystem", "ExtensionImages"];
        assert!(!sandbox && !other.contains(&key), "{line}");
    }
}

#[test]
fn docker_starts_after_hawser_and_stops_before_it() {
    for name in ["hawser.service", "hawser.socket"] {
        assert_eq!(values(&unit(name), "Before"), ["docker.service"], "{name}");
    }
    assert_eq!(values(&unit("hawser.service"), "KillMode"), ["process"]);
    assert_eq!(values(&unit("hawser.socket"), "SocketMode"), ["0600"]);
}

#[test]
fn systemd_accepts_the_units() {
    let dir = tempfile::tempdir().unwrap();
    // The program that they start need not be installed here.
    let service = unit("hawser.service").replace("/usr/bin/hawser serve", "/bin/true");
    fs::write(dir.path().join("hawser.service"), service).unwrap();
    fs::write(dir.path().join("hawser.socket"), unit("hawser.socket")).unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]);
    verify.arg(dir.path().join("hawser.service")).arg(dir.path().join("hawser.socket"));

    let Ok(output) = verify.output() else {
        eprintln!("skipped: there is no systemd-analyze on this machine");
        return;
    };

    let complaints = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<_> = complaints.lines().filter(|line| line.contains("hawser")).collect();
    assert!(output.status.success() && ours.is_empty(), "{complaints}");
}
