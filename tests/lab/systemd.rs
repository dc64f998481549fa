//! `hawser agent` on a host that systemd runs, with a Docker engine: what an operator's machines are, and
//! hosts that run tests are not.

use crate::{
    docker::wait_more,
    harness::{Lab, Machine, Outcome, SLOW},
};

const GIB: u64 = 1 << 30;
const UNITS: &str = "hawser-release.service hawser.socket hawser.service hawser-docker.service";
/// As the package's Marathon task has them: those that say nothing are there, too.
const SETTINGS: &str =
    "HAWSER_CLUSTER= HAWSER_DEFAULT_SIZE=64MiB HAWSER_LINGER=5s HAWSER_UNDELETE=1h HAWSER_NODE=";
/// The volume among the mounts.
const MOUNTED: &str = " /var/lib/hawser/mnt/volumes/app ";
/// The program of the next version: on the host's disk, so that it is there after a reboot.
const NEXT: &str = "/host/next";

#[test]
#[ignore = "a part of `make lab`"]
fn an_agents_service_is_installed_upgraded_rebooted_and_taken_away_under_a_container() {
    let (lab, [node]) = Lab::start_with("systemd", ["node"], 1024);
    let disk = lab.disk("host", 6 * GIB);

    lab.step("the machine starts again, with systemd");
    node.shut_down();
    node.boot_systemd(&disk);
    node.sh_within(SLOW, "/lab/busybox-image.sh && cp /lab/hawser /host/next && echo >>/host/next")
        .ok();

    lab.step("hawser is installed, and a container writes to its volume");
    let said = agent(&node, "/lab/hawser", "install").ok();
    assert!(said.contains("/opt/hawser/bin/hawser\n") && said.ends_with(", and runs."), "{said}");
    assert_running(&node);
    let first = Seen::of(&node);
    run_container(&node);
    let written = wait_more(&node, 3);
    let had = Undisturbed::of(&node);

    lab.step("installed once more, nothing is done");
    let said = agent(&node, "/lab/hawser", "install").ok();
    assert!(said.ends_with("and runs: nothing to do."), "{said}");
    assert_eq!(Seen::of(&node), first);

    lab.step("another program is installed under the container");
    let said = agent(&node, NEXT, "install").ok();
    assert!(said.contains("/opt/hawser/bin/hawser\n") && !said.contains("/etc/"), "{said}");
    let second = Seen::of(&node);
    assert!(second.pid != first.pid && second.socket == first.socket, "{second:?} after {first:?}");
    node.sh(&format!("cmp /proc/{}/exe {NEXT}", second.pid)).ok();
    assert_running(&node);
    let written = wait_more(&node, written + 3);
    assert_eq!(Undisturbed::of(&node), had);

    lab.step("the task that looks after it is killed");
    killed_supervisor(&node);
    assert_eq!(Seen::of(&node), second);
    assert_running(&node);
    let written = wait_more(&node, written + 3);
    assert_eq!(Undisturbed::of(&node), had);

    lab.step("it is not taken away from a volume that is mounted");
    let refused = node.run(&["/opt/hawser/bin/hawser", "agent", "uninstall"]);
    assert_eq!(refused.code, 1, "{refused}");
    let why = "volumes of this host are in use: app. Stop the tasks that use them";
    assert!(refused.stderr.contains(why), "{refused}");
    assert_eq!(Seen::of(&node), second);
    assert_running(&node);

    lab.step("the machine is rebooted");
    let written = wait_more(&node, written);
    node.reboot_systemd(&disk);
    // Everything was unmounted in order: no journal of a file system had to be gone through.
    node.sh("! dmesg | grep -i 'ext4.*recover'").ok();
    assert_running(&node);
    let since = |unit: &str, name: &str| -> u64 { node.property(unit, name).parse().unwrap() };
    let ready = since("hawser.service", "ActiveEnterTimestampMonotonic");
    let docker = since("docker.service", "ExecMainStartTimestampMonotonic");
    assert!(
        0 < ready && ready < docker,
        "hawser was ready at {ready} µs, Docker started at {docker}"
    );
    let written = wait_more(&node, written + 3);
    assert_eq!(node.docker(&["volume", "ls", "--format", "{{.Driver}} {{.Name}}"]), "hawser app");

    lab.step("it is taken away, as soon as nobody uses the volume");
    node.docker(&["rm", "--force", "app"]);
    let said = node.wait(&node.spawn(&["/opt/hawser/bin/hawser", "agent", "uninstall"]), SLOW).ok();
    assert!(said.contains("are still in /var/lib/hawser"), "{said}");
    assert_gone(&node);

    lab.step("installed again, it has the volume");
    agent(&node, "/lab/hawser", "install").ok();
    assert_running(&node);
    let count =
        "run --rm --network none --volume-driver hawser -v app:/data busybox wc -l /data/lines";
    let lines = node.docker(&count.split(' ').collect::<Vec<_>>());
    let lines: u64 = lines.split(' ').next().unwrap().parse().unwrap();
    assert!(lines >= written, "{lines} of {written} lines");
}

/// `hawser agent …` of this program, by a task with the settings.
#[track_caller]
fn agent(node: &Machine, program: &str, command: &str) -> Outcome {
    let argv = ["/usr/bin/env"].into_iter().chain(SETTINGS.split(' '));
    let argv: Vec<_> = argv.chain([program, "agent", command]).collect();
    node.wait(&node.spawn(&argv), SLOW)
}

/// Which run of the service is seen.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    pid: String,
    /// systemd's name for the socket's run: calls wait in it while the service restarts.
    socket: String,
}

impl Seen {
    #[track_caller]
    fn of(node: &Machine) -> Self {
        Self {
            pid: node.property("hawser.service", "MainPID"),
            socket: node.property("hawser.socket", "InvocationID"),
        }
    }
}

/// What nothing that is done to the service may change: the container's process, and the host's mount.
#[derive(Debug, PartialEq, Eq)]
struct Undisturbed {
    container: String,
    mount: String,
}

impl Undisturbed {
    #[track_caller]
    fn of(node: &Machine) -> Self {
        let run = "{{.State.Pid}} {{.State.StartedAt}} {{.RestartCount}}";
        let container = node.docker(&["inspect", "--format", run, "app"]);
        let mount = node.sh(&format!("grep '{MOUNTED}' /proc/self/mountinfo")).ok();
        Self { container, mount }
    }
}

#[track_caller]
fn assert_running(node: &Machine) {
    let each = "systemctl is-active $unit && systemctl is-enabled $unit || exit 1";
    node.sh_within(SLOW, &format!("for unit in {UNITS}; do echo $unit; {each}; done")).ok();
    let said = node.run(&["/opt/hawser/bin/hawser", "agent", "status"]).ok();
    assert_eq!(said, "hawser.service runs and answers on /run/hawser/admin.sock");
}

/// A container that always restarts, on a volume of the settings' size.
#[track_caller]
fn run_container(node: &Machine) {
    node.docker(&["volume", "create", "--driver", "hawser", "app"]);
    let task = "trap 'exit 0' TERM
        while true; do echo line >>/data/lines; sync /data/lines; sleep 1; done";
    let run = "run -d --name app --restart always --network none -v app:/data busybox sh -c";
    node.docker(&run.split(' ').chain([task]).collect::<Vec<_>>());
    let mib = "df -m --output=size /var/lib/hawser/mnt/volumes/app | tail -1";
    let mib: u64 = node.sh(mib).ok().trim().parse().unwrap();
    assert!((50..=64).contains(&mib), "{mib} MiB");
}

/// `hawser agent supervise`, killed once it looks after the service.
#[track_caller]
fn killed_supervisor(node: &Machine) {
    let supervise = format!("exec env {SETTINGS} {NEXT} agent supervise >/run/supervisor.log 2>&1");
    let task = node.spawn(&["/bin/sh", "-c", &supervise]);
    node.sh_within(SLOW, "until grep -q 'nothing to do' /run/supervisor.log; do sleep 0.2; done")
        .ok();
    assert!(node.poll(&task).is_none(), "it goes on, looking after the service");
    node.kill(&task);
    node.wait(&task, SLOW);
}

/// Nothing is left but Docker, the records and the volume's image.
#[track_caller]
fn assert_gone(node: &Machine) {
    for unit in UNITS.split(' ') {
        assert_eq!(node.property(unit, "LoadState"), "not-found", "{unit}");
    }
    let gone = "! pidof hawser && ! losetup -a | grep . && ! grep ' /var/lib/hawser/mnt/' /proc/self/mountinfo";
    node.sh(gone).ok();
    let found = "find /etc/hawser /opt/hawser -type f
        find /etc/systemd/system /run/docker/plugins -name 'hawser*'";
    assert_eq!(node.sh(found).ok(), "");
    node.sh("test -e /var/lib/hawser/records.redb && ls /var/lib/hawser/images/*").ok();
}
