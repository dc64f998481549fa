//! The steps of a volume's task: begun, and called off. Their end is in `finish`.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::VolumeTask;
use crate::{
    backend::{ErrorKind, VolumeRef},
    engine::{error::StepError, host::Subject, ownership::Remotely},
    volume::{
        Lease, Revision,
        effect::{Effect, Outcome},
        lease::Session,
        plan::Want,
    },
};

pub(super) struct Running {
    pub(super) work: Work,
    pub(super) job: JoinHandle<Result<Outcome, StepError>>,
    /// Cancelled when nobody wants the step any more.
    pub(super) cancel: CancellationToken,
    /// The lease under which it was begun: under another one, its outcome is void.
    pub(super) lease: Lease,
    /// The state of the record that it was begun on.
    pub(super) revision: Revision,
}

/// What keeps a volume busy.
#[derive(Clone, Copy)]
pub(super) enum Work {
    /// A step of the plan.
    Step(Effect),
    /// Something that was asked for, and that answers by itself; its name.
    Aside(&'static str),
}

impl Work {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Step(effect) => effect.name(),
            Self::Aside(name) => name,
        }
    }
}

impl VolumeTask {
    /// A step towards nothing being in the kernel is under way.
    pub(super) fn is_letting_go(&self) -> bool {
        let work = self.running.as_ref().map(|running| running.work);
        matches!(work, Some(Work::Step(effect)) if effect.lets_go())
    }

    pub(super) fn start(&mut self, effect: Effect) {
        let subject = Subject {
            record: self.record.clone(),
            device: self.observed.as_ref().and_then(|seen| seen.device.clone()),
            mounts: self.mounts.take(),
            cancel: CancellationToken::new(),
            standing: self.standing(),
            reached: self.observed.as_ref().is_some_and(|seen| seen.remote.mounted),
            shut_out: self.is_shut_out(),
        };
        let (preempt, cut_off) = (self.preempt(), self.about_one_cut_off());
        let remotely = self.asks_remotely();
        let asks = effect == Effect::Own && remotely == Remotely::Welcome;
        self.claim_asked = asks || self.claim_asked && self.is_user();
        let cancel = subject.cancel.clone();
        let shared = Arc::clone(&self.shared);
        let span = tracing::info_span!("step", volume = %self.record.name, step = effect.name());
        let work = async move {
            let in_cluster = |source| StepError::Step { step: effect.name(), source };
            if effect == Effect::Own {
                let own = shared.own(&subject.record, preempt, cut_off, remotely, &subject.cancel);
                return own.await.map_err(in_cluster);
            }
            if effect == Effect::Recall {
                return shared.recall(&subject.record, &subject.cancel).await.map_err(in_cluster);
            }
            shared.confirm_lease(effect, &subject.record).await.map_err(in_cluster)?;
            if effect == Effect::Fence {
                return shared.fence(&subject.record).await.map_err(in_cluster);
            }
            if effect.shares() {
                return shared
                    .share(effect, &subject.record, &subject.cancel)
                    .await
                    .map_err(in_cluster);
            }
            if let (Effect::ShutDown, Ok(sharing)) = (effect, &shared.sharing) {
                sharing.close(subject.record.id).await;
            }
            let mut result = shared.host.execute(effect, &subject).await;
            while result.as_ref().is_err_and(|error| error.is(ErrorKind::NoSlot)) {
                let kind = subject.record.spec.backend.kind();
                if !shared.free_a_slot(kind, &subject.cancel).await {
                    break;
                }
                result = shared.host.execute(effect, &subject).await;
            }
            if effect == Effect::Attach && result.is_ok() {
                // An attachment can arrive late: when this node was fenced already, and the next owner
                // just let go. It is this node's only if the record still says so now.
                shared.confirm_lease(effect, &subject.record).await.map_err(in_cluster)?;
            }
            if let Ok(Outcome::Observed(seen)) = &mut result {
                shared.observe_sharing(&subject, seen).await.map_err(in_cluster)?;
            }
            result
        };
        let job = self.shared.steps.spawn(work.instrument(span));
        let (lease, revision) = (self.record.lease.clone(), self.record.revision);
        self.running = Some(Running { work: Work::Step(effect), job, cancel, lease, revision });
        self.publish_view();
    }

    /// Calls an attachment off that nobody wants any more.
    pub(super) fn call_off(&self) {
        let Some(Running { work: Work::Step(effect), cancel, lease, .. }) = &self.running else {
            return;
        };
        let want = self.want();
        // A removed volume is owned to be deleted, which nobody asks for any more.
        let orphaned = || self.owner_session() == Session::Over;
        let elsewhere = |lease: &Lease| *lease != self.record.lease || orphaned();
        // The tasks may be other nodes'.
        let serves =
            self.record.is_served() && !self.record.users.is_empty() && want != Want::Detached;
        let unwanted = *effect == Effect::Attach && want != Want::Mounted && !serves
            || *effect == Effect::Recall && want != Want::Mounted
            || *effect == Effect::Reach && (want != Want::Mounted || elsewhere(lease))
            || *effect == Effect::Own
                && !self.record.is_removed()
                && !self.comes_to_be_written()
                && matches!(want, Want::Released | Want::Detached);
        if unwanted {
            cancel.cancel();
        }
    }

    /// The volume's server is gone: nothing that needs it is waited for.
    pub(super) fn unserved(&mut self) {
        match &self.running {
            None => {
                tracing::error!(volume = %self.record.name, "its NFS server is gone: starting it again");
                self.observed = None;
            }
            // The writer has to write back first.
            Some(Running { work: Work::Step(Effect::Recall), cancel, .. }) => cancel.cancel(),
            Some(_) => {}
        }
    }

    /// Brings what is written beside the storage up to date. True if that was begun.
    pub(super) fn describe(&mut self) -> bool {
        if !std::mem::take(&mut self.undescribed) || self.record.handle.is_none() {
            return false;
        }
        self.describes = true;
        let (shared, record) = (Arc::clone(&self.shared), self.record.clone());
        self.start_aside("describe", async move {
            let Some(backend) = shared.host.backend(record.spec.backend.kind()) else { return };
            if let Err(error) = backend.describe(&VolumeRef::from(&record)).await {
                tracing::warn!(
                    volume = %record.name, %error,
                    "the storage's own description is older than the record"
                );
            }
        });
        true
    }

    /// Keeps the volume busy with something that answers by itself. Requests are taken meanwhile,
    /// and no step is begun.
    pub(super) fn start_aside(
        &mut self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let job = async move {
            work.await;
            Ok(Outcome::Done)
        };
        let job = self.shared.steps.spawn(job);
        self.running = Some(Running {
            work: Work::Aside(name),
            job,
            cancel: CancellationToken::new(),
            lease: self.record.lease.clone(),
            revision: self.record.revision,
        });
        self.publish_view();
    }
}

/// The result of the running step; waits for ever when none runs.
pub(super) async fn finished(running: &mut Option<Running>) -> Result<Outcome, StepError> {
    match running {
        None => std::future::pending().await,
        Some(Running { work, job, .. }) => job.await.unwrap_or_else(|panic| {
            Err(StepError::Step { step: work.name(), source: panic.into() })
        }),
    }
}
