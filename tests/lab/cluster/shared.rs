//! One EBS volume, tasks on three machines: the owner's own on its file system, the others by way of it.

use std::time::{Duration, Instant};

use ec2_fake::InstanceState;
use serde_json::json;

use super::{A, B, C, NAMES, World, row};
use crate::harness::{Job, PATIENCE, Service, eventually};

/// The fence, the disk's way, the server's start and its grace period, on emulated processors.
const RECOVERY: Duration = Duration::from_secs(200);

impl World {
    /// Mounts a shared volume for a task of this node: its path.
    #[track_caller]
    pub(super) fn mount_shared(&self, node: usize, id: &str) -> String {
        let machine = &self.nodes[node];
        machine.mounted(&machine.begin_mount("shared", id))
    }

    /// A task in a mount namespace, as a container has it.
    #[track_caller]
    fn share_task(&self, node: usize, path: &str, mode: &str, file: &str) -> Job {
        let at = format!("/mnt/data{file}");
        self.nodes[node].spawn(&["/lab/task.sh", path, "/lab/share-task.py", mode, &at, mode])
    }

    /// Has a task keep it, as long as the machine runs: what no namespace has is taken away some minutes after
    /// the caller, which is no engine here, is gone.
    #[track_caller]
    pub(super) fn keep(&self, node: usize, path: &str) {
        self.nodes[node].spawn(&["/lab/task.sh", path, "/bin/sleep", "86400"]);
    }

    /// What is mounted at the published path, as the kernel calls the file system.
    #[track_caller]
    pub(super) fn kind(&self, node: usize, path: &str) -> String {
        self.nodes[node].sh_with("findmnt -no FSTYPE $1", &[path]).ok()
    }

    #[track_caller]
    fn all_go_on(&self, tasks: &[(usize, &str)], count: u64) {
        for (node, tag) in tasks {
            let last = self.nodes[*node].acknowledged(tag).last;
            self.nodes[*node].wait_acknowledged(tag, last + count);
        }
    }

    /// The nodes that reach the volume, as this one knows.
    #[track_caller]
    fn users(&self, node: usize) -> Vec<String> {
        let found = self.whereabouts(node, "shared")["users"].clone();
        found.as_array().into_iter().flatten().map(|it| it.as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    fn files_are_there(&self, node: usize, path: &str, last: u64) {
        let verify = ["/lab/share-task.py", "verify", path, "files", &last.to_string()];
        let missing = self.nodes[node].run(&verify).ok();
        assert_eq!(missing.trim(), "missing", "seen from {}", NAMES[node]);
    }
}

#[test]
#[ignore = "a part of `make lab`"]
fn tasks_of_three_nodes_share_a_volume_and_outlive_its_owner() {
    let world = World::start("cluster-shared");
    let World { lab, cluster, nodes, .. } = &world;

    lab.step("the first node attaches it, the others reach it through that one");
    world.create(A, "shared", json!({"shared": "true"}));
    let of_a = world.mount_shared(A, "task-a");
    nodes[A].sh_with("echo precious >$1/file", &[&of_a]).ok();
    let of_b = world.mount_shared(B, "task-b");
    let of_c = world.mount_shared(C, "task-c");
    assert_eq!(world.kind(A, &of_a), "ext4", "no NFS for the owner's own tasks");
    for (node, path) in [(B, &of_b), (C, &of_c)] {
        assert_eq!(world.kind(node, path), "nfs4");
        assert_eq!(nodes[node].sh_with("cat $1/file", &[path]).ok(), "precious");
    }
    let found = world.whereabouts(B, "shared");
    assert_eq!(found["owner"], "a", "{found}");

    lab.step("locks hold across nodes, and on the owner");
    world.share_task(C, &of_c, "hold", "/lock");
    nodes[C].wait_acknowledged("hold", 2);
    let local = world.share_task(A, &of_a, "try", "/lock");
    nodes[A].wait_acknowledged("try", 3);
    world.share_task(B, &of_b, "files", "");
    nodes[B].wait_acknowledged("files", 10);

    lab.step("it is not removed under them");
    let refused = nodes[C].hawser(&["volume", "rm", "--yes", "shared"]);
    assert!(refused.code != 0 && refused.stderr.contains("in use"), "{refused}");

    lab.step("hawser is killed on every node, and started again: nobody notices");
    for node in nodes {
        node.kill_hawser();
    }
    world.all_go_on(&[(A, "try"), (B, "files"), (C, "hold")], 3);
    for node in nodes {
        node.start_hawser("");
    }
    world.wait_alive(A, 3);
    world.all_go_on(&[(A, "try"), (B, "files"), (C, "hold")], 3);

    lab.step("the owner's NFS server is killed: it is started again");
    // Until then nothing keeps a task of the owner's own from its locks (docs/sharing.md, Limits).
    nodes[A].kill(&local);
    let killed = Instant::now();
    let before = nodes[B].acknowledged("files").last;
    nodes[A].sh("kill -KILL $(pidof ganesha.nfsd)").ok();
    eventually("the tasks go on", RECOVERY, || nodes[B].acknowledged("files").last > before + 2);
    let took = killed.elapsed().as_secs_f32();
    row(
        "shared: the owner's NFS server killed",
        "a pause, and no error",
        &format!("{took:.1} s"),
        "-",
    );
    world.all_go_on(&[(C, "hold")], 3);

    lab.step("the tunnels are killed: they are started again");
    for node in nodes {
        // The brackets keep the shell from finding itself.
        node.sh("kill -KILL $(pgrep -f 'tunnel[ ]--table')").ok();
    }
    world.all_go_on(&[(B, "files"), (C, "hold")], 3);

    lab.step("the owner's machine dies");
    let dead = Instant::now();
    nodes[A].crash();
    cluster.cloud.says(&nodes[A], InstanceState::Terminated);
    let before = [nodes[B].acknowledged("files").last, nodes[C].acknowledged("hold").last];
    eventually("the tasks go on", RECOVERY, || {
        nodes[B].acknowledged("files").last > before[0] + 1
            && nodes[C].acknowledged("hold").last > before[1] + 1
    });
    let took = dead.elapsed().as_secs_f32();
    row("shared: owner killed", "a pause, and no error", &format!("{took:.1} s"), "-");
    world.all_go_on(&[(B, "files"), (C, "hold")], 5);
    let refused = nodes[B].sh_with("cd $1; /lab/lock.py try lock", &[&of_b]).ok();
    assert_eq!(refused, "refused", "the lock was lost, and nobody was told");
    let last = nodes[B].acknowledged("files").last;
    world.files_are_there(C, &of_c, last);
    let found = world.whereabouts(B, "shared");
    assert!(found["owner"] == "b" || found["owner"] == "c", "{found}");
    eventually("it is attached there", PATIENCE, || {
        cluster.cloud.volumes().iter().filter(|volume| volume.state == "in-use").count() == 1
    });
}

#[test]
#[ignore = "a part of `make lab`"]
fn a_node_comes_to_a_volume_whose_owner_is_cut_off_and_is_all_that_is_left_of_three() {
    let world = World::start("cluster-shared-users");
    let World { lab, cluster, nodes, .. } = &world;

    lab.step("two nodes use a volume, and its owner is cut off from ZooKeeper");
    world.create(A, "shared", json!({"shared": "true"}));
    let of_a = world.mount_shared(A, "task-a");
    nodes[A].sh_with("echo precious >$1/file; sync $1/file", &[&of_a]).ok();
    let of_b = world.mount_shared(B, "task-b");
    world.share_task(B, &of_b, "hold", "/lock");
    nodes[B].wait_acknowledged("hold", 2);
    let epoch = world.whereabouts(B, "shared")["epoch"].clone();
    lab.cut(&nodes[A], Service::ZooKeeper);
    world.wait_alive(B, 2);

    lab.step("a third one comes, and reaches it through the owner all the same");
    let of_c = world.mount_shared(C, "task-c");
    assert_eq!(world.kind(C, &of_c), "nfs4");
    assert_eq!(nodes[C].sh_with("cat $1/file", &[&of_c]).ok(), "precious");
    let refused = nodes[C].sh_with("cd $1; /lab/lock.py try lock", &[&of_c]).ok();
    assert_eq!(refused, "refused", "two have the lock");
    let files = world.share_task(C, &of_c, "files", "");
    nodes[C].wait_acknowledged("files", 3);
    world.all_go_on(&[(B, "hold"), (C, "files")], 3);
    let found = world.whereabouts(C, "shared");
    assert_eq!((&found["owner"], &found["epoch"]), (&json!("a"), &epoch), "{found}");

    lab.step("the owner takes part again, and hears of it");
    lab.heal(&nodes[A], Service::ZooKeeper);
    world.wait_alive(B, 3);
    eventually("it knows both", PATIENCE, || world.users(A) == ["b", "c"]);
    world.all_go_on(&[(B, "hold"), (C, "files")], 3);

    lab.step("the owner and one of the two die at once");
    let dead = Instant::now();
    for node in [A, B] {
        nodes[node].crash();
        cluster.cloud.says(&nodes[node], InstanceState::Terminated);
    }
    let before = nodes[C].acknowledged("files").last;
    eventually("the task that is left goes on", RECOVERY, || {
        nodes[C].acknowledged("files").last > before + 1
    });
    let took = dead.elapsed().as_secs_f32();
    row(
        "shared: owner and one of two other nodes killed at once",
        "a pause, and no error",
        &format!("{took:.1} s"),
        "-",
    );
    eventually("the dead one is no user", PATIENCE, || world.users(C) == ["c"]);
    let last = nodes[C].acknowledged("files").last;
    world.files_are_there(C, &of_c, last);
    let lock = nodes[C].sh_with("cd $1; /lab/lock.py try lock", &[&of_c]).ok();
    assert_eq!(lock, "taken", "the lock of a machine that is gone is free");

    lab.step("its task ends, and nothing keeps the volume");
    nodes[C].kill(&files);
    nodes[C].unmount_volume("shared", "task-c");
    let removed = nodes[C].hawser(&["volume", "rm", "--yes", "shared"]);
    assert_eq!(removed.code, 0, "{removed}");
}
