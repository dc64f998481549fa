//! Configuration: what was written (file, environment, `--set`), read into what is meant.
//!
//! Later sources win: default, file, environment, command line. Unknown keys are refused, and all
//! mistakes are reported at once, each as `source: key: value: why`.

mod cluster;
mod ebs;
mod exports;
mod log;
pub mod rexray;
mod settings;
mod sources;
pub mod universe;

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use jiff::SignedDuration;

pub use cluster::{ClusterConfig, DigestAuth};
pub use ebs::{Credentials, EbsSettings};
pub use settings::{Privacy, Reach, Setting, reference, sample_file, settings};
pub use sources::{Mistake, Mistakes, Values};

use crate::{
    backend::{
        local::{LocalConfig, Users},
        nfs::{NfsSettings, Records},
    },
    engine::Settings,
    spec::{
        self, Asked, BackendKind, Bytes, Defaults, EbsDefaults, FsType, NfsDefaults, Provision,
        Request, minimum_size,
    },
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
    /// The plugin protocol's socket under REX-Ray's name; `None` where it is off.
    pub rexray_socket: Option<PathBuf>,
    /// The commands' socket.
    pub admin_socket: PathBuf,
    /// A filter for the log.
    pub log: String,
    /// How the log is written.
    pub log_format: LogFormat,
    /// This node's name; `None` is the host's.
    pub node: Option<String>,
    /// The cluster; `None` where this node is alone.
    pub cluster: Option<ClusterConfig>,
    /// How the engine behaves.
    pub engine: Settings,
    /// The volumes that stay mounted here.
    pub publish: Vec<Request>,
    /// The local backend.
    pub local: LocalConfig,
    /// The EBS backend; `None` where it is off.
    pub ebs: Option<EbsSettings>,
    /// The NFS backend; `None` where no export is configured.
    pub nfs: Option<NfsSettings>,
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
    /// Where the sockets are: gone after a boot, as processes and mounts are.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        self.admin_socket.parent().unwrap_or_else(|| Path::new("/run"))
    }

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
        let rexray_socket = self.get("daemon.rexray_socket", absolute_if_any);
        let admin_socket = self.get("daemon.admin_socket", absolute);
        let log = self.get("daemon.log", log::filter);
        let log_format = self.get("daemon.log_format", log_format);
        let node = self.get("daemon.node", ebs::cluster);
        let cluster = self.cluster(state_dir.as_deref());
        let (ebs, ebs_defaults) = match self.ebs() {
            Some(Some(ebs)) => (Some(Some(ebs.settings)), Some(Some(ebs.defaults))),
            Some(None) => (Some(None), Some(None)),
            None => (None, None),
        };
        let records = match &cluster {
            Some(Some(_)) => Records::Cluster,
            Some(None) | None => Records::Nodes,
        };
        let (nfs, nfs_defaults) = match self.nfs(records) {
            Some(Some(nfs)) => (Some(Some(nfs.settings)), Some(Some(nfs.defaults))),
            Some(None) => (Some(None), Some(None)),
            None => (None, None),
        };
        let engine = self.engine(ebs_defaults, nfs_defaults);
        let publish = self.get("volumes.publish", published);
        let local = self.local();
        let state_dir = state_dir?;
        let mut local = local?;
        local.dir = state_dir.join(local.dir);
        Some(Config {
            root: state_dir.join(root?),
            state_dir,
            root_kind: root_kind?,
            docker_socket: docker_socket?,
            rexray_socket: rexray_socket?,
            admin_socket: admin_socket?,
            log: log?,
            log_format: log_format?,
            node: node?,
            cluster: cluster?,
            engine: engine?,
            publish: publish?,
            local,
            ebs: ebs?,
            nfs: nfs?,
        })
    }

    /// `ebs` and `nfs` are `None` after a mistake there.
    fn engine(
        &mut self,
        ebs: Option<Option<EbsDefaults>>,
        nfs: Option<Option<NfsDefaults>>,
    ) -> Option<Settings> {
        let defaults = self.defaults(ebs, nfs);
        let linger = self.get("volumes.linger", duration);
        let orphan_after = self.get("volumes.orphan_after", signed_duration);
        let undelete = self.get("volumes.undelete", signed_duration);
        let undelete_anonymous = self.get("volumes.undelete_anonymous", signed_duration);
        let sweep = self.get("volumes.sweep", interval);
        let move_after = self.get("sharing.move_after", duration);
        Some(Settings {
            defaults: defaults?,
            linger: linger?,
            orphan_after: orphan_after?,
            undelete: undelete?,
            undelete_anonymous: undelete_anonymous?,
            sweep: sweep?,
            move_after: Some(move_after?).filter(|after| !after.is_zero()),
        })
    }

    fn defaults(
        &mut self,
        ebs: Option<Option<EbsDefaults>>,
        nfs: Option<Option<NfsDefaults>>,
    ) -> Option<Defaults> {
        let backend = self.get("volumes.default_backend", parsed::<BackendKind>);
        let (default_size, anonymous_size) =
            (self.get("volumes.default_size", size), self.get("volumes.anonymous_size", size));
        let fs = self.get("volumes.default_fs", parsed::<FsType>);
        let shared_fs = self.get("volumes.shared_fs", parsed::<FsType>);
        let provision = self.get("backends.local.provision", parsed::<Provision>);
        let defaults = Defaults {
            backend: backend?,
            size: default_size?,
            anonymous_size: anonymous_size?,
            fs: fs?,
            shared_fs: shared_fs?,
            provision: provision?,
            ebs: ebs?,
            nfs: nfs?,
        };
        self.check_defaults(&defaults).then_some(defaults)
    }

    /// A volume that states nothing must be possible.
    fn check_defaults(&mut self, defaults: &Defaults) -> bool {
        if let Some(why) = no_backend(defaults) {
            self.mistake("volumes.default_backend", why);
            return false;
        }
        let sizes = [
            ("volumes.default_size", defaults.size),
            ("volumes.anonymous_size", defaults.anonymous_size),
        ];
        let mut right = true;
        for (key, size) in sizes {
            let why = match (defaults.backend, &defaults.ebs) {
                (BackendKind::Ebs, Some(ebs)) => beyond_ebs(ebs, size),
                // A directory, which has no least size.
                (BackendKind::Nfs, _) => None,
                (BackendKind::Local | BackendKind::Ebs, _) => too_small(defaults.fs, size),
            };
            if let Some(why) = why {
                self.mistake(key, &why);
                right = false;
            }
        }
        right
    }

    fn local(&mut self) -> Option<LocalConfig> {
        let dir = self.get("backends.local.dir", path);
        let overcommit = self.get("backends.local.overcommit", ratio);
        let margin = self.get("backends.local.margin", size);
        Some(LocalConfig {
            dir: dir?,
            overcommit: overcommit?,
            margin: margin?,
            users: Users::ThisNode,
        })
    }

    /// The value of a setting, or a mistake.
    fn get<T>(&mut self, key: &str, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        let (value, _) = self.values.get(key);
        match parse(&value) {
            Ok(parsed) => Some(parsed),
            Err(why) => {
                self.mistake(key, &why);
                None
            }
        }
    }

    /// What is wrong with a setting's value, wherever that comes from.
    fn mistake(&mut self, key: &str, why: &str) {
        let (value, source) = self.values.get_shown(key);
        self.report(Mistake { source, key: key.to_owned(), value, why: why.to_owned() });
    }

    /// Once, however often a value is read: what is for all exports is read for each.
    fn report(&mut self, mistake: Mistake) {
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }
}

/// Why a volume that names no backend cannot be had.
fn no_backend(defaults: &Defaults) -> Option<&'static str> {
    match (defaults.backend, &defaults.ebs, &defaults.nfs) {
        (BackendKind::Local, _, _) | (BackendKind::Ebs, Some(_), _) => None,
        (BackendKind::Ebs, None, _) => {
            Some("the EBS backend is off: set backends.ebs.enabled, or use local")
        }
        (BackendKind::Nfs, _, Some(nfs)) if nfs.chosen().is_some() => None,
        (BackendKind::Nfs, _, Some(_)) => Some(
            "there are several exports and none is the default: set backends.nfs.default_export",
        ),
        (BackendKind::Nfs, _, None) => Some(
            "no NFS server is configured: give one a name, [backends.nfs.NAME] with server = \
             \"HOST:/PATH\", or use local",
        ),
    }
}

/// Why a volume of that size cannot be had on EBS.
fn beyond_ebs(ebs: &EbsDefaults, size: Bytes) -> Option<String> {
    let limits = ebs.volume_type.limits().size;
    let gib = size.get().div_ceil(Bytes::gib(1).get());
    (!limits.contains(&gib)).then(|| {
        let (least, most) = (Bytes::gib(*limits.start()), Bytes::gib(*limits.end()));
        format!("backends.ebs.type is {}, which takes {least} to {most}", ebs.volume_type)
    })
}

/// Why a volume of that size cannot have that file system.
fn too_small(fs: FsType, size: Bytes) -> Option<String> {
    let minimum = minimum_size(fs);
    (size < minimum).then(|| format!("volumes.default_fs is {fs}, which takes {minimum} or more"))
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

fn absolute_if_any(text: &str) -> Result<Option<PathBuf>, String> {
    if text.is_empty() { Ok(None) } else { absolute(text).map(Some) }
}

fn published(text: &str) -> Result<Vec<Request>, String> {
    let mut all: Vec<Request> = Vec::new();
    for written in text.split_whitespace() {
        let request = match spec::parse(written, []).map_err(|why| why.to_string())? {
            Asked::Volume(request) => request,
            Asked::Help => return Err("must be names or inline specs".into()),
        };
        if request.stated.scale().is_some() {
            return Err(format!("{}: a group has no path, its members have", request.name));
        }
        if all.iter().any(|other| other.name == request.name) {
            return Err(format!("{} is there twice", request.name));
        }
        all.push(request);
    }
    Ok(all)
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("must be a path".into()) } else { Ok(text.into()) }
}

fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("must be true or false".into()),
    }
}

fn root_kind(text: &str) -> Result<RootKind, String> {
    boolean(text).map(|tmpfs| if tmpfs { RootKind::Tmpfs } else { RootKind::Bind })
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be text or json".into()),
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
