//! What the user stated: only the fields that were written, and how they were written.

use std::{collections::BTreeMap, str::FromStr};

use super::{
    BackendKind, Bytes, FsType, Key, Mode, OnRemove, Preempt, Provision, Scale, Sharing, Squash,
    Sticky, Value, VolumeName,
};

/// The fields that a user wrote. Equal if the same fields have the same values, however written.
#[derive(Debug, Clone, Default)]
pub struct Stated {
    pub(super) fields: BTreeMap<Key, Value>,
    /// The name under which a field was written, where it is not our own.
    pub(super) written: BTreeMap<Key, String>,
    /// Other plugins' options that ask for what holds anyway: nothing came of them.
    pub(super) satisfied: Vec<String>,
    /// The size of a new volume of which none was written, where the caller takes one for granted.
    /// Nothing was stated by it: a volume that exists does not differ from it.
    pub(super) assumed_size: Option<Bytes>,
}

impl PartialEq for Stated {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

/// A volume that a user asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Which volume.
    pub name: VolumeName,
    /// What it is to be, as far as it was said.
    pub stated: Stated,
}

impl Stated {
    /// Whether no field was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The fields that only a backend knows, and the others.
    #[must_use]
    pub fn split_backend_settings(mut self) -> (Self, Self) {
        let mut settings = Self::default();
        let keys: Vec<Key> = self.fields.keys().copied().collect();
        for key in keys.into_iter().filter(|key| key.backend().is_some()) {
            settings.fields.extend(self.fields.remove_entry(&key));
            settings.written.extend(self.written.remove_entry(&key));
        }
        (settings, self)
    }

    /// The caller takes this size for granted where none is written.
    pub const fn assume_size(&mut self, size: Bytes) {
        self.assumed_size = Some(size);
    }

    /// The value of one field, if it was written.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&Value> {
        self.fields.get(&key)
    }

    /// Every field that was written, in the order of the canonical form.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &Value)> {
        self.fields.iter().map(|(key, value)| (*key, value))
    }

    /// The canonical form: `size=2GiB,fs=xfs`. Empty if no field was written.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut parts = Vec::new();
        for (key, value) in self.iter() {
            if let Value::Labels(labels) = value {
                parts.extend(labels.iter().map(|(key, value)| format!("label.{key}={value}")));
            } else {
                parts.push(format!("{}={value}", key.as_str()));
            }
        }
        parts.join(",")
    }

    pub(super) fn size(&self) -> Option<Bytes> {
        let Some(Value::Size(size)) = self.get(Key::Size) else {
            return None;
        };
        Some(*size)
    }

    pub(super) fn backend(&self) -> Option<BackendKind> {
        let Some(Value::Backend(kind)) = self.get(Key::Backend) else {
            return None;
        };
        Some(*kind)
    }

    pub(super) fn fs(&self) -> Option<FsType> {
        let Some(Value::Fs(fs)) = self.get(Key::Fs) else {
            return None;
        };
        Some(*fs)
    }

    pub(super) fn sharing(&self) -> Option<Sharing> {
        let Some(Value::Sharing(sharing)) = self.get(Key::Shared) else {
            return None;
        };
        Some(*sharing)
    }

    pub(super) fn squash(&self) -> Option<Squash> {
        let Some(Value::Squash(squash)) = self.get(Key::Squash) else {
            return None;
        };
        Some(*squash)
    }

    /// What was written about a group.
    #[must_use]
    pub fn scale(&self) -> Option<Scale> {
        let Some(Value::Scale(scale)) = self.get(Key::Scale) else {
            return None;
        };
        Some(*scale)
    }

    pub(super) fn mount_options(&self) -> Option<&[String]> {
        let Some(Value::MountOptions(options)) = self.get(Key::MountOptions) else {
            return None;
        };
        Some(options)
    }

    pub(super) fn mkfs_options(&self) -> Option<&[String]> {
        let Some(Value::MkfsOptions(options)) = self.get(Key::MkfsOptions) else {
            return None;
        };
        Some(options)
    }

    /// `key` is `uid` or `gid`.
    pub(super) fn id(&self, key: Key) -> Option<u32> {
        let Some(Value::Id(id)) = self.get(key) else {
            return None;
        };
        Some(*id)
    }

    pub(super) fn mode(&self) -> Option<Mode> {
        let Some(Value::Mode(mode)) = self.get(Key::Mode) else {
            return None;
        };
        Some(*mode)
    }

    pub(super) fn provision(&self) -> Option<Provision> {
        let Some(Value::Provision(provision)) = self.get(Key::Provision) else {
            return None;
        };
        Some(*provision)
    }

    /// What was written about the data of a removed volume.
    #[must_use]
    pub fn on_remove(&self) -> Option<OnRemove> {
        let Some(Value::OnRemove(on_remove)) = self.get(Key::OnRemove) else {
            return None;
        };
        Some(*on_remove)
    }

    /// What was written about protection from removal.
    #[must_use]
    pub fn sticky(&self) -> Option<Sticky> {
        let Some(Value::Sticky(sticky)) = self.get(Key::Sticky) else {
            return None;
        };
        Some(*sticky)
    }

    pub(super) fn preempt(&self) -> Option<Preempt> {
        let Some(Value::Preempt(preempt)) = self.get(Key::Preempt) else {
            return None;
        };
        Some(*preempt)
    }

    pub(super) fn labels(&self) -> Option<&BTreeMap<String, String>> {
        let Some(Value::Labels(labels)) = self.get(Key::Label) else {
            return None;
        };
        Some(labels)
    }

    /// `key` is `iops` or `throughput`.
    pub(super) fn number(&self, key: Key) -> Option<u32> {
        let Some(Value::Number(number)) = self.get(key) else {
            return None;
        };
        Some(*number)
    }

    /// `key` is `encrypted`.
    pub(super) fn flag(&self, key: Key) -> Option<bool> {
        let Some(Value::Flag(flag)) = self.get(key) else {
            return None;
        };
        Some(*flag)
    }

    /// `key` is one that holds a word.
    pub(super) fn text(&self, key: Key) -> Option<&str> {
        let Some(Value::Text(text)) = self.get(key) else {
            return None;
        };
        Some(text)
    }

    /// `key` is `type`, `attach` or `layout`: words that the parser has read as a `T` before.
    pub(super) fn word<T: FromStr>(&self, key: Key) -> Option<T> {
        self.text(key).and_then(|text| text.parse().ok())
    }

    /// The name under which a field was written.
    pub(super) fn written(&self, key: Key) -> &str {
        self.written.get(&key).map_or(key.as_str(), String::as_str)
    }
}

impl Request {
    /// The one spelling of this request, as an inline spec: `name=pgdata,size=2GiB`. It parses
    /// to the same request.
    #[must_use]
    pub fn canonical(&self) -> String {
        let fields = self.stated.canonical();
        let comma = if fields.is_empty() { "" } else { "," };
        format!("name={}{comma}{fields}", self.name)
    }
}
