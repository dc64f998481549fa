//! Volumes that nobody named: Docker invents 64 hex digits, and they go with their container.
//!
//! moby: Unnamed.

use crate::harness::World;

/// The only volume of the world, by its invented name.
#[track_caller]
fn invented_name(world: &World) -> String {
    let names = world.volumes();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0].len() == 64 && names[0].bytes().all(|b| b.is_ascii_hexdigit()), "{names:?}");
    names[0].clone()
}

#[test]
fn an_images_volume_gets_the_default_size_and_the_images_files() {
    let world = World::new();

    world
        .engine
        .run_ok(&world.container(&["run", "-d", "--name", "app", "seeded", "sleep", "1000"]));

    invented_name(&world);
    assert_eq!(world.exec("app", "cat /data/hello"), "from the image");
    let megabytes: u64 = world.exec("app", "df -m /data | awk 'NR==2 {print $2}'").parse().unwrap();
    assert!((40..=64).contains(&megabytes), "{megabytes} MiB is not the default size");
    world.finish();
}

#[test]
fn rm_v_removes_an_anonymous_volume() {
    let world = World::new();
    world
        .engine
        .run_ok(&world.container(&["run", "--name", "app", "-v", "/data", "busybox", "true"]));
    invented_name(&world);

    world.engine.run_ok(&["rm", "-v", "app"]);

    assert!(world.volumes().is_empty());
    world.hawser.assert_clean();
    world.finish();
}

#[test]
fn run_rm_removes_an_anonymous_volume() {
    let world = World::new();

    world
        .engine
        .run_ok(&world.container(&["run", "--rm", "-v", "/data", "busybox", "touch", "/data/x"]));

    assert!(world.volumes().is_empty());
    world.hawser.assert_clean();
    world.finish();
}

#[test]
fn an_anonymous_volume_left_by_rm_is_kept() {
    let world = World::new();
    world.engine.run_ok(
        &world.container(&["run", "--name", "app", "-v", "/data", "busybox", "touch", "/data/x"]),
    );

    world.engine.run_ok(&["rm", "app"]);

    let name = invented_name(&world);
    assert_eq!(world.sh(&name, "ls /data"), "x");
    world.finish();
}
