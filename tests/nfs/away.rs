//! A server that is away, and one that comes and goes.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::harness::{Connection, World, until};

/// Calls that need the server fail within this; the others do not notice.
const SOON: Duration = Duration::from_secs(45);

#[test]
fn while_the_server_is_away_it_is_said_soon_and_everything_else_goes_on() {
    let mut world = World::on_nfs();
    world.start();
    world.create("v");
    world.create("name=disk,backend=local");
    world.filer().kill();

    let start = Instant::now();
    let refused = world.call("Create", &json!({ "Name": "w" })).err();
    assert!(refused.contains("cannot be reached") && refused.contains("127.0.0.1"), "{refused}");
    let refused = world.mount_fails("v", "a");
    assert!(refused.contains("cannot be reached"), "{refused}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert_eq!(world.get("v")["Name"], "v");
    world.mount("disk", "a");
    world.unmount("disk", "a");

    // Docker forgets a volume of which a new daemon does not know at once that it is there.
    world.crash();
    let start = Instant::now();
    assert_eq!(world.get("v")["Name"], "v");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    world.remove("disk");
    world.stop();
    world.filer().start_again();
    world.start();
    world.remove("v");
    until("what was asked for is done", || world.exported().is_empty());
    world.finish();
}

/// At a shutdown the network may be gone, and there are more volumes than this one.
#[test]
fn release_asks_no_server() {
    let mut world = World::on_nfs();
    world.start();
    for n in 0..20 {
        world.create(&format!("name=v{n},size=1MiB"));
    }
    world.stop();
    world.filer().stop();
    let start = Instant::now();
    world.hawser(["release"]);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    world.filer().cont();
}

#[test]
fn what_was_asked_of_a_server_that_comes_and_goes_is_done_or_undone() {
    let mut world = World::on_nfs();
    world.start();
    let callers: Vec<_> = (0..4)
        .map(|caller| {
            let socket = world.path("hawser.sock");
            thread::spawn(move || (0..25).map(|n| create(&socket, caller, n)).collect::<Vec<_>>())
        })
        .collect();
    while !callers.iter().all(thread::JoinHandle::is_finished) {
        world.filer().kill();
        thread::sleep(Duration::from_millis(300));
        world.filer().start_again();
        thread::sleep(Duration::from_millis(1500));
    }
    let answers: Vec<_> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();

    let mut made: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    made.sort();
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert!(refused.contains("create") && refused.contains("nfs"), "{refused}");
    }
    assert!(made.len() > 20, "{} of {}", made.len(), answers.len());
    let listed = world.call("List", &json!({})).ok();
    assert_eq!(listed["Volumes"].as_array().unwrap().len(), made.len());
    // What was refused is deleted, in the end.
    until("the export holds what was made", || {
        let exported = world.exported();
        exported.iter().collect::<Vec<_>>() == made
            && world.names_on_export(".hawser-new").is_empty()
    });
    for name in made {
        world.remove(name);
    }
    until("the export is empty", || world.exported().is_empty());
    world.finish();
}

/// The name, or why not.
fn create(socket: &Path, caller: u32, n: u32) -> Result<String, String> {
    let name = format!("v-{caller}-{n}");
    let mut connection = Connection::open(socket).unwrap();
    let body = json!({ "Name": name, "Opts": { "size": "16MiB" } }).to_string();
    let reply = connection.post("VolumeDriver.Create", &body).unwrap();
    match reply.json()["Err"].as_str() {
        None | Some("") => Ok(name),
        Some(error) => Err(error.to_owned()),
    }
}
