//! `hawser config import-rexray`: REX-Ray's configuration, and the hawser.toml that means the same.
//!
//! ```text
//! rexray:                                  scopes (modules, services) and the words that only
//!   modules: { m: { … } }         ──▶      say where a key may stand are taken off the path:
//! libstorage:                              what is left is a key of `table`, which says what
//!   server: { services: { s: … } }         becomes of it
//!   integration: { volume: { operations: … } }
//! ebs: { … }                               `ec2` and `aws` are `ebs`
//! ```
//!
//! Every key is answered for: it becomes a setting, is not needed, or is otherwise here. A key that
//! REX-Ray does not have is an error, for it never did what somebody thought it did.

mod table;
mod yaml;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use table::{EBS, KEYS, Means, OTHER_DRIVERS, PREFIXES};
use yaml::Leaf;

use super::{
    Config, Values,
    settings::{HIDDEN, Privacy, by_key, settings},
};

/// What a file of REX-Ray's becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The configuration file.
    pub toml: String,
    /// What became of every key, in the order of the file.
    pub told: Vec<Told>,
}

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The key, as it is written.
    pub key: String,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// A setting, shown as `key = value`.
    Becomes(String),
    /// Nothing, and nothing is lost.
    NotNeeded(String),
    /// Something is otherwise here.
    Differs(String),
}

/// Whether credentials are written into the new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Secrets {
    /// They are.
    Write,
    /// A comment says where they go.
    #[default]
    LeaveOut,
}

/// Why a file cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read as a configuration.
    #[error("line {line}: {why}")]
    Yaml {
        /// Where.
        line: usize,
        /// Why.
        why: String,
    },
    /// Keys that REX-Ray does not have, or values that hawser cannot take over.
    #[error("{}", .0.join("\n"))]
    Keys(Vec<String>),
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.fate {
            Fate::Becomes(setting) => write!(f, "{key}: becomes {setting}"),
            Fate::NotNeeded(why) => write!(f, "{key}: not needed: {why}"),
            Fate::Differs(why) => write!(f, "{key}: DIFFERS: {why}"),
        }
    }
}

/// Reads REX-Ray's configuration. The cluster's name is taken from REX-Ray's tag where none is given.
///
/// # Errors
/// Text that is not YAML, and all keys that are not REX-Ray's.
pub fn import(
    text: &str,
    cluster: Option<&str>,
    secrets: Secrets,
) -> Result<Imported, ImportError> {
    let keys: Vec<Key> = yaml::leaves(text)?.into_iter().map(Key::new).collect();
    let service = chosen_service(&keys);
    let foreign = foreign_modules(&keys, service.as_deref());
    let mut import = Import { service, foreign, secrets, ..Import::default() };
    for key in &keys {
        import.key(key);
    }
    if !import.mistakes.is_empty() {
        return Err(ImportError::Keys(import.mistakes));
    }
    let toml = import.file(cluster);
    check(&toml).map(|()| Imported { toml, told: import.told })
}

/// What is written is what the daemon reads: a value of REX-Ray's that cannot be one of ours is told
/// now and not at the first start.
fn check(toml: &str) -> Result<(), ImportError> {
    let mut values = Values::default();
    values.add_file(std::path::Path::new("the imported configuration"), toml);
    // Whether this build has the backend is another question.
    if !cfg!(feature = "ebs") {
        values.add_option("backends.ebs.enabled", "false");
        values.add_option("volumes.default_backend", "local");
    }
    Config::read(values)
        .map(|_| ())
        .map_err(|mistakes| ImportError::Keys(mistakes.0.iter().map(ToString::to_string).collect()))
}

/// A key of the file, with what says where it stands taken off.
struct Key {
    written: String,
    line: usize,
    value: String,
    scope: Scope,
    /// In lower case; empty parts of scopes are off.
    path: String,
}

/// For whom a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    All,
    Module(String),
    Service(String),
}

impl Key {
    fn new(leaf: Leaf) -> Self {
        let written = leaf.path.join(".");
        let path: Vec<String> = leaf.path.iter().map(|part| part.to_ascii_lowercase()).collect();
        let mut rest: &[String] = &path;
        let mut scope = Scope::All;
        // Each turn takes parts off the front, so it ends.
        loop {
            let parts: Vec<&str> = rest.iter().map(String::as_str).collect();
            rest = match parts.as_slice() {
                ["modules", name, _, ..] => {
                    scope = Scope::Module((*name).to_owned());
                    &rest[2..]
                }
                ["services", name, _, ..] => {
                    scope = Scope::Service((*name).to_owned());
                    &rest[2..]
                }
                ["server", "endpoints", ..] => break,
                ["rexray" | "libstorage" | "integration" | "server", _, ..] => &rest[1..],
                _ => break,
            };
        }
        let path = canonical(&rest.join("."));
        Self { written, line: leaf.line, value: leaf.value, scope, path }
    }

    fn is(&self, word: &str) -> bool {
        self.value.eq_ignore_ascii_case(word)
    }
}

/// The newest spelling of a path.
fn canonical(path: &str) -> String {
    let renamed = [
        ("volume.operations.", "volume."),
        ("ec2.", "ebs."),
        ("aws.", "ebs."),
        ("docker.fstype", "volume.create.default.fstype"),
        ("docker.volumetype", "volume.create.default.type"),
        ("docker.iops", "volume.create.default.iops"),
        ("docker.size", "volume.create.default.size"),
        ("docker.availabilityzone", "volume.create.default.availabilityzone"),
        ("docker.mountdirpath", "volume.mount.path"),
        ("linux.volume.rootpath", "volume.mount.rootpath"),
    ];
    let found = renamed.iter().find_map(|(old, new)| Some((path.strip_prefix(old)?, new)));
    found.map_or_else(|| path.to_owned(), |(rest, new)| format!("{new}{rest}"))
}

/// The service whose own keys count: the first of EBS that is named, or else that is defined.
fn chosen_service(keys: &[Key]) -> Option<String> {
    let of_ebs: Vec<&String> = keys
        .iter()
        .filter(|key| key.path == "driver" && is_ebs(&key.value))
        .filter_map(|key| match &key.scope {
            Scope::Service(name) => Some(name),
            Scope::All | Scope::Module(_) => None,
        })
        .collect();
    let named = keys.iter().filter(|key| key.path == "service");
    let mut named = named.filter_map(|key| of_ebs.iter().find(|name| key.is(name)));
    named.next().or(of_ebs.first()).map(|name| (*name).clone())
}

/// Modules that are of a service which is not the chosen one.
fn foreign_modules(keys: &[Key], chosen: Option<&str>) -> BTreeSet<String> {
    let foreign = |key: &&Key| {
        let mine = chosen.map_or(is_ebs(&key.value), |chosen| key.is(chosen));
        key.path == "service" && !mine
    };
    keys.iter()
        .filter(foreign)
        .filter_map(|key| match &key.scope {
            Scope::Module(name) => Some(name.clone()),
            Scope::All | Scope::Service(_) => None,
        })
        .collect()
}

fn is_ebs(driver: &str) -> bool {
    EBS.iter().any(|name| driver.eq_ignore_ascii_case(name))
}

/// The import under way.
#[derive(Default)]
struct Import {
    service: Option<String>,
    foreign: BTreeSet<String>,
    secrets: Secrets,
    /// By setting: its value, and where that was written.
    settings: BTreeMap<&'static str, (String, Weight)>,
    /// Whether something says that EBS is used.
    ebs: bool,
    prefix: Option<String>,
    told: Vec<Told>,
    mistakes: Vec<String>,
}

/// Of two values the one that was written nearer to the service counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    ForAll,
    ForOne,
}

impl Import {
    fn key(&mut self, key: &Key) {
        let service = match &key.scope {
            Scope::Service(name) => Some(name.as_str()),
            Scope::All | Scope::Module(_) => None,
        };
        if let Scope::Module(name) = &key.scope
            && self.foreign.contains(name)
            && key.path != "service"
        {
            let why = "its module is of another service".to_owned();
            return self.tell(key, Fate::NotNeeded(why));
        }
        if let (Scope::Module(_), Some(fate)) = (&key.scope, module(key)) {
            return self.tell(key, fate);
        }
        if key.path == "driver" && !is_ebs(&key.value) {
            let why = format!("hawser has no {} backend: its volumes are not served", key.value);
            return self.tell(key, Fate::Differs(why));
        }
        let driver = key.path.split('.').next().unwrap_or_default();
        if OTHER_DRIVERS.contains(&driver) {
            let why = format!("it is of the driver {driver}, which hawser has not");
            return self.tell(key, Fate::NotNeeded(why));
        }
        if service.is_some() && service != self.service.as_deref() {
            let why = format!(
                "it is of another service than `{}`: hawser has one of each setting for all volumes \
                 of a daemon",
                self.service.as_deref().unwrap_or("ebs")
            );
            return self.tell(key, Fate::Differs(why));
        }
        self.ebs |= driver == "ebs";
        let row = KEYS.iter().find(|(path, _)| *path == key.path);
        let prefix = PREFIXES.iter().find(|(prefix, _)| key.path.starts_with(prefix));
        match (row, prefix) {
            (Some((_, means)), _) => self.means(key, means),
            (None, Some((_, why))) => self.tell(key, Fate::NotNeeded((*why).to_owned())),
            (None, None) => self.unknown(key),
        }
    }

    fn means(&mut self, key: &Key, means: &Means) {
        let fate = match means {
            Means::Sets(setting, value) => match value(&key.value) {
                Ok(value) => return self.set(key, setting, value),
                Err(why) => Fate::Differs(why),
            },
            Means::NotNeeded(why) => Fate::NotNeeded((*why).to_owned()),
            Means::Differs(why) => Fate::Differs((*why).to_owned()),
            Means::DiffersUnless(word, _) if key.is(word) => {
                Fate::NotNeeded("it is so here".to_owned())
            }
            Means::DiffersUnless(_, why) => Fate::Differs((*why).to_owned()),
            Means::NamePrefix => {
                self.prefix = Some(key.value.clone());
                Fate::Differs(format!(
                    "REX-Ray's volumes are tagged Name={}/NAME; hawser's have a tag of the cluster, \
                     and volumes are imported under their NAME",
                    key.value
                ))
            }
            Means::Service => self.service(key),
        };
        self.tell(key, fate);
    }

    fn service(&mut self, key: &Key) -> Fate {
        let names: Vec<&str> = key.value.split(',').map(str::trim).collect();
        let chosen = self.service.as_deref();
        let mine =
            |name: &&str| is_ebs(name) || chosen.is_some_and(|it| name.eq_ignore_ascii_case(it));
        let others: Vec<&str> = names.iter().copied().filter(|name| !mine(name)).collect();
        self.ebs |= others.len() < names.len();
        if others.is_empty() {
            return Fate::Becomes("backends.ebs.enabled = \"true\"".to_owned());
        }
        Fate::Differs(format!("hawser has no {}: its volumes are not served", others.join(", ")))
    }

    fn set(&mut self, key: &Key, setting: &'static str, value: String) {
        let weight = match key.scope {
            Scope::All => Weight::ForAll,
            Scope::Module(_) | Scope::Service(_) => Weight::ForOne,
        };
        let shown = by_key(setting).map_or(HIDDEN, |setting| setting.shown(&value));
        let becomes = format!("{setting} = {}", quoted(shown));
        match self.settings.get(setting) {
            Some((other, heavier)) if *other != value && *heavier >= weight => {
                let why =
                    format!("{setting} has another value already: there is one for all volumes");
                return self.tell(key, Fate::Differs(why));
            }
            Some(_) | None => {}
        }
        self.settings.insert(setting, (value, weight));
        let secret = by_key(setting).is_some_and(|setting| setting.privacy == Privacy::Secret);
        let fate = if secret && self.secrets == Secrets::LeaveOut {
            Fate::Differs(format!(
                "it was not copied: an instance role is better; --with-secrets writes {setting}"
            ))
        } else {
            Fate::Becomes(becomes)
        };
        self.tell(key, fate);
    }

    fn tell(&mut self, key: &Key, fate: Fate) {
        self.told.push(Told { key: key.written.clone(), fate });
    }

    fn unknown(&mut self, key: &Key) {
        let likeness = |known: &str| strsim::normalized_damerau_levenshtein(&key.path, known);
        let nearest = KEYS
            .iter()
            .map(|(path, _)| *path)
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
            .unwrap_or_default();
        self.mistakes.push(format!(
            "line {}: {}: REX-Ray has no such key, the nearest is {nearest}",
            key.line, key.written
        ));
    }

    /// The file, in the order of the reference.
    fn file(&mut self, cluster: Option<&str>) -> String {
        let mut values: BTreeMap<&str, String> =
            self.settings.iter().map(|(key, (value, _))| (*key, value.clone())).collect();
        let credentials = values.contains_key("backends.ebs.access_key")
            || values.contains_key("backends.ebs.secret_key");
        if self.secrets == Secrets::LeaveOut {
            values.retain(|key, _| by_key(key).is_none_or(|it| it.privacy == Privacy::Open));
        }
        // What REX-Ray has without a word.
        values.entry("volumes.default_size").or_insert_with(|| "16GiB".to_owned());
        if self.ebs {
            let prefix =
                self.prefix.as_deref().filter(|prefix| !prefix.is_empty()).map(cluster_name);
            let name = cluster.map(str::to_owned).or(prefix);
            values.insert("daemon.cluster", name.unwrap_or_else(|| "rexray".to_owned()));
            values.insert("volumes.default_backend", "ebs".to_owned());
            values.insert("backends.ebs.enabled", "true".to_owned());
        }
        let mut text =
            String::from("# Made from REX-Ray's configuration by `hawser config import-rexray`.\n");
        if !self.ebs {
            text += "# It names no service of EBS: to serve EBS volumes, set daemon.cluster and\n\
                     # backends.ebs.enabled.\n";
        }
        let mut section = "";
        for setting in settings() {
            let Some(value) = values.get(setting.key) else { continue };
            let (this, name) = setting.place();
            if this != section {
                section = this;
                text += &format!("\n[{section}]\n");
            }
            if setting.key == "daemon.cluster" {
                text += "# The same on every node, and never changed.\n";
            }
            text += &format!("{name} = {}\n", quoted(value));
            if setting.key == "backends.ebs.enabled"
                && credentials
                && self.secrets == Secrets::LeaveOut
            {
                text += CREDENTIALS;
            }
        }
        text
    }
}

const CREDENTIALS: &str = "\
# REX-Ray's file has credentials, which were not copied. Better give the instances a role; or set
# access_key and secret_key here (and make this file readable by root only), or HAWSER_EBS_ACCESS_KEY
# and HAWSER_EBS_SECRET_KEY in the environment.
";

/// What a module of REX-Ray's says of itself.
fn module(key: &Key) -> Option<Fate> {
    Some(match key.path.as_str() {
        "type" | "desc" | "description" | "name" => {
            Fate::NotNeeded("there is one module, the volume plugin".to_owned())
        }
        "spec" => Fate::NotNeeded("Docker finds the socket by itself".to_owned()),
        "disabled" if key.is("false") => Fate::NotNeeded("it is so here".to_owned()),
        "disabled" => Fate::NotNeeded(
            "there is one module, the volume plugin: systemd starts it or not".to_owned(),
        ),
        "host" => match key.value.strip_prefix("unix://") {
            Some(socket) => Fate::Differs(format!(
                "to keep the driver's name, set daemon.rexray_socket = {} when REX-Ray is off",
                quoted(socket)
            )),
            None => Fate::NotNeeded("nothing listens on the network".to_owned()),
        },
        _ => return None,
    })
}

/// What of `text` can be in a cluster's name.
fn cluster_name(text: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    text.chars().map(kept).take(64).collect()
}

/// `text` as a string of TOML's, which takes JSON's.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests;
