//! Installing and watching, on a host that is a directory.

#![allow(clippy::disallowed_methods, reason = "test code writes scratch files")]

use std::{fs, os::unix::fs::symlink};

use super::{
    testing::{Host, config},
    *,
};
use crate::sys::{
    mount::bind,
    testing::{Unmount, World},
};

#[tokio::test]
async fn the_state_is_known_of_a_systemd_that_prints_no_bare_values() {
    let host = Host::new();

    host.watch().running().await.unwrap();
    host.is("failed");
    let error = host.watch().running().await.unwrap_err();

    assert!(matches!(&error, AgentError::NotActive(state) if state == "failed"), "{error}");
}

fn environment() -> Environment {
    Environment::of(|name| (name == "HAWSER_LOG").then(|| "debug".to_owned()))
}

impl Host {
    async fn install(&self, program: &str) -> Result<Changes, AgentError> {
        install(&self.place, program.into(), &environment(), &self.config).await
    }

    fn unit(&self, name: &str) -> String {
        fs::read_to_string(self.place.unit(name)).unwrap()
    }
}

#[tokio::test]
async fn it_is_installed_once_and_started_again_when_it_changes() {
    let host = Host::new();

    let first = host.install("one").await.unwrap();
    let calls = host.calls();
    let again = host.install("one").await.unwrap();
    let idle = host.calls();
    let other = host.install("two").await.unwrap();

    assert_eq!(first.written.len(), 6);
    assert!(calls.contains(&"daemon-reload".to_owned()), "{calls:?}");
    assert!(calls.iter().any(|call| call.starts_with("--quiet enable hawser-release.service")));
    assert_eq!(again, Changes::default());
    assert!(idle.iter().all(|call| !call.contains("restart hawser.service")), "{idle:?}");
    assert_eq!(other.written.len(), 1);
    let calls = host.calls();
    assert!(calls.contains(&"restart hawser.service".to_owned()), "{calls:?}");
    assert_eq!(fs::read(host.place.program()).unwrap(), b"two");
}

/// Docker would wait for ever behind a socket that nobody serves.
#[tokio::test]
async fn a_service_that_never_started_leaves_no_socket() {
    let host = Host::new();
    host.fails("start hawser-release.service");

    let error = host.install("one").await.unwrap_err();

    assert!(matches!(error, AgentError::Systemctl(_)), "{error}");
    let calls = host.calls();
    let at = |begin: &str| calls.iter().rposition(|call| call.starts_with(begin));
    assert!(at("stop hawser.socket") > at("start "), "{calls:?}");
    assert_eq!(at("--quiet enable"), None, "Docker would wait at the next boot");
}

#[tokio::test]
async fn an_upgrade_that_failed_leaves_the_socket_and_is_not_forgotten() {
    let host = Host::new();
    host.install("one").await.unwrap();
    host.fails("restart hawser.service");
    host.calls();

    host.install("two").await.unwrap_err();
    let calls = host.calls();
    host.fails("none");
    let retried = host.install("two").await.unwrap();

    assert!(calls.iter().all(|call| !call.starts_with("stop")), "{calls:?}");
    assert_eq!(retried.written.len(), 1, "the daemon of before goes on");
    let calls = host.calls();
    assert!(calls.contains(&"restart hawser.service".to_owned()), "{calls:?}");
}

/// systemd removes the file at the path that it has read last: that of the socket before would stay.
#[tokio::test]
async fn the_old_socket_is_closed_before_systemd_reads_its_new_unit() {
    let mut host = Host::new();
    host.install("one").await.unwrap();
    host.calls();
    host.config = config(&[("daemon.docker_socket", "/run/docker/plugins/other.sock")]);

    host.install("one").await.unwrap();

    let calls = host.calls();
    let stop = calls.iter().position(|call| call.starts_with("stop "));
    let reload = calls.iter().position(|call| call == "daemon-reload");
    let stop = stop.unwrap();
    assert!(calls[stop].ends_with("(ListenStream=/run/docker/plugins/hawser.sock)"), "{calls:?}");
    assert!(Some(stop) < reload, "{calls:?}");
    assert!(host.unit("hawser.socket").contains("/other.sock"));
}

/// A full disk, or a read-only /etc: nothing would start the service again, at each attempt.
#[tokio::test]
async fn an_upgrade_that_cannot_be_written_stops_nothing() {
    let mut host = Host::new();
    host.install("one").await.unwrap();
    host.calls();
    host.config = config(&[("daemon.docker_socket", "/run/docker/plugins/other.sock")]);
    fs::remove_file(host.place.program()).unwrap();
    fs::create_dir_all(host.place.program().join("in the way")).unwrap();

    let error = host.install("two").await.unwrap_err();

    assert!(matches!(error, AgentError::File { .. }), "{error}");
    assert_eq!(host.calls(), [""; 0]);

    // The next attempt closes the socket that is open.
    fs::remove_dir_all(host.place.program()).unwrap();
    host.install("two").await.unwrap();
    let calls = host.calls();
    assert!(calls[0].ends_with("(ListenStream=/run/docker/plugins/hawser.sock)"), "{calls:?}");
}

/// Without their disks, the daemon would start with no records, and Docker forget its volumes.
#[tokio::test]
async fn the_units_wait_for_the_disks_of_the_settings() {
    let mut host = Host::new();
    host.config = config(&[
        ("daemon.state_dir", "/data/hawser 100%"),
        ("daemon.root", "/mnt/hawser"),
        ("backends.local.dir", "images"),
    ]);

    host.install("one").await.unwrap();

    for name in ["hawser.service", "hawser-release.service"] {
        let unit = host.unit(name);
        let needs = "RequiresMountsFor=\"/data/hawser 100%%\" /mnt/hawser\n";
        assert!(unit.contains(needs) && !unit.contains("/var/lib/hawser"), "{unit}");
    }
}

#[tokio::test]
async fn a_service_that_was_stopped_by_hand_is_started_again_and_no_other() {
    let host = Host::new();

    host.watch().look().await.unwrap();
    let calls = host.calls();
    host.is("inactive");
    host.watch().look().await.unwrap();

    assert!(calls.iter().all(|call| call.starts_with("show ")), "{calls:?}");
    assert_eq!(host.calls().last().unwrap(), "start hawser.socket hawser.service");
}

#[tokio::test]
async fn what_was_installed_is_taken_away_again() {
    let host = Host::new();
    host.install("one").await.unwrap();
    host.calls();

    uninstall(&host.place, &host.config).await.unwrap();

    let calls = host.calls();
    let stop =
        |of: &str| calls.iter().position(|call| call.starts_with("stop") && call.contains(of));
    assert!(stop("hawser.socket") < stop("hawser-release.service"), "{calls:?}");
    for path in [host.place.environment(), host.place.program(), host.place.unit("hawser.service")]
    {
        assert!(!path.exists(), "{}", path.display());
    }
    // Nothing is remembered of it: the next one starts all of it.
    assert_eq!(host.install("one").await.unwrap().written.len(), 6);
}

/// The mount table has resolved paths.
#[tokio::test]
async fn what_is_mounted_under_a_root_that_is_a_link_is_seen() {
    let mounts = World::alone();
    let mut host = Host::new();
    host.config = config(&[("daemon.root", "/mnt/hawser"), ("volumes.linger", "0s")]);
    host.install("one").await.unwrap();
    host.calls();
    let app = mounts.dir("volumes/app");
    fs::create_dir_all(host.place.path("/mnt")).unwrap();
    symlink(mounts.path("."), host.place.path("/mnt/hawser")).unwrap();
    bind(&app, &app).unwrap();
    let mounted = Unmount(app);

    let error = uninstall(&host.place, &host.config).await.unwrap_err();

    drop(mounted);
    assert!(matches!(&error, AgentError::InUse(volumes) if volumes == &["app"]), "{error}");
    assert_eq!(host.calls(), [""; 0]);
    assert!(host.place.program().exists());
}

/// What still is mounted would have nobody who looks after it.
#[tokio::test]
async fn a_service_whose_volumes_are_not_released_stays_and_is_started_again() {
    let host = Host::new();
    host.install("one").await.unwrap();
    host.is("failed");
    host.calls();

    let error = uninstall(&host.place, &host.config).await.unwrap_err();

    assert!(error.to_string().contains("journalctl -u hawser-release"), "{error}");
    assert!(host.place.program().exists() && host.place.unit("hawser.service").exists());
    let calls = host.calls();
    let at = |begin: &str| calls.iter().rposition(|call| call.starts_with(begin));
    assert!(at("start hawser-release.service") > at("stop hawser-release.service"), "{calls:?}");
    assert_eq!(at("--quiet disable"), None);
}
