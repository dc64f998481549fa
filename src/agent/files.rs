//! The files that make hawser a service of a host: what they say, where they are, and which of them differ
//! from what is there.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use super::AgentError;
use crate::{
    config::settings,
    sys::{durable, process::Tool},
};

/// By this a unit is known as one that may be replaced and removed again.
const MARK: &str = "# Written by `hawser agent install`: changes here are lost.\n";
/// The program in the units as they are shipped.
const SHIPPED_PROGRAM: &str = "/usr/bin/hawser";
/// Docker's socket in the unit as it is shipped.
const SHIPPED_SOCKET: &str = "/run/docker/plugins/hawser.sock";

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
    pub(super) root: PathBuf,
    /// The program that commands its systemd.
    pub(super) systemctl: Tool,
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

/// The settings among a process's environment variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment(BTreeMap<&'static str, String>);

impl Environment {
    /// Those that are hawser's settings and say something; all others are the task's own.
    #[must_use]
    pub fn of(variables: impl Fn(&str) -> Option<String>) -> Self {
        let names = settings()
            .flat_map(|setting| [setting.env].into_iter().chain(setting.aliases.iter().copied()));
        let said = names.filter_map(|name| Some((name, variables(name)?)));
        Self(said.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// One variable a line, as systemd.exec(5) reads them.
    fn file(&self) -> Result<String, AgentError> {
        let mut text = MARK.to_owned();
        for (name, value) in &self.0 {
            if value.contains(['\n', '\r']) {
                return Err(AgentError::LineBreak((*name).to_owned()));
            }
            let mut quoted = String::new();
            for character in value.chars() {
                if matches!(character, '"' | '\\' | '`' | '$') {
                    quoted.push('\\');
                }
                quoted.push(character);
            }
            // Nothing that is written to a string fails.
            let _ = writeln!(text, "{name}=\"{quoted}\"");
        }
        Ok(text)
    }
}

/// All files, but the program.
pub(super) fn settings_and_units(
    place: &Place,
    environment: &Environment,
    docker_socket: &Path,
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
        contents: unit(shipped, docker_socket).into_bytes(),
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
fn unit(shipped: &str, docker_socket: &Path) -> String {
    let host = Place::here();
    let program = host.program().display().to_string();
    let settings = format!("[Service]\nEnvironmentFile={}\n", host.environment().display());
    let text = shipped
        .replace(SHIPPED_PROGRAM, &program)
        .replace(SHIPPED_SOCKET, &docker_socket.display().to_string())
        .replace("[Service]\n", &settings);
    format!("{MARK}{text}")
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

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let pairs: BTreeMap<_, _> = pairs.iter().copied().collect();
        Environment::of(|name| pairs.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn only_settings_that_say_something_are_handed_on() {
        let environment = environment(&[
            ("HAWSER_CLUSTER", "prod"),
            ("HAWSER_NODE", ""),
            ("PATH", "/bin"),
            ("HAWSER_UNKNOWN", "x"),
            ("REXRAY_FSTYPE", "xfs"),
        ]);

        let file = environment.file().unwrap();

        assert_eq!(file, format!("{MARK}HAWSER_CLUSTER=\"prod\"\nREXRAY_FSTYPE=\"xfs\"\n"));
    }

    /// systemd.exec(5), `EnvironmentFile=`.
    #[test]
    fn what_systemd_would_read_otherwise_is_escaped() {
        let file = environment(&[("HAWSER_EBS_SECRET_KEY", "a\"b\\c$d`e f#g'h")]).file().unwrap();

        assert!(file.ends_with("HAWSER_EBS_SECRET_KEY=\"a\\\"b\\\\c\\$d\\`e f#g'h\"\n"), "{file}");
    }

    #[test]
    fn a_line_break_is_refused_by_the_name_of_its_variable() {
        let error = environment(&[("HAWSER_CLUSTER", "a\nb")]).file().unwrap_err();

        assert!(matches!(error, AgentError::LineBreak(name) if name == "HAWSER_CLUSTER"));
    }

    #[test]
    fn every_unit_has_the_installed_program_and_the_settings() {
        let socket = Path::new("/run/docker/plugins/other.sock");
        let files = settings_and_units(&Place::here(), &environment(&[]), socket).unwrap();

        let text = |name: &str| {
            let path = Place::here().unit(name);
            let file = files.iter().find(|file| file.path == path).unwrap();
            String::from_utf8(file.contents.clone()).unwrap()
        };
        let service = text("hawser.service");
        assert!(service.contains("\nExecStart=/opt/hawser/bin/hawser serve\n"), "{service}");
        assert!(service.contains("\n[Service]\nEnvironmentFile=/etc/hawser/agent.env\n"));
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
