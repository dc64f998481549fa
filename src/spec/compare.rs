//! Does what was asked for agree with the volume that exists?
//!
//! Only stated fields are compared: an app that says nothing about a field agrees with any
//! value. Docker sends no Create for a volume that exists, so this is asked at every mount.

use std::{collections::BTreeSet, fmt};

use super::{
    BackendKind, BackendSpec, Bytes, Key, LocalSpec, Sharing, Spec, Stated, Value, VolumeName,
    ebs::same_key,
};

/// A stated field that disagrees with the volume that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The volume.
    pub volume: VolumeName,
    /// The field; `label.KEY` for a label.
    pub key: String,
    /// What was asked for.
    pub wanted: String,
    /// What there is; empty if the volume has no such thing.
    pub present: String,
    /// What to do.
    pub advice: String,
}

impl std::error::Error for Difference {}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.found(), self.advice)
    }
}

impl Difference {
    /// What differs, without what to do.
    #[must_use]
    pub fn found(&self) -> String {
        let Self { volume, key, wanted, present, advice: _ } = self;
        let present = match present.as_str() {
            "" => format!("no `{key}`"),
            _ => format!("{key}={present}"),
        };
        format!("volume `{volume}` exists with {present}, and {key}={wanted} is asked")
    }
}

impl Stated {
    /// The first stated field that differs from an existing volume's spec. A size at or below
    /// the present one agrees: an app keeps its JSON after a grow.
    #[must_use]
    pub fn first_difference(
        &self,
        name: &VolumeName,
        spec: &Spec,
        present_size: Bytes,
    ) -> Option<Difference> {
        self.iter().find_map(|(key, value)| difference(name, key, value, spec, present_size))
    }
}

fn difference(
    name: &VolumeName,
    key: Key,
    value: &Value,
    spec: &Spec,
    present_size: Bytes,
) -> Option<Difference> {
    if let Value::Labels(wanted) = value {
        let (label, text) =
            wanted.iter().find(|(key, text)| spec.labels.get(*key) != Some(*text))?;
        let present = spec.labels.get(label).cloned().unwrap_or_default();
        let (label, kind) = (format!("label.{label}"), spec.backend.kind());
        return Some(differs(name, (key, kind), &label, text, present));
    }
    let present = present(key, spec, present_size);
    let agrees = match (value, &present) {
        (Value::Size(wanted), Some(Value::Size(present))) => wanted <= present,
        // A larger set is made of it as it is asked for, and an app that was not told of one keeps
        // its JSON.
        (Value::Scale(_), Some(Value::Scale(_))) => true,
        // The order of mount options means nothing.
        (Value::MountOptions(wanted), Some(Value::MountOptions(present))) => {
            wanted.iter().collect::<BTreeSet<_>>() == present.iter().collect()
        }
        // Nothing keeps tasks from sharing a directory, and nothing lets them.
        (Value::Sharing(_), _) if spec.backend.is_directory() => true,
        (wanted, Some(present)) if key == Key::KmsKey => same_key(wanted, present),
        (wanted, present) => Some(wanted) == present.as_ref(),
    };
    if agrees {
        return None;
    }
    let present = present.map(|value| value.to_string()).unwrap_or_default();
    let kind = spec.backend.kind();
    Some(differs(name, (key, kind), key.as_str(), &value.to_string(), present))
}

fn differs(
    volume: &VolumeName,
    (key, backend): (Key, BackendKind),
    shown: &str,
    wanted: &str,
    present: String,
) -> Difference {
    let advice = match key {
        Key::Size => format!("grow it with `hawser volume grow {volume} {wanted}`"),
        Key::MountOptions
        | Key::OnRemove
        | Key::Sticky
        | Key::Preempt
        | Key::Label
        | Key::Type
        | Key::Iops
        | Key::Throughput
        | Key::Attach
            if changes(key, backend) =>
        {
            format!(
                "remove {shown} from the spec, or change the volume with `hawser volume set {volume} \
             -o '{shown}={wanted}'`"
            )
        }
        Key::Backend
        | Key::Fs
        | Key::Shared
        | Key::Squash
        | Key::Scale
        | Key::MkfsOptions
        | Key::Uid
        | Key::Gid
        | Key::Mode
        | Key::Provision
        | Key::MountOptions
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
        | Key::Export
        | Key::Path
        | Key::Layout => {
            format!("remove {shown} from the spec, or use another volume name")
        }
    };
    let (key, wanted) = (shown.to_owned(), wanted.to_owned());
    Difference { volume: volume.clone(), key, wanted, present, advice }
}

/// What the spec says about `key`, as if it had been stated; `None` if it has no such thing.
fn present(key: Key, spec: &Spec, present_size: Bytes) -> Option<Value> {
    let (local, ebs, nfs) = match &spec.backend {
        BackendSpec::Local(local) => (Some(local), None, None),
        BackendSpec::Ebs(ebs) => (None, Some(ebs), None),
        BackendSpec::Nfs(nfs) => (None, None, Some(nfs)),
    };
    // What it has no file system for is not there, whatever the record's field holds.
    let made = Some(spec).filter(|spec| !spec.backend.is_directory());
    match key {
        Key::Size => Some(Value::Size(present_size)),
        Key::Backend => Some(Value::Backend(spec.backend.kind())),
        Key::Fs => made.map(|spec| Value::Fs(spec.fs)),
        Key::Shared => Some(Value::Sharing(spec.sharing)),
        Key::Squash => made
            .filter(|spec| spec.sharing == Sharing::Shared)
            .map(|spec| Value::Squash(spec.squash)),
        Key::MountOptions => Some(Value::MountOptions(spec.mount_options.clone())),
        Key::MkfsOptions => made.map(|spec| Value::MkfsOptions(spec.mkfs_options.clone())),
        Key::Uid => spec.owner.uid.map(Value::Id),
        Key::Gid => spec.owner.gid.map(Value::Id),
        Key::Mode => spec.owner.mode.map(Value::Mode),
        Key::Provision => local.map(|LocalSpec { provision }| Value::Provision(*provision)),
        Key::OnRemove => spec.on_remove.map(Value::OnRemove),
        Key::Sticky => Some(Value::Sticky(spec.sticky)),
        Key::Preempt => ebs.map(|_| Value::Preempt(spec.preempt)),
        Key::Label => Some(Value::Labels(spec.labels.clone())),
        Key::Type
        | Key::Iops
        | Key::Throughput
        | Key::Encrypted
        | Key::KmsKey
        | Key::Zone
        | Key::Snapshot
        | Key::Attach => ebs.and_then(|ebs| ebs.present(key)),
        Key::Export => nfs.map(|nfs| Value::Text(nfs.export.clone())),
        Key::Path => nfs.map(|nfs| Value::Text(nfs.path.clone())),
        Key::Layout => nfs.map(|nfs| Value::Text(nfs.layout.to_string())),
        Key::Scale => spec.scale.map(Value::Scale),
    }
}

/// Whether `hawser volume set` can change it: of a volume on a backend that has such a key.
fn changes(key: Key, backend: BackendKind) -> bool {
    let has = if key == Key::Preempt { Some(BackendKind::Ebs) } else { key.backend() };
    has.is_none_or(|of| of == backend)
}

#[cfg(test)]
mod tests;
