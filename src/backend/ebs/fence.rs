//! Keeping another instance away from a volume: EC2's detach, which holds whether that instance
//! answers or not.
//!
//! ```text
//! look ─ attached to a third instance ──▶ InUse, nothing changed
//!   ├── attached here ─────────────────▶ done
//!   ├── leaving that instance (a crash before) ─────┐
//!   └── there, or shown nowhere ─ DetachVolume ─────┤
//!                     └─ nothing to detach ─▶ done  ▼
//!                             wait ─ it ended ───────────────────▶ done
//!                               └─ it is still leaving ─ forced ─ wait ─▶ done, or an error
//! ```
//! Unlike a node's own detach there is no proof that nobody uses the device: who calls this has
//! decided that the instance loses it. One that runs and does not answer does not let go either, so
//! it is not waited for long; one that does not run has nothing open, and EC2 ends its attachments.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::{Instant, timeout};

use super::{
    Ebs, Inner,
    api::{Attachment, Ec2Volume, InstanceStatus},
    attach::elsewhere,
    detach::{DONE, Force},
    error::EbsError,
    wait::Wait,
};
use crate::{
    backend::{BackendError, Fencing, MachineState, VolumeRef},
    fault,
};

/// Who was kept away from which volume a moment ago: EC2 may show the attachment once more.
#[derive(Debug, Default)]
pub(super) struct Fenced {
    /// The instance and the time, by volume. Held for moments only, never across an await.
    last: Mutex<HashMap<String, (String, Instant)>>,
}

impl Fenced {
    /// That instance does not have that volume any more.
    pub(super) fn note(&self, volume: &str, instance: &str) {
        self.last().insert(volume.to_owned(), (instance.to_owned(), Instant::now()));
    }

    /// Whether what EC2 shows of an attachment is what was before a fence of so short a time ago.
    pub(super) fn within(&self, volume: &str, shown: &Attachment, time: Duration) -> bool {
        self.last()
            .get(volume)
            .is_some_and(|(instance, at)| *instance == shown.instance && at.elapsed() < time)
    }

    fn last(&self) -> MutexGuard<'_, HashMap<String, (String, Instant)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// EC2's word for an instance that was terminated hours ago.
const NO_INSTANCE: &str = "InvalidInstanceID.NotFound";

/// What became of DetachVolume.
enum Taken {
    /// It is under way.
    Asked,
    /// EC2 says that there is nothing to detach.
    Nothing,
}

/// What a look says about a fence.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// That instance does not have it, for certain.
    Elsewhere,
    /// It is leaving that instance.
    Leaving,
    /// That instance has it.
    There,
    /// Nobody is shown to have it: what that instance did last may not be shown yet.
    Free,
}

impl Inner {
    async fn machine_state(&self, machine: &str) -> Result<MachineState, EbsError> {
        let limit = self.describer.pace.answer;
        let asked = timeout(limit, self.api.instance_status(machine)).await;
        let status = asked.map_err(|_| {
            let why = format!("EC2 did not say within {limit:?} whether this instance runs");
            EbsError::state(machine, why)
        })?;
        match status.map_err(EbsError::api(machine))? {
            None | Some(InstanceStatus::Stopped | InstanceStatus::Terminated) => {
                Ok(MachineState::Gone)
            }
            // One that stops or shuts down still writes what it has.
            Some(InstanceStatus::Runs) => Ok(MachineState::Runs),
            Some(InstanceStatus::Unknown) => {
                let why = "EC2 gives it a state that this version does not know";
                Err(EbsError::state(machine, why))
            }
        }
    }

    async fn fence(&self, volume: &VolumeRef, machine: &str) -> Result<(), EbsError> {
        let me = self.node.instance(&self.api).await?;
        if machine == me {
            // This very kernel: whatever has the volume open here shows to a detach of this node.
            return Ok(());
        }
        let limit = self.describer.pace.fence;
        // Dropping it is as a crash: the next call looks and goes on.
        match timeout(limit, self.fence_within(volume, machine, me)).await {
            Ok(done) => done,
            Err(_) => Err(EbsError::state(
                volume.name.as_ref(),
                format!(
                    "it was not taken away from {machine} within {limit:?}: hawser tries again"
                ),
            )),
        }
    }

    async fn fence_within(
        &self,
        volume: &VolumeRef,
        machine: &str,
        me: &str,
    ) -> Result<(), EbsError> {
        let Some(id) = self.handle_of(volume).await? else { return Ok(()) };
        let Some(seen) = self.exists(&id).await? else { return Ok(()) };
        let standing = standing(&seen, machine, me)?;
        if standing == Standing::Elsewhere {
            return Ok(());
        }
        let patience = self.patience(machine).await;
        if standing != Standing::Leaving {
            let taken = self.take(&id, machine, Force::No).await?;
            fault::point("ebs.fence.called");
            match (standing, taken) {
                // EC2's word to a detach is not late, as what it shows may be.
                (Standing::Free, Taken::Nothing) => return Ok(()),
                (Standing::Free, Taken::Asked) => self.wait_until_it_shows(&id, machine).await?,
                (Standing::There | Standing::Leaving | Standing::Elsewhere, _) => {}
            }
        }
        self.wait_fenced(volume, &id, machine, patience).await?;
        self.fenced.note(&id, machine);
        tracing::info!(volume = %volume.name, ebs = id, machine, "the volume was taken away from it");
        Ok(())
    }

    /// How long that instance may take to let go.
    async fn patience(&self, machine: &str) -> Duration {
        let pace = self.describer.pace;
        match self.machine_state(machine).await {
            Ok(MachineState::Gone) => pace.gone_detach,
            Ok(MachineState::Runs) => pace.silent_detach,
            Err(error) => {
                // The fence is the detach, and it does not stand on this.
                tracing::warn!(machine, %error, "whether the machine runs is not known: it is taken to run");
                pace.silent_detach
            }
        }
    }

    async fn take(&self, id: &str, machine: &str, force: Force) -> Result<Taken, EbsError> {
        let called = self.api.detach_volume(id, machine, force).await;
        self.describer.forget(id);
        match called {
            Ok(()) => Ok(Taken::Asked),
            Err(error) if error.is(DONE) || error.is(&[NO_INSTANCE]) => Ok(Taken::Nothing),
            Err(error) => Err(EbsError::api(id)(error)),
        }
    }

    /// EC2 took the detach of an attachment that it did not show: it is waited for, or "free" would
    /// be believed again.
    async fn wait_until_it_shows(&self, id: &str, machine: &str) -> Result<(), EbsError> {
        let limit = self.describer.pace.invisible;
        let wait = Wait { volume: id, wanted: "shown", limit, cancel: None };
        let shows = |seen: Option<&Ec2Volume>| {
            Ok(seen.is_none_or(|seen| seen.attached_to(machine).is_some()).then_some(()))
        };
        match self.describer.wait_until(wait, shows).await {
            // It ended before it was shown.
            Err(EbsError::TooLong { .. }) => Ok(()),
            done => done,
        }
    }

    /// Waits until that instance has let go, and forces it after the limit.
    async fn wait_fenced(
        &self,
        volume: &VolumeRef,
        id: &str,
        machine: &str,
        patience: Duration,
    ) -> Result<(), EbsError> {
        let seen = match self.wait_free(id, machine, patience, None).await {
            Err(EbsError::TooLong { seen, .. }) => seen,
            done => return done,
        };
        tracing::warn!(
            volume = %volume.name, ebs = id, machine, ?patience, seen,
            "the machine does not let go of the volume, and it is taken away by force: what was not yet synced there is lost"
        );
        self.take(id, machine, Force::Yes).await?;
        fault::point("ebs.fence.forced");
        let limit = self.describer.pace.forced_fence;
        match self.wait_free(id, machine, limit, None).await {
            Err(EbsError::TooLong { seen, .. }) => Err(EbsError::state(
                id,
                format!(
                    "it was to be taken away from {machine}, and even a forced detach has not ended within {limit:?} ({seen}): hawser tries again; stopping that instance ends it"
                ),
            )),
            done => done,
        }
    }
}

/// Refuses where a third instance has it.
fn standing(seen: &Ec2Volume, machine: &str, me: &str) -> Result<Standing, EbsError> {
    let third = seen.attachments.iter().find(|one| one.instance != machine && one.instance != me);
    if let Some(third) = third {
        return Err(elsewhere(&seen.id, third));
    }
    Ok(match seen.attached_to(machine) {
        Some(there) if there.is_leaving() => Standing::Leaving,
        Some(_) => Standing::There,
        None if seen.attached_to(me).is_some() => Standing::Elsewhere,
        None => Standing::Free,
    })
}

#[async_trait]
impl Fencing for Ebs {
    async fn machine(&self) -> Result<String, BackendError> {
        let asked = self.inner.node.instance(&self.inner.api).await;
        asked.map(str::to_owned).map_err(Self::failed("ask which instance this is"))
    }

    async fn state(&self, machine: &str) -> Result<MachineState, BackendError> {
        let asked = self.inner.machine_state(machine).await;
        asked.map_err(Self::failed("ask whether an instance runs"))
    }

    async fn fence(&self, volume: &VolumeRef, machine: &str) -> Result<(), BackendError> {
        self.inner.fence(volume, machine).await.map_err(Self::failed("fence"))
    }
}
