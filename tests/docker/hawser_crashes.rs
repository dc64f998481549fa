//! hawser stops, dies or is away while containers run: they notice nothing, and Docker waits or
//! is told the reason.
//!
//! moby: RetryNotImmediatelyExists, LookupNotBlocked.

use std::time::{Duration, Instant};

use crate::harness::{FORGETS_QUICKLY, LiveRestore, PATIENCE, World, eventually};

const WRITE: &str = "while sleep 0.05; do echo x >> /data/log; done";

fn lines(world: &World) -> u64 {
    world.exec("app", "wc -l < /data/log").trim().parse().unwrap()
}

#[test]
fn a_running_container_does_not_notice_that_hawser_is_killed() {
    let mut world = World::new();
    world.start("app", "steady", WRITE);

    world.hawser.kill();
    let before = lines(&world);
    eventually("it writes while hawser is down", PATIENCE, || lines(&world) > before);
    world.hawser.up();

    let before = lines(&world);
    eventually("it writes after the restart", PATIENCE, || lines(&world) > before);
    world.engine.run_ok(&["rm", "--force", "app"]);
    world.hawser.wait_unpublished("steady");
    world.finish();
}

#[test]
fn a_stopped_hawser_leaves_mounts_alone() {
    let mut world = World::new();
    world.start("app", "steady", WRITE);

    let status = world.hawser.stop();

    assert!(status.success(), "{status}");
    assert!(world.hawser.is_published("steady"));
    assert!(!world.hawser.socket().exists(), "a stale socket makes docker volume ls wait");
    world.hawser.up();
    world.engine.run_ok(&["rm", "--force", "app"]);
    world.finish();
}

#[test]
fn a_container_that_ends_while_hawser_is_down_leaves_nothing_behind() {
    let mut world = World::with(LiveRestore::No, FORGETS_QUICKLY);
    world.start("app", "orphan", WRITE);
    world.hawser.kill();
    // Docker tries to unmount for 15 s, then gives up and never tries again.
    world.engine.docker(&["rm", "--force", "app"]);

    world.hawser.up();

    world.engine.docker(&["rm", "--force", "app"]);
    eventually("the holder is collected", PATIENCE, || {
        world.engine.docker(&["volume", "rm", "orphan"]).code == 0
    });
    world.hawser.assert_clean();
    world.finish();
}

#[test]
fn docker_waits_for_a_hawser_that_is_starting() {
    let mut world = World::new();
    world.create_volume(&["--opt", "size=64MiB", "awaited"]);
    world.hawser.kill();

    std::thread::scope(|scope| {
        let (engine, driver) = (&world.engine, world.hawser.driver.clone());
        let run = scope.spawn(move || {
            let bind = ["run", "--rm", "--network=none", "-v", "awaited:/data", "--volume-driver"];
            engine.docker(&[&bind[..], &[&driver, "busybox", "touch", "/data/x"]].concat())
        });
        world.hawser.up();
        run.join().unwrap().ok();
    });

    assert_eq!(world.sh("awaited", "ls /data"), "x");
    world.finish();
}

#[test]
fn other_volumes_are_listed_while_hawser_is_down() {
    let mut world = World::new();
    world.create_volume(&["ours"]);
    world.engine.run_ok(&["volume", "create", "dockers-own"]);
    world.hawser.stop();

    let start = Instant::now();
    let names = world.engine.run_ok(&["volume", "ls", "--quiet"]);

    assert!(names.contains("dockers-own"), "{names}");
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    world.hawser.up();
    assert_eq!(world.volumes(), ["ours"], "Docker forgot the volume");
    world.engine.run_ok(&["volume", "rm", "dockers-own"]);
    world.finish();
}

#[test]
fn volumes_of_both_states_are_adopted_by_a_new_hawser() {
    let mut world = World::new();
    world.start("app", "held", WRITE);
    world.sh("free", "echo kept > /data/file");

    for _ in 0..3 {
        world.hawser.kill();
        world.hawser.up();
    }

    assert_eq!(world.sh("free", "cat /data/file"), "kept");
    assert_eq!(world.sh("held", "test -s /data/log && echo same"), "same");
    world.engine.run_ok(&["rm", "--force", "app"]);
    world.hawser.wait_unpublished("held");
    world.finish();
}
