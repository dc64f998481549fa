//! `hawser selftest aws`, on an EC2 that is not AWS's: what it says, and that nothing is left.

use std::process::{Output, Stdio};

use ec2_fake::Delays;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{HAWSER, World, until};

fn world() -> World {
    let world = World::on_ebs();
    world.write_configuration();
    world
}

/// The report, and whether it ended with success.
fn report(output: &Output) -> (Value, bool) {
    let report = serde_json::from_slice(&output.stdout);
    (report.unwrap_or_else(|error| panic!("{error}: {output:?}")), output.status.success())
}

/// Nothing in EC2, nothing mounted, no device.
#[track_caller]
fn nothing_left(world: &World) {
    assert!(world.ec2().volumes().is_empty(), "{:#?}", world.ec2().volumes());
    assert!(world.ec2().snapshots().is_empty(), "{:#?}", world.ec2().snapshots());
    let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let play = world.ec2().play_dir(&world.ec2().first_instance().id);
    assert!(!mounts.contains(play.to_str().unwrap()), "{mounts}");
}

#[test]
fn a_node_where_ebs_works_passes_and_nothing_is_left() {
    let world = world();
    let said = world.hawser(["selftest", "aws", "--yes"]);
    for step in
        ["identity: i-", "create: vol-", "NVMe serial number vol", "2GiB", "data is still there"]
    {
        assert!(said.contains(step), "{step}: {said}");
    }
    assert!(said.contains("cent") && said.contains("never ran"), "it says what it costs: {said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("OK ")).count(), 12, "{said}");
    assert!(!said.contains("FAILED") && !said.contains("LEFT"), "{said}");
    nothing_left(&world);
}

#[test]
fn programs_read_its_steps_and_times() {
    let world = world();
    let output =
        world.cli(["selftest", "aws", "--yes", "--json", "--type", "gp2", "--size", "2GiB"]);
    let (report, success) = report(&output);
    assert!(success, "{report:#}");
    assert_eq!(report["ok"], true);
    assert_eq!(report["node"]["instance_type"], "m5.large");
    assert_eq!(report["node"]["region"], "us-east-1");
    assert_eq!(report["node"]["slots"], 27);
    let steps = report["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["ok"] == true && step["seconds"].is_f64()), "{report:#}");
    assert_eq!(report["left"], serde_json::json!([]));
    nothing_left(&world);
}

#[test]
fn without_consent_nothing_is_asked_of_aws() {
    let world = world();
    let error = world.hawser_fails(["selftest", "aws"]);
    assert!(error.contains("--yes"), "{error}");
    let error = world.hawser_fails(["selftest", "aws", "--yes", "--type", "st1"]);
    assert!(error.contains("125"), "{error}");
    assert!(world.ec2().calls().is_empty(), "{:?}", world.ec2().calls());
}

/// Whichever step fails, its reason is said and what the others made is deleted.
#[test]
fn a_failing_step_says_why_and_cleans_up() {
    for (action, code, step) in [
        ("CreateVolume", "VolumeLimitExceeded", "create"),
        ("AttachVolume", "UnauthorizedOperation", "attach"),
        ("ModifyVolume", "VolumeModificationRateExceeded", "grow"),
        ("CreateSnapshot", "SnapshotLimitExceeded", "snapshot"),
    ] {
        let world = world();
        world.ec2().fail_next(action, code, "no", 1);
        let (report, success) = report(&world.cli(["selftest", "aws", "--yes", "--json"]));
        assert!(!success, "{action}: {report:#}");
        let steps = report["steps"].as_array().unwrap();
        let failed: Vec<_> = steps.iter().filter(|step| step["ok"] == false).collect();
        assert_eq!(failed.len(), 1, "{action}: {report:#}");
        assert_eq!(failed[0]["step"], step);
        assert!(failed[0]["detail"].as_str().unwrap().contains(code), "{report:#}");
        assert_eq!(report["left"], serde_json::json!([]), "{action}");
        nothing_left(&world);
    }
}

#[test]
fn what_cannot_be_deleted_is_named() {
    let world = world();
    world.ec2().fail_next("DeleteVolume", "UnauthorizedOperation", "no", 100);
    let (report, success) = report(&world.cli(["selftest", "aws", "--yes", "--json"]));
    assert!(!success);
    let vol = &world.ec2().volumes()[0].id;
    let left = report["left"].as_array().unwrap();
    assert!(left.iter().any(|left| left.as_str().unwrap().contains(vol)), "{report:#}");
}

#[test]
fn an_interruption_ends_the_step_and_cleans_up() {
    let world = world();
    world
        .ec2()
        .set_delays(Delays { attach: std::time::Duration::from_secs(30), ..Delays::default() });
    let child = world
        .command(HAWSER)
        .args(["selftest", "aws", "--yes", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until("it attaches", || world.ec2().count("AttachVolume") > 0);
    world.ec2().set_delays(Delays::default());
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();

    let output = child.wait_with_output().unwrap();

    let (report, success) = report(&output);
    assert!(!success, "{report:#}");
    assert_eq!(report["left"], serde_json::json!([]), "{report:#}");
    nothing_left(&world);
}
