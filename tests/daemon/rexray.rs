//! The driver's name `rexray`: a second socket, for the apps of who comes from REX-Ray.

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt, MetadataExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use rustix::mount::{MountFlags, mount};
use serde_json::{Value, json};

use crate::harness::{Connection, HAWSER, Start, World};

const SOCKET: &str = "/run/docker/plugins/rexray.sock";

/// A world that is also `rexray`, where Docker and dvdcli look for it; not started yet.
fn as_rexray(mut world: World) -> World {
    fs::create_dir_all("/run/docker/plugins").unwrap();
    // In the test's own mount namespace.
    mount("tmpfs", "/run/docker/plugins", "tmpfs", MountFlags::empty(), None).unwrap();
    world.set("daemon.rexray_socket", SOCKET);
    world
}

/// As the Mesos agent calls it.
fn dvdcli(world: &World, verb: &str, name: &str, options: &[&str]) -> Result<PathBuf, String> {
    let mut command = world.command(HAWSER);
    command.args(["dvdcli", verb, "--volumedriver=rexray", &format!("--volumename={name}")]);
    command.args(options.iter().map(|option| format!("--volumeopts={option}")));
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
    if output.status.success() { Ok(text(output.stdout).into()) } else { Err(text(output.stderr)) }
}

/// One request as Docker sends it to the driver `rexray`.
fn call(call: &str, body: &Value) -> Result<Value, String> {
    let mut connection = Connection::open(Path::new(SOCKET)).unwrap();
    let reply = connection.post(&format!("VolumeDriver.{call}"), &body.to_string()).unwrap();
    let value: Value = serde_json::from_str(&reply.body).unwrap();
    match value["Err"].as_str().unwrap_or_default() {
        "" => Ok(value),
        why => Err(why.to_owned()),
    }
}

#[test]
fn an_app_of_rex_rays_runs_as_it_is_and_its_volume_is_the_same_under_both_names() {
    let mut world = as_rexray(World::on_ebs());
    world.start();

    let options = ["size=4", "volumetype=io1", "iops=100", "newfstype=xfs"];
    let path = dvdcli(&world, "mount", "pgdata", &options).unwrap();
    fs::write(path.join("file"), "precious").unwrap();

    let spec = world.inspect("pgdata")["spec"].clone();
    assert_eq!((&spec["size"], &spec["fs"]), (&json!(4_u64 << 30), &json!("xfs")));
    assert_eq!(
        (&spec["backend"]["volume_type"], &spec["backend"]["iops"]),
        (&json!("io1"), &json!(100))
    );
    assert_eq!(world.get("pgdata")["Mountpoint"].as_str(), path.to_str());
    let stage = world.path("mnt/stage").join(world.inspect("pgdata")["id"].as_str().unwrap());
    assert_eq!(fs::read_to_string(stage.join("data/file")).unwrap(), "precious", "in `data`");
    dvdcli(&world, "unmount", "pgdata", &[]).unwrap();
    assert_eq!(world.data_of("pgdata"), "precious");
    call("Remove", &json!({ "Name": "pgdata" })).unwrap();
    world.finish();
}

#[test]
fn a_volume_of_which_no_size_is_said_has_16_gib_as_with_rex_ray_and_one_that_exists_keeps_its_own()
{
    let mut world = as_rexray(World::on_ebs());
    world.start();
    world.create("ours");

    for name in ["ours", "theirs"] {
        call("Create", &json!({ "Name": name, "Opts": null })).unwrap();
        call("Create", &json!({ "Name": name, "Opts": { "size": "" } })).unwrap_err();
    }
    call("Mount", &json!({ "Name": "inline,type=gp3", "ID": "a" })).unwrap();

    let size = |name: &str| world.inspect(name)["spec"]["size"].as_u64().unwrap() >> 30;
    assert_eq!(["ours", "theirs", "inline"].map(size), [1, 16, 16]);
    call("Mount", &json!({ "Name": "inline,type=gp3", "ID": "a" })).unwrap();
    for _ in 0..2 {
        call("Unmount", &json!({ "Name": "inline", "ID": "a" })).unwrap();
    }
    for name in ["ours", "theirs", "inline"] {
        call("Remove", &json!({ "Name": name })).unwrap();
    }
    world.finish();
}

/// REX-Ray would have mounted it; an empty one in its place would look like lost data.
#[test]
fn no_empty_volume_is_made_under_the_name_of_one_of_rex_rays_that_was_not_taken_over() {
    let mut world = as_rexray(World::on_ebs());
    world.start();
    let content = world.foreign_disk("data", "precious");
    let vol = world.ec2().add_volume(&[("Name", "pgdata")], 1, &content).unwrap();

    let error = dvdcli(&world, "mount", "pgdata", &["size=1"]).unwrap_err();

    assert!(error.contains(&vol) && error.contains("hawser volume import"), "{error}");
    let error = call("Mount", &json!({ "Name": "pgdata,size=1", "ID": "a" })).unwrap_err();
    assert!(error.contains(&vol), "{error}");
    assert_eq!(world.ec2().volumes().len(), 1);
    world.hawser(["volume", "import", &vol, "--yes", "--name", "pgdata"]);
    let path = dvdcli(&world, "mount", "pgdata", &["size=1"]).unwrap();
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "precious");
    dvdcli(&world, "unmount", "pgdata", &[]).unwrap();
    call("Remove", &json!({ "Name": "pgdata" })).unwrap();
    world.finish();
}

#[test]
fn the_socket_is_roots_alone_gone_at_the_end_and_not_there_by_default() {
    let mut world = as_rexray(World::new());
    world.start();

    let metadata = fs::metadata(SOCKET).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!((metadata.mode() & 0o777, metadata.uid()), (0o600, 0));
    world.crash();
    assert!(call("List", &json!({})).is_ok(), "a stale file is replaced");
    world.stop();
    assert!(!Path::new(SOCKET).exists());
    world.set("daemon.rexray_socket", "").start();
    assert!(!Path::new(SOCKET).exists());
    world.finish();
}

#[test]
fn while_rex_ray_runs_the_daemon_does_not_start_and_leaves_its_socket_alone() {
    let mut world = as_rexray(World::new());
    let rexray = UnixListener::bind(SOCKET).unwrap();
    let inode = fs::metadata(SOCKET).unwrap().ino();

    let Start::Ended(status) = world.try_start() else { panic!("it started") };

    assert_eq!(status.code(), Some(1));
    let log = world.log();
    assert!(log.contains("REX-Ray still runs") && log.contains("dcos-rexray"), "{log}");
    assert_eq!(fs::metadata(SOCKET).unwrap().ino(), inode);
    assert!(!world.path("hawser.sock").exists(), "nothing is left of the start");
    drop(rexray);
    world.start();
    assert!(call("List", &json!({})).is_ok());
    world.finish();
}
