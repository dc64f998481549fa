//! An EBS volume that is not shared and stays attached to its owner: tasks on other nodes reach it there, one
//! node at a time, and who is shut out never writes to it again.

use std::time::Instant;

use ec2_fake::InstanceState;
use serde_json::json;

use super::{A, B, C, Task, World, holder, row};
use crate::harness::{PATIENCE, eventually};

impl World {
    /// What a task's node has mounted for it, as the kernel calls the file system.
    #[track_caller]
    fn kind_of(&self, task: &Task) -> String {
        let path = format!("/var/lib/hawser/mnt/volumes/{}", task.volume);
        self.kind(task.node, &path)
    }

    /// To which instance EC2 has it attached.
    #[track_caller]
    fn attached_to(&self, volume: &str) -> String {
        let id = self.ec2_id(volume);
        let volumes = self.cluster.cloud.volumes();
        let found = volumes.iter().find(|found| found.id == id).expect("it is there");
        let attached = found.attachment.as_ref().filter(|it| it.state == "attached");
        attached.unwrap_or_else(|| panic!("{found:?}")).instance.clone()
    }

    /// Nobody detached it since.
    #[track_caller]
    fn assert_never_moved(&self, volume: &str, instance: &str, since: Instant) {
        assert_eq!(self.attached_to(volume), instance);
        let ec2 = self.cluster.witness.ec2_took(&self.ec2_id(volume), since, Instant::now());
        assert!(ec2.is_zero(), "EC2 moved it for {ec2:?}");
    }

    /// A former writer's task gets an error, and nothing of its mount stays.
    #[track_caller]
    fn is_shut_out(&self, task: &Task) {
        let machine = &self.nodes[task.node];
        let since = Instant::now();
        eventually("its task gets an error", PATIENCE, || {
            machine.stamps_failed(task.number).is_some()
        });
        let error = machine.stamps_failed(task.number).unwrap_or_default();
        eprintln!("           {error}, {:.1} s after it went on", since.elapsed().as_secs_f32());
        let id = &self.ids.borrow()[&task.volume];
        let cleared = format!("while grep -q reach/{id} /proc/self/mountinfo; do sleep 0.2; done");
        machine.sh_within(PATIENCE, &cleared).ok();
        machine.unmount_volume(&task.volume, &holder(task.number));
    }
}

#[test]
#[ignore = "a part of `make lab`"]
fn a_volume_that_stays_attached_is_written_to_from_one_other_node_at_a_time() {
    let world = World::start("cluster-remote");
    let World { lab, cluster, nodes, .. } = &world;

    lab.step("a task moves on: what follows is moved, what stays is reached at once");
    for attach in ["follow", "stay"] {
        world.create(A, attach, json!({"attach": attach}));
        let before = world.run(A, attach);
        world.goes_on(&before);
        let instance = world.attached_to(attach);
        let since = Instant::now();
        world.end(&before);
        let after = world.run(B, attach);
        let how = if attach == "stay" { ", reached through its owner" } else { "" };
        world.measured(&format!("a task moves on, `attach={attach}`{how}"), "-", since, &after);
        world.goes_on(&after);
        if attach == "follow" {
            world.end(&after);
            world.assert_image(attach);
            continue;
        }
        // Each writer claim has an epoch of its own; the owner is who it was.
        assert_eq!((after.epoch, &*world.kind_of(&after)), (before.epoch + 1, "nfs4"));
        world.assert_never_moved(attach, &instance, since);
        let found = world.whereabouts(C, attach);
        assert_eq!((&found["owner"], &found["writer"]), (&json!("a"), &json!("b")), "{found}");
        let status =
            nodes[B].plugin("VolumeDriver.Get", &json!({"Name": attach}))["Volume"]["Status"]
                .clone();
        assert_eq!(status["reached_through"], "a", "{status}");

        lab.step("it is nobody else's meanwhile");
        for node in [A, C] {
            let why = world.refused(node, &world.begin_mount(node, attach));
            assert!(why.contains("node b"), "{why}");
        }
        let refused = nodes[A].hawser(&["volume", "rm", "--yes", attach]);
        assert!(refused.code != 0 && refused.stderr.contains("node b"), "{refused}");
        let refused = nodes[A].hawser(&["volume", "move", attach, "--to", "a"]);
        assert!(refused.code != 0 && refused.stderr.contains("node b"), "{refused}");

        lab.step("hawser is killed on both, and started again: the task goes on");
        for node in [A, B] {
            nodes[node].kill_hawser();
        }
        world.goes_on(&after);
        for node in [A, B] {
            nodes[node].start_hawser("");
        }
        world.wait_alive(C, 3);
        world.goes_on(&after);
        assert_eq!(world.kind_of(&after), "nfs4");

        lab.step("the writer's hawser stands still; its task goes on until another node wants the volume");
        nodes[B].freeze_hawser();
        world.wait_alive(A, 2);
        world.goes_on(&after);
        let since = Instant::now();
        let next = world.run(C, attach);
        world.measured(
            "not shared, written to from another node whose hawser stands still; a third one's task",
            "an I/O error when it goes on",
            since,
            &next,
        );
        world.assert_never_moved(attach, &instance, since);
        world.goes_on(&next);
        nodes[B].wake_hawser();
        world.is_shut_out(&after);
        world.wait_alive(A, 3);
        world.goes_on(&next);
        let why = world.refused(B, &world.begin_mount(B, attach));
        assert!(why.contains("node c"), "{why}");
        world.end(&next);
    }

    lab.step("the owner's own task has the file system itself");
    let direct = world.run(A, "stay");
    assert_eq!(world.kind_of(&direct), "ext4");
    world.goes_on(&direct);
    world.end(&direct);

    lab.step("the owner dies: the writer goes on with it, and nobody else gets it");
    let writer = world.run(B, "stay");
    world.goes_on(&writer);
    let before = nodes[B].stamped(writer.number);
    let dead = Instant::now();
    nodes[A].crash();
    cluster.cloud.says(&nodes[A], InstanceState::Terminated);
    let mount = world.begin_mount(C, "stay");
    eventually("the task goes on", PATIENCE * 2, || nodes[B].stamped(writer.number) > before + 2);
    let took = dead.elapsed().as_secs_f32();
    let fault = "not shared, reached through its owner: owner killed";
    row(fault, "a pause, and no error", &format!("{took:.1} s"), "-");
    let why = world.refused(C, &mount);
    assert!(why.contains("node b"), "{why}");
    world.goes_on(&writer);
    world.end(&writer);

    lab.step("a writer's machine stands still, and the owner's own task goes on with the volume");
    let asleep = world.run(C, "stay");
    world.goes_on(&asleep);
    assert_eq!(world.kind_of(&asleep), "nfs4");
    nodes[C].pause();
    world.wait_alive(B, 1);
    let since = Instant::now();
    let own = world.run(B, "stay");
    assert_eq!(world.kind_of(&own), "ext4");
    let fault = "not shared, written to from another node that stands still; the owner's own task";
    world.measured(fault, "an I/O error when it goes on", since, &own);
    nodes[C].resume();
    world.is_shut_out(&asleep);
    world.goes_on(&own);
    world.end(&own);
    world.wait_alive(B, 2);

    lab.step("and once more from there; then the image is looked at");
    let last = world.run(C, "stay");
    world.goes_on(&last);
    world.end(&last);
    nodes[B].hawser(&["node", "drain"]).ok();
    world.assert_image("stay");
}
