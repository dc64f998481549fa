//! The sockets, and a second daemon.

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt, MetadataExt},
        net::UnixListener,
    },
};

use crate::harness::{Start, World};

#[test]
fn the_sockets_are_roots_alone_and_gone_at_the_end() {
    let mut world = World::started();

    for name in ["hawser.sock", "admin.sock"] {
        let metadata = fs::metadata(world.path(name)).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!((metadata.mode() & 0o777, metadata.uid()), (0o600, 0), "{name}");
    }
    world.finish();
}

#[test]
fn a_signal_right_after_the_first_answer_ends_the_daemon_in_order() {
    let mut world = World::new();

    for _ in 0..20 {
        world.start();
        world.stop();
        assert!(!world.path("hawser.sock").exists());
        assert!(!world.path("admin.sock").exists());
    }
}

#[test]
fn a_stale_socket_file_is_replaced() {
    let mut world = World::started();
    world.create("v");
    world.kill9();
    assert!(world.path("hawser.sock").exists(), "kill -9 leaves it");

    world.start();

    assert_eq!(world.get("v")["Name"], "v");
    world.remove("v");
    world.finish();
}

#[test]
fn a_socket_on_which_another_program_answers_is_refused_and_left_alone() {
    let mut world = World::new();
    let other = UnixListener::bind(world.path("hawser.sock")).unwrap();
    // The harness would take the other program for the daemon: it never answers.
    other.set_nonblocking(true).unwrap();
    let inode = fs::metadata(world.path("hawser.sock")).unwrap().ino();

    let Start::Ended(status) = world.try_start_blind() else { panic!("it started") };

    assert_eq!(status.code(), Some(1));
    assert!(world.log().contains("another process answers on it"), "{}", world.log());
    assert_eq!(fs::metadata(world.path("hawser.sock")).unwrap().ino(), inode);
}

#[test]
fn what_is_not_a_socket_is_refused_and_left_alone() {
    let mut world = World::new();
    fs::write(world.path("hawser.sock"), "a letter").unwrap();

    let Start::Ended(status) = world.try_start() else { panic!("it started") };

    assert_eq!(status.code(), Some(1));
    assert!(world.log().contains("is not a socket"), "{}", world.log());
    assert_eq!(fs::read_to_string(world.path("hawser.sock")).unwrap(), "a letter");
}

#[test]
fn a_second_daemon_on_the_same_state_is_refused_and_disturbs_nothing() {
    let mut world = World::started();
    world.create("v");
    let path = world.mount("v", "a");

    let state = world.path("state").display().to_string();
    let root = world.path("mnt").display().to_string();
    let socket = world.path("second.sock").display().to_string();
    let admin = world.path("second-admin.sock").display().to_string();
    let second = world.cli([
        "serve",
        "--state-dir",
        &state,
        "--root",
        &root,
        "--docker-socket",
        &socket,
        "--admin-socket",
        &admin,
    ]);

    assert_eq!(second.status.code(), Some(1), "{second:?}");
    let error = String::from_utf8_lossy(&second.stderr);
    assert!(error.contains("in use by another hawser"), "{error}");
    assert!(!world.path("second.sock").exists());
    fs::write(path.join("file"), "x").unwrap();
    for command in [&["store", "export"][..], &["release"]] {
        let mut command_line = world.command(crate::harness::HAWSER);
        let output = command_line.args(command).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?} {output:?}");
    }
    fs::write(path.join("file"), "y").unwrap();
    world.unmount("v", "a");
    world.remove("v");
    world.finish();
}
