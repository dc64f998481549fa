//! The engine stops, dies or is upgraded under running containers; no volume stays mounted for ever.
//!
//! moby: WithDaemonRestart, and what its reference counts lose when it is killed.

use crate::harness::{FORGETS_QUICKLY, LiveRestore, PATIENCE, World, eventually};

const WRITE: &str = "while sleep 0.05; do echo x >> /data/log; done";

/// The container goes on writing.
#[track_caller]
fn assert_writes(world: &World, container: &str) {
    let lines = || world.exec(container, "wc -l < /data/log").trim().parse::<u64>().unwrap();
    let before = lines();
    eventually("the container writes on", PATIENCE, || lines() > before);
}

#[test]
fn volumes_survive_a_restart_of_the_engine() {
    let mut world = World::new();
    world.create_volume(&["--opt", "size=64MiB", "kept"]);
    world.start("app", "kept", WRITE);

    world.engine.down();
    world.engine.up();

    assert_eq!(world.volumes(), ["kept"]);
    world.engine.run_ok(&["start", "app"]);
    assert_writes(&world, "app");
    world.engine.run_ok(&["rm", "--force", "app"]);
    world.hawser.wait_unpublished("kept");
    world.finish();
}

#[test]
fn a_container_of_a_killed_engine_is_started_again_and_lets_go_when_it_stops() {
    let mut world = World::new();
    world.start("app", "killed", WRITE);

    world.engine.kill();
    world.engine.up();
    world.engine.run_ok(&["start", "app"]);

    assert_writes(&world, "app");
    world.engine.run_ok(&["stop", "--time", "0", "app"]);
    world.hawser.wait_unpublished("killed");
    world.finish();
}

#[test]
fn a_volume_of_a_killed_engine_can_be_removed_with_its_dead_container() {
    let mut world = World::with(LiveRestore::No, FORGETS_QUICKLY);
    world.start("app", "dead", WRITE);

    world.engine.kill();
    world.engine.up();
    world.engine.run_ok(&["rm", "--force", "app"]);

    eventually("the orphaned holder is collected", PATIENCE, || {
        world.engine.docker(&["volume", "rm", "dead"]).code == 0
    });
    world.hawser.assert_clean();
    world.finish();
}

#[test]
fn live_restore_keeps_writing_while_the_engine_restarts() {
    let mut world = World::with(LiveRestore::Yes, &[]);
    world.start("app", "live", WRITE);

    world.engine.down();
    world.engine.up();

    assert_writes(&world, "app");
    assert!(world.hawser.is_published("live"));
    world.engine.run_ok(&["rm", "--force", "app"]);
    world.finish();
}

#[test]
fn live_restore_keeps_writing_when_the_engine_is_killed() {
    let mut world = World::with(LiveRestore::Yes, &[]);
    world.start("app", "live", WRITE);

    world.engine.kill();
    world.engine.up();

    assert_writes(&world, "app");
    world.start("second", "live", "sleep 1000");
    world.engine.run_ok(&["rm", "--force", "second"]);
    assert_writes(&world, "app");
    world.engine.run_ok(&["rm", "--force", "app"]);
    world.finish();
}

#[test]
fn a_container_that_restarts_always_comes_back_with_its_volume() {
    let mut world = World::new();
    let run =
        ["run", "-d", "--restart=always", "--name=app", "-v=always:/data", "busybox", "sh", "-c"];
    world.engine.run_ok(&world.container(&[&run[..], &[WRITE]].concat()));

    world.engine.kill();
    world.engine.up();

    eventually("the engine starts it", PATIENCE, || {
        world.engine.docker(&["exec", "app", "true"]).code == 0
    });
    assert_writes(&world, "app");
    world.finish();
}
