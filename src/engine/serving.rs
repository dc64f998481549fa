//! Whether this node could serve a volume that nodes share: what it knows of itself, gathered for the plan.

use std::collections::BTreeSet;

use tokio_util::task::AbortOnDropHandle;

use super::{
    Shared,
    neighbours::{Effort, MoveRequest},
};
use crate::{
    cluster::NodeState,
    share,
    spec::{BackendSpec, Preempt},
    volume::{NodeName, Record, lease::Session, serving::Unable},
};

/// Nobody serves the volume, and this node does not, either.
#[derive(Debug, thiserror::Error)]
#[error("no node serves it now, and node {node} leaves it to others that use it: {why}")]
pub(super) struct LeftToOthers {
    pub(super) node: NodeName,
    pub(super) why: Unable,
}

impl Shared {
    /// Why this node could not serve the volume, if it had it. What is not known does not keep it from trying.
    pub(super) fn unable_to_serve(&self, record: &Record) -> Option<Unable> {
        if let Some(closed) = self.closed() {
            return Some(closed);
        }
        if self.sharing.is_err() {
            return Some(Unable::NoSharing);
        }
        if !share::is_installed() {
            return Some(Unable::NoServer);
        }
        let kind = record.spec.backend.kind();
        if self.host.backend(kind).is_none() {
            return Some(Unable::NoBackend);
        }
        let BackendSpec::Ebs(ebs) = &record.spec.backend else { return None };
        let nodes = self.store.nodes();
        let said = &nodes.get(&self.store.me()?.node)?.info;
        if ebs.zone.as_ref().zip(said.zone.as_ref()).is_some_and(|(its, own)| its != own) {
            return Some(Unable::OtherZone);
        }
        let full = said.free_slots == Some(0) && !self.could_free_a_slot(kind);
        full.then_some(Unable::NoSlot)
    }

    /// The backends whose volumes this node could serve, as it tells the others.
    pub(super) fn serves(&self) -> BTreeSet<String> {
        let able = self.sharing.is_ok() && share::is_installed();
        let backends = self.host.backends().filter(|_| able);
        backends.map(|backend| backend.kind().to_string()).collect()
    }

    /// Whether another node could have the volume, for all that it tells of itself: one that uses it, or one
    /// that those would ask. Given up for none, it would be nobody's.
    pub(super) fn another_could_serve(&self, record: &Record) -> bool {
        let me = self.store.me().map(|me| &me.node);
        self.store.nodes().iter().any(|(name, there)| {
            let takes = record.users.contains(name) || may_be_asked(record, there);
            Some(name) != me && takes && could_own(record, there)
        })
    }
}

impl Shared {
    /// Asks a node that does not use the volume to own it for those that do and cannot: each in its turn, which
    /// ends when the answer is dropped. `None` where there is no such node, or an operator is to decide.
    pub(super) fn ask_a_bystander(
        &self,
        record: &Record,
        turn: usize,
    ) -> Option<AbortOnDropHandle<()>> {
        let (neighbours, me) = (self.neighbours.clone()?, self.store.me()?);
        let nodes = self.store.nodes();
        let uses = |name: &NodeName| *name == me.node || record.users.contains(name);
        let could = |there: &NodeState| may_be_asked(record, there) && could_own(record, there);
        let others: Vec<_> =
            nodes.iter().filter(|(name, there)| !uses(name) && could(there)).collect();
        let (name, there) = *others.get(turn.checked_rem(others.len())?)?;
        let (node, info, volume) = (name.clone(), there.info.clone(), record.name.clone());
        tracing::warn!(%volume, %node, "no node that uses it can serve it: asking one that does not use it");
        let request = MoveRequest { volume, effort: Effort::Usual };
        Some(AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = neighbours.take(&info, &request).await {
                let volume = request.volume;
                tracing::info!(%volume, %node, %error, "it has not mounted it: the next one is asked, where it does not serve it");
            }
        })))
    }
}

/// Where an operator is to decide, nobody is asked.
fn may_be_asked(record: &Record, there: &NodeState) -> bool {
    there.info.tunnel.is_some() && record.spec.preempt != Preempt::Never
}

/// What a node could not attach would be nobody's, and tasks would wait. What is not known of it is no reason.
pub(super) fn could_own(record: &Record, there: &NodeState) -> bool {
    let kind = record.spec.backend.kind().to_string();
    let serves = there.info.serves.as_ref().is_none_or(|kinds| kinds.contains(&kind));
    let takes = there.session == Session::Lives && !there.info.drained && serves;
    let BackendSpec::Ebs(ebs) = &record.spec.backend else { return takes };
    let zones = ebs.zone.as_ref().zip(there.info.zone.as_ref());
    takes && zones.is_none_or(|(its, own)| its == own) && there.info.free_slots != Some(0)
}
