//! hawser on a machine: the daemon, its commands, and the calls that Docker makes.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Job, Machine, Outcome, PATIENCE};

/// Docker waits this long for an answer to Create and Mount.
const DOCKER_WAITS: Duration = Duration::from_secs(120);

impl Machine {
    /// Mounts a disk, formatted where it is blank, where hawser keeps everything.
    #[track_caller]
    pub(crate) fn mount_state(&self, device: &str) {
        self.wait(&self.begin_mount_state(device), PATIENCE).ok();
    }

    /// The same, without waiting.
    #[track_caller]
    pub(super) fn begin_mount_state(&self, device: &str) -> Job {
        let script = "blkid $1 || mkfs.ext4 -q $1; mkdir -p $2; mount $1 $2";
        self.spawn(&["/bin/sh", "-c", script, "sh", device, STATE])
    }

    /// Writes the configuration file and starts the daemon; it logs to the machine's console.
    #[track_caller]
    pub(crate) fn start_hawser(&self, configuration: &str) {
        self.wait(&self.begin_hawser(configuration), PATIENCE).ok();
    }

    /// The same, without waiting: several machines start it at once.
    #[track_caller]
    pub(super) fn begin_hawser(&self, configuration: &str) -> Job {
        let write = "mkdir -p /etc/hawser; printf '%s' \"$1\" >/etc/hawser/hawser.toml";
        self.sh_with(write, &[configuration]).ok();
        let serve = "socket=$1; shift
            setsid env \"$@\" hawser serve </dev/null >/dev/console 2>&1 & echo $! >/run/hawser.pid
            for _ in $(seq 300); do
                curl -sf --unix-socket $socket -d '' http://plugin/Plugin.Activate && exit
                kill -0 $(cat /run/hawser.pid) || exit
                sleep 0.1
            done
            echo hawser does not answer >&2; exit 1";
        let environment = self.environment.borrow();
        let parameters: Vec<_> =
            [SOCKET].into_iter().chain(environment.iter().map(|it| &**it)).collect();
        self.spawn(&[&["/bin/sh", "-c", serve, "sh"], &*parameters].concat())
    }

    /// A setting of the daemon's environment, from its next start on.
    pub(crate) fn set(&self, name: &str, value: &str) {
        self.environment.borrow_mut().push(format!("{name}={value}"));
    }

    /// Kills the daemon, which can do nothing about it.
    #[track_caller]
    pub(crate) fn kill_hawser(&self) {
        self.sh("kill -KILL $(cat /run/hawser.pid)").ok();
    }

    /// Lets the daemon stand still; its machine goes on.
    #[track_caller]
    pub(crate) fn freeze_hawser(&self) {
        self.sh("kill -STOP $(cat /run/hawser.pid)").ok();
    }

    /// Lets it go on.
    #[track_caller]
    pub(crate) fn wake_hawser(&self) {
        self.sh("kill -CONT $(cat /run/hawser.pid)").ok();
    }

    /// Ends the daemon in order.
    #[track_caller]
    pub(crate) fn stop_hawser(&self) {
        self.sh("pid=$(cat /run/hawser.pid); kill $pid; while kill -0 $pid; do sleep 0.1; done")
            .ok();
    }

    /// One call of Docker's that has to succeed: the answer.
    #[track_caller]
    pub(crate) fn plugin(&self, method: &str, body: &Value) -> Value {
        let answer = self.try_plugin(method, body, DOCKER_WAITS);
        assert!(is_success(&answer), "{method} {body} on {}: {answer}", self.name);
        answer
    }

    /// One call of Docker's that has to be refused: the error.
    #[track_caller]
    pub(crate) fn plugin_err(&self, method: &str, body: &Value) -> String {
        let answer = self.try_plugin(method, body, DOCKER_WAITS);
        assert!(!is_success(&answer), "{method} {body} on {}: {answer}", self.name);
        answer["Err"].as_str().unwrap_or_default().to_owned()
    }

    /// One call of Docker's that has to be answered within this time, whatever the answer.
    #[track_caller]
    pub(crate) fn try_plugin(&self, method: &str, body: &Value, limit: Duration) -> Value {
        self.answer(&self.call(method, body, limit))
    }

    /// Begins a call of Docker's; [`Machine::answer`] has the answer.
    #[track_caller]
    pub(crate) fn call(&self, method: &str, body: &Value, limit: Duration) -> Job {
        let url = format!("http://plugin/{method}");
        let (limit, body) = (limit.as_secs().to_string(), body.to_string());
        let argv = [
            "/usr/bin/curl",
            "-sS",
            "--max-time",
            &limit,
            "--unix-socket",
            SOCKET,
            "-d",
            &body,
            &url,
        ];
        self.spawn(&argv)
    }

    /// The answer to a call that was begun.
    #[track_caller]
    pub(crate) fn answer(&self, call: &Job) -> Value {
        let answer = self.wait(call, DOCKER_WAITS + PATIENCE).ok();
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{}: no JSON: {answer}", call.what))
    }

    /// `VolumeDriver.Create` with options.
    #[track_caller]
    pub(crate) fn create_volume(&self, name: &str, options: &Value) {
        self.plugin("VolumeDriver.Create", &json!({"Name": name, "Opts": options}));
    }

    /// `VolumeDriver.Mount` for the task of this id: the path.
    #[track_caller]
    pub(crate) fn mount_volume(&self, name: &str, id: &str) -> String {
        self.mounted(&self.begin_mount(name, id))
    }

    /// Begins `VolumeDriver.Mount`, which [`Machine::mounted`] waits for.
    #[track_caller]
    pub(crate) fn begin_mount(&self, name: &str, id: &str) -> Job {
        self.call("VolumeDriver.Mount", &json!({"Name": name, "ID": id}), DOCKER_WAITS)
    }

    /// The path, once a mount that was begun has succeeded.
    #[track_caller]
    pub(crate) fn mounted(&self, mount: &Job) -> String {
        let answer = self.answer(mount);
        assert!(is_success(&answer), "a mount on {}: {answer}", self.name);
        answer["Mountpoint"].as_str().expect("Mount answers with a path").to_owned()
    }

    /// `VolumeDriver.Unmount` for the task of this id.
    #[track_caller]
    pub(crate) fn unmount_volume(&self, name: &str, id: &str) {
        self.plugin("VolumeDriver.Unmount", &json!({"Name": name, "ID": id}));
    }

    /// A command, talking to this machine's daemon.
    #[track_caller]
    pub(crate) fn hawser(&self, arguments: &[&str]) -> Outcome {
        self.run(&[&["/lab/hawser"], arguments].concat())
    }

    /// `hawser release`, with the daemon's settings: it does not run any more.
    #[track_caller]
    pub(crate) fn release(&self) -> Outcome {
        let environment = self.environment.borrow();
        let settings: Vec<_> = environment.iter().map(|it| &**it).collect();
        self.run(&[&["/usr/bin/env"], &*settings, &["/lab/hawser", "release"]].concat())
    }
}

/// hawser's default state directory.
const STATE: &str = "/var/lib/hawser";
/// hawser's default socket.
const SOCKET: &str = "/run/docker/plugins/hawser.sock";

fn is_success(answer: &Value) -> bool {
    answer["Err"].as_str().is_none_or(str::is_empty)
}
