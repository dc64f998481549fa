//! The units in `dist/systemd`: accepted by systemd, and without what would hide mounts from Docker.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code runs programs, writes scratch files, and fails by panicking"
)]

use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    process::Command,
};

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
    for name in ["hawser.service", "hawser.socket", "hawser-release.service"] {
        let before = values(&unit(name), "Before").join(" ");
        let before: Vec<_> = before.split(' ').collect();
        // Agents of Mesos mount volumes while they start, and their tasks use them until they stop:
        // as DC/OS calls them, on private and on public nodes, and as Mesos' own packages do.
        let agents =
            ["dcos-mesos-slave.service", "dcos-mesos-slave-public.service", "mesos-slave.service"];
        for user in agents.iter().chain(&["docker.service"]) {
            assert!(before.contains(user), "{name}: {before:?}");
        }
    }
    assert!(values(&unit("hawser.service"), "Before").join(" ").contains("nomad.service"));
    assert_eq!(values(&unit("hawser.service"), "KillMode"), ["process"]);
    assert_eq!(values(&unit("hawser.socket"), "SocketMode"), ["0600"]);
}

/// At shutdown in the other order: Docker, hawser, and only then the release of its volumes.
#[test]
fn volumes_are_released_after_hawser_stopped() {
    let release = unit("hawser-release.service");
    assert!(values(&release, "Before")[0].starts_with("hawser.service "));
    assert_eq!(values(&release, "ExecStop"), ["/usr/bin/hawser release"]);
    // What is on its way to another node's volume needs the network.
    let after = values(&release, "After").join(" ");
    assert!(after.split(' ').any(|unit| unit == "network.target"), "{after}");
    assert_eq!(values(&release, "RemainAfterExit"), ["yes"]);
    // Before: where the machine stops, and not where hawser is restarted. Its failure stops nothing.
    let service = unit("hawser.service");
    assert_eq!(values(&service, "ExecStop"), ["-/usr/bin/hawser node hand-over --if-stopping"]);
}

/// Started without the disk of the records, hawser would know no volume; stopped before it, the
/// release would find none.
#[test]
fn the_disk_of_the_records_is_mounted_while_the_services_run() {
    for name in ["hawser.service", "hawser-release.service"] {
        assert_eq!(values(&unit(name), "RequiresMountsFor"), ["/var/lib/hawser"], "{name}");
    }
}

/// RHEL 7 and CentOS 7, which DC/OS runs on, have systemd 219: what is younger than that is ignored there.
#[test]
fn nothing_depends_on_what_an_old_systemd_ignores() {
    let service = unit("hawser.service");
    let young = ["StateDirectory", "RuntimeDirectoryPreserve", "TimeoutStopFailureMode"];
    for key in young.iter().chain(&["ConfigurationDirectory", "LogsDirectory", "CacheDirectory"]) {
        assert!(values(&service, key).is_empty(), "{key}");
    }
    // What cannot be preserved there is deleted at each restart, under the servers of shared volumes.
    assert!(values(&service, "RuntimeDirectory").is_empty());
    assert_eq!(values(&service, "StartLimitInterval"), ["0"], "since 230 StartLimitIntervalSec=");
    assert_eq!(values(&service, "StartLimitIntervalSec"), ["0"]);
}

/// systemd holds the socket: a request made while the daemon is away waits for it.
#[test]
fn a_socket_of_systemd_is_served_and_left_alone() {
    let name = unit("hawser.socket");
    serves_a_passed_socket(&["--fdname", values(&name, "FileDescriptorName")[0]]);
}

/// Before version 227 systemd passes sockets without names.
#[test]
fn a_socket_of_an_old_systemd_is_served_without_a_name() {
    serves_a_passed_socket(&[]);
}

fn serves_a_passed_socket(options: &[&str]) {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let socket = dir.path().join("d.sock");
    let (state, run) = (dir.path().join("state"), dir.path().join("run"));
    let mut daemon = Command::new("systemd-socket-activate")
        .arg("--listen")
        .arg(&socket)
        .args(options)
        .args(["--setenv=HAWSER_LOG=info", env!("CARGO_BIN_EXE_hawser"), "serve"])
        .arg("--docker-socket")
        .arg(&socket)
        .arg("--state-dir")
        .arg(&state)
        .arg("--admin-socket")
        .arg(run.join("admin.sock"))
        .spawn()
        .unwrap_or_else(|error| {
            panic!("systemd-socket-activate is needed (scripts/install-deps.sh): {error}")
        });

    let answer = activate(&socket);
    let kill = Command::new("kill").arg(daemon.id().to_string()).status().unwrap();
    let ended = daemon.wait().unwrap();

    assert!(answer.contains("VolumeDriver"), "{answer}");
    assert!(kill.success() && ended.success(), "{ended}");
    assert!(socket.exists(), "hawser removed systemd's socket");
    for dir in [&state, &run] {
        let mode = fs::metadata(dir).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", dir.display());
    }
    assert!(Command::new("umount").arg(state.join("mnt")).status().unwrap().success());
}

/// The answer to `Plugin.Activate`, once somebody listens.
fn activate(socket: &Path) -> String {
    let start = std::time::Instant::now();
    let mut stream = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(error) => assert!(start.elapsed().as_secs() < 10, "{error}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    let request = "POST /Plugin.Activate HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn systemd_accepts_the_units() {
    let dir = tempfile::tempdir().unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]);
    for name in
        ["hawser.service", "hawser.socket", "hawser-release.service", "hawser-docker.service"]
    {
        // The program that they start need not be installed here.
        let text = unit(name).replace("/usr/bin/hawser", "/bin/true");
        fs::write(dir.path().join(name), text).unwrap();
        verify.arg(dir.path().join(name));
    }

    let output = verify.output().expect("systemd-analyze is there (scripts/install-deps.sh)");

    let complaints = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<_> = complaints.lines().filter(|line| line.contains("hawser")).collect();
    assert!(output.status.success() && ours.is_empty(), "{complaints}");
}
