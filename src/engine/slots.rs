//! Attachment slots: where a node can attach no more volumes, the one that has been idle for longest
//! gives its slot up.
//!
//! Volumes with `attach=stay` keep their device after the last task, which makes the next mount fast,
//! and fills an instance of EC2 in time.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{Shared, message::Message};
use crate::spec::BackendKind;

/// A volume that does not let go within this time is left to it, and the next one is asked: a stuck
/// detach delays nobody.
const PATIENCE: Duration = Duration::from_secs(15);

impl Shared {
    /// Has an idle volume of that backend detached. False where there is none.
    pub(super) async fn free_a_slot(&self, kind: BackendKind) -> bool {
        let mut idle: Vec<_> = self
            .registry
            .all()
            .into_iter()
            .filter_map(|handle| {
                let view = handle.view();
                let of_kind = view.record.spec.backend.kind() == kind;
                Some((view.idle_since.filter(|_| of_kind)?, handle))
            })
            .collect();
        idle.sort_by_key(|(since, _)| *since);
        for (_, handle) in idle {
            let name = handle.view().record.name.clone();
            tracing::info!(volume = %name, "no attachment slot is left: giving this one up");
            let (reply, answer) = oneshot::channel();
            handle.tell(Message::GiveUpSlot { reply });
            if let Ok(Ok(Ok(()))) = tokio::time::timeout(PATIENCE, answer).await {
                return true;
            }
            tracing::warn!(volume = %name, "it did not give its slot up");
        }
        false
    }
}
