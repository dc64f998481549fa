//! The table of keys: one row each, which drives parsing, help and the canonical form.
//!
//! `name` has no row: it is not a field of a volume but says which volume it is.

mod table;

pub(super) use table::KEYS;

use super::{BackendKind, error::Why, value::Value};

/// A field that a spec can state. Their order is that of the canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `size`.
    Size,
    /// `backend`.
    Backend,
    /// `fs`.
    Fs,
    /// `shared`.
    Shared,
    /// `squash`.
    Squash,
    /// `scale`.
    Scale,
    /// `mount_options`.
    MountOptions,
    /// `mkfs_options`.
    MkfsOptions,
    /// `uid`.
    Uid,
    /// `gid`.
    Gid,
    /// `mode`.
    Mode,
    /// `provision`.
    Provision,
    /// `on_remove`.
    OnRemove,
    /// `sticky`.
    Sticky,
    /// `preempt`.
    Preempt,
    /// All of `label.KEY`.
    Label,
    /// `type`, of EBS.
    Type,
    /// `iops`, of EBS.
    Iops,
    /// `throughput`, of EBS.
    Throughput,
    /// `encrypted`, of EBS.
    Encrypted,
    /// `kms_key`, of EBS.
    KmsKey,
    /// `zone`, of EBS.
    Zone,
    /// `snapshot`, of EBS.
    Snapshot,
    /// `attach`, of EBS.
    Attach,
    /// `export`, of NFS.
    Export,
    /// `path`, of NFS.
    Path,
    /// `layout`, of NFS.
    Layout,
}

impl Key {
    /// The key as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// The only backend that has this key; `None` if all have it.
    #[must_use]
    pub fn backend(self) -> Option<BackendKind> {
        self.row().backend
    }

    pub(super) fn row(self) -> &'static Row {
        // The enum's order is the table's: a test holds them together.
        &KEYS[self as usize]
    }
}

/// What hawser knows about a key.
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) name: &'static str,
    /// Other plugins' names for the same thing with the same values; lower case, with `_`.
    pub(super) aliases: &'static [&'static str],
    pub(super) parse: fn(&str) -> Result<Value, Why>,
    pub(super) values: &'static str,
    pub(super) default: &'static str,
    pub(super) meaning: &'static str,
    pub(super) backend: Option<BackendKind>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_has_its_row() {
        for (index, row) in KEYS.iter().enumerate() {
            assert_eq!(row.key as usize, index, "{}", row.name);
            assert_eq!(row.key.as_str(), row.name);
        }
        assert_eq!(Key::Layout as usize + 1, KEYS.len());
    }

    #[test]
    fn no_name_means_two_keys() {
        let mut names = BTreeSet::new();
        for row in &KEYS {
            for name in row.aliases.iter().chain([&row.name]) {
                assert!(names.insert(*name), "{name}");
                assert_eq!(*name == "label.KEY", *name != name.to_lowercase().replace('-', "_"));
            }
        }
    }
}
