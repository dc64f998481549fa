//! How this node comes to own a volume: facts are gathered, `lease::decide` decides, and the answer
//! is a lease to be claimed, or the reason why there is none.
//!
//! It runs as a step of the volume's task and changes nothing itself: the claim is stored by the
//! task, by compare-and-set on the record that was decided on.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    error::{Cause, unwanted},
    neighbours::{ReleaseRequest, Released},
};
use crate::{
    backend::{MachineState, VolumeRef},
    cluster::StoreError,
    spec::{BackendKind, BackendSpec},
    volume::{
        NodeName, Owner, Record,
        effect::{Effect, Outcome},
        lease::{Answer, Decision, Facts, Machine, Mobility, Obstacle, Preempt, Session, decide},
    },
};

/// How long an owner's death, or its release, is waited for: below the engine's own deadline, so that
/// the caller hears the reason.
pub(super) const PATIENCE: Duration = Duration::from_secs(95);
/// How long an owner may take to let go of an idle volume (an EBS detach takes seconds).
const RELEASE: Duration = Duration::from_secs(60);
/// How long the cloud may take to say whether a machine runs.
const CLOUD: Duration = Duration::from_secs(10);
/// How long a dead owner's volume is left to the node that writes to it.
const HEIRS_TIME: Duration = Duration::from_secs(15);
/// The pause before everything is asked again; it grows to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Whether a volume that another node has would do where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remotely {
    /// It would: a task here is to use it.
    Welcome,
    /// It is to come to this node.
    No,
}

/// What is done about an owner that answers and is cut off from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutOff {
    /// Nothing is taken from it, and that is said.
    Refuse,
    /// It serves the volume to other nodes, and may do so to this one.
    Reach,
}

/// Why a volume is not to be had on this node.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct NotHad(#[from] pub(super) Obstacle);

/// A destructive step that was decided under a lease that is not this node's any more.
#[derive(Debug, thiserror::Error)]
#[error("another node took the volume over meanwhile: nothing was done to it here")]
pub(super) struct Stale;

/// The cluster's store does not have it as this node knows it, and nobody changed it there.
#[derive(Debug, thiserror::Error)]
#[error(
    "the cluster's store does not have it, or an older state of it, and could not be told of it yet (another volume may have its name there; the log of hawser says why): its data is as it was"
)]
pub(super) struct NotThere;

impl Shared {
    /// Finds out what has to be done to own the volume.
    pub(super) async fn own(
        &self,
        record: &Record,
        preempt: Preempt,
        cut_off: CutOff,
        remotely: Remotely,
        cancel: &CancellationToken,
    ) -> Result<Outcome, Cause> {
        tokio::select! {
            outcome = self.ask_for(record, preempt, cut_off, remotely) => outcome,
            () = cancel.cancelled() => Err(unwanted("own", record)),
        }
    }

    async fn ask_for(
        &self,
        known: &Record,
        preempt: Preempt,
        cut_off: CutOff,
        remotely: Remotely,
    ) -> Result<Outcome, Cause> {
        // Only a node of a cluster comes here.
        let Some(me) = self.store.me() else { return Ok(Outcome::Outdated) };
        let remotely = match remotely {
            Remotely::Welcome if self.can_reach().await => Remotely::Welcome,
            Remotely::Welcome | Remotely::No => Remotely::No,
        };
        let mobility = self.mobility(known);
        let begun = Instant::now();
        let deadline = begun + PATIENCE;
        let mut pause = FIRST_PAUSE;
        let mut facts = None;
        let mut said = None;
        let mut nodes = self.store.watch_nodes();
        loop {
            let record = match self.store.read(known.id).await {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(Outcome::Outdated),
                Err(StoreError::Away { .. }) => return Err(NotHad(Obstacle::StoreAway).into()),
                Err(error) => return Err(error.into()),
            };
            if record.revision != known.revision {
                return Ok(Outcome::Outdated);
            }
            let seen = facts.take().unwrap_or_else(|| Facts::of(self.session_of(&record)));
            let reach = self.store.reach();
            let decision = match self.writer_before(&record, begun, deadline).await? {
                Some(obstacle) => Decision::Wait(obstacle),
                None => decide(&record.lease, me, reach, mobility, preempt, &seen),
            };
            let obstacle = match decision {
                Decision::Mine => return Ok(Outcome::Outdated),
                Decision::Claim(lease) => return Ok(Outcome::Claimable(lease)),
                Decision::AskOwner => {
                    let answer = self.ask_owner(&record, remotely, deadline).await;
                    facts = Some(Facts { answer, session: self.session_of(&record), ..seen });
                    continue;
                }
                Decision::AskCloud => {
                    facts = Some(Facts { machine: self.ask_cloud(&record).await, ..seen });
                    continue;
                }
                // It says that it has nothing, and the record says that it has.
                Decision::LookAgain => record.lease.owner.as_ref().map(|owner| Obstacle::Busy {
                    node: owner.node.clone(),
                    why: "it lets go, and the record does not say so yet".to_owned(),
                }),
                Decision::Wait(obstacle) => Some(obstacle),
                Decision::Refuse(Obstacle::CutOff(_)) if cut_off == CutOff::Reach => {
                    return Ok(Outcome::OwnerAnswers);
                }
                Decision::Refuse(obstacle) => return Err(NotHad(obstacle).into()),
            };
            if let Some(obstacle) = obstacle {
                if Instant::now() + pause > deadline {
                    return Err(NotHad(obstacle).into());
                }
                if said.as_ref() != Some(&obstacle) {
                    tracing::info!(volume = %record.name, %obstacle, "waiting for the volume");
                    said = Some(obstacle);
                }
            }
            // A session that ends, or a node that comes back, is news.
            tokio::select! {
                Ok(()) = nodes.changed() => {}
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Another node that writes to it, and so comes before this one.
    async fn writer_before(
        &self,
        record: &Record,
        begun: Instant,
        deadline: Instant,
    ) -> Result<Option<Obstacle>, NotHad> {
        let Some(writer) = self.living_writer(record) else { return Ok(None) };
        let orphaned = self.session_of(record) == Session::Over;
        // Whoever takes it from a dead owner has to serve it to the writer.
        let orphaned = orphaned && self.unable_to_serve(record).is_none();
        match self.ask_writer(record, &writer, deadline).await {
            // Nobody owns it, so the writer has nobody to write back to: it leaves through the next owner.
            Ok(_) if orphaned => Ok(None),
            Ok(obstacle) => Ok(Some(obstacle)),
            // Its node goes on with it. One that cannot own it has it from this one: better than from nobody.
            Err(NotHad(held)) if orphaned => Ok((begun.elapsed() < HEIRS_TIME).then_some(held)),
            Err(refused) => Err(refused),
        }
    }

    pub(super) fn session_of(&self, record: &Record) -> Session {
        match &record.lease.owner {
            Some(owner) if !self.is_another_machine(owner) => self.store.session(&owner.node),
            Some(_) | None => Session::Over,
        }
    }

    /// The owner's name is another machine's by now: who answers to it is not the owner.
    fn is_another_machine(&self, owner: &Owner) -> bool {
        let nodes = self.store.nodes();
        let present = nodes.get(&owner.node).and_then(|state| state.info.machine.as_ref());
        owner.machine.as_ref().zip(present).is_some_and(|(owners, present)| owners != present)
    }

    /// What can be done about a volume's owner.
    pub(super) fn mobility(&self, record: &Record) -> Mobility {
        let backend = &record.spec.backend;
        let fences = || self.host.backend(backend.kind()).is_some_and(|b| b.fencing().is_some());
        match backend {
            BackendSpec::Local(_) => Mobility::Fixed,
            BackendSpec::Nfs(_) if backend.is_directory() => Mobility::Unbound,
            BackendSpec::Ebs(_) if fences() => Mobility::Fenced,
            BackendSpec::Ebs(_) | BackendSpec::Nfs(_) => Mobility::Handed,
        }
    }

    async fn ask_owner(&self, record: &Record, remotely: Remotely, deadline: Instant) -> Answer {
        let Some(owner) = &record.lease.owner else { return Answer::Released };
        if self.is_another_machine(owner) {
            return Answer::Silent;
        }
        self.ask(record, &owner.node, remotely, deadline).await
    }

    /// Asks a node to let go of a volume.
    pub(super) async fn ask(
        &self,
        record: &Record,
        node: &NodeName,
        remotely: Remotely,
        deadline: Instant,
    ) -> Answer {
        let nodes = self.store.nodes();
        let (Some(neighbours), Some(state)) = (&self.neighbours, nodes.get(node)) else {
            return Answer::Silent;
        };
        let remotely = remotely == Remotely::Welcome;
        let ask = ReleaseRequest { volume: record.id, epoch: record.lease.epoch, remotely };
        let limit = RELEASE.min(deadline.saturating_duration_since(Instant::now()));
        match neighbours.release(&state.info, &ask, limit).await {
            // The record says which of the two.
            Ok(Released::Released | Released::Joined) => Answer::Released,
            Ok(Released::Held(holders)) => Answer::Held(holders),
            Ok(Released::Busy(why)) => Answer::Busy(why),
            Err(error) => {
                tracing::debug!(volume = %record.name, %node, %error, "no answer");
                Answer::Silent
            }
        }
    }

    async fn ask_cloud(&self, record: &Record) -> Machine {
        match record.lease.owner.as_ref().and_then(|owner| owner.machine.as_deref()) {
            Some(machine) => self.ask_about(machine).await,
            None => Machine::Unknown,
        }
    }

    /// Whether a machine can still write, by the cloud's word.
    pub(super) async fn ask_about(&self, machine: &str) -> Machine {
        // Whichever backend knows machines: the volume's own may know none (an image on NFS).
        let Some(fencing) = self.host.backends().find_map(|backend| backend.fencing()) else {
            return Machine::Unknown;
        };
        match timeout(CLOUD, fencing.state(machine)).await {
            Ok(Ok(MachineState::Runs)) => Machine::Runs,
            Ok(Ok(MachineState::Gone)) => Machine::Gone,
            Ok(Err(error)) => {
                tracing::warn!(machine, %error, "the cloud does not say whether it runs");
                Machine::Unknown
            }
            Err(_) => Machine::Unknown,
        }
    }

    /// Keeps the former owner from the volume.
    pub(super) async fn fence(&self, record: &Record) -> Result<Outcome, Cause> {
        let Some(from) = &record.lease.from else { return Ok(Outcome::Done) };
        let backend = self.host.backend(record.spec.backend.kind());
        let fencing = backend.and_then(|backend| backend.fencing());
        // What needs no fence has none: see `mobility`.
        if let (Some(fencing), Some(machine)) = (fencing, &from.machine) {
            tracing::warn!(
                volume = %record.name, node = %from.node, machine, epoch = %record.lease.epoch,
                "fencing the former owner"
            );
            fencing.fence(&VolumeRef::from(record), machine).await?;
        }
        Ok(Outcome::Done)
    }

    /// The last look before a step that cannot be undone, or that makes the volume this node's for
    /// good: the lease under which it was decided must still be the volume's. What is attached here
    /// already is nobody else's, so that mounting it asks nobody.
    pub(super) async fn confirm_lease(&self, effect: Effect, record: &Record) -> Result<(), Cause> {
        // What is on this node's own disk is nobody else's, whatever the store says.
        let local = record.spec.backend.kind() == BackendKind::Local;
        if self.store.me().is_none() || !effect.is_irrevocable() || local {
            return Ok(());
        }
        match self.store.read(record.id).await? {
            Some(now) if now.lease == record.lease && now.phase == record.phase => Ok(()),
            // Not in the cluster yet: nobody else knows it.
            None if record.lease.is_unused() => Ok(()),
            Some(_) | None => Err(Stale.into()),
        }
    }
}
