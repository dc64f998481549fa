//! What the Mesos agent's isolator `docker/volume` does, by EMC's dvdcli, whose requests are sent here as
//! it sends them, and by `hawser dvdcli` (Mesos 1.4 to 1.11, isolators/docker/volume; dvdcli 7dede14).

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use rustix::mount::{MountFlags, mount};
use serde_json::{Value, json};

use crate::harness::{Connection, HAWSER, Start, World, until};

/// Which program the agent has.
#[derive(Debug, Clone, Copy)]
enum Client {
    Emc,
    Ours,
}

const BOTH: [Client; 2] = [Client::Emc, Client::Ours];

/// Where drivers are looked for, for this test alone: hawser's socket, as `hawser`.
fn plugin_directory(world: &World) {
    const PLUGINS: &str = "/run/docker/plugins";
    fs::create_dir_all(PLUGINS).unwrap();
    // In the test's own mount namespace.
    mount("tmpfs", PLUGINS, "tmpfs", MountFlags::empty(), None).unwrap();
    symlink(world.path("hawser.sock"), Path::new(PLUGINS).join("hawser.sock")).unwrap();
}

fn command(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.command(HAWSER);
    command.arg("dvdcli").args(arguments).stdin(Stdio::null());
    command
}

fn dvdcli(world: &World, arguments: &[&str]) -> Output {
    command(world, arguments).output().unwrap()
}

/// As the isolator calls it.
fn arguments(verb: &str, name: &str, options: &[&str]) -> Vec<String> {
    let mut all = vec![verb.into(), "--volumedriver=hawser".into(), format!("--volumename={name}")];
    all.extend(options.iter().map(|option| format!("--volumeopts={option}")));
    all
}

/// Starts a mount, and does not wait.
fn start_mount(world: &World, name: &str, options: &[&str]) -> Child {
    let arguments = arguments("mount", name, options);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    command(world, &arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

impl Client {
    /// The path, or what the task's failure is called.
    fn mount(self, world: &World, name: &str, options: &[&str]) -> Result<PathBuf, String> {
        match self {
            Self::Ours => self.run(world, "mount", name, options).map(PathBuf::from),
            Self::Emc => {
                let mut emc = Emc::start(world);
                // Whatever the error is.
                if emc.call("Get", &json!({ "Name": name })).is_err() {
                    emc.call("Create", &json!({ "Name": name, "Opts": cut(options) }))?;
                }
                let answer = emc.call("Mount", &json!({ "Name": name }))?;
                Ok(PathBuf::from(answer["Mountpoint"].as_str().unwrap()))
            }
        }
    }

    fn unmount(self, world: &World, name: &str) -> Result<(), String> {
        match self {
            Self::Ours => self.run(world, "unmount", name, &[]).map(drop),
            Self::Emc => {
                let mut emc = Emc::start(world);
                emc.call("Get", &json!({ "Name": name }))?;
                emc.call("Unmount", &json!({ "Name": name })).map(drop)
            }
        }
    }

    fn run(
        self,
        world: &World,
        verb: &str,
        name: &str,
        options: &[&str],
    ) -> Result<String, String> {
        let arguments = arguments(verb, name, options);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let output = dvdcli(world, &arguments);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        match output.status.code() {
            Some(0) => Ok(text(output.stdout).trim().to_owned()),
            Some(1) => Err(text(output.stderr)),
            _ => panic!("{arguments:?}: {output:?}"),
        }
    }
}

/// One run of EMC's dvdcli: a connection, on which it activates the plugin before anything else.
struct Emc(Connection);

impl Emc {
    fn start(world: &World) -> Self {
        let mut emc = Self(world.connect());
        emc.send("Plugin.Activate", "").unwrap();
        emc
    }

    fn call(&mut self, call: &str, body: &Value) -> Result<Value, String> {
        self.send(&format!("VolumeDriver.{call}"), &format!("{body}\n"))
    }

    fn send(&mut self, call: &str, body: &str) -> Result<Value, String> {
        const HEADERS: &str = "Host: \r\nUser-Agent: Go-http-client/1.1\r\n\
                               Accept: application/vnd.docker.plugins.v1.2+json\r\n";
        self.0.send(call, HEADERS, body).unwrap();
        let reply = self.0.reply().unwrap();
        let value: Value = serde_json::from_str(&reply.body).unwrap();
        match value["Err"].as_str().unwrap_or_default() {
            "" if reply.status == 200 => Ok(value),
            why => Err(why.to_owned()),
        }
    }
}

/// A value ends at its second `=`.
fn cut(options: &[&str]) -> BTreeMap<String, String> {
    let part = |option: &str, n| option.split('=').nth(n).unwrap().to_owned();
    options.iter().map(|option| (part(option, 0), part(option, 1))).collect()
}

#[test]
fn containers_mount_a_volume_each_and_the_last_one_unmounts_it_once() {
    for client in BOTH {
        let mut world = World::started();
        plugin_directory(&world);
        let options = ["size=64MiB", "fs=ext4", "mount_options=noatime;commit.30"];

        let path = client.mount(&world, "v", &options).unwrap();
        fs::write(path.join("file"), "x").unwrap();
        for _ in 0..2 {
            assert_eq!(client.mount(&world, "v", &options).unwrap(), path, "{client:?}");
        }

        assert_eq!(world.holders("v"), [(String::new(), 1)], "{client:?}");
        assert_eq!(world.inspect("v")["spec"]["size"], json!(64 << 20), "{client:?}");
        client.unmount(&world, "v").unwrap();
        world.until_released("v");
        client.unmount(&world, "v").unwrap();
        assert_eq!(world.data_of("v"), "x");
        world.remove("v");
        world.finish();
    }
}

#[test]
fn containers_of_mesos_and_of_docker_use_one_volume_and_neither_ends_the_others_mount() {
    let mut world = World::started();
    plugin_directory(&world);
    let path = Client::Ours.mount(&world, "v", &["size=64MiB"]).unwrap();
    assert_eq!(world.mount("v", "container"), path);

    Client::Ours.unmount(&world, "v").unwrap();
    assert_eq!(world.holders("v"), [("container".into(), 1)]);
    fs::write(path.join("file"), "x").unwrap();
    Client::Ours.mount(&world, "v", &[]).unwrap();
    world.unmount("v", "container");

    assert_eq!(world.holders("v"), [(String::new(), 1)]);
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "x");
    Client::Ours.unmount(&world, "v").unwrap();
    world.remove("v");
    world.finish();
}

#[test]
fn an_inline_spec_as_the_name_is_handed_on_untouched() {
    for client in BOTH {
        let mut world = World::started();
        plugin_directory(&world);
        let name = "name=v,size=64MiB,mount_options=noatime;commit=30";

        client.mount(&world, name, &[]).unwrap();

        let options = world.inspect("v")["spec"]["mount_options"].clone();
        assert_eq!(options, json!(["noatime", "commit=30"]), "{client:?}");
        client.unmount(&world, name).unwrap();
        world.remove("v");
        world.finish();
    }
}

/// The agent forgot its containers, or was started again after a reboot.
#[test]
fn an_agent_that_starts_again_unmounts_orphans_that_are_mounted_or_not() {
    for client in BOTH {
        let mut world = World::started();
        plugin_directory(&world);
        for name in ["running", "orphan", "rebooted"] {
            client.mount(&world, name, &["size=64MiB"]).unwrap();
        }
        client.unmount(&world, "rebooted").unwrap();
        world.until_released("rebooted");
        world.crash();

        for orphan in ["orphan", "rebooted"] {
            client.unmount(&world, orphan).unwrap();
        }

        world.until_released("orphan");
        assert_eq!(world.holders("running"), [(String::new(), 1)], "{client:?}");
        client.unmount(&world, "running").unwrap();
        for name in ["running", "orphan", "rebooted"] {
            world.remove(name);
        }
        world.finish();
    }
}

/// Mesos kills its client after 120 s, or when the agent ends, and then unmounts.
#[test]
fn a_client_that_is_killed_in_the_middle_of_a_mount_leaves_nothing_mounted() {
    let mut world = World::started();
    plugin_directory(&world);
    let mut client = start_mount(&world, "v", &["size=64MiB"]);
    until("the mount is under way", || world.logged(["step=\"provision\"", "done"]) > 0);
    client.kill().unwrap();
    client.wait().unwrap();

    Client::Ours.unmount(&world, "v").unwrap();

    until("nobody holds it", || world.holders("v").is_empty());
    world.until_released("v");
    let path = Client::Ours.mount(&world, "v", &["size=64MiB"]).unwrap();
    fs::write(path.join("file"), "x").unwrap();
    Client::Ours.unmount(&world, "v").unwrap();
    assert_eq!(world.data_of("v"), "x");
    world.remove("v");
    world.finish();
}

#[test]
fn a_client_that_is_killed_takes_nothing_from_a_container_that_runs() {
    let mut world = World::new();
    world.set("volumes.linger", "1h").start();
    plugin_directory(&world);
    let path = Client::Ours.mount(&world, "v", &["size=64MiB"]).unwrap();
    fs::write(path.join("file"), "x").unwrap();

    for _ in 0..20 {
        let mut client = start_mount(&world, "v", &["size=64MiB"]);
        client.kill().unwrap();
        client.wait().unwrap();
    }

    assert_eq!(world.holders("v"), [(String::new(), 1)]);
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "x");
    Client::Ours.unmount(&world, "v").unwrap();
    assert!(world.holders("v").is_empty());
    world.remove("v");
    world.finish();
}

#[test]
fn a_mount_that_is_refused_says_why_and_can_be_cleaned_up() {
    let mut world = World::started();
    plugin_directory(&world);
    for client in BOTH {
        // What Mesos makes of an option that EMC's dvdcli cannot carry.
        let error = client.mount(&world, "v", &["size=64MiB", "fs=btrfs"]).unwrap_err();
        assert!(error.contains("`fs=btrfs`") && error.contains("ext4"), "{client:?}: {error}");
    }
    Client::Ours.unmount(&world, "v").unwrap();
    // The original asks for the volume first, and ends there.
    assert!(Client::Emc.unmount(&world, "v").unwrap_err().contains("no volume `v`"));
    world.finish();
}

#[test]
fn a_value_with_two_equals_signs_is_cut_by_the_original_and_refused_and_whole_with_ours() {
    let mut world = World::started();
    plugin_directory(&world);
    let options = ["size=64MiB", "mount_options=noatime;commit=30"];

    let error = Client::Emc.mount(&world, "v", &options).unwrap_err();
    assert!(error.contains("commit"), "{error}");
    Client::Ours.mount(&world, "v", &options).unwrap();

    let made = world.inspect("v")["spec"]["mount_options"].clone();
    assert_eq!(made, json!(["noatime", "commit=30"]));
    Client::Ours.unmount(&world, "v").unwrap();
    world.remove("v");
    world.finish();
}

#[test]
fn every_verb_prints_what_the_original_prints() {
    let mut world = World::started();
    plugin_directory(&world);
    let driver = "--volumedriver=hawser";
    let said = |arguments: &[&str]| {
        let output = dvdcli(&world, arguments);
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };

    // The flags in both forms, before and after the verb, options in one list.
    let create = ["--volumedriver", "hawser", "create", "--volumename", "v"];
    let list = ["--volumeopts", "size=64MiB,fs=ext4"];
    assert_eq!(said(&[&create[..], &list].concat()), (0, String::new()));
    assert_eq!(said(&["create", driver, "--volumename=w"]), (0, String::new()));
    assert_eq!(said(&["list", driver]), (0, "v\nw\n".into()));
    assert_eq!(said(&["get", driver, "--volumename=v"]), (0, "v\n".into()));
    assert_eq!(said(&["path", driver, "--volumename=v"]), (0, String::new()), "not mounted");
    let mount = ["mount", driver, "--volumename=v", "--explicitcreate"];
    let path = format!("{}\n", world.path("mnt/volumes/v").display());
    assert_eq!(said(&mount), (0, path.clone()));
    assert_eq!(said(&["path", driver, "--volumename=v"]), (0, path));
    assert_eq!(said(&["remove", driver, "--volumename=v"]), (1, String::new()), "in use");
    assert_eq!(said(&["unmount", driver, "--volumename=v"]), (0, String::new()));
    assert_eq!(said(&["remove", driver, "--volumename=v"]), (0, String::new()));
    for verb in ["get", "path", "remove"] {
        assert_eq!(said(&[verb, driver, "--volumename=v"]), (1, String::new()), "{verb}");
    }
    let explicit = ["mount", driver, "--volumename=v", "--explicitcreate=true"];
    assert_eq!(said(&explicit), (1, String::new()));
    assert_eq!(said(&["remove", driver, "--volumename=w"]), (0, String::new()));
    assert!(said(&["version"]).1.starts_with("hawser "));
    world.finish();
}

#[test]
fn a_command_line_that_cannot_be_read_is_exit_code_2_and_prints_nothing() {
    let world = World::new();
    world.write_configuration();
    for arguments in [
        &["mount", "--volumedriver=hawser", "--volumename=v", "--volumeopts=size"][..],
        &["mount", "--volumename=v", "--volumeopts=mount_options=noatime,nodiratime"],
        &["frobnicate"],
        &["unmount", "--volumeopts=size=1"],
    ] {
        let output = dvdcli(&world, arguments);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
    }
    for arguments in [&["mount", "--volumename=v"][..], &["mount", "--volumedriver=hawser"]] {
        let output = dvdcli(&world, arguments);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{arguments:?}");
    }
}

#[test]
fn a_link_named_dvdcli_is_dvdcli() {
    let mut world = World::started();
    plugin_directory(&world);
    let link = world.path("dvdcli");
    symlink(HAWSER, &link).unwrap();

    let mut command = world.command(link.to_str().unwrap());
    let output = command.args(["list", "--volumedriver=hawser"]).output().unwrap();

    assert!(output.status.success(), "{output:?}");
    world.finish();
}

/// As while hawser is upgraded; and what is never there is given up.
#[test]
fn a_driver_that_does_not_answer_is_waited_for_and_one_that_is_not_there_is_an_error() {
    let mut world = World::started();
    plugin_directory(&world);
    world.create("name=v,size=64MiB");
    world.stop();
    let client = start_mount(&world, "v", &[]);
    let missing = ["list", "--volumedriver=nothing"];
    let missing = command(&world, &missing).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(matches!(world.try_start(), Start::Ready));

    let output = client.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(world.holders("v"), [(String::new(), 1)]);
    let output = missing.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("nothing") && error.contains("there is no such driver"), "{error}");
    Client::Ours.unmount(&world, "v").unwrap();
    world.remove("v");
    world.finish();
}
