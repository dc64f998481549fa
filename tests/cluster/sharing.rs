//! Volumes that nodes share: who owns them, who leaves them to others, who counts as a user.
//!
//! This goes as far as one kernel does, with an NFS client or without: a node is a user of a volume before it
//! mounts it, and what is tested here happens while it cannot, because the owner's tunnel has no port. That tasks
//! reach it and go on is the lab's to test (`tests/lab/cluster/shared.rs`).

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use ec2_fake::{Delays, InstanceState};
use serde_json::json;

use crate::{
    harness::{is_mount_point, run, until},
    nodes::{A, B, C, Cluster, Node, Systemd, text},
};

/// A volume that the first node has mounted and that the others try to reach.
struct Shared {
    cluster: Cluster,
    /// On the port of the first node's tunnel.
    _in_the_way: TcpListener,
}

/// Mounts in the background, in whatever time that takes, and with whatever end.
fn begin_mount(node: &Node, id: &str) {
    begin_mount_of(node, "v", id);
}

fn begin_mount_of(node: &Node, volume: &str, id: &str) {
    let mut connection = node.connect();
    let body = json!({ "Name": volume, "ID": id }).to_string();
    thread::spawn(move || connection.post("VolumeDriver.Mount", &body));
}

fn users(node: &Node) -> Vec<String> {
    users_of(node, "v")
}

fn users_of(node: &Node, volume: &str) -> Vec<String> {
    node.whereabouts(volume)["users"].as_array().into_iter().flatten().map(text).collect()
}

/// Mounts what answers nothing. It stands for what the kernel's NFS client has dirty pages of.
fn mount_what_does_not_answer(target: &Path) {
    const MOUNT: &str = "
import ctypes, os, sys
fuse = os.open('/dev/fuse', os.O_RDWR)
options = f'fd={fuse},rootmode=40000,user_id=0,group_id=0'.encode()
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mount(b'hawser', sys.argv[1].encode(), b'fuse', 0, options) == 0, ctypes.get_errno()
";
    run("python3", ["-c", MOUNT, target.to_str().unwrap()]);
}

/// Why a node says that it does not serve the volume.
fn failure_on(node: &Node) -> String {
    let found = node.whereabouts("v");
    let nodes = found["nodes"].as_array().cloned().unwrap_or_default();
    let own = nodes.iter().find(|it| it["node"] == *node.name);
    own.map(|own| text(&own["presence"]["failure"])).unwrap_or_default()
}

impl Shared {
    #[track_caller]
    fn among(count: usize, prepare: impl FnOnce(&mut Cluster)) -> Self {
        Self::used_by(count - 1, count, prepare)
    }

    /// By so many of the others.
    #[track_caller]
    fn used_by(others: usize, count: usize, prepare: impl FnOnce(&mut Cluster)) -> Self {
        let mut cluster = Cluster::on_hosts(count);
        let in_the_way = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = in_the_way.local_addr().unwrap().to_string();
        cluster[A].set("peer.tunnel_listen", &port);
        prepare(&mut cluster);
        cluster.start();
        // ext4: the dead owner's mount stays, since the kernel lives, and xfs is not mounted twice by one kernel.
        let path = cluster[A].mount("name=v,size=1GiB,shared=true,fs=ext4", "task-a");
        fs::write(path.join("file"), "precious").unwrap();
        fs::File::open(path.join("file")).unwrap().sync_all().unwrap();
        for node in 1..count {
            cluster.until_known(node, "v");
        }
        (1..=others).for_each(|node| begin_mount(&cluster[node], "task"));
        until("they are its users", || users(&cluster[A]).len() == others);
        Self { cluster, _in_the_way: in_the_way }
    }

    /// The third node is away from the store; so the second one is alone when the first one dies.
    #[track_caller]
    fn owner_dies_before_the_second_alone(&mut self) {
        let cluster = &mut self.cluster;
        cluster[C].store.cut();
        until("the third node's session is over", || cluster[B].live_nodes().len() == 2);
        cluster[A].kill9();
        cluster.ec2().instance_state(&cluster[A].instance, InstanceState::Terminated);
    }

    /// The last task of the second node has ended, and what it wrote has nowhere to go. Where it is mounted.
    #[track_caller]
    fn the_second_cannot_write_back(&mut self) -> PathBuf {
        let node = &mut self.cluster[B];
        until("it reaches for it", || node.inspect("v")["doing"] == "reach");
        let reach = node.path("mnt/reach").join(text(&node.inspect("v")["id"]));
        node.kill9();
        mount_what_does_not_answer(&reach);
        node.start();
        node.unmount("v", "task");
        until("it cannot write back", || failure_on(node).contains("not all with its owner"));
        assert_eq!(node.owner_of("v"), "n1");
        reach
    }

    #[track_caller]
    fn the_owner_dies(&mut self) {
        self.cluster[A].kill9();
        let instance = &self.cluster[A].instance;
        self.cluster.ec2().instance_state(instance, InstanceState::Terminated);
    }

    /// What a task on the third node finds; then nothing is left of the volume.
    #[track_caller]
    fn the_third_has_it(&self) {
        let cluster = &self.cluster;
        let path = cluster[C].mount_at_last("v", "task");
        assert_eq!(cluster[C].owner_of("v"), "n3");
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "precious");
        let vol = cluster[C].vol("v");
        assert_eq!(cluster.instance_with(&vol), Some(cluster[C].instance.clone()));
    }
}

#[test]
fn a_node_in_another_zone_leaves_a_shared_volume_to_one_that_can_attach_it() {
    let mut shared = Shared::among(3, |cluster| {
        cluster[B].set("backends.ebs.zone", "us-east-1b");
    });
    let epoch = shared.cluster[B].epoch_of("v");
    shared.owner_dies_before_the_second_alone();
    let cluster = &shared.cluster;
    until("it says why it does not take it", || failure_on(&cluster[B]).contains("another zone"));
    assert_eq!((cluster[B].epoch_of("v"), &*cluster[B].owner_of("v")), (epoch, "n1"));
    let said = ["it is not served", "node n2 leaves it to others", "another zone"];
    assert_eq!(cluster[B].logged(said), 1, "once");
    cluster[C].store.heal();
    shared.the_third_has_it();
    assert_eq!(cluster[C].epoch_of("v"), epoch + 1);
}

/// Else their tasks would wait until somebody happens to want the volume on a node that can.
#[test]
fn a_node_that_does_not_use_a_volume_is_asked_to_have_it_for_those_that_cannot() {
    const OTHER: usize = 3;
    let mut shared = Shared::used_by(2, 4, |cluster| {
        for node in [B, C] {
            cluster[node].set("backends.ebs.zone", "us-east-1b");
        }
    });
    let cluster = &mut shared.cluster;
    cluster[A].kill9();
    cluster.ec2().instance_state(&cluster[A].instance, InstanceState::Terminated);
    until("the fourth node has it", || cluster[B].owner_of("v") == "n4");
    let (vol, instance) = (cluster[OTHER].vol("v"), Some(cluster[OTHER].instance.clone()));
    until("and has it attached", || cluster.instance_with(&vol) == instance);
    let stage = cluster[OTHER].path("mnt/stage").display().to_string();
    until("and mounted, to serve it", || {
        fs::read_to_string("/proc/thread-self/mountinfo").unwrap().contains(&stage)
    });
}

/// As its unit does before the machine stops, and not before hawser is restarted.
#[test]
fn a_node_hands_what_other_nodes_use_over_to_those_and_takes_volumes_as_before() {
    let shared = Shared::among(2, |_| {});
    let cluster = &shared.cluster;
    cluster[A].with_data("name=own,size=1GiB", "x");
    let refused = cluster[A].cli(["node", "hand-over"]);
    let said = String::from_utf8(refused.stdout).unwrap();
    assert!(said.contains("v: still there: ") && said.contains("task-a"), "{said}");
    assert_eq!(refused.status.code(), Some(1));
    cluster[A].unmount("v", "task-a");

    let systemd = Systemd::in_the_way();
    let hand_over = |state: &str| {
        systemd.says(state);
        cluster[A].hawser(["node", "hand-over", "--if-stopping"])
    };
    assert_eq!(hand_over("running"), "");
    assert_eq!(cluster[A].owner_of("v"), "n1");
    assert!(hand_over("stopping").contains("Given to nodes that use them: 1."));
    until("the other one has it", || cluster[A].owner_of("v") == "n2");
    assert_eq!(cluster[A].owner_of("own"), "n1", "nobody else uses that");
    assert_eq!(cluster[A].data_of("own"), "x");
}

/// Nobody unmounts them at a shutdown: pods have the path from hawser itself, and Mesos' agent ends before.
#[test]
fn before_its_machine_stops_a_node_hands_over_what_is_held_and_yet_in_no_tasks_namespace() {
    let mut shared = Shared::among(2, |_| {});
    let cluster = &mut shared.cluster;
    cluster[A].unmount("v", "task-a");
    cluster[A].hawser(["volume", "publish", "v"]);
    cluster[A].mount("v", "");
    let task = cluster[A].copy_mounts();
    let systemd = Systemd::in_the_way();
    systemd.says("stopping");
    let hand_over = |cluster: &Cluster| {
        let done = cluster[A].cli(["node", "hand-over", "--if-stopping"]);
        String::from_utf8(done.stdout).unwrap()
    };

    let said = hand_over(cluster);
    assert!(said.contains("v: still there: ") && said.contains("published"), "{said}");
    assert_eq!(cluster[A].owner_of("v"), "n1");

    cluster[A].kill_background(task);
    let said = hand_over(cluster);
    assert!(said.contains("Given to nodes that use them: 1."), "{said}");
    until("the other one has it", || cluster[A].owner_of("v") == "n2");
    assert!(!is_mount_point(&cluster[A].path("mnt/volumes/v")), "it is published again");
}

/// Given free, it would be nobody's, and its node would not take it back: no task of it uses it.
#[test]
fn a_volume_that_no_other_node_could_have_is_not_handed_over() {
    let shared = Shared::among(2, |cluster| {
        cluster[B].set("backends.ebs.zone", "us-east-1b");
    });
    let cluster = &shared.cluster;
    cluster[A].unmount("v", "task-a");
    let epoch = cluster[A].epoch_of("v");
    let kept = cluster[A].cli(["node", "hand-over"]);
    let said = String::from_utf8(kept.stdout).unwrap();
    assert!(said.contains("v: still there: no other node could have it"), "{said}");
    assert_eq!((cluster[A].epoch_of("v"), &*cluster[A].owner_of("v")), (epoch, "n1"));
    assert_eq!(users(&cluster[A]), ["n2"]);
}

/// A task's replacement may start elsewhere in just that time.
#[test]
fn what_comes_into_use_elsewhere_during_a_hand_over_is_handed_over_too() {
    let shared = Shared::among(2, |_| {});
    let cluster = &shared.cluster;
    cluster[A].with_data("name=w,size=1GiB,shared=true,fs=ext4", "x");
    cluster[A].until_unmounted("w");
    cluster.until_known(B, "w");
    cluster[A].unmount("v", "task-a");
    Systemd::in_the_way().says("stopping");
    cluster.ec2().set_delays(Delays::all(Duration::from_secs(5)));
    let given = thread::scope(|scope| {
        let given = scope.spawn(|| cluster[A].cli(["node", "hand-over", "--if-stopping"]));
        until("v is on its way", || cluster[A].inspect("v")["doing"] == "detach");
        begin_mount_of(&cluster[B], "w", "task");
        until("w is used, too", || users_of(&cluster[A], "w") == ["n2"]);
        assert!(!given.is_finished(), "that was too late");
        given.join().unwrap()
    });
    let said = String::from_utf8(given.stdout).unwrap();
    assert!(said.contains("Given to nodes that use them: 2."), "{said}");
    cluster.ec2().set_delays(Delays::default());
    for volume in ["v", "w"] {
        until("the other one has it", || cluster[A].owner_of(volume) == "n2");
    }
    let refused = cluster[A].hawser_fails(["volume", "move", "v", "--to", "n1"]);
    assert!(refused.contains("is just stopped"), "{refused}");
}

#[test]
fn a_drained_node_leaves_a_shared_volume_alone_until_it_is_taken_back() {
    let mut shared = Shared::among(3, |_| {});
    shared.cluster[B].hawser(["node", "drain", "n2"]);
    let epoch = shared.cluster[B].epoch_of("v");
    shared.owner_dies_before_the_second_alone();
    let cluster = &shared.cluster;
    until("it says why", || failure_on(&cluster[B]).contains("it is drained"));
    assert_eq!(cluster[B].epoch_of("v"), epoch);
    cluster[B].hawser(["node", "drain", "n2", "--undo"]);
    until("it takes it", || cluster[B].owner_of("v") == "n2");
    cluster[C].store.heal();
}

#[test]
fn who_leaves_a_dead_owners_volume_with_preempt_never_leaves_it_to_an_operator_who_takes_it() {
    let mut shared = Shared::among(2, |_| {});
    shared.cluster[A].hawser(["volume", "set", "v", "-o", "preempt=never"]);
    let epoch = shared.cluster[B].epoch_of("v");
    let reach = shared.the_second_cannot_write_back();

    shared.the_owner_dies();
    let cluster = &shared.cluster;
    until("it says who decides", || failure_on(&cluster[B]).contains("leaves the decision to you"));
    assert_eq!((cluster[B].epoch_of("v"), &*cluster[B].owner_of("v")), (epoch, "n1"));
    let node = &cluster[B];
    thread::scope(|threads| {
        threads.spawn(|| node.hawser(["volume", "move", "v", "--to", "n2"]));
        until("it takes it over", || node.owner_of("v") == "n2");
        run("umount", [reach.to_str().unwrap()]);
    });

    until("it has left", || users(&cluster[B]).is_empty());
    assert_eq!(cluster[B].epoch_of("v"), epoch + 1);
}

/// Until it is written back, what its tasks wrote is in its memory alone. That it gets to the volume is the lab's to
/// test; here it is taken away by the test.
#[test]
fn who_leaves_a_volume_whose_owner_is_dead_becomes_its_owner_and_gets_away() {
    let mut shared = Shared::among(2, |_| {});
    let epoch = shared.cluster[B].epoch_of("v");
    let reach = shared.the_second_cannot_write_back();
    assert_eq!(shared.cluster[B].epoch_of("v"), epoch);

    shared.the_owner_dies();
    let cluster = &shared.cluster;
    until("it takes it over", || cluster[B].owner_of("v") == "n2");
    until("it serves it to itself", || {
        let found = cluster[B].whereabouts("v");
        found.to_string().contains("\"server\":\"answers\"")
    });
    assert_eq!(users(&cluster[B]), ["n2"], "it is not done yet");
    run("umount", [reach.to_str().unwrap()]);

    until("it has left", || users(&cluster[B]).is_empty());
    until("nothing of it is mounted there", || cluster[B].mounts().is_empty());
    assert_eq!(cluster[B].epoch_of("v"), epoch + 1);
}

#[test]
fn a_node_that_claimed_a_shared_volume_and_cannot_attach_it_gives_it_to_another() {
    let mut shared = Shared::among(3, |_| {});
    let epoch = shared.cluster[B].epoch_of("v");
    // Those of the node that comes first.
    shared.cluster.ec2().fail_next("AttachVolume", "UnauthorizedOperation", "You may not", 2);
    shared.owner_dies_before_the_second_alone();
    let cluster = &shared.cluster;
    until("it has claimed it", || cluster[B].epoch_of("v") > epoch);
    cluster[C].store.heal();
    until("it gives it up", || {
        cluster[B].logged(["could not serve it to those who use it", "You may not"]) > 0
    });
    shared.the_third_has_it();
    assert!(cluster[B].mounts().is_empty(), "{:?}", cluster[B].mounts());
}

#[test]
fn a_user_whose_machine_is_gone_is_dropped_and_one_whose_machine_runs_is_not() {
    let mut shared = Shared::among(2, |_| {});
    let cluster = &mut shared.cluster;
    cluster[B].kill9();
    until("its session is over", || cluster[A].live_nodes().len() == 1);
    let asked = cluster.ec2().count("DescribeInstances");
    until("the cloud is asked", || cluster.ec2().count("DescribeInstances") > asked);
    assert_eq!(users(&cluster[A]), ["n2"]);
    cluster[A].unmount("v", "task-a");
    let refused = cluster[A].remove_fails("v");
    assert!(refused.contains("node n2"), "{refused}");

    cluster.ec2().instance_state(&cluster[B].instance, InstanceState::Terminated);
    until("it is dropped", || users(&cluster[A]).is_empty());
    cluster[A].remove("v");
    cluster.until_nothing_is_left();
}

/// It knows no node, and not knowing is no reason to take the owner for dead.
#[test]
fn a_daemon_that_starts_without_its_store_goes_on_reaching_what_a_living_owner_has() {
    let mut shared = Shared::among(2, |_| {});
    let cluster = &mut shared.cluster;
    cluster[B].kill9();
    cluster[B].store.cut();
    cluster[B].start();
    until("it reaches for it", || cluster[B].inspect("v")["doing"] == "reach");
    assert_eq!(cluster[B].logged(["a step failed", "own"]), 0, "the owner is well");
    cluster[B].store.heal();
    cluster.until_all_live();
    assert_eq!(users(&cluster[A]), ["n2"]);
    assert_eq!(cluster[A].owner_of("v"), "n1");
}

/// It cannot be told of the new user; but it serves others already, and the tunnel asks for its epoch alone.
#[test]
fn a_volume_whose_owner_is_cut_off_from_the_store_is_reached_through_it_by_nodes_that_come_then() {
    let shared = Shared::used_by(1, 3, |_| {});
    let cluster = &shared.cluster;
    let epoch = cluster[B].epoch_of("v");
    cluster[A].store.cut();
    until("its session is over", || cluster[B].live_nodes().len() == 2);
    begin_mount(&cluster[C], "task");
    for node in [B, C] {
        let reaches = || cluster[node].inspect("v")["doing"] == "reach";
        until("it reaches for it", reaches);
    }
    until("both are its users", || users(&cluster[B]) == ["n2", "n3"]);
    for node in [B, C] {
        assert_eq!(cluster[node].logged(["a step failed"]), 0, "it is {node}");
    }
    assert_eq!((cluster[B].epoch_of("v"), &*cluster[B].owner_of("v")), (epoch, "n1"));

    // It takes part again, and hears of its new user.
    cluster[A].store.heal();
    cluster.until_all_live();
    until("it knows them", || users(&cluster[A]) == ["n2", "n3"]);
    assert_eq!(cluster[A].epoch_of("v"), epoch);
}

#[test]
fn a_node_whose_host_has_another_nodes_name_does_not_reach_a_volume_and_says_what_to_do() {
    let cluster = Cluster::started(2);
    cluster[A].mount("name=v,size=1GiB,shared=true", "task-a");
    cluster.until_known(B, "v");
    let refused = cluster[B].mount_fails("v", "task-b");
    let reason = "this node and node n1 both run on hosts that are called";
    assert!(refused.contains(reason) && refused.contains("another host name"), "{refused}");
    // The one that let go first: the other may not have heard yet that there was a user.
    for node in [B, A] {
        until("it is no user of it", || users(&cluster[node]).is_empty());
    }
    cluster[A].unmount("v", "task-a");
    cluster[A].remove("v");
    cluster.until_nothing_is_left();
}
