//! Volumes that stay mounted for tasks that get a path of the host.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::harness::{World, is_mount_point, until};

fn publish(world: &World, spec: &str) -> PathBuf {
    PathBuf::from(world.hawser(["volume", "publish", spec]).trim())
}

/// Name, whether it is mounted, and who wants it.
fn published(world: &World) -> Vec<(String, bool, String)> {
    let listed = world.hawser(["volume", "published", "--json"]);
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    listed.iter().map(|v| (text(&v["name"]), v["path"].is_string(), text(&v["by"]))).collect()
}

fn by_settings(name: &str) -> Vec<(String, bool, String)> {
    vec![(name.to_owned(), true, "configuration".to_owned())]
}

/// Why the one that is published is not as it should be.
fn failure(world: &World) -> String {
    let listed = world.hawser(["volume", "published", "--json"]);
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    listed[0]["failure"].as_str().unwrap_or_default().to_owned()
}

fn by_command(name: &str) -> Vec<(String, bool, String)> {
    vec![(name.to_owned(), true, "command".to_owned())]
}

#[test]
fn a_published_volume_is_at_its_path_through_restarts_crashes_and_power_cuts() {
    let mut world = World::started();

    let path = publish(&world, "name=assets,size=64MiB");

    assert_eq!(path, world.path("mnt/volumes/assets"));
    fs::write(path.join("file"), "x").unwrap();
    let here = |world: &World, when: &str| {
        until("it is published again", || published(world) == by_command("assets"));
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "x", "{when}");
        assert_eq!(world.holders("assets"), [("published".into(), 1)], "{when}");
    };
    here(&world, "at first");
    assert_eq!(publish(&world, "assets"), path);
    here(&world, "published again");
    world.restart();
    here(&world, "restarted");
    world.crash();
    here(&world, "crashed");
    world.kill9();
    world.undo_mounts();
    assert!(!is_mount_point(&path));
    world.start();
    here(&world, "after a power cut");

    world.hawser(["volume", "unpublish", "assets"]);
    world.until_released("assets");
    assert_eq!(published(&world), []);
    world.restart();
    assert!(!path.exists(), "a task that wants it is to fail, not to write beside it");
    let error = world.hawser_fails(["volume", "unpublish", "assets"]);
    assert!(error.contains("not published"), "{error}");
    world.remove("assets");
    world.finish();
}

#[test]
fn containers_come_and_go_beside_it_and_it_is_not_removed_while_it_is_published() {
    let mut world = World::started();
    let path = publish(&world, "name=assets,size=64MiB");

    assert_eq!(world.mount("assets", "container"), path);
    world.unmount("assets", "container");

    assert!(is_mount_point(&path));
    let error = world.remove_fails("assets");
    assert!(error.contains("hawser volume unpublish"), "{error}");
    assert!(world.hawser(["volume", "inspect", "assets"]).contains("published"));
    assert_eq!(world.mount("assets", "container"), path);
    world.hawser(["volume", "unpublish", "assets"]);
    assert!(is_mount_point(&path), "the container has it");
    world.unmount("assets", "container");
    world.until_released("assets");
    world.remove("assets");
    world.finish();
}

/// A mistyped size must not take the path away from tasks, on every agent.
#[test]
fn what_was_published_stays_though_the_settings_state_another_size_by_now() {
    let mut world = World::new();
    world.set("volumes.orphan_after", "1s").set("volumes.sweep", "1s");
    world.set("volumes.publish", "name=assets,size=64MiB").start();
    until("it is mounted", || published(&world) == by_settings("assets"));
    world.kill9();
    world.set("volumes.publish", "name=assets,size=640MiB").start();

    until("the difference is told", || failure(&world).contains("size"));
    // Longer than what nobody holds any more is left alone.
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(is_mount_point(&world.path("mnt/volumes/assets")));
    assert_eq!(world.holders("assets"), [("published".into(), 1)]);
    assert!(failure(&world).contains("size"), "as long as it is so");
    world.kill9();
    world.set("volumes.publish", "").start();
    world.until_released("assets");
    world.remove("assets");
    world.finish();
}

#[test]
fn a_group_is_not_published_and_none_of_its_members_is_taken() {
    let mut world = World::started();
    world.mount("name=elk,scale=2,size=64MiB", "task");
    world.stop();
    world.set("volumes.publish", "elk").start();
    until("that is told", || failure(&world).contains("it is a group"));
    let members = world.hawser(["volume", "ls"]);
    assert!(!members.contains("elk_002"), "{members}");
    assert_eq!(world.holders("elk_001"), [("task".into(), 1)]);
    world.unmount("elk", "task");
    for volume in ["elk_001", "elk"] {
        world.remove(volume);
    }
}

#[test]
fn what_the_settings_publish_is_there_when_the_daemon_is_ready_and_is_let_go_of_without_them() {
    let mut world = World::new();
    world.set("volumes.publish", "name=assets,size=64MiB site,size=64MiB").start();

    until("they are mounted", || published(&world).iter().all(|(_, mounted, _)| *mounted));
    for name in ["assets", "site"] {
        assert!(is_mount_point(&world.path("mnt/volumes").join(name)), "{name}");
    }
    assert!(published(&world).iter().all(|(_, _, by)| by == "configuration"));
    let error = world.hawser_fails(["volume", "unpublish", "site"]);
    assert!(error.contains("volumes.publish"), "{error}");
    publish(&world, "site");
    assert!(!fs::exists(world.path("state/published.json")).unwrap(), "the settings have it");
    world.stop();
    world.set("volumes.publish", "assets,size=64MiB").start();

    world.until_released("site");
    assert_eq!(published(&world).len(), 1);
    world.stop();
    world.set("volumes.publish", "").start();
    world.until_released("assets");
    for name in ["assets", "site"] {
        world.remove(name);
    }
    world.finish();
}

#[test]
fn one_that_cannot_be_mounted_says_why_is_tried_again_and_delays_no_other() {
    let mut world = World::new();
    world.set("volumes.publish", "later good,size=64MiB").start();
    until("the good one is mounted", || is_mount_point(&world.path("mnt/volumes/good")));

    until("it says why", || world.hawser(["volume", "published"]).contains("no volume `later`"));
    assert_eq!(published(&world)[1], ("later".into(), false, "configuration".into()));
    world.create("name=later,size=64MiB");

    until("it is mounted", || is_mount_point(&world.path("mnt/volumes/later")));
    assert!(!world.hawser(["volume", "published"]).contains("no volume"));
    assert_eq!(world.logged(["not mounted: tried again"]), 1, "said once");
    world.stop();
    world.set("volumes.publish", "").start();
    for name in ["later", "good"] {
        world.until_released(name);
        world.remove(name);
    }
    world.finish();
}

#[test]
fn a_lost_volume_is_not_made_again_by_an_old_command() {
    let mut world = World::started();
    publish(&world, "name=assets,size=64MiB");
    world.stop();
    let list = world.path("state/published.json");
    assert_eq!(fs::read_to_string(&list).unwrap(), r#"{"version":1,"volumes":["assets"]}"#);
    fs::write(&list, r#"{"version":1,"volumes":["assets","lost"]}"#).unwrap();
    world.start();

    until("it says so", || world.hawser(["volume", "published"]).contains("no volume `lost`"));
    assert!(world.cli(["volume", "inspect", "lost"]).status.code() == Some(1));
    for name in ["assets", "lost"] {
        world.hawser(["volume", "unpublish", name]);
    }
    world.until_released("assets");
    world.remove("assets");
    world.finish();
}

#[test]
fn a_group_has_no_path_and_cannot_be_published() {
    let mut world = World::started();
    world.create("name=elk,size=64MiB,scale=2");

    for spec in ["elk", "name=other,scale=2"] {
        let error = world.hawser_fails(["volume", "publish", spec]);
        assert!(error.contains("group") && error.contains("_001"), "{error}");
    }

    let settings = world.cli(["config", "check", "--set", "volumes.publish=a,scale=2"]);
    assert_eq!(settings.status.code(), Some(64), "{settings:?}");
    world.remove("elk");
    world.finish();
}

/// As the Mesos agent does it: a bind of the path in the container's own mount namespace, under which the root is a slave.
#[test]
fn a_task_that_has_the_path_in_its_own_namespace_keeps_it_until_it_ends() {
    let mut world = World::started();
    let path = publish(&world, "name=assets,size=64MiB");
    let sandbox = world.path("sandbox");
    fs::create_dir(&sandbox).unwrap();
    let script = "mount --make-rslave / && mount --rbind \"$0\" \"$1\" && echo x >\"$1\"/file && \
                  touch \"$2\" && while [ -e \"$2\" ]; do sleep 0.05; done; cat \"$1\"/file";
    let flag = world.path("flag");
    let mut command = world.command("unshare");
    command.args(["--mount", "--propagation", "unchanged", "sh", "-c", script]);
    command.args([&path, &sandbox, &flag]).stdout(std::process::Stdio::piped());
    let task = command.spawn().unwrap();
    until("the task runs", || flag.exists());

    world.hawser(["volume", "unpublish", "assets"]);

    let error = world.remove_fails("assets");
    assert!(error.contains("another mount namespace"), "{error}");
    fs::remove_file(&flag).unwrap();
    let output = task.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "x\n");
    world.until_released("assets");
    until("nobody holds it", || world.inspect("assets")["holders"] == json!([]));
    assert!(!Path::new(&path).exists());
    world.remove("assets");
    world.finish();
}
