//! Settings that are one of a few words.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::error::Why;

/// What a volume is stored on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// An image file on this node.
    Local,
    /// Amazon Elastic Block Store.
    Ebs,
    /// A directory on an NFS server.
    Nfs,
}

/// Whether tasks on many nodes may use the volume at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sharing {
    /// Tasks on one node at a time.
    #[default]
    Exclusive,
    /// Tasks on many nodes.
    Shared,
}

/// Whom root is taken for that comes from another node than the owner of a shared volume. Root of the
/// owner's own tasks is root: they use the file system itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Squash {
    /// For root.
    #[default]
    None,
    /// For nobody.
    Root,
}

/// Whether the volume is protected from removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sticky {
    /// It cannot be removed until this is turned off.
    Yes,
    /// It can be removed.
    #[default]
    No,
}

/// When the space of a volume is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provision {
    /// All of it at creation: a full host cannot break the volume later.
    Thick,
    /// As it is written.
    Thin,
}

/// What becomes of the data when the volume is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRemove {
    /// It is deleted.
    Delete,
    /// It is kept, for an operator to import or delete.
    Retain,
}

/// What is done about taking a volume from a node that does not let go of it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Preempt {
    /// Nothing: an operator decides (`hawser volume move`).
    Never,
    /// It is taken when the cloud says that the node's machine is stopped or terminated.
    #[default]
    DeadOnly,
    /// Also when the machine runs, once its session with the store is over and it does not answer.
    /// What tasks had not yet synced there is lost, and they get I/O errors.
    Force,
}

/// A setting that is written as one of a few words.
pub(super) trait Choice: Copy + 'static {
    /// Every choice, in the order in which errors list them.
    const ALL: &'static [Self];
    /// The word for it.
    fn word(self) -> &'static str;
}

/// The choice that `text` names, in either case.
pub(super) fn choose<T: Choice>(text: &str) -> Result<T, Why> {
    T::ALL.iter().copied().find(|one| text.eq_ignore_ascii_case(one.word())).ok_or_else(|| {
        let words: Vec<_> = T::ALL.iter().map(|one| one.word()).collect();
        format!("use {}", words.join(" or ")).into()
    })
}

/// `true` or `false`, in any of the spellings that the other plugins take.
pub(super) fn flag(text: &str) -> Result<bool, Why> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "on" | "1" => Ok(true),
        "false" | "f" | "no" | "off" | "0" => Ok(false),
        _ => Err("use true or false".into()),
    }
}

impl Choice for BackendKind {
    const ALL: &'static [Self] = &[Self::Local, Self::Ebs, Self::Nfs];

    fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Ebs => "ebs",
            Self::Nfs => "nfs",
        }
    }
}

impl Choice for Provision {
    const ALL: &'static [Self] = &[Self::Thick, Self::Thin];

    fn word(self) -> &'static str {
        match self {
            Self::Thick => "thick",
            Self::Thin => "thin",
        }
    }
}

impl Choice for OnRemove {
    const ALL: &'static [Self] = &[Self::Delete, Self::Retain];

    fn word(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Retain => "retain",
        }
    }
}

impl Choice for Preempt {
    const ALL: &'static [Self] = &[Self::Never, Self::DeadOnly, Self::Force];

    fn word(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::DeadOnly => "dead-only",
            Self::Force => "force",
        }
    }
}

impl Choice for Squash {
    const ALL: &'static [Self] = &[Self::None, Self::Root];

    fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Root => "root",
        }
    }
}

impl Squash {
    /// For records, which state only what is not the default.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Squash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Sharing {
    pub(super) const fn from_flag(shared: bool) -> Self {
        if shared { Self::Shared } else { Self::Exclusive }
    }

    /// As `shared=` is written.
    pub(super) const fn flag_word(self) -> &'static str {
        match self {
            Self::Shared => "true",
            Self::Exclusive => "false",
        }
    }
}

impl Sticky {
    pub(super) const fn from_flag(sticky: bool) -> Self {
        if sticky { Self::Yes } else { Self::No }
    }

    /// As `sticky=` is written.
    pub(super) const fn flag_word(self) -> &'static str {
        match self {
            Self::Yes => "true",
            Self::No => "false",
        }
    }
}

/// A backend that hawser does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a backend: {0}")]
pub struct UnknownBackend(Why);

impl FromStr for BackendKind {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, UnknownBackend> {
        choose(text).map_err(UnknownBackend)
    }
}

impl FromStr for Provision {
    type Err = Why;

    fn from_str(text: &str) -> Result<Self, Why> {
        choose(text)
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl fmt::Display for Provision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl fmt::Display for OnRemove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Preempt {
    /// For records, which state only what is not the default.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Preempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_read_as_the_other_plugins_write_them() {
        for yes in ["true", "TRUE", "t", "T", "yes", "on", "On", "1"] {
            assert_eq!(flag(yes), Ok(true), "{yes}");
        }
        for no in ["false", "False", "f", "no", "off", "0"] {
            assert_eq!(flag(no), Ok(false), "{no}");
        }
        for neither in ["", "2", "y", "truee", "enable"] {
            assert!(flag(neither).is_err(), "{neither}");
        }
    }

    #[test]
    fn a_word_that_is_no_choice_is_answered_with_the_choices() {
        assert_eq!(choose::<Provision>("THIN"), Ok(Provision::Thin));
        assert_eq!(choose::<OnRemove>("keep").unwrap_err(), "use delete or retain");
        let unknown = "gce".parse::<BackendKind>().unwrap_err();
        assert_eq!(unknown.to_string(), "not a backend: use local or ebs or nfs");
    }
}
