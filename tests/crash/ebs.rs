//! EBS volumes, interrupted. The EC2 is in the test's process: it outlives the daemon, and what was
//! asked of it and never recorded is found there.

use std::{fs, process::Command, time::Duration};

use serde_json::json;

use crate::{
    harness::{World, run, until},
    scenario::{Interrupted, Scenario},
};

const BASE: Scenario = Scenario {
    name: "",
    world: World::on_ebs,
    // Each mostly waits between two looks at EC2.
    workers: 8,
    settings: &[],
    prepare: |_| {},
    steps: |_| Ok(()),
    recovered: |_| {},
    finish: |world| world.remove("v"),
};

/// One that is detached after its last task, with a file on it.
fn following(world: &mut World) {
    world.create("name=v,attach=follow");
    world.with_data("v", "precious");
    world.until_released("v");
}

fn following_held(world: &mut World) {
    following(world);
    world.mount("v", "task");
}

fn held(world: &mut World) {
    world.create("name=v,type=gp2");
    world.with_data("v", "precious");
    world.mount("v", "task");
}

fn first_mount(world: &World) -> Result<(), Interrupted> {
    world.step("Mount", &json!({ "Name": "name=v,attach=follow", "ID": "task" })).map(drop)
}

fn removal(world: &World) -> Result<(), Interrupted> {
    world.step("Remove", &json!({ "Name": "v" }))?;
    world.until_deleted_or_dead()
}

/// One EBS volume, one device, mounted once and published once.
#[track_caller]
fn mounted_once(world: &World) {
    assert_eq!(world.ec2().volumes().len(), 1, "{:#?}", world.ec2().volumes());
    assert_eq!(world.shown_devices().len(), 1, "{:?}", world.shown_devices());
    assert_eq!(world.mounts().len(), 2, "{:?}", world.mounts());
    let attachment = world.ec2().volumes().remove(0).attachment.expect("it is attached");
    assert_eq!(attachment.state, "attached");
    assert_eq!(attachment.instance, world.ec2().first_instance().id);
}

/// Nothing is attached, and the data is where it was.
#[track_caller]
fn let_go(world: &mut World) {
    while !world.holders("v").is_empty() {
        world.unmount("v", "task");
    }
    world.until_released("v");
    assert!(world.ec2().volumes().iter().all(|volume| volume.attachment.is_none()));
    assert!(world.shown_devices().is_empty(), "{:?}", world.shown_devices());
}

/// What is written now is there after the next attachment: nothing was formatted meanwhile.
fn use_and_remove(world: &mut World) {
    mounted_once(world);
    let path = world.mount("v", "second");
    fs::write(path.join("file"), "precious").unwrap();
    world.unmount("v", "second");
    let_go(world);
    assert_eq!(world.data_of("v"), "precious");
    world.until_released("v");
    assert_eq!(world.ec2().volumes().len(), 1, "{:#?}", world.ec2().volumes());
    world.remove("v");
}

#[test]
fn create() {
    Scenario {
        name: "EBS: create",
        steps: |world| {
            world.step("Create", &json!({ "Name": "v", "Opts": { "type": "gp3" } })).map(drop)
        },
        finish: |world| {
            assert_eq!(world.ec2().volumes().len(), 1, "{:#?}", world.ec2().volumes());
            world.remove("v");
        },
        ..BASE
    }
    .run();
}

/// Docker does not repeat a Create: what it began goes with the name all the same.
#[test]
fn create_and_never_again() {
    Scenario {
        name: "EBS: create, removed instead of repeated",
        steps: |world| world.step("Create", &json!({ "Name": "v", "Opts": null })).map(drop),
        recovered: |world| {
            world.remove("v");
            until("what was created is deleted", || world.ec2().volumes().is_empty());
        },
        ..BASE
    }
    .run();
}

const FIRST_MOUNT: Scenario =
    Scenario { name: "EBS: first mount", steps: first_mount, finish: use_and_remove, ..BASE };

#[test]
fn first_mount_of_an_inline_spec() {
    FIRST_MOUNT.run();
}

#[test]
fn a_first_mount_interrupted_twice() {
    Scenario { name: "EBS: first mount, twice", ..FIRST_MOUNT }.run_twice();
}

#[test]
fn mount_of_a_volume_with_data() {
    Scenario {
        name: "EBS: mount with data",
        prepare: following,
        steps: first_mount,
        finish: |world| {
            assert_eq!(world.data_of("v"), "precious");
            use_and_remove(world);
        },
        ..BASE
    }
    .run();
}

#[test]
fn unmount_and_detach() {
    Scenario {
        name: "EBS: unmount",
        prepare: following_held,
        steps: |world| {
            world.step("Unmount", &json!({ "Name": "v", "ID": "task" }))?;
            world.until_detached_or_dead()
        },
        finish: |world| {
            let_go(world);
            assert_eq!(world.data_of("v"), "precious");
            world.remove("v");
        },
        ..BASE
    }
    .run();
}

#[test]
fn grow_with_another_type() {
    Scenario {
        name: "EBS: grow",
        prepare: held,
        steps: |world| {
            world.command_step([
                "volume",
                "grow",
                "v",
                "2GiB",
                "-o",
                "type=gp3",
                "-o",
                "throughput=200",
            ])
        },
        finish: |world| {
            let volume = world.ec2().volume(&world.vol("v")).unwrap();
            assert_eq!((volume.size, volume.throughput), (2, Some(200)));
            assert_eq!(volume.volume_type, "gp3");
            let info = world.inspect("v");
            assert_eq!(info["spec"]["size"], 2_u64 << 30, "{info}");
            assert_eq!(info["spec"]["backend"]["volume_type"], "gp3", "{info}");
            assert!(info["growing_to_bytes"].is_null(), "{info}");
            while !world.holders("v").is_empty() {
                world.unmount("v", "task");
            }
            // What it was told is written to EC2 meanwhile, and a mount would find it mounted still.
            world.until_unmounted("v");
            // The next mount takes the new size up at the latest.
            let path = world.mount("v", "check");
            let size = rustix::fs::statvfs(&path).unwrap();
            assert!(size.f_blocks * size.f_frsize > 3 << 29, "{} blocks", size.f_blocks);
            assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "precious");
            world.unmount("v", "check");
            // EC2 would have refused a second change.
            assert_eq!(world.ec2().count("ModifyVolume"), 1);
            world.remove("v");
        },
        ..BASE
    }
    .run();
}

const REMOVAL: Scenario = Scenario {
    name: "EBS: remove",
    prepare: |world| {
        world.create("v");
        world.with_data("v", "precious");
        world.until_unmounted("v");
    },
    steps: removal,
    finish: |world| assert!(world.shown_devices().is_empty(), "{:?}", world.shown_devices()),
    ..BASE
};

#[test]
fn removal_of_an_attached_volume() {
    REMOVAL.run();
}

#[test]
fn a_removal_interrupted_twice() {
    Scenario { name: "EBS: remove, twice", ..REMOVAL }.run_twice();
}

#[test]
fn removal_and_the_same_name_again() {
    Scenario {
        name: "EBS: remove and create again",
        steps: |world| {
            world.step("Remove", &json!({ "Name": "v" }))?;
            world.step("Create", &json!({ "Name": "v", "Opts": null }))?;
            world.until_only_listed_or_dead()
        },
        finish: |world| {
            let path = world.mount("v", "task");
            assert!(!path.join("file").exists(), "a new volume is empty");
            world.unmount("v", "task");
            world.remove("v");
        },
        ..REMOVAL
    }
    .run();
}

/// A file system that a killed daemon left frozen holds every task that writes.
#[test]
fn snapshot_of_a_mounted_volume() {
    Scenario {
        name: "EBS: snapshot",
        prepare: held,
        steps: |world| world.command_step(["snapshot", "create", "v"]),
        recovered: |world| {
            let published = world.path("mnt/volumes/v");
            let writer = published.join("written");
            let mut write = Command::new("dd")
                .args(["if=/dev/zero", "bs=4k", "count=1", "conv=fsync", "status=none"])
                .arg(format!("of={}", writer.display()))
                .spawn()
                .unwrap();
            for _ in 0..1500 {
                if let Some(status) = write.try_wait().unwrap() {
                    assert!(status.success(), "{status}");
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            // Whatever hangs in a frozen file system cannot be killed.
            run("fsfreeze", ["--unfreeze", published.to_str().unwrap()]);
            write.wait().unwrap();
            panic!("the file system is still frozen");
        },
        finish: |world| {
            let taken: Vec<_> = world.ec2().snapshots().into_iter().map(|snap| snap.id).collect();
            assert!((1..=2).contains(&taken.len()), "{taken:?}");
            let listed = world.hawser(["snapshot", "ls", "v"]);
            for id in &taken {
                assert!(listed.contains(id), "{id} is not listed: {listed}");
                world.hawser(["snapshot", "rm", "--yes", id]);
            }
            assert!(world.ec2().snapshots().is_empty());
            assert_eq!(world.data_of("v"), "precious");
            world.unmount("v", "task");
            world.remove("v");
        },
        ..BASE
    }
    .run();
}

#[test]
fn first_mount_of_a_copy_made_from_a_snapshot() {
    Scenario {
        name: "EBS: from a snapshot",
        prepare: |world| {
            following(world);
            world.hawser(["snapshot", "create", "v"]);
        },
        steps: |world| {
            let snapshot = world.ec2().snapshots().remove(0).id;
            let name = format!("name=copy,attach=follow,size=2GiB,snapshot={snapshot}");
            world.step("Mount", &json!({ "Name": name, "ID": "task" })).map(drop)
        },
        finish: |world| {
            assert_eq!(world.ec2().volumes().len(), 2, "{:#?}", world.ec2().volumes());
            assert_eq!(world.data_of("copy"), "precious");
            while !world.holders("copy").is_empty() {
                world.unmount("copy", "task");
            }
            world.until_released("copy");
            let snapshot = world.ec2().snapshots().remove(0).id;
            world.hawser(["snapshot", "rm", "--yes", &snapshot]);
            for name in ["v", "copy"] {
                assert_eq!(world.data_of(name), "precious");
                world.remove(name);
            }
        },
        ..BASE
    }
    .run();
}

/// The import that was interrupted may have been carried out.
fn import(world: &World) -> Result<(), Interrupted> {
    let volume = world.ec2().volumes().remove(0).id;
    let import = world.cli(["volume", "import", &volume, "--yes", "--name", "v"]);
    let error = String::from_utf8_lossy(&import.stderr).into_owned();
    if import.status.success() || error.contains("it is the volume `v` already") {
        return Ok(());
    }
    let away = ["cannot reach the daemon", "the daemon ended while it worked"];
    assert!(away.iter().any(|text| error.contains(text)), "{error}");
    Err(Interrupted)
}

const IMPORT: Scenario = Scenario {
    steps: import,
    finish: |world| {
        assert_eq!(world.ec2().volumes().len(), 1, "{:#?}", world.ec2().volumes());
        assert_eq!(world.data_of("v"), "precious", "tasks see what they saw before");
        world.remove("v");
    },
    ..BASE
};

#[test]
fn import_of_a_volume_of_rex_rays() {
    Scenario {
        name: "EBS: import, REX-Ray",
        prepare: |world| {
            let content = world.foreign_disk("data", "precious");
            world.ec2().add_volume(&[("Name", "v")], 1, &content).unwrap();
        },
        ..IMPORT
    }
    .run();
}

/// Its data lies at the top, which is not where hawser puts it.
#[test]
fn import_of_a_volume_of_cloudstors() {
    Scenario {
        name: "EBS: import, Cloudstor",
        prepare: |world| {
            let content = world.foreign_disk(".", "precious");
            world.ec2().add_volume(&[("CloudstorVolumeName", "v")], 1, &content).unwrap();
        },
        ..IMPORT
    }
    .run();
}

impl World {
    /// Waits until no volume is attached.
    fn until_detached_or_dead(&self) -> Result<(), Interrupted> {
        self.poll("detached", |world| {
            world.try_call("VolumeDriver.List", &json!({})).ok()?;
            let volumes = world.ec2().volumes();
            Some(volumes.iter().all(|volume| volume.attachment.is_none()))
        })
    }

    /// Waits until there is no volume in EC2.
    fn until_deleted_or_dead(&self) -> Result<(), Interrupted> {
        self.poll("deleted", |world| {
            world.try_call("VolumeDriver.List", &json!({})).ok()?;
            Some(world.ec2().volumes().is_empty())
        })
    }

    /// Waits until EC2 has no more volumes than are listed.
    fn until_only_listed_or_dead(&self) -> Result<(), Interrupted> {
        self.poll("deleted", |world| {
            let answer = world.try_call("VolumeDriver.List", &json!({})).ok()?.ok();
            Some(world.ec2().volumes().len() == answer["Volumes"].as_array().unwrap().len())
        })
    }

    /// The block devices that the instance has beside its root.
    fn shown_devices(&self) -> Vec<String> {
        let play = self.ec2().play_dir(&self.ec2().first_instance().id);
        let entries = fs::read_dir(play.join("sys/block")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}
