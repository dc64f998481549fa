//! What needs a volume to be unmounted: removal, rename, undelete, check.
//!
//! Each is refused while somebody holds the volume. Otherwise it ends the linger, waits until the
//! file system is unmounted here and the path is free, and only then changes anything: so a
//! removal that meets a busy mount is refused whole, and a name that is free has no mount left.

use std::{sync::Arc, time::Duration};

use super::{VolumeTask, waiters::tell};
use crate::{
    engine::{
        error::{EngineError, StepError},
        message::{Checked, Exclusive, Reply},
    },
    spec::VolumeName,
    sys::format::{self, Repair},
    volume::{
        Contents,
        transition::{Event, Refusal},
    },
};

impl Exclusive {
    const fn op(&self) -> &'static str {
        match self {
            Self::Remove { .. } => "remove",
            Self::Rename { .. } => "rename",
            Self::Undelete { .. } => "undelete",
            Self::Check { .. } => "fsck",
        }
    }

    pub(super) fn fail(self, error: impl Fn(&'static str) -> EngineError) {
        let error = error(self.op());
        match self {
            Self::Remove { reply, .. }
            | Self::Rename { reply, .. }
            | Self::Undelete { reply, .. } => tell(reply, Err(error)),
            Self::Check { reply, .. } => tell(reply, Err(error)),
        }
    }
}

impl VolumeTask {
    /// Takes the request on, or refuses it at once.
    pub(super) async fn ask_exclusive(&mut self, exclusive: Exclusive) {
        let op = exclusive.op();
        if let Err(error) = self.refuse_users(op).await {
            return exclusive.fail(|_| error.clone());
        }
        self.linger_until = None;
        self.try_again_now();
        self.exclusive.push_back(exclusive);
    }

    async fn refuse_users(&self, op: &'static str) -> Result<(), EngineError> {
        if self.record.holders.iter().any(|holder| holder.count > 0) {
            return self.refuse_holders(op);
        }
        // A parked holder, too, is best explained by who has the file system.
        self.refuse_outside_use(op).await?;
        self.refuse_holders(op)
    }

    pub(super) fn refuse_holders(&self, op: &'static str) -> Result<(), EngineError> {
        let who: Vec<_> = self.record.holders.iter().map(ToString::to_string).collect();
        if who.is_empty() {
            return Ok(());
        }
        let (volume, refusal) = (self.record.name.clone(), Refusal::Held(who.join(", ")));
        Err(EngineError::Refused { op, volume, refusal })
    }

    /// Does the first exclusive request if the volume is unmounted. True if it did something.
    pub(super) async fn next_exclusive(&mut self) -> bool {
        let unmounted = self.observed.as_ref().is_some_and(|seen| !seen.staged && !seen.published);
        if !unmounted {
            return false;
        }
        let Some(exclusive) = self.exclusive.pop_front() else { return false };
        let op = exclusive.op();
        // Once more: who came meanwhile, and who had a copy of the mount that is gone here.
        if let Err(error) = self.refuse_users(op).await {
            exclusive.fail(|_| error.clone());
            return true;
        }
        match exclusive {
            Exclusive::Remove { purge, reply } => {
                let name = self.record.name.clone();
                let result = self.request(op, Event::Remove { purge }).await;
                if result.is_ok() {
                    self.shared.registry.release(&name, self.record.id);
                }
                tell(reply, result);
            }
            Exclusive::Rename { to, reply } => {
                let name = to.clone();
                self.take_name(op, name, Event::Rename { to }, reply).await;
            }
            Exclusive::Undelete { name, reply } => {
                let taken = name.clone();
                self.take_name(op, taken, Event::Undelete { name }, reply).await;
            }
            Exclusive::Check { repair, reply } => self.check(repair, reply).await,
        }
        true
    }

    /// Stores a change of name; the name that is not used in the end is given back.
    async fn take_name(
        &mut self,
        op: &'static str,
        name: VolumeName,
        event: Event,
        reply: Reply<()>,
    ) {
        let (before, was_removed) = (self.record.name.clone(), self.record.is_removed());
        let result = self.request(op, event).await;
        match &result {
            Ok(()) if before != name && !was_removed => {
                self.shared.registry.release(&before, self.record.id);
            }
            Ok(()) => {}
            Err(_) if before == name && !was_removed => {}
            Err(_) => self.shared.registry.release(&name, self.record.id),
        }
        tell(reply, result);
    }

    /// Checks the file system on the attached, unmounted device.
    async fn check(&mut self, repair: Repair, reply: Reply<Checked>) {
        let volume = self.record.name.clone();
        let result = self.check_device(repair).await.map_err(|source| EngineError::Failed {
            op: "fsck",
            volume,
            source: Arc::new(StepError::Step { step: "check", source }),
        });
        // Attached by the check or not: the plan goes on from what is there now.
        self.observed = None;
        tell(reply, result);
    }

    async fn check_device(
        &self,
        repair: Repair,
    ) -> Result<Checked, Box<dyn std::error::Error + Send + Sync>> {
        if self.record.contents != Contents::Formatted {
            return Ok(Checked {
                clean: true,
                output: "it was never mounted: nothing to check".into(),
            });
        }
        let kind = self.record.spec.backend.kind();
        let backend = self.shared.host.backend(kind).ok_or("its backend is not configured")?;
        let device = backend.attach(&(&self.record).into()).await?;
        let report = format::check(&device.path, self.record.spec.fs, repair).await?;
        Ok(Checked { clean: report.clean, output: report.output })
    }
}

/// How long a check may keep its caller waiting.
pub(in crate::engine) const CHECK_DEADLINE: Duration = Duration::from_secs(3600);
