//! A snapshot of this volume: intent, freeze, snapshot, thaw.
//!
//! The intent is stored first: a hawser that ends while tasks are held lets them go when it is
//! started again (`volume::plan`), and so does the plan after every snapshot.

use std::{path::PathBuf, sync::Arc};

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{VolumeTask, waiters::tell};
use crate::{
    backend::{Backend, VolumeRef},
    engine::{
        EngineError,
        error::{Cause, StepError},
        message::Reply,
        snapshots::{self, Consistency, FREEZE_LIMIT, Taken},
    },
    fault,
    sys::freeze,
    volume::{
        Contents,
        plan::Standing,
        transition::{Event, Refusal},
    },
};

/// A snapshot that was asked for.
pub(super) struct Wanted {
    pub(super) description: String,
    pub(super) reply: Reply<Taken>,
}

impl VolumeTask {
    /// Begins the next snapshot. True if it did something.
    pub(super) async fn next_snapshot(&mut self) -> bool {
        // What there is must be known, and a freeze of before be over.
        let Some(seen) = self.observed.as_ref().filter(|_| !self.record.frozen) else {
            return false;
        };
        let stage = seen.staged.then(|| self.shared.host.stage_path(self.record.id));
        let Some(Wanted { description, reply }) = self.waiters.snapshots.pop_front() else {
            return false;
        };
        if let (Standing::Other, Some(owner)) = (self.standing(), &self.record.lease.owner) {
            let (volume, node) = (self.record.name.clone(), owner.node.to_string());
            let refusal = Refusal::Elsewhere(node);
            tell(reply, Err(EngineError::Refused { op: "snapshot", volume, refusal }));
            return true;
        }
        match self.record.contents {
            Contents::Formatted | Contents::Inherited => {}
            Contents::Blank | Contents::Formatting => {
                let (volume, refusal) = (self.record.name.clone(), Refusal::Unused);
                tell(reply, Err(EngineError::Refused { op: "snapshot", volume, refusal }));
                return true;
            }
        }
        if stage.is_some()
            && let Err(error) = self.request("snapshot", Event::FreezeBegun).await
        {
            tell(reply, Err(error));
            return true;
        }
        let (shared, record) = (Arc::clone(&self.shared), self.record.clone());
        self.start_aside("snapshot", async move {
            let kind = record.spec.backend.kind();
            let result = match shared.host.backend(kind) {
                Some(backend) => {
                    let volume = VolumeRef::from(&record);
                    take(backend, &volume, &description, stage, &shared.stopping).await
                }
                None => Err("its backend is not configured".into()),
            };
            let failed = |source| EngineError::Failed {
                op: "snapshot",
                volume: record.name.clone(),
                source: Arc::new(StepError::Step { step: "snapshot", source }),
            };
            tell(reply, result.map_err(failed));
        });
        true
    }
}

async fn take(
    backend: &Arc<dyn Backend>,
    volume: &VolumeRef,
    description: &str,
    stage: Option<PathBuf>,
    stopping: &CancellationToken,
) -> Result<Taken, Cause> {
    let snapshots = snapshots::of(backend.as_ref())?;
    let Some(stage) = stage else {
        let snapshot = snapshots.create(volume, description).await?;
        return Ok(Taken { snapshot, consistency: Consistency::Clean });
    };
    // Most of what is to be written is written while tasks can go on.
    on(&stage, freeze::sync).await?;
    let frozen = on(&stage, freeze::freeze).await;
    if let Err(error) = &frozen {
        tracing::warn!(volume = %volume.name, %error, "not frozen: the snapshot is crash-consistent");
    }
    fault::point("snapshot.frozen");
    let mut creating = snapshots.create(volume, description);
    let in_time = tokio::select! {
        biased;
        created = &mut creating => Some(created),
        () = stopping.cancelled() => None,
        () = tokio::time::sleep(FREEZE_LIMIT) => None,
    };
    // Before all else, whatever came of it: tasks are waiting.
    on(&stage, freeze::thaw).await?;
    let clean = frozen.is_ok() && in_time.is_some();
    let snapshot = match in_time {
        Some(created) => created?,
        None => creating.await?,
    };
    let consistency = if clean { Consistency::Clean } else { Consistency::Crash };
    Ok(Taken { snapshot, consistency })
}

async fn on(
    stage: &std::path::Path,
    act: fn(&std::path::Path) -> std::io::Result<()>,
) -> Result<(), Cause> {
    let stage = stage.to_owned();
    Ok(spawn_blocking(move || act(&stage)).await??)
}
