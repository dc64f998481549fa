//! What happens next: the engine that the doors call.
//!
//! One task per volume does all the work (`task`), so one slow volume delays no other, and a
//! caller that hangs up stops nothing. The engine's own methods find the task, pass the request
//! on, and wait for the answer until a deadline below the caller's own.

mod accounting;
mod announce;
mod callers;
mod calls;
mod cluster;
mod departed;
mod error;
mod follow;
mod giving;
mod group;
mod host;
mod imports;
mod message;
mod neighbours;
mod ownership;
mod recall;
mod recover;
mod registry;
mod removed;
mod serving;
mod shared;
mod sharing;
mod slots;
mod snapshots;
mod sole_user;
mod sweep;
mod task;
mod view;

use std::{
    path::PathBuf,
    sync::{Arc, RwLock},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

pub use accounting::Measured;
pub use callers::Callers;
pub use calls::Removal;
pub use cluster::{NodePresence, NodeRow, Whereabouts};
pub use error::{EngineError, StepError};
pub use giving::Occasion;
pub use host::{Host, Subject};
pub use imports::ImportAs;
pub use message::{Checked, Forget, Grown, MountGrant};
pub use neighbours::{
    DrainRequest, Drained, Effort, MoveRequest, NeighbourError, Neighbours, Presence,
    ReleaseRequest, Released, RemoveRequest,
};
pub use recover::{StartError, ext4_online_grow};
pub use shared::Settings;
pub use sharing::{
    Carried, CarriedVolume, CarriedWay, NotShared, Reaches, ServerState, Serves, Sharing, Ways,
};
pub use snapshots::{Consistency, Taken};
pub use view::{State, View};

use crate::{
    spec::{self, Asked, Defaults, Request, VolumeName},
    volume::{Record, VolumeId},
};
use message::{Message, Reply};
use registry::{Handle, Registry, Reservation, Reserve};
use shared::Shared;

/// moby waits 2 minutes for Create and Mount (daemon/volume/drivers/proxy.go).
const LONG: Duration = Duration::from_secs(110);
/// ... and 1 minute for everything else.
const SHORT: Duration = Duration::from_secs(50);

/// The engine; clones share it.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

impl Engine {
    /// What a spec leaves open is filled in from these.
    #[must_use]
    pub fn defaults(&self) -> &Defaults {
        &self.shared.settings.defaults
    }

    /// Who calls.
    #[must_use]
    pub fn callers(&self) -> &Callers {
        &self.shared.callers
    }

    /// Reads a name, which may be an inline spec.
    ///
    /// # Errors
    ///
    /// Where it is not one, with what is wrong with it.
    pub fn parse(name: &str) -> Result<Request, EngineError> {
        match spec::parse(name, [])? {
            Asked::Volume(request) => Ok(request),
            Asked::Help => Err(EngineError::NotFound(name.to_owned())),
        }
    }

    /// A volume as it was last known.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn get(&self, name: &VolumeName) -> Result<Arc<View>, EngineError> {
        let view = self.named(name)?.view();
        Ok(if view.record.is_group() { self.seen_as_group(view) } else { view })
    }

    /// Every volume, removed ones included, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<View>> {
        let mut views: Vec<_> = self.shared.registry.all().iter().map(Handle::view).collect();
        views.sort_by(|a, b| (&a.record.name, a.record.id).cmp(&(&b.record.name, b.record.id)));
        views
    }

    /// Where a volume's file system is mounted when it is.
    #[must_use]
    pub fn stage_path(&self, id: VolumeId) -> PathBuf {
        self.shared.host.stage_path(id)
    }

    /// Begins no more steps, and waits for those under way, but not longer than `limit`: what is
    /// half-done then is finished by the next start.
    pub async fn stop(&self, limit: Duration) {
        self.shared.steps.close();
        self.shared.stopping.cancel();
        if tokio::time::timeout(limit, self.shared.steps.wait()).await.is_err() {
            tracing::warn!(steps = self.shared.steps.len(), "steps are still under way at exit");
        }
    }

    /// Whether a member is asked for, which may be here.
    fn is_group(&self, name: &VolumeName) -> bool {
        let handle = self.shared.registry.by_name(name);
        handle.is_some_and(|handle| handle.view().record.is_group())
    }

    /// Whether a volume is this node's already: mounted here, or owned.
    fn has(&self, name: &VolumeName) -> bool {
        let view = self.shared.registry.by_name(name).map(|handle| handle.view());
        let me = self.shared.store.me();
        view.zip(me)
            .is_some_and(|(view, me)| view.path.is_some() || view.record.lease.is_of(&me.node))
    }

    fn named(&self, name: &VolumeName) -> Result<Handle, EngineError> {
        let found = self.shared.registry.by_name(name);
        found.ok_or_else(|| EngineError::NotFound(name.to_string()))
    }

    /// A name for the volume that is not its own yet; `None` if it is.
    fn reserve(&self, name: &VolumeName, id: VolumeId) -> Result<Option<Reservation>, EngineError> {
        match Registry::reserve(&self.shared, name.clone(), id) {
            Reserve::New(reservation) => Ok(Some(reservation)),
            Reserve::Own => Ok(None),
            Reserve::Taken => Err(EngineError::NameTaken(name.clone())),
        }
    }

    fn by_id(&self, id: VolumeId) -> Result<Handle, EngineError> {
        let found = self.shared.registry.by_id(id);
        found.ok_or_else(|| EngineError::NotFound(id.to_string()))
    }

    /// Asks a task and waits for its answer, but not longer than `limit`. The task goes on.
    async fn ask<T>(
        handle: &Handle,
        op: &'static str,
        volume: &VolumeName,
        limit: Duration,
        message: impl FnOnce(Reply<T>) -> Message,
    ) -> Result<T, EngineError> {
        let gone = || EngineError::Gone { op, volume: volume.clone() };
        let (reply, answer) = oneshot::channel();
        handle.inbox.send(message(reply)).map_err(|_| gone())?;
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(EngineError::Deadline { op, volume: volume.clone(), after: limit }),
        }
    }
}

fn new_handle(record: &Record) -> (Handle, mpsc::UnboundedReceiver<Message>) {
    let (sender, inbox) = mpsc::unbounded_channel();
    let view = View::new(record.clone());
    let view = Arc::new(RwLock::new(Arc::new(view)));
    (Handle { inbox: sender, view }, inbox)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let json = include_str!("../../tests/golden/record-v1.json");
        serde_json::from_str(json).unwrap()
    }

    /// moby waits 120 s for Create and Mount and 60 s for the rest: a volume that is stuck must be
    /// reported by us, with its name and step, and not by Docker as a plugin that timed out.
    #[tokio::test(start_paused = true)]
    async fn a_call_that_takes_too_long_is_answered_before_docker_gives_up() {
        let (handle, _nobody_reads) = new_handle(&record());
        let name = record().name;
        for (limit, dockers) in [(LONG, 120), (SHORT, 60)] {
            let start = tokio::time::Instant::now();

            let ask = |reply| Message::Purge { reply };
            let error = Engine::ask(&handle, "mount", &name, limit, ask).await.unwrap_err();

            assert_eq!(start.elapsed(), limit);
            assert!(limit <= Duration::from_secs(dockers - 10), "Docker hears it in time");
            let text = error.to_string();
            assert!(text.contains(name.as_str()) && text.contains("goes on"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_call_to_a_volume_that_was_just_deleted_says_so() {
        let (handle, inbox) = new_handle(&record());
        drop(inbox);

        let ask = |reply| Message::Purge { reply };
        let error = Engine::ask(&handle, "grow", &record().name, SHORT, ask).await.unwrap_err();

        assert!(error.to_string().contains("try again"), "{error}");
    }
}
