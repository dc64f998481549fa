//! Every call of the plugin protocol, as moby and dvdcli send it (facts/protocols.md §1).

use serde_json::{Value, json};

use crate::harness::{Connection, World};

#[test]
fn activate_and_capabilities_answer_with_and_without_a_body() {
    let mut world = World::started();
    let mut connection = world.connect();

    for body in ["", "{}", "{}\n", "null"] {
        let activated = connection.post("Plugin.Activate", body).unwrap();
        assert!(activated.head.contains("application/vnd.docker.plugins.v1"), "{activated:?}");
        assert_eq!(activated.ok(), json!({ "Implements": ["VolumeDriver"] }));
        let capabilities = connection.post("VolumeDriver.Capabilities", body).unwrap().ok();
        assert_eq!(capabilities, json!({ "Capabilities": { "Scope": "global" }, "Err": "" }));
        let list = connection.post("VolumeDriver.List", body).unwrap().ok();
        assert_eq!(list, json!({ "Volumes": [], "Err": "" }));
    }
    world.finish();
}

#[test]
fn a_volumes_life_is_answered_message_by_message() {
    let mut world = World::started();
    let name = json!({ "Name": "v" });
    let mounted = world.path("mnt/volumes/v").display().to_string();

    let missing = world.call("Get", &name).err();
    assert!(missing.contains("no volume `v`"), "{missing}");
    let created = world.call("Create", &json!({ "Name": "v", "Opts": { "size": "64MiB" } })).ok();
    assert_eq!(created, json!({ "Err": "" }));
    let got = world.call("Get", &name).ok();
    assert_eq!(got["Err"], "");
    assert_eq!(got["Volume"]["Name"], "v");
    assert_eq!(got["Volume"]["Mountpoint"], "");
    let created_at = got["Volume"]["CreatedAt"].as_str().unwrap();
    assert!(created_at.parse::<jiff::Timestamp>().is_ok(), "{created_at}");
    let status = &got["Volume"]["Status"];
    assert_eq!((&status["size"], &status["fs"]), (&json!("64MiB"), &json!("ext4")));
    assert_eq!((&status["backend"], &status["state"]), (&json!("local"), &json!("ready")));
    assert_eq!(world.call("Path", &name).ok(), json!({ "Mountpoint": "", "Err": "" }));

    let id = json!({ "Name": "v", "ID": "a" });
    let answer = world.call("Mount", &id).ok();
    assert_eq!(answer, json!({ "Mountpoint": mounted, "Err": "" }));
    assert_eq!(world.call("Path", &name).ok()["Mountpoint"], json!(mounted));
    let got = world.get("v");
    assert_eq!(got["Mountpoint"], json!(mounted));
    assert_eq!(got["Status"]["state"], "mounted");
    assert_eq!(got["Status"]["holders"][0]["id"], "a");
    assert!(got["Status"]["used"].is_string(), "{got}");
    let listed = world.call("List", &json!({})).ok();
    assert_eq!(listed["Volumes"], json!([{ "Name": "v", "Mountpoint": mounted }]));

    assert_eq!(world.call("Unmount", &id).ok(), json!({ "Err": "" }));
    assert_eq!(world.call("Unmount", &id).ok(), json!({ "Err": "" }), "a second time");
    assert_eq!(world.call("Remove", &name).ok(), json!({ "Err": "" }));
    assert_eq!(world.call("Remove", &name).ok(), json!({ "Err": "" }), "a second time");
    world.finish();
}

#[test]
fn what_moby_really_sends_is_understood() {
    let mut world = World::started();
    let mut connection = world.connect();
    let hosts = ["Host: \r\n", "Host: plugin.moby.localhost\r\n", "Host: %2Frun%2Fx.sock\r\n"];

    for (number, host) in hosts.into_iter().enumerate() {
        let accept = "Accept: application/vnd.docker.plugins.v1.2+json\r\n";
        let headers = format!("{host}{accept}User-Agent: Go-http-client/1.1\r\n");
        let body = format!("{{\"Name\":\"v{number}\",\"Opts\":null,\"Unknown\":1}}\n");
        connection.send("VolumeDriver.Create", &headers, &body).unwrap();
        assert_eq!(connection.reply().unwrap().ok(), json!({ "Err": "" }));
        connection.send("VolumeDriver.Remove", &headers, &body).unwrap();
        connection.reply().unwrap().ok();
    }
    world.create("no-options");
    world.call("Create", &json!({ "Name": "no-options", "Opts": {} })).ok();
    world.call("Create", &json!({ "Name": "no-options" })).ok();
    world.remove("no-options");
    world.finish();
}

#[test]
fn an_empty_body_or_name_is_an_error_and_never_a_success() {
    let mut world = World::started();
    let mut connection = world.connect();

    for call in ["Create", "Get", "Path", "Mount", "Unmount", "Remove"] {
        for body in ["", "\n", "{}", "null", "[]", "{\"Name\":\"\"}", "{\"Name\":7}", "{\"Na"] {
            let reply = connection.post(&format!("VolumeDriver.{call}"), body).unwrap();
            let message = reply.err();
            assert!(!message.is_empty(), "{call} {body}");
        }
    }
    let unknown = connection.post("VolumeDriver.Frobnicate", "{}").unwrap().err();
    assert!(unknown.contains("VolumeDriver.Frobnicate"), "{unknown}");
    world.finish();
}

#[test]
fn get_echoes_the_exact_name_that_was_asked_for() {
    let mut world = World::started();
    let spellings = ["size=64MiB,name=v", "name=v,size=64MiB", "v,size=64MiB", "v", "v,fs=ext4"];
    world.create(spellings[0]);

    for spelling in spellings {
        assert_eq!(world.get(spelling)["Name"], json!(spelling));
    }
    let listed: Vec<Value> =
        world.call("List", &json!({})).ok()["Volumes"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 1, "{listed:?}");
    world.remove(spellings[1]);
    world.finish();
}

#[test]
fn help_and_mistakes_in_options_are_answered_with_what_to_write() {
    let mut world = World::started();

    let help = world.call("Create", &json!({ "Name": "v", "Opts": { "help": "" } })).err();
    assert!(help.contains("size") && help.contains("mkfs_options"), "{help}");
    let unknown = world.call("Create", &json!({ "Name": "v", "Opts": { "sise": "1" } })).err();
    assert!(unknown.contains("`sise`") && unknown.contains("size"), "{unknown}");
    let small = world.call("Create", &json!({ "Name": "v", "Opts": { "size": "1K" } })).err();
    assert!(small.contains("too small"), "{small}");
    let twice = world.call("Create", &json!({ "Name": "v,size=1", "Opts": { "size": "2" } })).err();
    assert!(twice.contains("size"), "{twice}");
    world.finish();
}

#[test]
fn an_idle_connection_is_kept_open() {
    let mut world = World::started();
    let mut connection = world.connect();
    connection.post("VolumeDriver.List", "{}").unwrap().ok();

    // Longer than any client's own idle limit (moby: 30 s). There is nothing to poll for.
    std::thread::sleep(std::time::Duration::from_secs(35));

    connection.post("VolumeDriver.List", "{}").unwrap().ok();
    world.finish();
}

#[test]
fn a_hundred_parallel_first_mounts_make_one_file_system_and_get_one_path() {
    let mut world = World::started();
    let socket = world.path("hawser.sock");

    let calls: Vec<_> = (0..100)
        .map(|number| {
            let socket = socket.clone();
            std::thread::spawn(move || {
                let body = json!({ "Name": "size=64MiB,name=v", "ID": format!("id-{number}") });
                let mut connection = Connection::open(&socket).unwrap();
                connection.post("VolumeDriver.Mount", &body.to_string()).unwrap().ok()
            })
        })
        .collect();
    let answers: Vec<Value> = calls.into_iter().map(|call| call.join().unwrap()).collect();

    let path = world.path("mnt/volumes/v").display().to_string();
    assert!(answers.iter().all(|answer| answer["Mountpoint"] == json!(path)), "{answers:?}");
    assert_eq!(world.logged(["step=\"format\"", "done"]), 1, "one mkfs");
    assert_eq!(world.mounts().len(), 2, "one stage, one publish: {:?}", world.mounts());
    assert_eq!(world.loops().len(), 1);
    assert_eq!(world.holders("v").len(), 100);
    for number in 0..100 {
        world.unmount("v", &format!("id-{number}"));
    }
    world.remove("v");
    world.finish();
}
