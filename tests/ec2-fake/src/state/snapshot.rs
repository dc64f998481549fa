//! A snapshot: a copy of a volume's image, and where it is on its way.

use jiff::Timestamp;

/// A snapshot of our own account.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) id: String,
    pub(crate) volume: String,
    /// The volume's size.
    pub(crate) gib: u32,
    pub(crate) description: String,
    pub(crate) encrypted: bool,
    pub(crate) kms_key: Option<String>,
    pub(crate) tags: super::Tags,
    pub(crate) started: Timestamp,
    pub(crate) phase: SnapshotPhase,
    /// Whether an effect is under way.
    pub(crate) working: bool,
}

/// Where a snapshot is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnapshotPhase {
    /// Its content is not copied yet; that is done at once: it is that of the moment of the call.
    Copying,
    /// Copied, and said to be going on.
    Pending { until: Timestamp },
    Completed,
    /// Not shown any more; its image is being removed.
    Removing,
}
