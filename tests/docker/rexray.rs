//! The second driver name, `rexray`, in one Docker engine beside hawser's own.

use crate::harness::{Engine, Hawser, LiveRestore, TestDir};

#[test]
fn docker_knows_a_volume_by_one_of_the_two_drivers_at_a_time() {
    let dir = TestDir::new();
    let name = dir.path().file_name().unwrap().to_str().unwrap().to_owned();
    let rexray = format!("{name}-rexray");
    let setting = format!("daemon.rexray_socket=/run/docker/plugins/{rexray}.sock");
    let hawser = Hawser::start(dir.path(), &[&setting]);
    let engine = Engine::start(&dir.path().join("docker"), LiveRestore::No);
    let sh = |driver: &str, volume: &str, script: &str| {
        let bind = format!("{volume}:/data");
        let network = ["run", "--rm", "--network", "none", "--volume-driver", driver, "-v", &bind];
        engine.docker(&[&network[..], &["busybox", "sh", "-c", script]].concat())
    };

    sh(&rexray, "pgdata,size=64MiB", "echo precious >/data/file").ok();
    assert_eq!(sh(&rexray, "pgdata", "cat /data/file").ok(), "precious");
    engine.run_ok(&[
        "volume",
        "create",
        "--driver",
        &rexray,
        "-o",
        "size=1",
        "-o",
        "fsType=ext4",
        "other",
    ]);

    let error = sh(&hawser.driver, "other", "true").err();
    assert!(error.contains("volume name must be unique"), "{error}");
    let of = |driver: &str| {
        let filter = format!("driver={driver}");
        engine.run_ok(&["volume", "ls", "--quiet", "--filter", &filter])
    };
    assert!(of(&rexray).lines().any(|line| line == "other"));
    for volume in ["pgdata", "other"] {
        engine.run_ok(&["volume", "rm", volume]);
    }
    hawser.assert_clean();
}
