//! What would be made of a spec, and why: `hawser spec 'STRING'`.
//!
//! It explains what this node would refuse too, so it works on the stated fields and not on the
//! complete spec, which a refused request does not have.

use std::fmt;

use serde::Serialize;

use super::{
    BackendKind, BackendSpec, Defaults, Key, NfsDefaults, NfsLayout, Request, Sharing, Value,
    key::KEYS, nfs::NO_FILE_SYSTEM,
};

/// A request, explained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The volume.
    pub name: String,
    /// The one spelling of the request.
    pub canonical: String,
    /// The backend that was chosen.
    pub backend: BackendKind,
    /// Every field of that backend, with where its value comes from.
    pub fields: Vec<Explained>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Why this node would refuse it; `None` if it would not.
    pub refused: Option<String>,
}

/// A field, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The field; `label.KEY` for a label.
    pub key: String,
    /// Its value, or what holds without one.
    pub value: String,
    /// Where the value comes from.
    pub source: Source,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The user wrote it.
    Stated,
    /// The user wrote it under another name.
    StatedAs(String),
    /// Another key, which only one backend has, chose it.
    ChosenBy(String),
    /// Nobody wrote it.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stated => f.write_str("stated"),
            Self::StatedAs(key) => write!(f, "stated as {key}"),
            Self::ChosenBy(key) => write!(f, "chosen by {key}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Explains `request` on a node with these defaults.
#[must_use]
pub fn explain(request: &Request, defaults: &Defaults) -> Explanation {
    let (backend, _) = request.stated.choose_backend(defaults);
    let fields = KEYS
        .iter()
        .filter(|row| row.backend.is_none_or(|needed| needed == backend))
        .filter(|row| {
            let stated = request.stated.get(row.key).is_some();
            stated || has(row.key, backend, request.stated.layout())
        })
        .flat_map(|row| explained(row.key, request, defaults))
        .collect();
    Explanation {
        name: request.name.to_string(),
        canonical: request.canonical(),
        backend,
        fields,
        notes: notes(request, defaults, backend),
        refused: request.stated.resolve(&request.name, defaults).err().map(|why| why.to_string()),
    }
}

fn explained(key: Key, request: &Request, defaults: &Defaults) -> Vec<Explained> {
    let stated = &request.stated;
    match stated.get(key) {
        Some(Value::Labels(labels)) => labels
            .iter()
            .map(|(label, text)| {
                let (key, value) = (format!("label.{label}"), text.clone());
                Explained { key, value, source: Source::Stated }
            })
            .collect(),
        Some(value) => {
            let source = match stated.written(key) {
                written if written == key.as_str() => Source::Stated,
                written => Source::StatedAs(written.to_owned()),
            };
            vec![Explained { key: key.as_str().to_owned(), value: value.to_string(), source }]
        }
        None => {
            let (backend, chosen_by) = stated.choose_backend(defaults);
            let value = if key == Key::Backend {
                Some(backend.to_string())
            } else {
                configured(key, request, defaults)
            };
            let value = value.unwrap_or_else(|| key.row().default.to_owned());
            let source = match (key, chosen_by) {
                (Key::Backend, Some(by)) => Source::ChosenBy(stated.written(by).to_owned()),
                _ => Source::Default,
            };
            vec![Explained { key: key.as_str().to_owned(), value, source }]
        }
    }
}

/// What stands in for a field that was not stated; `None` if nothing was configured.
fn configured(key: Key, request: &Request, defaults: &Defaults) -> Option<String> {
    let stated = &request.stated;
    match (key, &defaults.ebs) {
        (Key::Fs, _) if stated.get(Key::Snapshot).is_some() => Some("the snapshot's".to_owned()),
        (Key::Uid | Key::Gid | Key::Mode, _) if stated.get(Key::Snapshot).is_some() => {
            Some("the snapshot's".to_owned())
        }
        (Key::Size, _) => Some(defaults.size_of(&request.name).to_string()),
        (Key::Fs, _) => Some(stated.default_fs(defaults).to_string()),
        (Key::Provision, _) => Some(defaults.provision.to_string()),
        (Key::Export, _) => defaults.nfs.as_ref().and_then(NfsDefaults::chosen).map(str::to_owned),
        (Key::Path, _) => Some(request.name.to_string()),
        (Key::Shared, _) if is_directory(request, defaults) => Some("true".to_owned()),
        (Key::Type, Some(ebs)) => Some(ebs.volume_type.to_string()),
        (Key::Attach, Some(ebs)) => Some(ebs.attach.to_string()),
        (Key::Zone, Some(ebs)) => ebs.zone.clone(),
        (Key::Iops | Key::Throughput | Key::Encrypted | Key::KmsKey, Some(_)) => {
            // What comes of the defaults together, which a refused spec has not.
            let spec = stated.resolve(&request.name, defaults).ok()?;
            let BackendSpec::Ebs(ebs) = spec.backend else { return None };
            match (ebs.present(key), key) {
                (Some(value), _) => Some(value.to_string()),
                (None, Key::Iops | Key::Throughput) => Some("none to choose".to_owned()),
                (None, _) => None,
            }
        }
        (
            Key::Backend
            | Key::Shared
            | Key::Squash
            | Key::Scale
            | Key::MountOptions
            | Key::MkfsOptions
            | Key::Uid
            | Key::Gid
            | Key::Mode
            | Key::OnRemove
            | Key::Sticky
            | Key::Preempt
            | Key::Label
            | Key::Type
            | Key::Iops
            | Key::Throughput
            | Key::Encrypted
            | Key::KmsKey
            | Key::Zone
            | Key::Snapshot
            | Key::Attach
            | Key::Layout,
            _,
        ) => None,
    }
}

fn notes(request: &Request, defaults: &Defaults, backend: BackendKind) -> Vec<String> {
    let stated = &request.stated;
    let mut notes = Vec::new();
    if request.name.is_anonymous() {
        notes.push("the name is that of an anonymous volume: Docker made it up".to_owned());
    }
    if let Some(scale) = stated.get(Key::Scale) {
        let first = request
            .name
            .of_member(1)
            .map_or_else(|_| String::new(), |name| format!(" ({name} ...)"));
        notes.push(format!(
            "scale={scale}: a group; each task gets a volume of its own{first}, made as it is needed, {scale} at most"
        ));
    }
    if stated.sharing() == Some(Sharing::Shared) && has_owner(request, backend) {
        notes.push(
            "many tasks use it at the same time: in a cluster those on other nodes reach it through \
             the node that has it (docs/sharing.md)"
                .to_owned(),
        );
    }
    match backend {
        BackendKind::Local => {}
        BackendKind::Ebs => notes.extend(ebs_notes(request, defaults)),
        BackendKind::Nfs => notes.extend(nfs_notes(request)),
    }
    for option in &stated.satisfied {
        notes.push(format!("{option} asks for nothing beyond what holds anyway"));
    }
    notes
}

/// One node has it at a time; a directory on a server has none.
fn has_owner(request: &Request, backend: BackendKind) -> bool {
    backend != BackendKind::Nfs || request.stated.layout() == NfsLayout::Image
}

fn ebs_notes(request: &Request, defaults: &Defaults) -> Vec<String> {
    let stated = &request.stated;
    let mut notes = Vec::new();
    let size = stated.size().unwrap_or_else(|| defaults.size_of(&request.name));
    if let Ok(spec) = stated.resolve(&request.name, defaults)
        && spec.size != size
    {
        notes.push(format!("EBS has whole GiB: the volume is made with {}", spec.size));
    }
    if stated.get(Key::KmsKey).is_some() && stated.get(Key::Encrypted).is_none() {
        notes.push("a KMS key encrypts the volume: encrypted=true follows from it".to_owned());
    }
    if stated.get(Key::Snapshot).is_some() {
        notes.push(
            "the file system and its data come with the snapshot: nothing is formatted, and the \
             size must be the snapshot's or more"
                .to_owned(),
        );
    }
    notes
}

fn nfs_notes(request: &Request) -> Vec<String> {
    let (layout, sharing) = (request.stated.layout(), request.stated.sharing());
    let note = match (layout, sharing) {
        (NfsLayout::Directory, Some(Sharing::Exclusive)) => {
            "shared=false is not enforced: tasks on any node can use a directory at the same time"
        }
        (NfsLayout::Directory, _) => {
            "a directory: tasks on any node can use it at the same time, and its size is accounted \
             for, not enforced"
        }
        (NfsLayout::Image, _) => "an image: its size is enforced, and one node has it at a time",
    };
    vec![note.to_owned()]
}

/// Whether a volume of that backend has such a thing, in that layout.
fn has(key: Key, backend: BackendKind, layout: NfsLayout) -> bool {
    match (backend, layout) {
        (BackendKind::Ebs, _) => true,
        // Only of what is shared is there anything to say.
        (_, _) if key == Key::Squash => false,
        (BackendKind::Local | BackendKind::Nfs, _) if key == Key::Preempt => false,
        (BackendKind::Local, _) => true,
        (BackendKind::Nfs, NfsLayout::Directory) => !NO_FILE_SYSTEM.0.contains(&key),
        (BackendKind::Nfs, NfsLayout::Image) => key != Key::Path,
    }
}

/// Whether the volume is a directory on an NFS server.
fn is_directory(request: &Request, defaults: &Defaults) -> bool {
    let (backend, _) = request.stated.choose_backend(defaults);
    backend == BackendKind::Nfs && request.stated.layout() == NfsLayout::Directory
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "volume     {}", self.name)?;
        writeln!(f, "canonical  {}", self.canonical)?;
        writeln!(f)?;
        let key_width = self.fields.iter().map(|field| field.key.len()).max().unwrap_or_default();
        let value_width =
            self.fields.iter().map(|field| field.value.chars().count()).max().unwrap_or_default();
        for Explained { key, value, source } in &self.fields {
            writeln!(f, "  {key:key_width$}  {value:value_width$}  {source}")?;
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        if let Some(refused) = &self.refused {
            writeln!(f, "\nrefused: {refused}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
