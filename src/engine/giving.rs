//! How a node gives its volumes to others: when it is drained, and before its machine stops. From then on it
//! takes no more.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use tokio::task::JoinSet;

use super::{
    Engine, SHORT, Shared,
    error::EngineError,
    message::{Message, Users},
    neighbours::{DrainRequest, Drained, Released},
    registry::Handle,
};
use crate::{
    spec::{BackendKind, VolumeName},
    volume::{NodeName, Record, serving::Unable},
};

/// Why a node hands its volumes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// An operator wants it: it takes volumes as before.
    Asked,
    /// Its machine stops: it takes none as long as this daemon runs.
    Shutdown,
}

/// Its own node comes back, and goes on with it; given free, it would be nobody's.
const NO_HEIR: &str = "no other node could have it now: those that use it are away, drained, full, in another zone or share no volumes, and there is none that may be asked instead";

/// What becomes of a volume.
enum Fate {
    Goes,
    /// For that reason.
    Stays(&'static str),
}

impl Shared {
    fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }

    /// Why this node takes no more volumes, where it takes none.
    pub(super) fn closed(&self) -> Option<Unable> {
        if self.is_leaving() {
            return Some(Unable::Stopping);
        }
        self.drained.load(Ordering::SeqCst).then_some(Unable::Drained)
    }
}

impl Engine {
    /// Whether this node's machine stops: nothing is to be mounted any more.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.shared.is_leaving()
    }

    /// A node that takes no more volumes takes none that it does not have.
    pub(super) fn refuse_new(
        &self,
        op: &'static str,
        volume: &VolumeName,
    ) -> Result<(), EngineError> {
        let Some(why) = self.shared.closed() else { return Ok(()) };
        Err(EngineError::Closed { op, volume: volume.clone(), why })
    }

    /// Has a node give its volumes free and take no more, or take volumes again.
    ///
    /// # Errors
    ///
    /// Where it does not answer.
    pub async fn drain(&self, node: &NodeName, drained: bool) -> Result<Drained, EngineError> {
        let me = self.shared.store.me().ok_or(EngineError::NoCluster)?;
        if *node == me.node {
            return self.drain_here(drained).await;
        }
        let info = self.node(node)?;
        let neighbours = self.shared.neighbours.as_ref().ok_or(EngineError::NoCluster)?;
        neighbours.drain(&info, DrainRequest { drained }).await.map_err(|error| {
            EngineError::Neighbour { op: "drain", node: node.clone(), why: error.to_string() }
        })
    }

    /// The same of this node.
    ///
    /// # Errors
    ///
    /// Where that cannot be stored: nothing was changed then.
    pub async fn drain_here(&self, drained: bool) -> Result<Drained, EngineError> {
        let me = self.shared.store.me().ok_or(EngineError::NoCluster)?;
        self.announce("drain", |info| info.drained = drained).await?;
        tracing::info!(drained, "this node's draining was changed");
        if !drained {
            return Ok(Drained::default());
        }
        let all = |record: &Record| record.lease.is_of(&me.node).then_some(Fate::Goes);
        Ok(self.give_free(all).await)
    }

    /// Gives volumes of this node that tasks on other nodes use to one of those.
    pub async fn hand_over(&self, occasion: Occasion) -> Drained {
        let Some(me) = self.shared.store.me() else { return Drained::default() };
        // Before the first is given: who asks for one later would stand still as soon as the machine is gone.
        if occasion == Occasion::Shutdown {
            self.shared.leaving.store(true, Ordering::SeqCst);
        }
        self.give_free(|record| {
            let elsewhere = record.users.iter().any(|user| *user != me.node);
            let used = record.lease.is_of(&me.node) && record.is_served() && elsewhere;
            let heir = || self.shared.another_could_serve(record);
            used.then(|| if heir() { Fate::Goes } else { Fate::Stays(NO_HEIR) })
        })
        .await
    }

    async fn give(&self, handle: &Handle) -> Result<Released, EngineError> {
        if self.is_leaving() {
            let name = handle.view().record.name.clone();
            let ask = |reply| Message::Forsaken { reply };
            Self::ask(handle, "hand over", &name, SHORT, ask).await?;
        }
        self.release_task(handle, None, Users::Pause, None).await
    }

    /// All of these at the same time: one that is slow delays no other. Those that are of them only by then
    /// follow.
    async fn give_free(&self, fate: impl Fn(&Record) -> Option<Fate>) -> Drained {
        let mut result = Drained::default();
        let mut giving = JoinSet::new();
        let mut seen = BTreeSet::new();
        loop {
            for handle in self.shared.registry.all() {
                let view = handle.view();
                let record = &view.record;
                let Some(fate) = fate(record).filter(|_| !record.is_removed()) else { continue };
                if !seen.insert(record.id) {
                    continue;
                }
                let name = record.name.to_string();
                if record.spec.backend.kind() == BackendKind::Local {
                    result.local.push(name);
                    continue;
                }
                if let Fate::Stays(why) = fate {
                    result.held.push((name, why.to_owned()));
                    continue;
                }
                let engine = self.clone();
                giving.spawn(async move { (name, engine.give(&handle).await) });
            }
            match giving.join_next().await {
                None => break,
                Some(Ok((name, Ok(Released::Released | Released::Joined)))) => {
                    result.released.push(name);
                }
                Some(Ok((name, Ok(Released::Held(why) | Released::Busy(why))))) => {
                    result.held.push((name, why));
                }
                Some(Ok((name, Err(error)))) => result.held.push((name, error.to_string())),
                // This daemon ends.
                Some(Err(_)) => {}
            }
        }
        result.released.sort();
        result.held.sort();
        result
    }
}
