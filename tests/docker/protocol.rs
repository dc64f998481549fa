//! The plugin's socket, spoken to as old engines, dvdcli and Go's HTTP client speak to it.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::harness::{Connection, Hawser, TestDir};

fn hawser(dir: &TestDir) -> Hawser {
    Hawser::start(dir.path(), &[])
}

fn connect(hawser: &Hawser) -> Connection {
    Connection::open(hawser.socket()).unwrap()
}

#[test]
fn an_empty_host_header_is_accepted() {
    let dir = TestDir::new();
    let hawser = hawser(&dir);

    let request = "POST /VolumeDriver.List HTTP/1.1\r\nHost: \r\nContent-Length: 2\r\n\r\n{}";
    let (status, answer) = connect(&hawser).exchange(request.as_bytes()).unwrap();

    assert_eq!((status, &answer["Err"]), (200, &"".into()));
}

#[test]
fn list_and_capabilities_need_no_body_but_the_others_do() {
    let dir = TestDir::new();
    let hawser = hawser(&dir);

    for method in ["List", "Capabilities"] {
        for body in ["", "{}", "{}\n"] {
            let (status, answer) = hawser.call(&format!("VolumeDriver.{method}"), body);
            assert_eq!(status, 200, "{method} {body:?}: {answer}");
        }
    }
    for method in ["Create", "Remove", "Mount", "Unmount", "Path", "Get"] {
        for body in ["", "{}", r#"{"Name":""}"#] {
            let (status, answer) = hawser.call(&format!("VolumeDriver.{method}"), body);
            assert_eq!(status, 500, "{method} {body:?}: {answer}");
            assert!(!answer["Err"].as_str().unwrap().is_empty());
        }
    }
}

#[test]
fn a_connection_serves_many_calls() {
    let dir = TestDir::new();
    let hawser = hawser(&dir);
    let mut connection = connect(&hawser);

    for _ in 0..50 {
        assert_eq!(connection.call("VolumeDriver.List", "{}").unwrap().0, 200);
        assert_eq!(connection.call("VolumeDriver.Get", r#"{"Name":"no"}"#).unwrap().0, 500);
    }
}

#[test]
fn no_options_may_be_null() {
    let dir = TestDir::new();
    let hawser = hawser(&dir);

    let (status, answer) = hawser.call("VolumeDriver.Create", r#"{"Name":"plain","Opts":null}"#);

    assert_eq!(status, 200, "{answer}");
    hawser.call("VolumeDriver.Remove", r#"{"Name":"plain"}"#);
    hawser.assert_clean();
}

#[test]
fn get_echoes_the_exact_name() {
    let dir = TestDir::new();
    let hawser = hawser(&dir);
    hawser.call("VolumeDriver.Create", r#"{"Name":"size=32MiB,name=echo","Opts":null}"#);

    for name in ["size=32MiB,name=echo", "echo", "echo,size=32MiB"] {
        let (_, answer) = hawser.call("VolumeDriver.Get", &format!(r#"{{"Name":"{name}"}}"#));
        assert_eq!(answer["Volume"]["Name"], name, "{answer}");
    }
    hawser.call("VolumeDriver.Remove", r#"{"Name":"echo"}"#);
    hawser.assert_clean();
}

#[test]
fn mesos_mounts_many_times_and_unmounts_once() {
    let dir = TestDir::new();
    let hawser = hawser(&dir);
    let body = r#"{"Name":"size=32MiB,name=mesos"}"#;

    for _ in 0..3 {
        let (status, answer) = hawser.call("VolumeDriver.Mount", body);
        assert_eq!(status, 200, "{answer}");
    }
    assert!(hawser.is_published("mesos"));
    assert_eq!(hawser.call("VolumeDriver.Unmount", body).0, 200);

    hawser.wait_unpublished("mesos");
    assert_eq!(hawser.call("VolumeDriver.Unmount", body).0, 200, "once more is no error");
    assert_eq!(hawser.call("VolumeDriver.Remove", body).0, 200);
    hawser.assert_clean();
}

#[test]
fn one_of_two_mounts_with_the_same_id_is_released() {
    let dir = TestDir::new();
    let hawser = hawser(&dir);
    let body = r#"{"Name":"size=32MiB,name=twice","ID":"abc"}"#;

    hawser.call("VolumeDriver.Mount", body);
    hawser.call("VolumeDriver.Mount", body);
    hawser.call("VolumeDriver.Unmount", body);
    let (status, answer) = hawser.call("VolumeDriver.Remove", body);

    assert_eq!(status, 500, "a held volume was removed: {answer}");
    hawser.call("VolumeDriver.Unmount", body);
    hawser.wait_unpublished("twice");
    hawser.call("VolumeDriver.Remove", body);
    hawser.assert_clean();
}

#[test]
fn the_socket_is_roots_alone_and_a_stale_one_is_replaced() {
    let dir = TestDir::new();
    let mut hawser = hawser(&dir);

    hawser.kill();
    assert!(hawser.socket().exists(), "nobody removed it");
    hawser.up();

    let meta = hawser.socket().metadata().unwrap();
    assert_eq!((meta.uid(), meta.permissions().mode() & 0o777), (0, 0o600));
    hawser.stop();
    assert!(!hawser.socket().exists(), "a stopped hawser leaves its socket");
}
