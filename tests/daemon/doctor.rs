//! `hawser doctor` finds what is wrong, and changes nothing.

use std::fs;

use crate::harness::World;

/// What it says, whatever its verdict on this machine.
fn doctor(world: &World) -> String {
    String::from_utf8(world.cli(["doctor"]).stdout).unwrap()
}

#[track_caller]
fn assert_says<const N: usize>(text: &str, words: [&str; N]) {
    let said = text.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(said, "no line with {words:?} in\n{text}");
}

#[test]
fn it_names_images_without_a_record_whether_the_daemon_runs_or_not() {
    let mut world = World::started();
    world.create("v");
    world.with_data("name=removed,size=64MiB,on_remove=retain", "precious");
    world.until_released("removed");
    world.remove("removed");
    let id = uuid::Uuid::new_v4();
    let orphan = world.path(&format!("images/{id}.img"));
    fs::write(&orphan, "old").unwrap();

    for running in ["running", "stopped"] {
        let said = doctor(&world);
        assert_says(&said, ["note", "images", &id.to_string(), "no record"]);
        assert_eq!(said.matches("no record").count(), 1, "{running}: {said}");
        if running == "running" {
            world.stop();
        }
    }

    fs::remove_file(orphan).unwrap();
    world.start();
    assert!(!doctor(&world).contains("no record"));
    world.hawser(["volume", "purge", "--yes", "removed"]);
    world.remove("v");
    world.finish();
}

#[test]
fn it_says_whether_dockers_socket_answers() {
    let mut world = World::started();
    assert_says(&doctor(&world), ["good", "docker socket", "hawser.sock", "answers"]);

    world.stop();

    assert_says(&doctor(&world), ["PROBLEM", "docker socket", "hawser.sock"]);
    world.start();
    world.finish();
}

#[test]
fn it_makes_no_directory_and_no_store() {
    let world = World::new();
    world.write_configuration();
    let files = |world: &World| {
        let mut names: Vec<_> = fs::read_dir(world.path("."))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = files(&world);

    assert_says(&doctor(&world), ["recovery", "no records yet"]);

    assert_eq!(files(&world), before);
}

/// As after a disk that is not mounted: the daemon would not start.
#[test]
fn it_says_that_a_volume_has_its_image_and_a_store_its_directory() {
    let mut world = World::started();
    world.create("v");
    world.stop();
    fs::rename(world.path("images"), world.path("away")).unwrap();

    assert_says(&doctor(&world), ["PROBLEM", "recovery", "images", "missing", "1 volumes"]);

    assert!(!world.path("images").exists());
    fs::rename(world.path("away"), world.path("images")).unwrap();
    fs::rename(world.path("state"), world.path("unmounted")).unwrap();
    assert_says(&doctor(&world), ["PROBLEM", "images", "1 images", "no records"]);
    assert!(!world.path("state").exists());
    fs::rename(world.path("unmounted"), world.path("state")).unwrap();
    world.start();
    world.remove("v");
    world.finish();
}
