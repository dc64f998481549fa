//! Containers and one volume: shared, read-only, copied into, seeded from an image.
//!
//! moby: VolumesFrom, MountID, UnmountOnCp.

use std::fs;

use crate::harness::World;

#[test]
fn two_containers_share_a_volume_at_the_same_time() {
    let world = World::new();
    world.start("writer", "shared", "echo written > /data/file; sleep 1000");
    world.start("reader", "shared", "sleep 1000");

    assert_eq!(world.exec("reader", "cat /data/file; echo back > /data/reply"), "written");
    assert_eq!(world.exec("writer", "cat /data/reply"), "back");

    world.engine.run_ok(&["rm", "--force", "writer"]);
    assert_eq!(world.exec("reader", "cat /data/file; touch /data/more"), "written");
    world.finish();
}

#[test]
fn volumes_from_mounts_the_same_volume() {
    let world = World::new();
    world.start("first", "lent", "echo lent > /data/file; sleep 1000");

    let seen = world.engine.run_ok(&[
        "run",
        "--rm",
        "--network=none",
        "--volumes-from",
        "first",
        "busybox",
        "cat",
        "/data/file",
    ]);

    assert_eq!(seen, "lent");
    assert_eq!(world.exec("first", "touch /data/still; ls /data"), "file\nstill");
    world.finish();
}

#[test]
fn a_read_only_mount_cannot_be_written_while_another_writes() {
    let world = World::new();
    world.start("writer", "mixed", "sleep 1000");
    world.start("reader", "mixed:ro", "sleep 1000");

    let refusal = world.engine.run_err(&["exec", "reader", "touch", "/data/x"]);

    assert!(refusal.contains("Read-only file system"), "{refusal}");
    assert_eq!(world.exec("writer", "touch /data/y; ls /data"), "y");
    world.finish();
}

#[test]
fn an_images_files_are_copied_up_once_with_their_owner() {
    let world = World::new();
    let show = "stat -c '%u %n' /data /data/hello /data/sub";
    let run = ["run", "--rm", "-v", "seed:/data", "seeded", "sh", "-c", show];

    let first = world.engine.run_ok(&world.container(&run));
    world.sh("seed", "rm /data/hello");
    let second = world.engine.docker(&world.container(&run));

    assert_eq!(first, "1000 /data\n1000 /data/hello\n1000 /data/sub");
    assert!(second.err().contains("/data/hello"), "copied up again");
    world.finish();
}

#[test]
fn a_copy_into_a_running_container_leaves_its_volume_mounted() {
    let world = World::new();
    world.start("app", "copied", "while sleep 0.1; do date >> /data/log; done");
    let file = world.dir.path().join("file");
    fs::write(&file, "from outside\n").unwrap();

    world.engine.run_ok(&["cp", file.to_str().unwrap(), "app:/data/file"]);
    world.engine.run_ok(&["cp", "app:/data/file", file.with_extension("back").to_str().unwrap()]);

    assert_eq!(world.exec("app", "cat /data/file"), "from outside");
    assert!(world.hawser.is_published("copied"), "the copy unmounted it");
    world.engine.run_ok(&["rm", "--force", "app"]);
    world.hawser.wait_unpublished("copied");
    world.finish();
}

#[test]
fn a_copy_into_a_stopped_container_arrives_and_lets_go() {
    let world = World::new();
    let create = ["create", "--name", "app", "-v", "copied:/data", "busybox", "cat", "/data/file"];
    world.engine.run_ok(&world.container(&create));
    let file = world.dir.path().join("file");
    fs::write(&file, "from outside\n").unwrap();

    world.engine.run_ok(&["cp", file.to_str().unwrap(), "app:/data/file"]);

    world.hawser.wait_unpublished("copied");
    assert_eq!(world.engine.run_ok(&["start", "--attach", "app"]), "from outside");
    world.finish();
}

#[test]
fn a_restarted_container_finds_its_volume() {
    let world = World::new();
    world.start("app", "again", "echo line >> /data/file; sleep 1000");

    for _ in 0..3 {
        world.engine.run_ok(&["restart", "--time", "0", "app"]);
    }

    crate::harness::eventually("four starts wrote a line each", crate::harness::PATIENCE, || {
        world.exec("app", "wc -l < /data/file").trim() == "4"
    });
    world.engine.run_ok(&["stop", "--time", "0", "app"]);
    world.hawser.wait_unpublished("again");
    world.finish();
}

#[test]
fn an_unmounted_publish_directory_cannot_be_written_by_root() {
    let world = World::new();
    world.sh("bare", "touch /data/x");
    world.hawser.wait_unpublished("bare");
    let directory = world.hawser.root.join("volumes/bare");

    if directory.exists() {
        fs::write(directory.join("stray"), "lost").expect_err("root wrote below the mount point");
    }
    world.finish();
}
