//! Sizes of directories: what is promised, what is measured, and what is done about it.

use std::fs;

use ganesha::{Filesystem, Options};
use serde_json::json;

use crate::harness::{World, until};

fn used(world: &World, name: &str) -> u64 {
    world.inspect(name)["used_bytes"].as_u64().unwrap_or_default()
}

#[test]
fn a_volume_that_holds_more_than_its_size_is_said_and_refused_where_that_is_wanted() {
    let mut world = World::on_nfs();
    world.set("backends.nfs.measure_every", "1s").set("backends.nfs.fast.over_limit", "refuse");
    world.start();
    world.create("name=v,size=1MiB");
    fs::write(world.on_export("v/data/file"), vec![1; 3 << 20]).unwrap();
    until("it is measured", || used(&world, "v") > 3 << 20);

    let refused = world.mount_fails("v", "a");
    assert!(refused.contains("it holds 3") && refused.contains("volume grow"), "{refused}");
    assert_eq!(world.logged(["it holds more than its size", "volume=v"]), 1, "said once");
    let status = world.get("v")["Status"].clone();
    assert_eq!(status["available"], json!("0B"), "{status}");

    world.hawser(["volume", "grow", "v", "8MiB"]);
    let other = world.mount_fails("v", "a");
    assert!(!other.contains("it holds"), "it fits now: {other}");
    fs::remove_file(world.on_export("v/data/file")).unwrap();
    until("it is measured again", || used(&world, "v") < 1 << 20);
}

#[test]
fn more_than_the_server_has_is_not_promised() {
    let ext4 = Options { filesystem: Filesystem::Ext4(128), ..Options::default() };
    let mut world = World::on_filer(ext4);
    world.start();
    let refused = world.call("Create", &json!({ "Name": "name=v,size=1GiB" })).err();
    assert!(refused.contains("1GiB is more than the") && refused.contains("margin"), "{refused}");
    assert!(world.exported().is_empty(), "{:?}", world.exported());
    world.create("name=v,size=64MiB");
    let refused = world.hawser_fails(["volume", "grow", "v", "1GiB"]);
    assert!(refused.contains("is free on"), "{refused}");
}
