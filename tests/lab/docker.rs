//! A Docker engine in a machine, with hawser as its volume plugin, over reboots: what hosts cannot do
//! with the machine that the tests run on.

use crate::harness::{Disk, Lab, Machine, SLOW};

const GIB: u64 = 1 << 30;
const LINES: &str = "/var/lib/hawser/mnt/volumes/app/lines";

#[test]
#[ignore = "a part of `make lab`"]
fn a_container_has_its_volume_again_after_a_shutdown_and_after_a_power_loss() {
    let (lab, [node]) = Lab::start("docker", ["node"]);
    let disk = lab.disk("state", 6 * GIB);

    lab.step("a container that always restarts writes to its volume");
    start(&node, &disk);
    // Line by line, and the number of lines is its acknowledgement.
    let task = "while true; do echo line >>/data/lines; sync /data/lines; wc -l </data/lines; sleep 1; done";
    let run = "run -d --name app --restart always --network none --volume-driver hawser \
        -v size=64MiB,name=app:/data busybox sh -c";
    node.docker(&run.split(' ').chain([task]).collect::<Vec<_>>());
    let written = wait_more(&node, 3);

    lab.step("the machine is shut down in order");
    // As the systemd units order it: Docker ends, then hawser, then its volumes are released.
    let stop = "kill $(pidof dockerd); while pidof dockerd >/dev/null; do sleep 0.1; done
        kill $(cat /run/hawser.pid); while pidof hawser >/dev/null; do sleep 0.1; done
        hawser release && ! losetup -a | grep . && umount -R /var/lib/hawser";
    node.sh_within(SLOW, stop).ok();
    node.shut_down();
    node.boot();
    start(&node, &disk);
    let written = wait_more(&node, written + 3);

    lab.step("the power fails");
    node.lose_power(&[&disk]);
    node.boot();
    start(&node, &disk);
    wait_more(&node, written + 3);
    let state = node.docker(&["inspect", "-f", "{{.State.Status}}", "app"]);
    assert_eq!(state, "running");
}

#[track_caller]
fn start(node: &Machine, disk: &Disk) {
    node.mount_state(&node.attach(disk));
    node.start_hawser("");
    node.start_docker();
}

/// Waits until the container has written this many lines; answers with their number.
#[track_caller]
pub(crate) fn wait_more(node: &Machine, lines: u64) -> u64 {
    let script =
        format!("until [ \"$(wc -l <{LINES})\" -ge {lines} ]; do sleep 0.2; done; wc -l <{LINES}");
    node.sh_within(SLOW, &script).ok().trim().parse().unwrap()
}
