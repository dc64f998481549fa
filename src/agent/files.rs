//! The files that make hawser a service of a host: what they say, where they are, and which of them differ
//! from what is there.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{AgentError, Environment};
use crate::{
    config::Config,
    sys::{durable, process::Tool},
};

/// By this a unit is known as one that may be replaced and removed again.
pub(super) const MARK: &str = "# Written by `hawser agent install`: changes here are lost.\n";
/// The program in the units as they are shipped.
const SHIPPED_PROGRAM: &str = "/usr/bin/hawser";
/// Docker's socket in the unit as it is shipped.
const SHIPPED_SOCKET: &str = "/run/docker/plugins/hawser.sock";
/// The disks that the daemon needs, in the units as they are shipped.
const SHIPPED_DISKS: &str = "RequiresMountsFor=/var/lib/hawser\n";

/// The units, in the order in which they are started.
pub(super) const UNITS: [(&str, &str); 4] = [
    ("hawser-release.service", include_str!("../../dist/systemd/hawser-release.service")),
    ("hawser.socket", include_str!("../../dist/systemd/hawser.socket")),
    ("hawser.service", include_str!("../../dist/systemd/hawser.service")),
    ("hawser-docker.service", include_str!("../../dist/systemd/hawser-docker.service")),
];

/// The host, as this process sees it.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its root directory: `/`, but in tests.
    pub root: PathBuf,
    /// The program that commands its systemd.
    pub systemctl: Tool,
}

impl Place {
    /// The host that this process runs on.
    #[must_use]
    pub fn here() -> Self {
        Self { root: "/".into(), systemctl: Tool::new("systemctl") }
    }

    /// Where a path of the host is found.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The program. /usr is read-only on some hosts of DC/OS.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.path("/opt/hawser/bin/hawser")
    }

    /// The settings, as systemd reads them.
    #[must_use]
    pub fn environment(&self) -> PathBuf {
        self.path("/etc/hawser/agent.env")
    }

    /// What the running service was started with.
    #[must_use]
    pub(super) fn stamp(&self) -> PathBuf {
        self.path("/etc/hawser/agent.sha256")
    }

    /// A unit.
    #[must_use]
    pub fn unit(&self, name: &str) -> PathBuf {
        self.path("/etc/systemd/system").join(name)
    }
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The daemon: it has to be started anew when this changes.
    Daemon,
    /// Its socket.
    Socket,
    /// Another unit, which does nothing until the host stops or Docker starts.
    Other,
}

/// A file as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where.
    pub path: PathBuf,
    /// What is in it.
    pub contents: Vec<u8>,
    /// Who may do what with it.
    pub mode: u32,
    /// What has to be done when it changes.
    pub part: Part,
}

impl File {
    /// Whether it is there just so.
    pub(super) fn is_there(&self) -> Result<bool, AgentError> {
        match fs::read(&self.path) {
            Ok(present) => Ok(present == self.contents),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(AgentError::File { path: self.path.clone(), source }),
        }
    }

    pub(super) fn write(&self) -> Result<(), AgentError> {
        let failed = |source| AgentError::File { path: self.path.clone(), source };
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        durable::replace(&self.path, &self.contents, self.mode).map_err(failed)
    }
}

/// All files, but the program.
pub(super) fn settings_and_units(
    place: &Place,
    environment: &Environment,
    config: &Config,
) -> Result<Vec<File>, AgentError> {
    let settings = File {
        path: place.environment(),
        contents: environment.file()?.into_bytes(),
        // It may hold keys.
        mode: 0o600,
        part: Part::Daemon,
    };
    let units = UNITS.iter().map(|(name, shipped)| File {
        path: place.unit(name),
        contents: unit(shipped, config).into_bytes(),
        mode: 0o644,
        part: match *name {
            "hawser.service" => Part::Daemon,
            "hawser.socket" => Part::Socket,
            _ => Part::Other,
        },
    });
    Ok([settings].into_iter().chain(units).collect())
}

/// A unit as it is shipped, of this program and with these settings.
fn unit(shipped: &str, config: &Config) -> String {
    let host = Place::here();
    let program = host.program().display().to_string();
    let socket = config.docker_socket.display().to_string().replace('%', "%%");
    let settings = format!("[Service]\nEnvironmentFile={}\n", host.environment().display());
    let text = shipped
        .replace(SHIPPED_PROGRAM, &program)
        .replace(SHIPPED_SOCKET, &socket)
        .replace(SHIPPED_DISKS, &format!("RequiresMountsFor={}\n", disks(config)))
        .replace("[Service]\n", &settings);
    format!("{MARK}{text}")
}

/// The directories that may be on disks of their own.
fn disks(config: &Config) -> String {
    let elsewhere = |dir: &&PathBuf| !dir.starts_with(&config.state_dir);
    let others = [&config.root, &config.local.dir].into_iter().filter(elsewhere);
    let words: Vec<_> =
        [&config.state_dir].into_iter().chain(others).map(|dir| word(dir)).collect();
    words.join(" ")
}

/// A path as one word of a unit (systemd.syntax(7)), where `%` begins a specifier.
fn word(path: &Path) -> String {
    let text = path.display().to_string().replace('%', "%%");
    if text.contains([' ', '\t', '"', '\'', '\\']) {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        text
    }
}

/// A unit that is there, by another hand.
pub(super) fn refuse_foreign_units(place: &Place) -> Result<(), AgentError> {
    for (name, _) in UNITS {
        for directory in ["/etc/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system"] {
            let path = place.path(directory).join(name);
            match fs::read_to_string(&path) {
                Ok(text) if text.starts_with(MARK) => {}
                Ok(_) => return Err(AgentError::NotOurs(path)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(AgentError::File { path, source }),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Values;

    #[test]
    fn every_unit_has_the_installed_program_and_the_settings() {
        let mut values = Values::default();
        values.add_option("daemon.docker_socket", "/run/docker/plugins/other.sock");
        let (config, none) = (Config::read(values).unwrap(), Environment::of(|_| None));
        let files = settings_and_units(&Place::here(), &none, &config).unwrap();

        let text = |name: &str| {
            let path = Place::here().unit(name);
            let file = files.iter().find(|file| file.path == path).unwrap();
            String::from_utf8(file.contents.clone()).unwrap()
        };
        let service = text("hawser.service");
        assert!(service.contains("\nExecStart=/opt/hawser/bin/hawser serve\n"), "{service}");
        assert!(service.contains("\n[Service]\nEnvironmentFile=/etc/hawser/agent.env\n"));
        assert!(service.contains("\nRequiresMountsFor=/var/lib/hawser\n"), "{service}");
        assert!(service.contains("\nExecStop=-/opt/hawser/bin/hawser node"), "{service}");
        let release = text("hawser-release.service");
        assert!(release.contains("\nExecStop=/opt/hawser/bin/hawser release\n"), "{release}");
        assert!(release.contains("\nEnvironmentFile=/etc/hawser/agent.env\n"));
        let sockets = text("hawser.socket");
        assert!(sockets.contains("\nListenStream=/run/docker/plugins/other.sock\n"), "{sockets}");
        assert!(files.iter().all(|file| !file.contents.is_empty()));
    }

    #[test]
    fn a_unit_of_another_hand_is_found_wherever_systemd_looks() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place { root: dir.path().into(), ..Place::here() };
        refuse_foreign_units(&place).unwrap();
        let path = place.path("/lib/systemd/system/hawser.service");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        File {
            path: path.clone(),
            contents: b"[Unit]\n".to_vec(),
            mode: 0o644,
            part: Part::Daemon,
        }
        .write()
        .unwrap();

        let error = refuse_foreign_units(&place).unwrap_err();

        assert!(matches!(error, AgentError::NotOurs(found) if found == path));
    }
}
