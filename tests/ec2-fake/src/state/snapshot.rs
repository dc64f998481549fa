//! A snapshot: a copy of a volume's image, and where it is on its way.

use jiff::Timestamp;

use super::Effect;

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
    Pending {
        until: Timestamp,
    },
    Completed,
    /// Not shown any more; its image is being removed.
    Removing,
}

impl Snapshot {
    /// What is due.
    pub(super) fn step(&mut self, now: Timestamp) -> Option<Effect> {
        let effect = match self.phase {
            SnapshotPhase::Copying if !self.working => {
                Effect::CopyImage { snapshot: self.id.clone(), volume: self.volume.clone() }
            }
            SnapshotPhase::Removing if !self.working => {
                Effect::RemoveSnapshot { snapshot: self.id.clone() }
            }
            SnapshotPhase::Pending { until } if until <= now => {
                self.phase = SnapshotPhase::Completed;
                return None;
            }
            SnapshotPhase::Copying
            | SnapshotPhase::Removing
            | SnapshotPhase::Pending { .. }
            | SnapshotPhase::Completed => return None,
        };
        self.working = true;
        Some(effect)
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        match self.phase {
            SnapshotPhase::Pending { until } => Some(until),
            SnapshotPhase::Copying | SnapshotPhase::Removing | SnapshotPhase::Completed => None,
        }
    }

    pub(crate) fn state(&self) -> &'static str {
        match self.phase {
            SnapshotPhase::Copying | SnapshotPhase::Pending { .. } => "pending",
            SnapshotPhase::Completed | SnapshotPhase::Removing => "completed",
        }
    }
}
