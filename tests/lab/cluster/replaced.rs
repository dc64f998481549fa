//! How long a task waits for its volume that takes another's place on another node: the volume is detached
//! and attached, as REX-Ray does it and as hawser does it, or it is shared and stays where it is.
//!
//! REX-Ray itself does not run here. What it asks of EC2 and of Linux is done by hand, without its own waits:
//! the least that a plugin of its kind can take.

use std::{
    thread,
    time::{Duration, Instant},
};

use ec2_fake::InstanceState;
use serde_json::json;

use super::{A, B, C, World};
use crate::harness::{Detach, Machine, SLOW};

/// Of a task that takes another's place.
struct Replaced {
    /// From the end of the one before to the first byte.
    all: Duration,
    /// From its own mount's begin to that.
    mount: Duration,
    ec2: Duration,
}

impl Replaced {
    fn print(&self, how: &str) {
        let [all, mount, ec2] = [self.all, self.mount, self.ec2].map(|time| time.as_secs_f32());
        eprintln!("compared: | {how} | {all:.1} s | {mount:.1} s | {ec2:.1} s |");
    }
}

impl World {
    /// A task of this node mounts and reads a volume, which another one had until then.
    #[track_caller]
    fn replace(&self, node: usize, volume: &str, task: &str, ended: Instant) -> Replaced {
        let called = Instant::now();
        let machine = &self.nodes[node];
        let job = machine.spawn(&["/lab/first-byte.sh", volume, task]);
        let said = machine.wait(&job, SLOW).ok();
        eprintln!("           ms until mounted, read, written: {said}");
        let read = said.split(' ').nth(1).expect("three numbers").parse().unwrap();
        let mount = Duration::from_millis(read);
        let ec2 = self.cluster.witness.ec2_took(&self.ec2_id(volume), ended, called + mount);
        Replaced { all: called - ended + mount, mount, ec2 }
    }

    /// EC2 takes a volume that hawser does not know away.
    #[track_caller]
    fn detach_by_hand(&self, volume: &str, how: Detach) {
        self.cluster.cloud.detach(volume, how);
        self.cluster.cloud.wait_for(volume, "available");
        // The witness, which looks each 10 ms, is to see that it was free.
        thread::sleep(Duration::from_millis(50));
    }

    /// Attaches and mounts such a volume, and reads it.
    #[track_caller]
    fn replace_by_hand(&self, node: usize, volume: &str, ended: Instant) -> Replaced {
        let called = Instant::now();
        self.attach_by_hand(node, volume, "[ -n \"$(head -c 1 /bare/first)\" ]");
        let ec2 = self.cluster.witness.ec2_took(volume, ended, Instant::now());
        Replaced { all: ended.elapsed(), mount: called.elapsed(), ec2 }
    }

    #[track_caller]
    fn attach_by_hand(&self, node: usize, volume: &str, script: &str) {
        let (cloud, machine): (_, &Machine) = (&self.cluster.cloud, &self.nodes[node]);
        cloud.attach(volume, machine);
        cloud.wait_for(volume, "attached");
        let mount = "disk=$(/lab/find-disk.sh $1) && mkdir -p /bare
            blkid $disk >/dev/null || mkfs.ext4 -q $disk
            mount $disk /bare";
        let script = format!("{mount} && {script}");
        machine.sh_with(&script, &[&volume.replace('-', "")]).ok();
    }
}

#[test]
#[ignore = "a part of `make lab`"]
fn a_task_that_takes_anothers_place_reads_sooner_where_the_volume_is_shared_than_where_it_moves() {
    let world = World::start("cluster-replaced");
    let World { lab, cluster, nodes: [a, b, _], .. } = &world;

    lab.step("three volumes have a task on one node");
    for (volume, options) in [("moving", json!({})), ("shared", json!({"shared": "true"}))] {
        world.create(A, volume, options);
        let path = a.mount_volume(volume, "first");
        a.sh_with("echo precious >$1/first; sync $1/first", &[&path]).ok();
    }
    let bare = cluster.cloud.add_volume(&[], 1, b"").unwrap();
    world.attach_by_hand(A, &bare, "echo precious >/bare/first");

    lab.step("each task ends, and the next one is on another node");
    let ended = Instant::now();
    a.sh("umount /bare").ok();
    world.detach_by_hand(&bare, Detach::InOrder);
    let by_hand = world.replace_by_hand(B, &bare, ended);
    by_hand.print("detach and attach, REX-Ray's calls");
    let ended = Instant::now();
    a.unmount_volume("moving", "first");
    world.replace(B, "moving", "second", ended).print("`attach=follow`");
    let ended = Instant::now();
    a.unmount_volume("shared", "first");
    let first = world.replace(B, "shared", "second", ended);
    first.print("`shared=true`, the first task of its node");
    world.replace(C, "shared", "third", Instant::now());
    let ended = Instant::now();
    b.unmount_volume("shared", "second");
    let reached = world.replace(C, "shared", "fourth", ended);
    reached.print("`shared=true`, its node has another task with it");
    assert!(reached.mount < by_hand.mount, "{:?}, {:?}", reached.mount, by_hand.mount);
    assert_eq!(reached.ec2 + first.ec2, Duration::ZERO, "it has not moved");
    assert_eq!(world.whereabouts(C, "shared")["owner"], "a");

    lab.step("the node of a task whose volume moves is killed");
    let ended = Instant::now();
    b.crash();
    cluster.cloud.says(b, InstanceState::Stopped);
    let fenced = world.replace(C, "moving", "third", ended);
    fenced.print("`attach=follow`, the node before is killed and stopped");
    let ended = Instant::now();
    world.detach_by_hand(&bare, Detach::ByForce);
    let by_force = world.replace_by_hand(C, &bare, ended);
    by_force.print("forced detach and attach, REX-Ray's calls with `preempt`");

    lab.step("the node that owns the shared volume is killed");
    let ended = Instant::now();
    a.crash();
    cluster.cloud.says(a, InstanceState::Stopped);
    let taken = world.replace(C, "shared", "fifth", ended);
    taken.print("`shared=true`, the owner is killed and stopped");
    assert_eq!(world.whereabouts(C, "shared")["owner"], "c");
    cluster.witness.assert_one_attachment_at_a_time();
}
