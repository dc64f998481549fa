//! What needs a volume to be unmounted: removal, rename, undelete, check.
//!
//! Each is refused while somebody holds the volume. Otherwise it ends the linger, waits until the
//! file system is unmounted here and the path is free, and only then changes anything: so a
//! removal that meets a busy mount is refused whole, and a name that is free has no mount left.

use std::{sync::Arc, time::Duration};

use super::{VolumeTask, waiters::tell};
use tokio_util::sync::CancellationToken;

use crate::{
    engine::{
        Shared,
        error::{Cause, EngineError, StepError},
        message::{Checked, Exclusive, Reply},
        registry::Reservation,
    },
    sys::format::{self, Repair},
    volume::{
        Contents, Record,
        effect::Effect,
        plan::Standing,
        transition::{Event, Refusal},
    },
};

impl Exclusive {
    pub(super) const fn op(&self) -> &'static str {
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
        if self.record.is_group() {
            return self.change_group(exclusive).await;
        }
        let op = exclusive.op();
        let refused = match self.refuse_directory(&exclusive) {
            Ok(()) => self.refuse_users(op).await,
            refused => refused,
        };
        if let Err(error) = refused {
            return exclusive.fail(|_| error.clone());
        }
        self.linger_until = None;
        self.try_again_now();
        self.exclusive.push_back(exclusive);
    }

    /// A directory has nothing to check.
    fn refuse_directory(&self, exclusive: &Exclusive) -> Result<(), EngineError> {
        let check = matches!(exclusive, Exclusive::Check { .. });
        if !check || !self.record.spec.backend.is_directory() {
            return Ok(());
        }
        let volume = self.record.name.clone();
        Err(EngineError::Refused { op: exclusive.op(), volume, refusal: Refusal::Directory })
    }

    async fn refuse_users(&self, op: &'static str) -> Result<(), EngineError> {
        if self.record.holders.iter().any(|holder| holder.count > 0) {
            return self.refuse_holders(op);
        }
        self.refuse_reached(op)?;
        // A parked holder, too, is best explained by who has the file system.
        self.refuse_outside_use(op).await?;
        self.refuse_holders(op)
    }

    /// Tasks of other nodes reach it.
    pub(super) fn refuse_reached(&self, op: &'static str) -> Result<(), EngineError> {
        let Some(nodes) = self.reached_from() else { return Ok(()) };
        let (volume, refusal) = (self.record.name.clone(), Refusal::HeldElsewhere(nodes));
        Err(EngineError::Refused { op, volume, refusal })
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
        // What the store lost nobody can own there. Another name is what it may need to be told again.
        let untold =
            self.record.untold && matches!(self.exclusive.front(), Some(Exclusive::Rename { .. }));
        let ours = untold || matches!(self.standing(), Standing::Alone | Standing::Owner);
        if !unmounted || !ours || self.is_user() {
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
                let result = self.rename_to(op, None, Event::Remove { purge }).await;
                if result.is_ok() {
                    self.tell_of_removal();
                }
                tell(reply, result);
            }
            Exclusive::Rename { to, reserved, reply } => {
                tell(reply, self.rename_to(op, reserved, Event::Rename { to }).await);
            }
            Exclusive::Undelete { name, reserved, reply } => {
                tell(reply, self.rename_to(op, reserved, Event::Undelete { name }).await);
            }
            Exclusive::Check { repair, reply } => self.check(repair, reply),
        }
        true
    }

    /// It was removed, here or by another node: who came before that cannot be served any more, but for
    /// those who wanted the same.
    pub(super) fn tell_of_removal(&mut self) {
        for exclusive in std::mem::take(&mut self.exclusive) {
            match exclusive {
                Exclusive::Remove { reply, .. } => tell(reply, Ok(())),
                other @ (Exclusive::Rename { .. }
                | Exclusive::Undelete { .. }
                | Exclusive::Check { .. }) => self.exclusive.push_back(other),
            }
        }
        self.fail_waiters(&Arc::new(StepError::Removed));
    }

    /// Stores a change of what the volume is called, if anything: the old name is free then, and
    /// the reserved one is its own. Nothing changes where that fails.
    pub(super) async fn rename_to(
        &mut self,
        op: &'static str,
        reserved: Option<Reservation>,
        event: Event,
    ) -> Result<(), EngineError> {
        let (before, was_removed) = (self.record.name.clone(), self.record.is_removed());
        self.request(op, event).await?;
        if let Some(reserved) = reserved {
            reserved.keep();
        }
        self.undescribed = true;
        let unknown = self.record.lease.is_unused() || self.record.untold;
        if unknown && self.shared.store.me().is_some() {
            // Its name was what kept it out of the cluster.
            self.refresh().await;
        }
        let gave_up = self.record.is_removed() || self.record.name != before;
        if gave_up && !was_removed {
            self.shared.registry.release(&before, self.record.id);
            self.shared.registry.pass_on(&before, self.record.id);
        }
        Ok(())
    }

    /// Checks the file system on the attached, unmounted device.
    fn check(&mut self, repair: Repair, reply: Reply<Checked>) {
        let (shared, record) = (Arc::clone(&self.shared), self.record.clone());
        // Attached by the check or not: the plan goes on from what is there then.
        self.observed = None;
        self.start_aside("fsck", async move {
            let result = check_device(&shared, &record, repair).await;
            let failed = |source| EngineError::Failed {
                op: "fsck",
                volume: record.name.clone(),
                source: Arc::new(StepError::Step { step: "check", source }),
            };
            tell(reply, result.map_err(failed));
        });
    }
}

async fn check_device(shared: &Shared, record: &Record, repair: Repair) -> Result<Checked, Cause> {
    shared.confirm_lease(Effect::Attach, record).await?;
    match record.contents {
        Contents::Formatted => {}
        Contents::Blank | Contents::Formatting => {
            let output = "it was never mounted: nothing to check".into();
            return Ok(Checked { clean: true, output });
        }
        Contents::Inherited => {
            return Err(
                "what it came with is looked at when it is first mounted: mount it once".into()
            );
        }
    }
    let kind = record.spec.backend.kind();
    let backend = shared.host.backend(kind).ok_or("its backend is not configured")?;
    let device = backend.attach(&record.into(), &CancellationToken::new()).await?;
    let report = format::check(&device.path, record.spec.fs, repair).await?;
    Ok(Checked { clean: report.clean, output: report.output })
}

/// How long a check may keep its caller waiting.
pub(in crate::engine) const CHECK_DEADLINE: Duration = Duration::from_secs(3600);
