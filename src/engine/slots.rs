//! Attachment slots: where a node can attach no more volumes, the one that has been idle for longest
//! gives its slot up.
//!
//! Volumes with `attach=stay` keep their device after the last task, which makes the next mount fast,
//! and fills an instance of EC2 in time. Each who needs a slot asks another volume for its, and waits
//! for those that are on their way out where none is idle.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Shared, message::Message, registry::Handle};
use crate::{spec::BackendKind, volume::VolumeId};

/// A volume that does not let go within this time is left to it, and the next one is asked: a stuck
/// detach delays nobody.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the end of others' detachments is waited for.
const OTHERS: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(200);

/// The volumes that were asked for their slots, each by one who needs it.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<HashSet<VolumeId>>);

/// A volume that is asked by nobody else meanwhile.
struct Asked<'a>(&'a Slots, VolumeId);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.asked().remove(&self.1);
    }
}

impl Slots {
    fn asked(&self) -> std::sync::MutexGuard<'_, HashSet<VolumeId>> {
        // The set is changed by single calls only.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(&self, id: VolumeId) -> Option<Asked<'_>> {
        self.asked().insert(id).then(|| Asked(self, id))
    }
}

impl Shared {
    /// Has an idle volume of that backend detached, or waits for one that is being detached. False
    /// where there is neither, or nobody wants the slot any more.
    pub(super) async fn free_a_slot(&self, kind: BackendKind, cancel: &CancellationToken) -> bool {
        tokio::select! {
            () = cancel.cancelled() => false,
            freed = self.ask_for_slots(kind) => freed,
        }
    }

    /// Whether a volume would give its slot up, or is about to.
    pub(super) fn could_free_a_slot(&self, kind: BackendKind) -> bool {
        let (idle, leaving) = self.candidates(kind);
        !idle.is_empty() || !leaving.is_empty()
    }

    async fn ask_for_slots(&self, kind: BackendKind) -> bool {
        let deadline = Instant::now() + OTHERS;
        let mut tried = HashSet::new();
        loop {
            let (mut idle, leaving) = self.candidates(kind);
            idle.retain(|(_, id, _)| !tried.contains(id));
            idle.sort_by_key(|(since, ..)| *since);
            let claimed =
                idle.into_iter().find_map(|(_, id, task)| Some((self.slots.claim(id)?, id, task)));
            if let Some((asked, id, task)) = claimed {
                tried.insert(id);
                if give_up(&task).await {
                    return true;
                }
                drop(asked);
                continue;
            }
            if leaving.is_empty() || Instant::now() >= deadline {
                return false;
            }
            if self.one_left(&leaving).await {
                return true;
            }
        }
    }

    /// The idle volumes, and those on their way out.
    fn candidates(
        &self,
        kind: BackendKind,
    ) -> (Vec<(std::time::Instant, VolumeId, Handle)>, Vec<Handle>) {
        let (mut idle, mut leaving) = (Vec::new(), Vec::new());
        for task in self.registry.all() {
            let view = task.view();
            if view.record.spec.backend.kind() != kind {
                continue;
            }
            if let Some(since) = view.idle_since {
                idle.push((since, view.record.id, task));
            } else if view.doing == Some("detach") {
                leaving.push(task);
            }
        }
        (idle, leaving)
    }

    /// Waits a moment; true when one of them is not being detached any more.
    async fn one_left(&self, leaving: &[Handle]) -> bool {
        tokio::time::sleep(LOOK).await;
        leaving.iter().any(|task| task.view().doing != Some("detach"))
    }
}

async fn give_up(task: &Handle) -> bool {
    let name = task.view().record.name.clone();
    tracing::info!(volume = %name, "no attachment slot is left: giving this one up");
    let (reply, answer) = oneshot::channel();
    task.tell(Message::GiveUpSlot { reply });
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(Ok(()))) => true,
        Ok(_) | Err(_) => {
            tracing::warn!(volume = %name, "it did not give its slot up");
            false
        }
    }
}
