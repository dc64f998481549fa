//! Configuration: what was written (file, environment, `--set`), read into what is meant.
//!
//! Later sources win: default, file, environment, command line. Unknown keys are refused, and all
//! mistakes are reported at once, each as `source: key: value: why`.

mod settings;
mod sources;

use std::{path::PathBuf, str::FromStr, time::Duration};

use jiff::SignedDuration;

pub use settings::{SETTINGS, Setting, reference, sample_file};
pub use sources::{Mistake, Mistakes, Values};

use crate::{
    backend::local::LocalConfig,
    engine::Settings,
    spec::{BackendKind, Bytes, Defaults, FsType, Provision},
    sys::mount::RootKind,
};

/// The file that is read when none is named, if it is there.
pub const DEFAULT_FILE: &str = "/etc/hawser/hawser.toml";

/// The configuration, resolved.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the records are.
    pub state_dir: PathBuf,
    /// Where volumes are mounted.
    pub root: PathBuf,
    /// How the root becomes a mount of its own.
    pub root_kind: RootKind,
    /// The plugin protocol's socket.
    pub docker_socket: PathBuf,
    /// The commands' socket.
    pub admin_socket: PathBuf,
    /// A filter for the log.
    pub log: String,
    /// How the log is written.
    pub log_format: LogFormat,
    /// How the engine behaves.
    pub engine: Settings,
    /// The local backend.
    pub local: LocalConfig,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads the values.
    ///
    /// # Errors
    ///
    /// All mistakes at once.
    pub fn read(values: Values) -> Result<Self, Mistakes> {
        let mut read = Reader { values, mistakes: Vec::new() };
        let config = read.config();
        let Reader { values, mut mistakes } = read;
        mistakes.extend(values.into_mistakes());
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            Some(_) | None => Err(Mistakes(mistakes)),
        }
    }
}

/// Reads settings one by one and keeps the mistakes.
struct Reader {
    values: Values,
    mistakes: Vec<Mistake>,
}

impl Reader {
    fn config(&mut self) -> Option<Config> {
        // Every setting is read before the first `?`, so that every mistake is found.
        let state_dir = self.get("daemon.state_dir", absolute);
        let root = self.get("daemon.root", path);
        let root_kind = self.get("daemon.root_tmpfs", root_kind);
        let docker_socket = self.get("daemon.docker_socket", absolute);
        let admin_socket = self.get("daemon.admin_socket", absolute);
        let log = self.get("daemon.log", log_filter);
        let log_format = self.get("daemon.log_format", log_format);
        let engine = self.engine();
        let local = self.local();
        let state_dir = state_dir?;
        let mut local = local?;
        local.dir = state_dir.join(local.dir);
        Some(Config {
            root: state_dir.join(root?),
            state_dir,
            root_kind: root_kind?,
            docker_socket: docker_socket?,
            admin_socket: admin_socket?,
            log: log?,
            log_format: log_format?,
            engine: engine?,
            local,
        })
    }

    fn engine(&mut self) -> Option<Settings> {
        let backend = self.get("volumes.default_backend", configured_backend);
        let default_size = self.get("volumes.default_size", size);
        let anonymous_size = self.get("volumes.anonymous_size", size);
        let fs = self.get("volumes.default_fs", parsed::<FsType>);
        let provision = self.get("backends.local.provision", parsed::<Provision>);
        let linger = self.get("volumes.linger", duration);
        let orphan_after = self.get("volumes.orphan_after", signed_duration);
        let undelete = self.get("volumes.undelete", signed_duration);
        let undelete_anonymous = self.get("volumes.undelete_anonymous", signed_duration);
        let sweep = self.get("volumes.sweep", interval);
        Some(Settings {
            defaults: Defaults {
                backend: backend?,
                size: default_size?,
                anonymous_size: anonymous_size?,
                fs: fs?,
                provision: provision?,
                ebs: None,
            },
            linger: linger?,
            orphan_after: orphan_after?,
            undelete: undelete?,
            undelete_anonymous: undelete_anonymous?,
            sweep: sweep?,
        })
    }

    fn local(&mut self) -> Option<LocalConfig> {
        let dir = self.get("backends.local.dir", path);
        let overcommit = self.get("backends.local.overcommit", ratio);
        let margin = self.get("backends.local.margin", size);
        Some(LocalConfig { dir: dir?, overcommit: overcommit?, margin: margin? })
    }

    /// The value of a setting, or a mistake.
    fn get<T>(&mut self, key: &'static str, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        let (value, source) = self.values.get(key);
        match parse(&value) {
            Ok(parsed) => Some(parsed),
            Err(why) => {
                self.mistakes.push(Mistake { source, key: key.to_owned(), value, why });
                None
            }
        }
    }
}

fn parsed<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn size(text: &str) -> Result<Bytes, String> {
    parsed(text)
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("must be an absolute path".into()) }
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("must be a path".into()) } else { Ok(text.into()) }
}

fn root_kind(text: &str) -> Result<RootKind, String> {
    match text {
        "true" => Ok(RootKind::Tmpfs),
        "false" => Ok(RootKind::Bind),
        _ => Err("must be true or false".into()),
    }
}

fn log_filter(text: &str) -> Result<String, String> {
    text.parse::<tracing_subscriber::EnvFilter>()
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be text or json".into()),
    }
}

fn configured_backend(text: &str) -> Result<BackendKind, String> {
    match parsed(text)? {
        BackendKind::Local => Ok(BackendKind::Local),
        other @ (BackendKind::Ebs | BackendKind::Nfs) => {
            Err(format!("this hawser has no {other} backend yet: use local"))
        }
    }
}

fn signed_duration(text: &str) -> Result<SignedDuration, String> {
    let duration: SignedDuration =
        text.parse().map_err(|_| "must be a time such as 30s, 5m or 24h".to_owned())?;
    if duration.is_negative() { Err("must not be negative".into()) } else { Ok(duration) }
}

fn duration(text: &str) -> Result<Duration, String> {
    Duration::try_from(signed_duration(text)?).map_err(|error| error.to_string())
}

fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be longer than 0".into()),
        interval => Ok(interval),
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if ratio.is_finite() && ratio > 0.0 => Ok(ratio),
        Ok(_) | Err(_) => Err("must be a number above 0, such as 1.5".into()),
    }
}

#[cfg(test)]
mod tests;
