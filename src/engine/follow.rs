//! Follows what other nodes change in the cluster's store: each change goes to the volume's task, and
//! a volume that is new gets one.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{Engine, Shared, message::Message, new_handle, registry::Handle, task::VolumeTask};
use crate::{
    cluster::{Change, Past},
    volume::{Record, VolumeId, lease::StoreReach, restored},
};

/// How long a node may take to bring in what it had before it joined.
const BRINGING_IN: Duration = Duration::from_secs(60);

impl Engine {
    /// Until the store ends.
    pub(super) async fn follow_for_ever(self, mut changes: mpsc::UnboundedReceiver<Change>) {
        let mut seen = Past::Whole;
        while let Some(change) = changes.recv().await {
            match change {
                Change::Record(record) => {
                    if self.shared.has_lost_its_past(&record).await {
                        seen = Past::Lost;
                    }
                    self.shared.tell_or_start(*record);
                }
                Change::Gone(id) => self.shared.tell_missing(id, Past::Whole),
                Change::Complete { ids, past } => {
                    let past = if past == Past::Lost { past } else { seen };
                    seen = Past::Whole;
                    if past == Past::Lost {
                        tracing::error!(
                            "the cluster's store went back in time (was it restored?): this node tells it again what it knows"
                        );
                    }
                    let ids: HashSet<_> = ids.into_iter().collect();
                    let handles = self.shared.registry.all();
                    let known = handles.iter().map(|handle| handle.view().record.id);
                    for id in known.filter(|id| !ids.contains(id)) {
                        self.shared.tell_missing(id, past);
                    }
                    self.clone().has_joined_soon();
                    tokio::spawn(self.clone().end_what_is_no_more());
                }
            }
        }
    }

    /// What this node shared of volumes that were deleted while it was away has no task that would end it.
    async fn end_what_is_no_more(self) {
        let Ok(sharing) = &self.shared.sharing else { return };
        let is_known = |id| self.shared.registry.by_id(id).is_some();
        if let Err(error) =
            sharing.forget_unknown(is_known, |id| self.shared.host.reach_path(id)).await
        {
            tracing::warn!(%error, "what was shared of volumes that are no more is not ended yet");
        }
    }

    /// Bringing volumes in takes milliseconds for each: afterwards this node is one like the others,
    /// also if it is started again.
    fn has_joined_soon(self) {
        tokio::spawn(async move {
            tokio::time::sleep(BRINGING_IN).await;
            if self.shared.store.reach() == StoreReach::Answers {
                self.shared.store.joined();
            }
        });
    }
}

impl Shared {
    /// What the store has of a volume goes to its task; a new one's is started.
    pub(super) fn tell_or_start(self: &Arc<Self>, record: Record) {
        match self.registry.by_id(record.id) {
            Some(handle) => handle.tell(Message::Stored(Box::new(record))),
            None => {
                self.start_task(record);
            }
        }
    }

    /// The store has an older state of a record than this node knows, and still has it when it is asked
    /// again: what is told may just have been overtaken by a change of this node's own.
    async fn has_lost_its_past(&self, told: &Record) -> bool {
        let Some(handle) = self.registry.by_id(told.id) else { return false };
        let known = &handle.view().record;
        if !restored::is_older(known, told) {
            return false;
        }
        let stored = self.store.read(told.id).await;
        stored.is_ok_and(|stored| stored.is_some_and(|stored| restored::is_older(known, &stored)))
    }

    /// It may be gone: its task looks for itself.
    fn tell_missing(&self, id: VolumeId, past: Past) {
        if let Some(handle) = self.registry.by_id(id) {
            handle.tell(Message::Missing(past));
        }
    }

    /// The task of a volume that another node made.
    pub(super) fn start_task(self: &Arc<Self>, record: Record) -> Handle {
        let (handle, inbox) = new_handle(&record);
        if let Err(present) = self.registry.insert_known(&record, &handle) {
            present.tell(Message::Stored(Box::new(record)));
            return present;
        }
        let known = record.clone();
        let task = VolumeTask::new(Arc::clone(self), handle.clone(), inbox, record, None);
        tokio::spawn(task.run());
        // Both: the store has it, and this node's copy does not.
        handle.tell(Message::Stored(Box::new(known)));
        handle.tell(Message::Mirror);
        handle
    }
}
