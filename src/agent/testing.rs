//! A host that is a directory, with a systemctl that only notes what it is told.

#![allow(clippy::disallowed_methods, reason = "test code writes scratch files")]

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixListener},
};

use super::{Place, Systemd, Watch};
use crate::{
    config::{Config, Values},
    sys::process::Tool,
};

/// It answers as systemd 219 does, of CentOS 7 and RHEL 7, and knows of the socket what it read with the last
/// `daemon-reload`. `state` is that of every unit; a call that begins with the text in `fails` fails.
const SYSTEMCTL: &str = r#"#!/bin/sh
dir=$(dirname "$0")
socket=$(grep ListenStream= "$dir/loaded" 2>/dev/null)
case $1 in
daemon-reload) cp "$dir/etc/systemd/system/hawser.socket" "$dir/loaded" 2>/dev/null; echo "$*" ;;
stop) echo "$* ($socket)" ;;
*) echo "$*" ;;
esac >>"$dir/calls"
case $* in
*--value*) echo "systemctl: unrecognized option '--value'" >&2; exit 1 ;;
show*) echo "ActiveState=$(cat "$dir/state")" ;;
"$(cat "$dir/fails")"*) echo "Job for hawser.service failed." >&2; exit 1 ;;
esac
"#;

/// A host on which hawser can be installed.
pub(crate) struct Host {
    dir: tempfile::TempDir,
    pub(crate) place: Place,
    pub(crate) config: Config,
    /// The daemon's, which is always there.
    _admin: UnixListener,
}

impl Host {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("systemctl");
        fs::write(&program, SYSTEMCTL).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        // A tool's name lives as long as the program.
        let systemctl = Tool::new(String::leak(program.to_str().unwrap().to_owned()));
        let place = Place { root: dir.path().into(), systemctl };
        fs::create_dir_all(place.path("/run/systemd/system")).unwrap();
        fs::create_dir_all(place.path("/run/hawser")).unwrap();
        let _admin = UnixListener::bind(place.path("/run/hawser/admin.sock")).unwrap();
        let host = Self { dir, place, config: config(&[]), _admin };
        host.is("active");
        host.fails("none");
        host
    }

    pub(crate) fn is(&self, state: &str) {
        fs::write(self.dir.path().join("state"), state).unwrap();
    }

    pub(crate) fn fails(&self, call: &str) {
        fs::write(self.dir.path().join("fails"), call).unwrap();
    }

    /// What systemctl was told since it was asked last.
    pub(crate) fn calls(&self) -> Vec<String> {
        let path = self.dir.path().join("calls");
        let calls = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, "").unwrap();
        calls.lines().map(str::to_owned).collect()
    }

    pub(crate) fn watch(&self) -> Watch {
        let socket = self.place.path("/run/hawser/admin.sock");
        Watch { systemd: Systemd::of(&self.place).unwrap(), socket }
    }
}

/// A configuration with these settings.
pub(crate) fn config(options: &[(&str, &str)]) -> Config {
    let mut values = Values::default();
    options.iter().for_each(|(key, value)| values.add_option(key, value));
    Config::read(values).unwrap()
}
