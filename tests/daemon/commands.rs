//! The commands that need no running daemon, or end what it left.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{HAWSER, Start, World};

#[test]
fn release_frees_everything_and_the_volumes_are_there_after_the_next_start() {
    let mut world = World::started();
    world.with_data("name=v,size=64MiB", "precious");
    world.mount("v", "a");
    world.mount("name=w,size=300MiB,fs=xfs,provision=thin", "b");
    let error = world.hawser_fails(["release"]);
    assert!(error.contains("in use by another hawser"), "{error}");
    world.stop();
    assert_eq!((world.mounts().len(), world.loops().len()), (4, 2), "a stop leaves them mounted");

    let said = world.hawser(["release"]);

    assert!(said.contains("v: released") && said.contains("w: released"), "{said}");
    assert!(world.mounts().is_empty() && world.loops().is_empty());
    assert_eq!(world.hawser(["release"]), "", "nothing is left to do");
    world.start();
    // Their holders are still holders.
    assert_eq!(world.data_of("v"), "precious");
    world.unmount("v", "a");
    world.unmount("w", "b");
    world.remove("v");
    world.remove("w");
    world.finish();
}

#[test]
fn where_on_a_node_in_no_cluster_sends_to_inspect() {
    let mut world = World::started();
    world.create("v");

    let said = world.hawser(["volume", "where", "v"]);

    assert!(said.contains("in no cluster") && said.contains("hawser volume inspect v"), "{said}");
    let json: Value =
        serde_json::from_str(&world.hawser(["volume", "where", "--json", "v"])).unwrap();
    assert_eq!(json["alone"], true, "{json}");
    assert!(world.hawser(["volume", "inspect", "v"]).starts_with("name "), "it begins with a line");
    world.remove("v");
    world.finish();
}

#[test]
fn a_busy_volume_does_not_stop_the_release_of_the_others() {
    let mut world = World::started();
    let busy = world.mount("name=busy,size=64MiB", "a");
    world.mount("name=idle,size=64MiB", "a");
    fs::write(busy.join("file"), "x").unwrap();
    let open = fs::File::open(busy.join("file")).unwrap();
    world.stop();

    let output = world.cli(["release"]);

    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("busy"), "{output:?}");
    assert_eq!((world.mounts().len(), world.loops().len()), (2, 1));
    drop(open);
    world.hawser(["release"]);
    world.start();
    for name in ["busy", "idle"] {
        world.unmount(name, "a");
        world.remove(name);
    }
    world.finish();
}

/// As when it is run by hand while containers live: each has a copy of the mount.
#[test]
fn a_release_skips_and_names_what_another_mount_namespace_uses_until_it_ends() {
    let mut world = World::started();
    world.mount("name=used,size=64MiB", "a");
    let container = world.copy_mounts();
    // More than are released at once.
    let idle: Vec<_> = (0..10).map(|n| format!("idle{n}")).collect();
    for name in &idle {
        world.mount(&format!("name={name},size=16MiB"), "a");
    }
    world.stop();

    let output = world.cli(["release"]);

    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("used: skipped, since process {container} (")), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!((world.mounts().len(), world.loops().len()), (2, 1));
    world.kill_background(container);
    assert_eq!(world.hawser(["release"]), "used: released\n");
    world.start();
    for name in idle.iter().map(String::as_str).chain(["used"]) {
        world.unmount(name, "a");
        world.remove(name);
    }
    world.finish();
}

#[test]
fn a_forced_release_takes_the_hosts_mounts_away() {
    let mut world = World::started();
    world.mount("name=v,size=64MiB", "a");
    let container = world.copy_mounts();
    world.stop();

    let said = world.hawser(["release", "--force"]);

    assert_eq!(said, "v: released\n");
    assert!(world.mounts().is_empty());
    world.kill_background(container);
    world.hawser(["release"]);
    world.start();
    world.unmount("v", "a");
    world.remove("v");
    world.finish();
}

#[test]
fn spec_explains_a_string_without_a_daemon() {
    let world = World::new();
    world.write_configuration();

    let text = world.hawser(["spec", "pgdata,size=2GiB", "-o", "fs=xfs"]);
    assert!(["pgdata", "2GiB", "xfs", "local"].iter().all(|part| text.contains(part)), "{text}");
    let json: Value = serde_json::from_str(&world.hawser(["spec", "--json", "v,size=1"])).unwrap();
    assert!(json.to_string().contains("1GiB") || json.to_string().contains("1073741824"), "{json}");
    let help = world.hawser(["spec", "--help-keys"]);
    assert!(help.contains("mkfs_options"), "{help}");
    let error = world.hawser_fails(["spec", "v,sise=2GiB"]);
    assert!(error.contains("sise") && error.contains("size"), "{error}");
}

#[test]
fn config_check_names_all_mistakes_at_once() {
    let world = World::new();
    world.write_configuration();
    assert!(world.hawser(["config", "check"]).contains("right"));
    let text = "[daemon]\ndocker_socket = \"relative\"\nstate_dirr = \"/x\"\n[volumes]\nlinger = \"soon\"\n";
    fs::write(world.path("hawser.toml"), text).unwrap();

    for command in [&["config", "check"][..], &["serve"]] {
        let output = world.command(HAWSER).args(command).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        let parts = [
            "hawser.toml: daemon.docker_socket: relative",
            "state_dirr",
            "daemon.state_dir",
            "soon",
        ];
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        assert!(error.lines().count() >= 3, "{error}");
    }
    let output = world.command(HAWSER).args(["volume", "frobnicate"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{output:?}");
}

#[test]
fn the_records_are_exported_and_imported_into_an_empty_store() {
    let mut world = World::started();
    world.with_data("name=v,size=64MiB,label.a=b", "precious");
    world.until_released("v");
    world.stop();

    let export = world.hawser(["store", "export"]);
    let parsed: Value = serde_json::from_str(&export).unwrap();
    assert_eq!(parsed["volumes"][0]["name"], json!("v"));
    let file = world.path("export.json");
    fs::write(&file, &export).unwrap();
    let file = file.to_str().unwrap();
    let error = world.hawser_fails(["store", "import", file]);
    assert!(error.contains("1 records already"), "{error}");
    fs::rename(world.path("state/records.redb"), world.path("old.redb")).unwrap();
    world.hawser(["store", "import", file]);
    assert_eq!(world.hawser(["store", "export"]), export);

    world.start();
    assert_eq!(world.data_of("v"), "precious");
    world.remove("v");
    world.finish();
}

#[test]
fn a_damaged_store_refuses_to_start_and_destroys_nothing() {
    let mut world = World::started();
    world.with_data("name=v,size=64MiB", "precious");
    world.until_released("v");
    world.stop();
    let store = world.path("state/records.redb");
    fs::rename(&store, world.path("good")).unwrap();
    fs::write(&store, "no database").unwrap();

    let Start::Ended(status) = world.try_start() else { panic!("it started") };

    assert_eq!(status.code(), Some(1));
    assert!(world.log().contains("records.redb"), "{}", world.log());
    assert_eq!(fs::read_to_string(&store).unwrap(), "no database");
    assert_eq!(world.images().len(), 1);
    fs::rename(world.path("good"), &store).unwrap();
    world.start();
    assert_eq!(world.data_of("v"), "precious");
    world.remove("v");
    world.finish();
}

/// As when the disk of the state directory is not mounted: Docker would forget its volumes.
#[test]
fn a_store_without_records_beside_images_refuses_to_start() {
    let mut world = World::started();
    world.with_data("name=v,size=64MiB", "precious");
    world.until_released("v");
    world.stop();
    fs::rename(world.path("state"), world.path("unmounted")).unwrap();

    let Start::Ended(status) = world.try_start() else { panic!("it started") };

    assert_eq!(status.code(), Some(1));
    assert_eq!(world.logged(["no records", "/state", "1 images", "/images", "move"]), 1);
    assert!(!world.path("state").exists(), "a store was made in the place of the lost one");
    assert!(!world.path("hawser.sock").exists());
    // Nor with a store that is there and has no records.
    fs::rename(world.path("images"), world.path("away")).unwrap();
    world.start();
    world.stop();
    fs::remove_dir_all(world.path("images")).unwrap();
    fs::rename(world.path("away"), world.path("images")).unwrap();
    let Start::Ended(status) = world.try_start() else { panic!("it started") };
    assert_eq!(status.code(), Some(1));

    fs::remove_dir_all(world.path("state")).unwrap();
    fs::rename(world.path("unmounted"), world.path("state")).unwrap();
    world.start();
    assert_eq!(world.data_of("v"), "precious");
    world.remove("v");
    world.finish();
}

#[test]
fn commands_say_so_when_no_daemon_answers() {
    let world = World::new();
    world.write_configuration();

    let error = world.hawser_fails(["volume", "ls"]);

    assert!(error.contains("is the daemon running?"), "{error}");
}

/// `hawser … | head -1`: the reader goes away, and that is no crash.
#[test]
fn a_reader_that_has_seen_enough_ends_a_command_quietly() {
    let mut world = World::started();
    for n in 0..200 {
        world.create(&format!("name=v{n},size=16MiB,provision=thin"));
    }
    let script =
        format!("{} volume ls --json | head -c 1; echo ${{PIPESTATUS[0]}}", crate::harness::HAWSER);
    let output = world.command("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "[141\n");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    for n in 0..200 {
        world.remove(&format!("v{n}"));
    }
    world.finish();
}

/// A daemon that ends while it is asked: with the signal of a broken pipe, a command would end without a
/// word.
#[test]
fn a_command_whose_daemon_ends_says_so() {
    let world = World::new();
    world.write_configuration();
    let socket = std::os::unix::net::UnixListener::bind(world.path("admin.sock")).unwrap();
    let daemon = std::thread::spawn(move || {
        for connection in socket.incoming().take(100) {
            // Closed at once, mostly before the request is written.
            drop(connection.unwrap());
        }
    });
    for _ in 0..100 {
        let output = world.cli(["volume", "ls"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("the daemon ended while it worked"), "{error}");
    }
    daemon.join().unwrap();
}
