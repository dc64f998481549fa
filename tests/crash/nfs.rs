//! Directories on an NFS server, interrupted. The server outlives the daemon, and what was made there and
//! never recorded is found there.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    harness::{PATIENCE, World, until},
    scenario::{Interrupted, Scenario},
};

const BASE: Scenario = Scenario {
    name: "",
    world: World::on_nfs,
    // Each has a server of its own.
    workers: 4,
    settings: &[],
    prepare: |_| {},
    steps: |_| Ok(()),
    recovered: |_| {},
    finish: |world| {
        world.remove("v");
        empty(world);
    },
};

fn with_file(world: &mut World) {
    world.create("name=v,path=team/v");
    fs::write(world.on_export("team/v/data/file"), "precious").unwrap();
}

/// Another node of the cluster has the volume.
fn elsewhere(world: &mut World) {
    with_file(world);
    world.stop();
    fs::remove_dir_all(world.path("state")).unwrap();
    world.set("daemon.node", "another").start();
}

/// Those that are complete: one that was being written is read by nobody, and goes with the volume.
fn marks(world: &World) -> usize {
    let names = world.names_on_export("team/v/.hawser/users");
    names.iter().filter(|name| !name.starts_with('.')).count()
}

#[track_caller]
fn users(world: &World, count: usize) {
    assert_eq!(marks(world), count, "{:?}", world.names_on_export("team/v/.hawser/users"));
    assert_eq!(fs::read(world.on_export("team/v/data/file")).unwrap(), b"precious");
}

/// Nothing of any volume is on the export, in the end.
#[track_caller]
fn empty(world: &World) {
    let dirs = ["team", ".hawser-new", ".hawser-removed"];
    until("the export is empty", || dirs.iter().all(|dir| world.names_on_export(dir).is_empty()));
}

#[test]
fn create() {
    Scenario {
        name: "NFS: create",
        steps: |world| {
            let options = json!({ "path": "team/v", "uid": "999" });
            world.step("Create", &json!({ "Name": "v", "Opts": options })).map(drop)
        },
        finish: |world| {
            assert_eq!(marks(world), 1);
            assert!(world.names_on_export(".hawser-new").is_empty());
            world.remove("v");
            empty(world);
        },
        ..BASE
    }
    .run();
}

/// Docker does not repeat a Create: what it began goes with the name all the same.
#[test]
fn create_and_never_again() {
    Scenario {
        name: "NFS: create, removed instead of repeated",
        steps: |world| {
            let options = json!({ "path": "team/v" });
            world.step("Create", &json!({ "Name": "v", "Opts": options })).map(drop)
        },
        recovered: |world| {
            world.remove("v");
            empty(world);
        },
        ..BASE
    }
    .run();
}

#[test]
fn removal() {
    Scenario {
        name: "NFS: remove",
        prepare: with_file,
        steps: |world| {
            world.step("Remove", &json!({ "Name": "v" }))?;
            world.until_forgotten_or_dead()
        },
        finish: |world| empty(world),
        ..BASE
    }
    .run();
}

#[test]
fn removal_and_undelete() {
    Scenario {
        name: "NFS: remove and undelete",
        settings: &[("volumes.undelete", "1h")],
        prepare: with_file,
        steps: |world| {
            world.step("Remove", &json!({ "Name": "v" }))?;
            world.command_step(["volume", "undelete", "v"])
        },
        finish: |world| {
            until("it is back", || world.on_export("team/v/data/file").exists());
            users(world, 1);
            world.hawser(["volume", "rm", "--yes", "--now", "v"]);
            empty(world);
        },
        ..BASE
    }
    .run();
}

#[test]
fn joining_another_nodes_volume() {
    Scenario {
        name: "NFS: join",
        prepare: elsewhere,
        steps: |world| {
            let options = json!({ "path": "team/v" });
            world.step("Create", &json!({ "Name": "v", "Opts": options })).map(drop)
        },
        finish: |world| {
            users(world, 2);
            world.remove("v");
            until("it has left", || marks(world) == 1);
            users(world, 1);
        },
        ..BASE
    }
    .run();
}

#[test]
fn leaving_a_volume_to_another_node() {
    Scenario {
        name: "NFS: leave",
        prepare: |world| {
            elsewhere(world);
            world.create("name=v,path=team/v");
        },
        steps: |world| {
            world.step("Remove", &json!({ "Name": "v" }))?;
            world.until_forgotten_or_dead()
        },
        finish: |world| {
            until("it has left", || marks(world) == 1);
            users(world, 1);
        },
        ..BASE
    }
    .run();
}

#[test]
fn import() {
    Scenario {
        name: "NFS: import",
        prepare: |world| {
            fs::create_dir_all(world.on_export("team/v/data")).unwrap();
            fs::write(world.on_export("team/v/data/file"), "precious").unwrap();
        },
        steps: |world| {
            let got = world.try_call("VolumeDriver.Get", &json!({ "Name": "v" }))?;
            if got.status == 200 {
                return Ok(());
            }
            world.command_step(["volume", "import", "fast:team/v", "--yes"])
        },
        finish: |world| {
            users(world, 1);
            world.remove("v");
            empty(world);
        },
        ..BASE
    }
    .run();
}

impl World {
    /// Waits until nothing is known of any volume, removed ones included.
    fn until_forgotten_or_dead(&self) -> Result<(), Interrupted> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let output = self.cli(["volume", "ls", "--removed", "--json"]);
            if !output.status.success() {
                return Err(Interrupted);
            }
            if output.stdout.trim_ascii() == b"[]" {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it is not deleted");
    }
}
