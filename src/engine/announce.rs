//! What this node says of itself to the others: that it is drained, where it is, how many more volumes it
//! takes, and what it could serve.
//!
//! Changes are made one after the other, each of what was said last: what the store shows of this node
//! may be older.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::sleep;

use super::{Engine, error::EngineError};
use crate::{backend::Placement, cluster::NodeInfo};

/// A change is said within that time, and none sooner after another: each is news for every node.
const PAUSE: Duration = Duration::from_secs(5);
/// How long it takes at most until a cloud that did not tell is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What is asked of the cloud. What is not known is left as it was said.
#[derive(Debug, Default)]
struct Found {
    zone: Option<String>,
    free_slots: Option<u32>,
}

impl Engine {
    /// Says what is new of this node, unless it was said.
    ///
    /// # Errors
    ///
    /// It may have been said or not; the next change says it again.
    pub(super) async fn announce(
        &self,
        op: &'static str,
        change: impl FnOnce(&mut NodeInfo) + Send,
    ) -> Result<(), EngineError> {
        let me = self.shared.store.me().ok_or(EngineError::NoCluster)?;
        let mut said = self.shared.said.lock().await;
        let mut info = match &*said {
            Some(info) => info.clone(),
            // The store itself said it when this node came in.
            None => self.node(&me.node)?,
        };
        info.drained = self.shared.drained.load(Ordering::SeqCst);
        change(&mut info);
        if said.as_ref() == Some(&info) {
            return Ok(());
        }
        // Until the store has answered it is not known what it has.
        *said = None;
        let stored = self.shared.store.announce(&info).await;
        stored.map_err(|source| EngineError::Cluster { op, source })?;
        // Before the next change is made of what holds now.
        self.shared.drained.store(info.drained, Ordering::SeqCst);
        *said = Some(info);
        Ok(())
    }

    /// Follows what the cloud gives this node, and what is installed on it, until the daemon stops.
    pub(super) async fn announce_for_ever(self) {
        let placement = self.shared.host.backends().find_map(|backend| backend.placement());
        let mut pause = PAUSE;
        loop {
            let found = tokio::select! {
                found = look(placement) => found,
                () = self.shared.stopping.cancelled() => return,
            };
            let known = placement.is_none() || found.zone.is_some() && found.free_slots.is_some();
            let serves = self.shared.serves();
            let change = |info: &mut NodeInfo| {
                info.serves = Some(serves);
                info.zone = found.zone.or(info.zone.take());
                info.free_slots = found.free_slots.or(info.free_slots);
            };
            if let Err(error) = self.announce("announce", change).await {
                tracing::debug!(%error, "the other nodes do not know what volumes this one takes");
            }
            pause = if known { PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.shared.stopping.cancelled() => return,
            }
        }
    }
}

async fn look(placement: Option<&dyn Placement>) -> Found {
    let Some(placement) = placement else { return Found::default() };
    let (zone, free_slots) = (placement.zone().await, placement.free_slots().await);
    if let Some(error) = zone.as_ref().err().or(free_slots.as_ref().err()) {
        tracing::debug!(%error, "what the cloud gives this node is not known");
    }
    Found { zone: zone.ok(), free_slots: free_slots.ok().flatten() }
}
