//! The managed plugin, built by `plugin/build.sh` from the binary under test.
//!
//! Its capabilities must all be the host's: what this machine lacks is left out, as an operator
//! of such a machine would do it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::harness::{
    Engine, LiveRestore, Outcome, PATIENCE, TestDir, binary, client, eventually,
    host_has_sys_resource, run,
};

/// An engine with the plugin `hw` created and enabled; fields drop in order.
struct Managed {
    engine: Engine,
    host: PathBuf,
    dir: TestDir,
}

impl Managed {
    fn new() -> Self {
        let dir = TestDir::new();
        let engine = Engine::start(&dir.path().join("docker"), LiveRestore::No);
        let host = dir.path().join("host");
        fs::create_dir(&host).unwrap();
        let managed = Self { engine, host, dir };
        managed.create().ok();
        let source = format!("state.source={}", managed.host.display());
        let set =
            ["plugin", "set", "hw", &source, "HAWSER_DEFAULT_SIZE=64MiB", "HAWSER_LINGER=200ms"];
        managed.engine.run_ok(&set);
        managed.enable();
        managed
    }

    fn create(&self) -> Outcome {
        let out = self.dir.path().join("plugin");
        let mut args = vec!["--binary", "", "--out", out.to_str().unwrap(), "--name", "hw"];
        let binary = binary();
        args[1] = binary.to_str().unwrap();
        if !host_has_sys_resource() {
            args.extend(["--drop-capability", "CAP_SYS_RESOURCE"]);
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugin/build.sh");
        let docker = client().to_str().unwrap();
        run(&script, &args, &[("DOCKER_HOST", &self.engine.host()), ("DOCKER", docker)])
    }

    /// Without `--timeout 0` Docker would give every call 30 s (its default is meant for the first
    /// call, but stays the client's), until its next restart: too little for a large mkfs.
    #[track_caller]
    fn enable(&self) {
        self.engine.run_ok(&["plugin", "enable", "--timeout", "0", "hw"]);
    }

    /// A dockerd that finds a killed one's plugin ends it, and starts it anew as soon as it has ended.
    /// At the same time the end is handled elsewhere in dockerd (moby's `Manager.HandleExitEvent`),
    /// which unmounts everything below the plugin's directory. Where it comes late, the new plugin's
    /// propagated mount is gone from the host and not from the plugin, so that nothing it mounts
    /// arrives. hawser cannot see it; an operator enables the plugin anew.
    fn mend_what_docker_unmounted(&self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let plugins = self.dir.path().join("docker/data/plugins");
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(Path::new);
        let there = points
            .filter(|point| point.starts_with(&plugins))
            .any(|point| point.ends_with("propagated-mount"));
        if !there {
            eprintln!("dockerd unmounted the new plugin's directory: it is enabled anew");
            self.engine.run_ok(&["plugin", "disable", "--force", "hw"]);
            self.enable();
        }
    }

    #[track_caller]
    fn sh(&self, script: &str) -> String {
        let run =
            ["run", "--rm", "--network=none", "--volume-driver=hw", "-v=vol:/data", "busybox"];
        self.engine.run_ok(&[&run[..], &["sh", "-c", script]].concat())
    }

    #[track_caller]
    fn start(&self, name: &str) {
        let run =
            ["run", "-d", "--name", name, "--network=none", "--volume-driver=hw", "-v=vol:/data"];
        let write = "while sleep 0.05; do echo x >> /data/log; done";
        self.engine.run_ok(&[&run[..], &["busybox", "sh", "-c", write]].concat());
    }
}

#[test]
fn containers_share_a_volume_of_the_plugin() {
    let managed = Managed::new();
    managed.start("one");

    assert_eq!(managed.sh("test -s /data/log && touch /data/two && echo shared"), "shared");

    let listed = managed.engine.run_ok(&["volume", "ls", "--format", "{{.Driver}} {{.Name}}"]);
    assert_eq!(listed, "hw:latest vol");
    managed.engine.run_ok(&["rm", "--force", "one"]);
    managed.engine.run_ok(&["volume", "rm", "vol"]);
}

#[test]
fn the_plugin_comes_back_with_a_restarted_engine() {
    let mut managed = Managed::new();
    managed.start("one");

    managed.engine.down();
    managed.engine.up();
    managed.engine.run_ok(&["start", "one"]);

    assert_eq!(managed.sh("test -s /data/log && echo same"), "same");
}

#[test]
fn the_plugin_comes_back_with_a_killed_engine() {
    let mut managed = Managed::new();
    managed.start("one");

    managed.engine.kill();
    managed.engine.up();
    managed.mend_what_docker_unmounted();
    managed.engine.run_ok(&["start", "one"]);

    assert_eq!(managed.sh("test -s /data/log && echo same"), "same");
}

/// The plugin's mounts go with it, but the container's stay: the same device has to be found and
/// mounted again, or else one image is written through two file systems.
#[test]
fn a_container_that_outlives_a_forced_disable_and_a_new_one_see_the_same_data() {
    let managed = Managed::new();
    managed.start("one");

    managed.engine.run_ok(&["plugin", "disable", "--force", "hw"]);
    managed.enable();
    managed.sh("echo from two > /data/two");

    assert_eq!(managed.engine.run_ok(&["exec", "one", "cat", "/data/two"]), "from two");
    managed.engine.run_ok(&["rm", "--force", "one"]);
}

#[test]
fn removing_the_plugin_leaves_the_hosts_images_for_the_next_one() {
    let managed = Managed::new();
    managed.sh("echo kept > /data/file");

    managed.engine.run_ok(&["plugin", "disable", "--force", "hw"]);
    managed.engine.run_ok(&["plugin", "rm", "--force", "hw"]);
    managed.create().ok();
    let source = format!("state.source={}", managed.host.display());
    managed.engine.run_ok(&["plugin", "set", "hw", &source]);
    managed.enable();

    assert_eq!(managed.sh("cat /data/file"), "kept");
}

#[test]
fn the_command_line_reaches_the_plugin_from_the_host() {
    let managed = Managed::new();
    managed.sh("true");
    let admin = managed.host.join("admin.sock");
    eventually("the admin socket is on the host", PATIENCE, || admin.exists());

    let listed =
        run(&binary(), &["volume", "ls"], &[("HAWSER_ADMIN_SOCKET", admin.to_str().unwrap())]);

    assert!(listed.ok().contains("vol"));
}
