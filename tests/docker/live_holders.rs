//! A container that lives is never taken for one that nobody will release, however its engine or
//! hawser were restarted meanwhile.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::harness::{FORGETS_QUICKLY, LiveRestore, World};

const WRITE: &str = "while sleep 0.05; do echo x >> /data/log || exit 1; done";

/// Three times the age at which an orphan is collected here, and many looks.
const LONG_ENOUGH: Duration = Duration::from_secs(3);

/// The volume stays held and mounted, and is not removed, for as long as its container lives.
#[track_caller]
fn assert_stays(world: &World, volume: &str) {
    let start = Instant::now();
    while start.elapsed() < LONG_ENOUGH {
        let status = world.inspect(volume, "Status");
        assert_eq!(status["state"], "mounted", "{status}");
        assert_ne!(status["holders"].as_array().map(Vec::len), Some(0), "{status}");
        thread::sleep(Duration::from_millis(100));
    }
    assert!(world.hawser.is_published(volume));
    let lines = || world.exec("app", "wc -l < /data/log").parse::<u64>().unwrap();
    let before = lines();
    thread::sleep(Duration::from_millis(200));
    assert!(lines() > before, "the container writes on");
    let body = format!("{{\"Name\":\"{volume}\"}}");
    let (status, answer) = world.hawser.call("VolumeDriver.Remove", &body);
    assert_eq!(status, 500, "{answer}");
}

#[test]
fn a_live_container_keeps_its_volume_over_a_restart_of_hawser() {
    let mut world = World::with(LiveRestore::No, FORGETS_QUICKLY);
    world.start("app", "kept", WRITE);

    world.hawser.kill();
    world.hawser.up();

    assert_stays(&world, "kept");
    world.engine.run_ok(&["rm", "--force", "app"]);
    world.finish();
}

/// The new engine mounts the id of the running container for the copy, and unmounts it.
#[test]
fn a_copy_into_a_live_restored_container_does_not_take_its_volume() {
    let mut world = World::with(LiveRestore::Yes, FORGETS_QUICKLY);
    world.start("app", "restored", WRITE);
    world.engine.kill();
    world.engine.up();

    world.engine.run_ok(&["cp", "app:/data/log", world.dir.path().to_str().unwrap()]);

    assert_stays(&world, "restored");
    world.engine.run_ok(&["rm", "--force", "app"]);
    world.finish();
}

#[test]
fn a_live_container_keeps_its_volume_when_both_were_killed() {
    let mut world = World::with(LiveRestore::Yes, FORGETS_QUICKLY);
    world.start("app", "both", WRITE);

    world.engine.kill();
    world.hawser.kill();
    world.hawser.up();
    world.engine.up();

    assert_stays(&world, "both");
    world.engine.run_ok(&["rm", "--force", "app"]);
    world.finish();
}
