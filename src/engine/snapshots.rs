//! Snapshots of volumes: made of what is mounted here while its writers are held for a moment.

use std::{sync::Arc, time::Duration};

use super::{Engine, EngineError, LONG, StepError, error::Cause, message::Message};
use crate::{
    backend::{Backend, Snapshot, Snapshots},
    spec::VolumeName,
};

/// A snapshot that was just begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Whether the file system was held still for it.
    pub consistency: Consistency,
}

/// What a snapshot's file system is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// As after a clean unmount: it was frozen, or not mounted here.
    Clean,
    /// As after a power failure: its journal is replayed at the next mount.
    Crash,
}

/// How long tasks may be held for a snapshot. EC2 answers in a fraction of a second.
pub(super) const FREEZE_LIMIT: Duration = Duration::from_secs(10);

impl Engine {
    /// Begins a snapshot; it holds what was written when this returns.
    ///
    /// # Errors
    ///
    /// Where the backend has no snapshots, or the snapshot cannot be made.
    pub async fn snapshot(
        &self,
        name: &VolumeName,
        description: String,
    ) -> Result<Taken, EngineError> {
        let ask = |reply| Message::Snapshot { description, reply };
        Self::ask(&self.named(name)?, "snapshot", name, LONG, ask).await
    }

    /// The snapshots of a volume, or of all; newest first.
    ///
    /// # Errors
    ///
    /// Where a backend cannot tell.
    pub async fn snapshots(&self, of: Option<&VolumeName>) -> Result<Vec<Snapshot>, EngineError> {
        let id = of.map(|name| Ok::<_, EngineError>(self.get(name)?.record.id)).transpose()?;
        let mut all = Vec::new();
        for backend in self.shared.host.backends() {
            if let Some(snapshots) = backend.snapshots() {
                all.extend(snapshots.list(id).await.map_err(failed("list snapshots"))?);
            }
        }
        all.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.created_at));
        Ok(all)
    }

    /// Deletes a snapshot.
    ///
    /// # Errors
    ///
    /// Where it is not this cluster's.
    pub async fn remove_snapshot(&self, id: &str) -> Result<(), EngineError> {
        for backend in self.shared.host.backends() {
            if let Some(snapshots) = backend.snapshots() {
                return snapshots.remove(id).await.map_err(failed("remove the snapshot"));
            }
        }
        Err(EngineError::NoBackend { op: "remove the snapshot", what: "snapshots" })
    }
}

/// The snapshots of a volume's backend.
pub(super) fn of(backend: &dyn Backend) -> Result<&dyn Snapshots, Cause> {
    let kind = backend.kind();
    backend.snapshots().ok_or_else(|| format!("the backend {kind} has no snapshots").into())
}

/// An error of a backend that concerns no volume here.
pub(super) fn failed<E: Into<Cause>>(op: &'static str) -> impl FnOnce(E) -> EngineError {
    move |source| EngineError::Backend {
        op,
        source: Arc::new(StepError::Step { step: "backend", source: source.into() }),
    }
}
