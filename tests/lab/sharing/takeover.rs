//! The owner of a volume loses its power, and another machine goes on with it.

use std::time::{Duration, Instant};

use hawser::sys::nfs::Version;

use super::{Setting, USUAL, World};
use crate::harness::{Job, Machine, PATIENCE, eventually};

/// The longest grace period here, and what the emulated processors take.
const RECOVERY: Duration = Duration::from_secs(150);

/// What the second client does meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Second {
    /// It tries to get the first one's lock all the time.
    Busy,
    /// It holds a lock, and asks for nothing.
    Idle,
    /// The same, and its node looks at the mount once the tunnel has a new owner.
    Woken,
    /// As busy; and there was a third client, which has died with the owner.
    BusyAndAThirdDead,
}

fn task(client: &Machine, mode: &str, path: &str, tag: &str) -> Job {
    client.spawn(&["/lab/share-task.py", mode, path, tag])
}

/// One life and death of an owner, with a fresh file system.
#[track_caller]
fn takeover(world: &World, round: usize, setting: &Setting, second: Second) {
    let World { lab, disk, owners, clients, .. } = world;
    let (old, new) = (&owners[round % 2], &owners[(round + 1) % 2]);
    let [one, other] = clients;
    let Setting { fs, sync, lease, grace, version } = setting;
    let name = format!("{fs} {sync}, NFS {version}, lease {lease} s, grace {grace} s");
    lab.step(&format!("round {round}: {name}"));
    let device = world.format(old, setting);
    world.serve(old, &device, "/volume", setting);
    let tunnels = world.reach(old, setting);

    let tag = |what: &str| format!("{what}{round}");
    let mut of_one = vec![
        task(one, "files", "/shared", &tag("files")),
        task(one, "hold", "/shared/lock", &tag("hold")),
    ];
    one.wait_acknowledged(&tag("hold"), 3);
    let of_other = match second {
        Second::Busy | Second::BusyAndAThirdDead => {
            vec![task(other, "try", "/shared/lock", &tag("try"))]
        }
        Second::Idle | Second::Woken => {
            let job = other.spawn(&["/lab/lock.py", "hold", "/shared/other"]);
            eventually("the lock is taken", PATIENCE, || {
                old.sh("test -e /volume/data/other.held").code == 0
            });
            vec![job]
        }
    };
    one.wait_acknowledged(&tag("files"), 40);

    if second == Second::BusyAndAThirdDead {
        // As the server notes a client: the first one's note, with another name of the same length.
        let note = "cd /volume/.hawser/v4recov/* && for note in *' one)'; do \
                    mkdir \"${note% one)} two)\"; done; ls";
        let notes = old.sh(note).ok();
        assert!(notes.lines().count() == 3, "the server notes its clients otherwise: {notes}");
    }

    lab.step("the owner loses its power");
    let dead = Instant::now();
    old.lose_power(&[disk]);
    let before = one.acknowledged(&tag("files")).last;
    let device = new.attach(disk);
    // Another path, as another node may have another root.
    world.serve(new, &device, "/elsewhere", setting);
    let served = dead.elapsed();
    world.move_on(new, &tunnels);
    let moved = dead.elapsed();
    if second == Second::Woken {
        other.sh("stat -f /shared >/dev/null").ok();
    }
    eventually("the tasks go on", RECOVERY, || {
        one.acknowledged(&tag("files")).last > before + 1 && one.acknowledged(&tag("hold")).last > 3
    });
    let resumed = dead.elapsed();
    one.wait_acknowledged(&tag("files"), before + 20);
    let held = one.acknowledged(&tag("hold")).last;
    one.wait_acknowledged(&tag("hold"), held + 5);

    lab.step("what was acknowledged is there, and the locks are held");
    if matches!(second, Second::Busy | Second::BusyAndAThirdDead) {
        let tries = other.acknowledged(&tag("try")).last;
        other.wait_acknowledged(&tag("try"), tries + 3);
    } else {
        let refused = one.run(&["/lab/lock.py", "try", "/shared/other"]).ok();
        assert_eq!(refused, "refused", "a lock was lost, and nobody was told");
    }
    let refused = other.run(&["/lab/lock.py", "try", "/shared/lock"]).ok();
    assert_eq!(refused, "refused", "a lock was lost, and nobody was told");
    for (client, job) in
        of_one.iter().map(|job| (one, job)).chain(of_other.iter().map(|job| (other, job)))
    {
        if let Some(ended) = client.poll(job) {
            panic!("a task ended: {ended}");
        }
    }
    let files = one.acknowledged(&tag("files"));
    let lines = one.acknowledged(&tag("hold"));
    one.kill(&of_one.remove(0));
    for (machine, directory) in [(new, "/elsewhere/data"), (other, "/shared")] {
        let missing = World::missing(machine, directory, &tag("files"), files.last);
        assert_eq!(
            missing, "",
            "files that were acknowledged are not there, seen from {}",
            machine.name
        );
    }
    new.assert_has_lines("/elsewhere/data/lock", lines.last);
    let second = match second {
        Second::Busy => "both clients busy",
        Second::BusyAndAThirdDead => "both clients busy, a third one dead",
        Second::Idle => "one client idle",
        Second::Woken => "one client idle, its mount looked at",
    };
    println!(
        "measured: | {name} | {second} | {:.1} s | {:.1} s | {:.1} s |",
        served.as_secs_f32(),
        (resumed - moved).as_secs_f32(),
        files.longest.max(lines.longest).as_secs_f32(),
    );

    lab.step("they leave, and the server stops");
    world.leave([&of_one, &of_other], &tunnels);
    world.give_up(new, "/elsewhere");
}

#[test]
#[ignore = "a part of `make lab`"]
fn an_owner_that_loses_its_power_is_a_pause_and_nothing_else() {
    let world = World::start("sharing");
    let settings = [USUAL, Setting { fs: "xfs", sync: "wsync", version: Version::V4_1, ..USUAL }];
    for (round, setting) in settings.iter().enumerate() {
        takeover(&world, round, setting, Second::Busy);
    }
}

/// Not a test of hawser: the rows of docs/sharing-measured.md.
#[test]
#[ignore = "measures; not a part of `make lab`, which leaves out what is called measure_"]
fn measure_the_pause_with_other_times() {
    let world = World::start("sharing-times");
    let of = |lease, grace| Setting { lease, grace, ..USUAL };
    let settings = [
        (of(4, 10), Second::Busy),
        (USUAL, Second::Idle),
        (USUAL, Second::Woken),
        (of(6, 12), Second::Woken),
        (of(20, 20), Second::Busy),
        (USUAL, Second::BusyAndAThirdDead),
    ];
    for (round, (setting, second)) in settings.iter().enumerate() {
        takeover(&world, round, setting, *second);
    }
}

/// What the other tests here stand on: that a name which no disk has is missed.
#[test]
#[ignore = "a part of `make lab`"]
fn without_dirsync_an_acknowledged_rename_is_lost_and_with_it_it_is_not() {
    let world = World::start("sharing-dirsync");
    let World { lab, disk, owners, clients, .. } = &world;
    let one = &clients[0];
    for (round, sync) in ["", "dirsync"].into_iter().enumerate() {
        lab.step(&format!("mounted with {sync:?}: a file is renamed, nothing is done after it"));
        let (old, new) = (&owners[round % 2], &owners[(round + 1) % 2]);
        let setting = Setting { sync, ..USUAL };
        let device = world.format(old, &setting);
        world.serve(old, &device, "/volume", &setting);
        let tunnels = world.reach(old, &setting);
        let tag = format!("last{round}");
        let job = one.spawn(&["/lab/share-task.py", "files", "/shared", &tag, "3"]);
        one.wait_acknowledged(&tag, 3);
        old.lose_power(&[disk]);

        let device = new.attach(disk);
        world.serve(new, &device, "/elsewhere", &setting);
        let missing = World::missing(new, "/elsewhere/data", &tag, 3);
        if sync.is_empty() {
            assert_eq!(missing, "3", "the loss that dirsync is there for was not seen");
        } else {
            assert_eq!(missing, "", "an acknowledged rename is lost");
        }
        world.move_on(new, &tunnels);
        world.leave([&[job], &[]], &tunnels);
        world.give_up(new, "/elsewhere");
    }
}
