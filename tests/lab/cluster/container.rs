//! A container of a real Docker engine whose machine is killed: it is run again on another one.

use std::time::Instant;

use ec2_fake::InstanceState;
use serde_json::json;

use super::{A, B, World, row};
use crate::harness::{Machine, SLOW};

const LINES: &str = "/var/lib/hawser/mnt/volumes/app/lines";

#[test]
#[ignore = "a part of `make lab`"]
fn a_container_is_run_again_elsewhere_with_every_line_after_its_machine_was_killed() {
    let world = World::start("cluster-container");
    let World { lab, cluster, nodes: [a, b, _], .. } = &world;

    lab.step("Docker starts on two machines");
    a.start_docker();
    b.start_docker();

    lab.step("a container writes to an EBS volume");
    world.create(A, "app", json!({}));
    run(a);
    let written = wait_lines(a, 5);

    lab.step("its machine is killed, and terminated");
    let since = Instant::now();
    a.crash();
    cluster.cloud.says(a, InstanceState::Terminated);
    run(b);
    wait_lines(b, written + 1);
    let took = since.elapsed();
    // What it counted after its own first line: later ones would make up for lost ones.
    let logs = b.docker(&["logs", "app"]);
    let first: u64 = logs.lines().next().unwrap().trim().parse().unwrap();
    assert!(first > written, "{written} lines were acknowledged, and {} are there", first - 1);
    let ec2 = cluster.witness.ec2_took(&world.ec2_id("app"), since, since + took);
    world.assert_mounted_only_on(B, "app");
    let [took, ec2] = [took, ec2].map(|time| format!("{:.1} s", time.as_secs_f32()));
    let fault = "owner killed, instance terminated; a container, run again by `docker run`";
    row(fault, "it ends with its machine", &took, &ec2);

    lab.step("it is stopped, and the volume is free");
    b.docker(&["rm", "-f", "app"]);
    cluster.cloud.wait_for(&world.ec2_id("app"), "available");
    cluster.witness.assert_one_attachment_at_a_time();
}

/// The container: line by line, and the number of lines is its acknowledgement.
#[track_caller]
pub(super) fn run(machine: &Machine) {
    let task = "while true; do echo line >>/data/lines; sync /data/lines; wc -l </data/lines; sleep 0.2; done";
    let run = "run -d --name app --network none --volume-driver hawser -v app:/data busybox sh -c";
    machine.docker(&run.split(' ').chain([task]).collect::<Vec<_>>());
}

/// Waits until so many lines are there; answers with how many the container has acknowledged.
#[track_caller]
pub(super) fn wait_lines(machine: &Machine, lines: u64) -> u64 {
    let wait = format!("until [ \"$(wc -l <{LINES})\" -ge {lines} ]; do sleep 0.2; done");
    machine.sh_within(SLOW, &wait).ok();
    let acknowledged = machine.docker(&["logs", "--tail", "1", "app"]);
    acknowledged.trim().parse().unwrap()
}

/// How many lines a second container finds, which has the volume too, for a moment.
#[track_caller]
pub(super) fn read_by_another(machine: &Machine) -> u64 {
    let run =
        "run --rm --network none --volume-driver hawser -v app:/data busybox wc -l /data/lines";
    let counted = machine.docker(&run.split(' ').collect::<Vec<_>>());
    counted.split(' ').next().unwrap().trim().parse().unwrap()
}
