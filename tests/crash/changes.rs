//! Grow, removal and recovery, interrupted.

use serde_json::json;

use crate::{
    harness::World,
    scenario::{Interrupted, Scenario},
};

const BASE: Scenario = Scenario {
    name: "",
    world: World::new,
    // Each mostly waits for fsync and mkfs.
    workers: 4,
    settings: &[],
    prepare: |_| {},
    steps: |_| Ok(()),
    recovered: |_| {},
    finish: |world| world.remove("v"),
};

fn unmounted(world: &mut World) {
    world.create("name=v,size=64MiB");
    world.with_data("v", "precious");
    world.until_released("v");
}

fn mounted(world: &mut World) {
    unmounted(world);
    world.mount("v", "task");
}

fn mounted_xfs(world: &mut World) {
    world.create("name=v,size=300MiB,fs=xfs,provision=thin");
    world.with_data("v", "precious");
    world.until_released("v");
    world.mount("v", "task");
}

/// The volume has that many bytes, the image too, and the data is there.
#[track_caller]
fn grown(world: &World, mib: u64) {
    let info = world.inspect("v");
    assert_eq!(info["spec"]["size"], json!(mib << 20), "{info}");
    assert!(info["growing_to_bytes"].is_null(), "{info}");
    let images = world.images();
    assert_eq!(images.len(), 1, "{images:?}");
    assert_eq!(images[0].metadata().unwrap().len(), mib << 20);
    assert_eq!(world.data_of("v"), "precious");
}

fn release_and_remove(world: &mut World, mib: u64) {
    grown(world, mib);
    while !world.holders("v").is_empty() {
        world.unmount("v", "task");
    }
    world.until_released("v");
    // The next mount takes the new size up at the latest.
    let path = world.mount("v", "check");
    let size = rustix::fs::statvfs(&path).unwrap();
    let (total, wanted) = (size.f_blocks * size.f_frsize, mib << 20);
    assert!(total > wanted * 3 / 4, "{total} of {wanted}");
    assert_eq!(world.inspect("v")["grows_at_next_mount"], json!(false));
    world.unmount("v", "check");
    world.remove("v");
}

#[test]
fn grow_while_unmounted() {
    Scenario {
        name: "grow, unmounted",
        prepare: unmounted,
        steps: |world| world.command_step(["volume", "grow", "v", "128MiB"]),
        finish: |world| release_and_remove(world, 128),
        ..BASE
    }
    .run();
}

#[test]
fn grow_while_mounted_on_ext4() {
    Scenario {
        name: "grow, mounted, ext4",
        prepare: mounted,
        steps: |world| world.command_step(["volume", "grow", "v", "128MiB"]),
        finish: |world| release_and_remove(world, 128),
        ..BASE
    }
    .run();
}

#[test]
fn grow_while_mounted_on_xfs() {
    Scenario {
        name: "grow, mounted, xfs",
        prepare: mounted_xfs,
        steps: |world| world.command_step(["volume", "grow", "v", "400MiB"]),
        finish: |world| release_and_remove(world, 400),
        ..BASE
    }
    .run();
}

#[test]
fn removal_and_purge() {
    Scenario {
        name: "remove and purge",
        prepare: unmounted,
        steps: |world| {
            world.step("Remove", &json!({ "Name": "v" }))?;
            world.until_gone_or_dead()
        },
        finish: |_| {},
        ..BASE
    }
    .run();
}

#[test]
fn removal_and_the_same_name_again() {
    Scenario {
        name: "remove and create again",
        prepare: unmounted,
        steps: |world| {
            world.step("Remove", &json!({ "Name": "v" }))?;
            world.step("Create", &json!({ "Name": "v", "Opts": { "size": "64MiB" } }))?;
            world.until_gone_or_dead()
        },
        finish: |world| {
            assert_eq!(world.images().len(), 1, "{:?}", world.images());
            let path = world.mount("v", "task");
            assert!(!path.join("file").exists(), "a new volume is empty");
            world.unmount("v", "task");
            world.remove("v");
        },
        ..BASE
    }
    .run();
}

#[test]
fn removal_and_undelete() {
    Scenario {
        name: "remove and undelete",
        settings: &[("volumes.undelete", "1h")],
        prepare: mounted,
        steps: |world| {
            // Repeated after the undelete, this is the same story once more.
            world.step("Unmount", &json!({ "Name": "v", "ID": "task" }))?;
            world.step("Remove", &json!({ "Name": "v" }))?;
            world.command_step(["volume", "undelete", "v"])
        },
        finish: |world| {
            assert_eq!(world.data_of("v"), "precious");
            world.hawser(["volume", "rm", "--now", "--yes", "v"]);
        },
        ..BASE
    }
    .run();
}

#[test]
fn a_first_mount_interrupted_twice() {
    Scenario {
        name: "first mount, twice",
        steps: |world| {
            world.step("Mount", &json!({ "Name": "name=v,size=64MiB", "ID": "task" }))?;
            Ok(())
        },
        finish: |world| {
            assert_eq!(
                (world.images().len(), world.loops().len(), world.mounts().len()),
                (1, 1, 2)
            );
            while !world.holders("v").is_empty() {
                world.unmount("v", "task");
            }
            world.remove("v");
        },
        ..BASE
    }
    .run_twice();
}

#[test]
fn an_unmount_interrupted_twice() {
    Scenario {
        name: "unmount, twice",
        prepare: mounted,
        steps: |world| {
            world.step("Unmount", &json!({ "Name": "v", "ID": "task" }))?;
            world.until_released_or_dead("v")
        },
        finish: |world| {
            assert_eq!(world.data_of("v"), "precious");
            world.remove("v");
        },
        ..BASE
    }
    .run_twice();
}

impl World {
    /// Polls a question about the world until it is answered with yes, or the daemon dies.
    pub(crate) fn poll(
        &self,
        what: &str,
        done: impl Fn(&Self) -> Option<bool>,
    ) -> Result<(), Interrupted> {
        let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
        loop {
            match done(self) {
                None => return Err(Interrupted),
                Some(true) => return Ok(()),
                Some(false) => {}
            }
            assert!(
                std::time::Instant::now() < deadline,
                "gave up waiting: {what}, {:?}",
                self.images()
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Waits until no volume has a device or a mount.
    pub(crate) fn until_released_or_dead(&self, name: &str) -> Result<(), Interrupted> {
        let body = json!({ "Name": name });
        self.poll("released", |world| {
            world.try_call("VolumeDriver.Get", &body).ok()?;
            Some(world.loops().is_empty() && world.mounts().is_empty())
        })
    }

    /// Waits until only volumes that are in use have images.
    pub(crate) fn until_gone_or_dead(&self) -> Result<(), Interrupted> {
        self.poll("purged", |world| {
            let answer = world.try_call("VolumeDriver.List", &json!({})).ok()?.ok();
            Some(world.images().len() == answer["Volumes"].as_array().unwrap().len())
        })
    }
}
