//! What is in `examples/`, run as it is, but for the driver's name: docker alone, Compose, and a Swarm of one node.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::harness::{LiveRestore, Outcome, PATIENCE, World, binary, eventually, run};

/// Sparse, so that the sizes in the examples cost nothing.
const THIN: [&str; 1] = ["backends.local.provision=thin"];

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// The example with this world's driver, in a directory of its own.
#[track_caller]
fn adapted(world: &World, name: &str) -> PathBuf {
    let text = fs::read_to_string(example(name)).unwrap();
    let driver = format!("driver: {}", world.hawser.driver);
    assert!(text.contains("driver: hawser"), "{name}");
    let path = world.dir.path().join("example.yml");
    fs::write(&path, text.replace("driver: hawser", &driver)).unwrap();
    path
}

/// Debian's docker-compose, or another one that is called so.
fn compose(world: &World, file: &Path, args: &[&str]) -> Outcome {
    let found = run(Path::new("which"), &["docker-compose"], &[]);
    assert_eq!(found.code, 0, "no docker-compose: scripts/install-deps.sh installs it");
    let common = ["--project-name", "example", "--file", file.to_str().unwrap()];
    let args = [&common, args].concat();
    run(Path::new(found.ok().as_str()), &args, &[("DOCKER_HOST", &world.engine.host())])
}

/// How far the example's task has counted.
fn counted(world: &World, container: &str) -> u64 {
    let text = world.engine.docker(&["exec", container, "cat", "/data/count"]);
    text.stdout.trim().parse().unwrap_or(0)
}

/// Waits until it has counted on from `before`, and says how far.
#[track_caller]
fn counts_on(world: &World, container: &str, before: u64) -> u64 {
    let mut now = 0;
    eventually("it counts on", PATIENCE, || {
        now = counted(world, container);
        now > before
    });
    now
}

#[test]
fn the_steps_of_the_docker_example_do_what_they_say() {
    let world = World::with(LiveRestore::No, &THIN);
    let directory = binary().parent().unwrap().to_owned();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let admin = world.hawser.state.parent().unwrap().join("admin.sock");

    let outcome = run(
        &example("docker/run.sh"),
        &[] as &[&str],
        &[
            ("DOCKER_HOST", &world.engine.host()),
            ("DRIVER", &world.hawser.driver),
            ("HAWSER_ADMIN_SOCKET", admin.to_str().unwrap()),
            ("PATH", &path),
        ],
    );

    assert!(outcome.stderr.contains("fs"), "what was refused says why: {outcome}");
    let said = outcome.ok();
    assert_eq!(said.lines().filter(|line| *line == "hello").count(), 2, "{said}");
    assert!(world.volumes().is_empty());
    world.finish();
}

#[test]
fn the_compose_example_counts_on_through_restarts_and_keeps_what_it_says_it_keeps() {
    let world = World::with(LiveRestore::No, &THIN);
    let file = adapted(&world, "compose/compose.yml");
    let id = |service: &str| compose(&world, &file, &["ps", "-q", service]).ok();
    println!("{}", compose(&world, &file, &["version"]).ok());

    compose(&world, &file, &["up", "-d"]).ok();
    let first = counts_on(&world, &id("counter"), 1);
    eventually("the reader sees it", PATIENCE, || {
        let seen = world.engine.docker(&["logs", &id("reader")]).stdout;
        seen.lines().any(|line| line.parse::<u64>().is_ok_and(|count| count >= first))
    });
    let write = ["exec", &id("reader"), "touch", "/data/x"];
    assert!(world.engine.run_err(&write).contains("Read-only"), "it only reads");
    assert_eq!(world.inspect("count", "Status.size"), "1GiB");
    assert_eq!(world.inspect("name=scratch,size=512MiB,fs=xfs", "Status.fs"), "xfs");

    compose(&world, &file, &["restart", "--timeout", "2"]).ok();
    let second = counts_on(&world, &id("counter"), first);
    compose(&world, &file, &["up", "-d", "--force-recreate", "--timeout", "2"]).ok();
    let third = counts_on(&world, &id("counter"), second);
    compose(&world, &file, &["down", "--timeout", "2"]).ok();
    compose(&world, &file, &["up", "-d"]).ok();
    counts_on(&world, &id("counter"), third);

    // The containers' mounts may be copied by somebody for a moment.
    eventually("down -v", PATIENCE, || {
        compose(&world, &file, &["down", "-v", "--timeout", "2"]).code == 0
            && world.volumes().is_empty()
    });
    world.hawser.cli(&["volume", "undelete", "count"]).ok();
    assert!(world.sh("count", "cat /data/count").parse::<u64>().unwrap() > third);
    world.engine.run_ok(&["volume", "rm", "count"]);
    world.hawser.cli(&["volume", "purge", "count", "--yes"]).ok();
    world.finish();
}

#[test]
fn each_task_of_the_swarm_example_has_a_volume_of_its_own_and_finds_it_again() {
    let world = World::with(LiveRestore::No, &THIN);
    let engine = &world.engine;
    let stack = adapted(&world, "swarm/each.yml");
    engine.run_ok(&["volume", "ls", "--quiet", "--filter", "name=none"]);
    let init = ["swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:0"];
    engine.run_ok(&init);
    let task = |slot: u32| {
        let filter = format!("name=example_counter.{slot}.");
        engine.docker(&["ps", "--quiet", "--filter", &filter]).stdout.trim().to_owned()
    };

    engine.run_ok(&["stack", "deploy", "--compose-file", stack.to_str().unwrap(), "example"]);
    eventually("both tasks run", Duration::from_secs(120), || {
        [1, 2].iter().all(|slot| !task(*slot).is_empty())
    });
    let before = [1, 2].map(|slot| counts_on(&world, &task(slot), 1));
    assert_eq!(world.volumes(), ["count-1", "count-2"]);

    engine.run_ok(&["service", "update", "--detach", "--force", "example_counter"]);
    let first = [task(1), task(2)];
    eventually("both tasks are new", Duration::from_secs(120), || {
        [1, 2].iter().all(|slot| {
            let now = task(*slot);
            !now.is_empty() && !now.contains('\n') && !first.contains(&now)
        })
    });
    for (slot, before) in [1, 2].into_iter().zip(before) {
        counts_on(&world, &task(slot), before);
    }
    engine.run_ok(&["stack", "rm", "example"]);
    eventually("its tasks end", PATIENCE, || [1, 2].iter().all(|slot| task(*slot).is_empty()));
    engine.run_ok(&["swarm", "leave", "--force"]);
    world.finish();
}
