//! The owner's own tasks, which use the file system itself, beside those of another node.

use super::{USUAL, World};
use crate::harness::{Machine, PATIENCE, eventually};

/// One side holds a lock, the other one tries to get it: what it is told.
#[track_caller]
fn tries(kind: &str, holder: (&Machine, &str), other: (&Machine, &str)) -> String {
    let name = format!("{kind}-{}", holder.0.name);
    let (held, tried) = (format!("{}/{name}", holder.1), format!("{}/{name}", other.1));
    let job = holder.0.spawn(&["/lab/lock.py", "hold", &held, kind]);
    eventually("the lock is taken", PATIENCE, || {
        holder.0.run(&["/usr/bin/test", "-e", &format!("{held}.held")]).code == 0
    });
    let answer = other.0.run(&["/lab/lock.py", "try", &tried, kind]).ok();
    holder.0.kill(&job);
    eventually("the lock is free again", PATIENCE, || {
        other.0.run(&["/lab/lock.py", "try", &tried, kind]).ok() == "taken"
    });
    answer
}

/// flock(2) is the exception, and docs/sharing.md says so: here it is seen when that changes.
#[test]
#[ignore = "a part of `make lab`"]
fn a_task_on_the_owner_and_one_elsewhere_see_each_other_s_writes_and_fcntl_locks() {
    let world = World::start("sharing-owner");
    let World { lab, owners, clients, .. } = &world;
    let (owner, [one, other]) = (&owners[0], clients);
    let device = world.format(owner, &USUAL);
    world.serve(owner, &device, "/volume", &USUAL);
    let tunnels = world.reach(owner, &USUAL);
    let (here, there) = ((owner, "/volume/data"), (one, "/shared"));

    lab.step("what one writes the other reads");
    for number in 1..=3 {
        owner.sh(&format!("echo {number} >>/volume/data/file")).ok();
        let seen = one.sh("wc -l </shared/file").ok();
        assert_eq!(seen, number.to_string(), "the server shows what it remembers");
        one.sh(&format!("echo {number} >/shared/from-{number}")).ok();
        assert_eq!(owner.sh(&format!("cat /volume/data/from-{number}")).ok(), number.to_string());
    }

    lab.step("locks");
    for kind in ["fcntl", "flock"] {
        let elsewhere = tries(kind, (one, "/shared"), (other, "/shared"));
        assert_eq!(elsewhere, "refused", "{kind} does not exclude two other nodes");
    }
    assert_eq!(tries("fcntl", here, there), "refused");
    assert_eq!(tries("fcntl", there, here), "refused");
    let of_flock = [tries("flock", here, there), tries("flock", there, here)];
    assert_eq!(of_flock, ["taken", "taken"], "docs/sharing.md says that they do not");

    world.leave([&[], &[]], &tunnels);
    world.give_up(owner, "/volume");
}
