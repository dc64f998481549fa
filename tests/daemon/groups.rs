//! `scale=N`: a volume of its own for every task, under one name.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
};

use serde_json::{Value, json};

use crate::harness::{Caller, World, until};

fn name_of(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

impl World {
    /// A group of volumes of 64 MiB.
    #[track_caller]
    fn group(&self, name: &str, scale: u16) {
        let options = json!({ "scale": scale.to_string(), "size": "64MiB" });
        self.call("Create", &json!({ "Name": name, "Opts": options })).ok();
    }

    /// The member that a task gets.
    #[track_caller]
    fn member(&self, group: &str, id: &str) -> String {
        name_of(&self.mount(group, id)).to_owned()
    }

    /// The same, with a file in it that says whose it is.
    #[track_caller]
    fn signed(&self, group: &str, id: &str) -> PathBuf {
        let path = self.mount(group, id);
        fs::write(path.join("owner"), id).unwrap();
        path
    }

    fn claim(&self, member: &str) -> Value {
        self.inspect(member)["member"]["claim"]["id"].clone()
    }
}

#[test]
fn each_task_gets_a_volume_of_its_own_and_keeps_it() {
    let mut world = World::started();
    world.group("elk", 3);
    assert_eq!(world.get("elk")["Mountpoint"], "");

    let paths = ["a", "b", "c"].map(|id| world.signed("elk", id));
    let names: Vec<_> = paths.iter().map(|path| name_of(path)).collect();
    assert_eq!(names, ["elk_001", "elk_002", "elk_003"]);
    // As `docker cp`: the container's own id once more.
    assert_eq!(world.mount("elk", "b"), paths[1]);
    assert_eq!(world.holders("elk_002"), [("b".into(), 2)]);
    world.unmount("elk", "b");
    assert_eq!(world.holders("elk_002"), [("b".into(), 1)]);
    for (path, id) in paths.iter().zip(["a", "b", "c"]) {
        assert_eq!(fs::read_to_string(path.join("owner")).unwrap(), id);
    }
    // Docker asks before each of its calls, and uses the path that Mount answered.
    assert_eq!(world.get("elk")["Mountpoint"], "", "there is no one path");

    for id in ["a", "b", "c"] {
        world.unmount("elk", id);
    }
    world.unmount("elk", "never mounted");
    world.remove("elk");
    world.remove("elk");
    world.finish();
}

#[test]
fn a_task_that_is_started_again_finds_its_data() {
    let mut world = World::started();
    world.group("elk", 3);
    for id in ["a", "b", "c"] {
        world.signed("elk", id);
    }
    // Free for a long time, and nobody's to be taken for another's.
    world.unmount("elk", "a");

    for (id, anew) in [("b", "b2"), ("c", "c2")] {
        world.unmount("elk", id);
        let path = world.mount("elk", anew);
        assert_eq!(fs::read_to_string(path.join("owner")).unwrap(), id);
    }

    assert_eq!(world.member("elk", "a2"), "elk_001", "no new one is made while one is free");
    for id in ["a2", "b2", "c2"] {
        world.unmount("elk", id);
    }
    world.remove("elk");
    world.finish();
}

#[test]
fn what_a_task_has_outlives_the_daemon() {
    let mut world = World::started();
    world.group("elk", 2);
    let paths = ["a", "b"].map(|id| world.signed("elk", id));

    for way in [World::restart, World::crash] {
        way(&mut world);
        // `docker cp`, by a daemon that has seen none of this.
        assert_eq!(world.mount("elk", "b"), paths[1]);
        world.unmount("elk", "b");
        assert_eq!(world.holders("elk_002"), [("b".into(), 1)]);
        assert!(world.mount_fails("elk", "c").contains("no volume of the group is left"));
    }

    world.unmount("elk", "a");
    world.crash();
    assert_eq!(world.member("elk", "c"), "elk_001");
    for id in ["b", "c"] {
        world.unmount("elk", id);
    }
    world.remove("elk");
    world.finish();
}

#[test]
fn many_tasks_at_once_get_different_volumes_and_one_task_the_same() {
    let mut world = World::started();
    world.group("elk", 6);

    let calls: Vec<(String, String)> = thread::scope(|scope| {
        let world = &world;
        let ask = |n: usize| {
            let id = format!("task-{}", n % 6);
            scope.spawn(move || {
                let body = json!({ "Name": "elk", "ID": id });
                let answer = world.try_call("VolumeDriver.Mount", &body).unwrap().ok();
                let path = PathBuf::from(answer["Mountpoint"].as_str().unwrap());
                (id, name_of(&path).to_owned())
            })
        };
        let asked: Vec<_> = (0..12).map(ask).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });

    let pairs: BTreeSet<_> = calls.iter().cloned().collect();
    let members: BTreeSet<_> = calls.iter().map(|(_, member)| member).collect();
    assert_eq!((pairs.len(), members.len()), (6, 6), "{calls:?}");
    for (id, _) in &calls {
        world.unmount("elk", id);
    }
    world.remove("elk");
    world.finish();
}

#[test]
fn a_group_grows_when_it_is_asked_to_and_shrinks_without_losing_anything() {
    let mut world = World::started();
    world.mount("name=elk,scale=2,size=64MiB", "a");
    world.mount("elk", "b");
    let told = world.mount_fails("elk", "c");
    assert!(told.contains("elk_001: mount a; elk_002: mount b"), "{told}");
    assert!(told.contains("hawser volume set elk -o scale=3"), "{told}");

    // Docker sends no Create for what exists.
    assert_eq!(world.member("name=elk,scale=3,size=64MiB", "c"), "elk_003");
    assert_eq!(world.member("name=elk,scale=2,size=64MiB", "c"), "elk_003", "an older app agrees");
    assert_eq!(world.inspect("elk")["spec"]["scale"], 3);
    let told = world.mount_fails("name=elk,scale=3,size=1GiB", "d");
    assert!(told.contains("exists with size=64MiB"), "{told}");

    world.hawser(["volume", "set", "elk", "-o", "scale=1"]);
    assert_eq!(world.member("elk", "c"), "elk_003", "who has one keeps it");
    for id in ["b", "c", "c", "c"] {
        world.unmount("elk", id);
    }
    let told = world.mount_fails("elk", "d");
    assert!(told.contains("elk_002: free, but above scale=1"), "{told}");
    assert_eq!(world.inspect("elk")["members"].as_array().unwrap().len(), 3, "all are there");

    world.unmount("elk", "a");
    let told = world.hawser_fails(["volume", "set", "elk_001", "-o", "scale=4"]);
    assert!(told.contains("it is one volume"), "{told}");
    world.remove("elk");
    world.finish();
}

#[test]
fn a_group_is_grown_around_a_member_that_is_larger_already() {
    let mut world = World::started();
    world.mount("name=elk,scale=3,size=64MiB", "a");
    world.mount("elk", "b");
    world.mount("elk", "c");
    let mib = |name: &str| world.inspect(name)["spec"]["size"].as_u64().unwrap() >> 20;
    world.hawser(["volume", "grow", "elk_001", "256MiB"]);

    world.hawser(["volume", "grow", "elk", "128MiB"]);

    assert_eq!(["elk", "elk_001", "elk_002", "elk_003"].map(mib), [128, 256, 128, 128]);

    // One that cannot be grown keeps nothing from those after it, and is told.
    let image = world
        .path("images")
        .join(format!("{}.img", world.inspect("elk_002")["id"].as_str().unwrap()));
    let away = image.with_extension("away");
    world.unmount("elk", "b");
    world.until_released("elk_002");
    fs::rename(&image, &away).unwrap();
    let told = world.hawser_fails(["volume", "grow", "elk", "192MiB"]);
    fs::rename(&away, &image).unwrap();
    assert!(told.contains("elk_002"), "{told}");
    assert_eq!(["elk", "elk_001", "elk_003"].map(mib), [192, 256, 192]);
    world.hawser(["volume", "grow", "elk", "192MiB"]);
    assert_eq!(mib("elk_002"), 192);

    for id in ["a", "c"] {
        world.unmount("elk", id);
    }
    world.remove("elk");
    world.finish();
}

#[test]
fn a_group_is_removed_whole_or_not_at_all_and_comes_back_whole() {
    let mut world = World::new();
    world.set("volumes.undelete", "1h").start();
    world.group("elk", 3);
    for id in ["a", "b"] {
        world.signed("elk", id);
    }

    let told = world.remove_fails("elk");
    assert!(told.contains("elk_001: mount a; elk_002: mount b"), "{told}");
    world.unmount("elk", "a");
    let told = world.remove_fails("elk");
    assert!(told.contains("in use: elk_002: mount b"), "{told}");
    assert_eq!(world.inspect("elk")["members"].as_array().unwrap().len(), 2, "none is removed");
    world.unmount("elk", "b");
    world.remove("elk");
    assert_eq!(world.call("List", &json!({})).ok()["Volumes"], json!([]));

    world.hawser(["volume", "undelete", "elk"]);
    let members: Vec<_> = ["c", "d"].map(|id| world.mount("elk", id)).into();
    for (path, id) in members.iter().zip(["b", "a"]) {
        assert_eq!(fs::read_to_string(path.join("owner")).unwrap(), id, "the last used first");
    }
    for id in ["c", "d"] {
        world.unmount("elk", id);
    }
    world.remove("elk");
    world.hawser(["volume", "purge", "--yes", "elk"]);
    until("nothing is left", || world.hawser(["volume", "ls", "--removed"]).lines().count() <= 1);
    world.finish();
}

#[test]
fn what_is_only_called_like_a_member_is_none() {
    let mut world = World::started();
    world.create("elk_002");
    let foreign = world.mount("elk_002", "its own");
    fs::write(foreign.join("file"), "another's").unwrap();
    world.unmount("elk_002", "its own");
    world.group("elk", 2);

    let members = ["a", "b"].map(|id| world.member("elk", id));

    assert_eq!(members, ["elk_001", "elk_003"], "two, as asked, and the number is skipped");
    for id in ["a", "b"] {
        world.unmount("elk", id);
    }
    world.remove("elk");
    assert_eq!(fs::read_to_string(world.mount("elk_002", "x").join("file")).unwrap(), "another's");
    world.unmount("elk_002", "x");
    let told = world.mount_fails("name=elk_002,scale=2", "x");
    assert!(told.contains("exists with no `scale`"), "{told}");
    world.remove("elk_002");
    world.finish();
}

#[test]
fn tasks_without_an_id_share_one_member_on_their_node() {
    let mut world = World::started();
    world.group("elk", 2);

    for _ in 0..3 {
        let answer = Caller::start(&world).call("Mount", &json!({ "Name": "elk" }));
        assert!(answer["Mountpoint"].as_str().unwrap().ends_with("elk_001"), "{answer}");
    }
    assert_eq!(world.member("elk", "docker's"), "elk_002");
    assert_eq!(world.holders("elk_001"), [(String::new(), 1)]);
    world.call("Unmount", &json!({ "Name": "elk" })).ok();

    assert!(world.holders("elk_001").is_empty());
    assert!(world.claim("elk_001").is_null() && world.claim("elk_002") == "docker's");
    world.unmount("elk", "docker's");
    world.remove("elk");
    world.finish();
}

#[test]
fn a_member_that_somebody_mounts_by_its_own_name_is_not_free() {
    let mut world = World::started();
    world.group("elk", 2);
    world.mount("elk", "a");
    world.unmount("elk", "a");

    world.mount("elk_001", "by name");
    assert_eq!(world.member("elk", "b"), "elk_002");
    let told = world.mount_fails("elk", "c");
    assert!(told.contains("elk_001: mount by name, by its own name"), "{told}");
    assert!(world.remove_fails("elk").contains("elk_001: mount by name"));

    world.unmount("elk_001", "by name");
    assert_eq!(world.member("elk", "c"), "elk_001");
    for id in ["b", "c"] {
        world.unmount("elk", id);
    }
    world.remove("elk");
    world.finish();
}

#[test]
fn a_member_that_cannot_be_mounted_is_passed_over_and_left_free() {
    let mut world = World::started();
    world.group("elk", 2);
    world.mount("elk", "a");
    world.unmount("elk", "a");
    world.until_released("elk_001");
    let image = format!("images/{}.img", world.inspect("elk_001")["id"].as_str().unwrap());
    fs::rename(world.path(&image), world.path("aside")).unwrap();

    assert_eq!(world.member("elk", "b"), "elk_002");

    assert!(world.claim("elk_001").is_null(), "no claim is left behind");
    let told = world.mount_fails("elk", "c");
    assert!(told.contains("elk_001: mount elk_001: its storage is missing"), "{told}");
    assert!(told.contains("elk_002: mount b"), "{told}");
    fs::rename(world.path("aside"), world.path(&image)).unwrap();
    assert_eq!(world.member("elk", "c"), "elk_001");
    for id in ["b", "c"] {
        world.unmount("elk", id);
    }
    world.remove("elk");
    world.finish();
}

#[test]
fn the_member_of_a_dead_engines_container_is_free_again() {
    let mut world = World::new();
    world.set("volumes.orphan_after", "0s").start();
    world.group("elk", 1);
    // Its engine dies, and nobody ever unmounts.
    Caller::start(&world).call("Mount", &json!({ "Name": "elk", "ID": "container" }));

    until("the claim is gone", || world.claim("elk_001").is_null());

    assert_eq!(world.member("elk", "another"), "elk_001");
    world.unmount("elk", "another");
    world.remove("elk");
    world.finish();
}

#[test]
fn operators_see_groups_with_their_members() {
    let mut world = World::started();
    world.group("elk", 3);
    world.create("elk-else");
    world.mount("elk", "a");

    let listed = world.hawser(["volume", "ls"]);
    let rows: Vec<_> = listed.lines().map(|line| line.trim_end()).collect();
    let row = |name: &str| rows.iter().position(|row| row.starts_with(name)).unwrap();
    assert!(rows[row("elk ")].contains("scale=3"), "{listed}");
    assert_eq!(row("  elk_001"), row("elk ") + 1, "{listed}");
    let inspected = world.hawser(["volume", "inspect", "elk"]);
    assert!(inspected.contains("elk_001: mount a, mounted"), "{inspected}");
    let status = world.get("elk");
    assert_eq!(status["Status"]["members"][0]["claim"]["id"], "a");
    // Docker's own list has both: a member is a volume, and may be removed by its name.
    let listed = world.call("List", &json!({})).ok();
    let names = listed["Volumes"].as_array().unwrap().iter().map(|v| v["Name"].clone());
    assert_eq!(names.collect::<Vec<_>>(), ["elk", "elk-else", "elk_001"]);
    let only = world.get("elk");
    assert!(only["Mountpoint"].as_str().unwrap().ends_with("/elk_001"), "one alone is mounted");

    for (call, told) in [
        (["volume", "rename", "elk", "elch"], "it is a group of volumes"),
        (["volume", "trim", "elk", "--"], "it is a group of volumes"),
    ] {
        let error = world.hawser_fails(call);
        assert!(error.contains(told), "{error}");
    }
    world.hawser(["volume", "grow", "elk", "96MiB"]);
    assert_eq!(world.inspect("elk_001")["spec"]["size"], 96 << 20);
    world.mount("elk", "b");
    assert_eq!(world.inspect("elk_002")["spec"]["size"], 96 << 20, "new ones are as large");
    for id in ["a", "b"] {
        world.unmount("elk", id);
    }
    for name in ["elk", "elk-else"] {
        world.remove(name);
    }
    world.finish();
}
