//! What a volume looks like from outside: the snapshot that `Get`, `List` and `inspect` answer
//! from without asking anybody.

use std::{path::PathBuf, time::Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Measured;
use crate::volume::{NodeName, Observed, Phase, Record};

/// A volume as its task last knew it.
#[derive(Debug, Clone)]
pub struct View {
    /// The record.
    pub record: Record,
    /// What was observed; nothing is until the volume is first used after a start.
    pub observed: Option<Observed>,
    /// The published path, while it is mounted.
    pub path: Option<PathBuf>,
    /// The step being done now.
    pub doing: Option<&'static str>,
    /// Why it cannot be served, or why the last step failed.
    pub failure: Option<String>,
    /// What it held when it was last measured, where it is a directory.
    pub measured: Option<Measured>,
    /// Since when it is attached here though nobody wants it.
    pub idle_since: Option<Instant>,
}

/// A volume's state in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its storage is being made.
    Creating,
    /// It exists and is not mounted.
    Ready,
    /// It is mounted.
    Mounted,
    /// It cannot be served: see the failure.
    Failed,
    /// It was removed; the data is still there.
    Removed,
}

impl State {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Ready => "ready",
            Self::Mounted => "mounted",
            Self::Failed => "failed",
            Self::Removed => "removed",
        }
    }
}

impl View {
    /// A volume of which only the record is known.
    #[must_use]
    pub const fn new(record: Record) -> Self {
        Self {
            record,
            observed: None,
            path: None,
            doing: None,
            failure: None,
            measured: None,
            idle_since: None,
        }
    }

    /// The owner, where tasks of this node use the volume by way of it, over the network.
    #[must_use]
    pub fn reached_through(&self) -> Option<&NodeName> {
        let reached = self.observed.as_ref().is_some_and(|seen| seen.remote.published);
        self.record.lease.owner.as_ref().filter(|_| reached).map(|owner| &owner.node)
    }

    /// When it was removed.
    #[must_use]
    pub const fn removed_at(&self) -> Option<Timestamp> {
        match self.record.phase {
            Phase::Removed { at, .. } => Some(at),
            Phase::Creating | Phase::Ready => None,
        }
    }

    /// The state in one word.
    #[must_use]
    pub fn state(&self) -> State {
        match self.record.phase {
            Phase::Removed { .. } => State::Removed,
            Phase::Creating | Phase::Ready if self.failure.is_some() => State::Failed,
            Phase::Creating => State::Creating,
            Phase::Ready if self.path.is_some() => State::Mounted,
            Phase::Ready => State::Ready,
        }
    }
}
