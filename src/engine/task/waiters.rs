//! Those who wait for a volume to get somewhere, and what each is told.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::Instant};

use super::{VolumeTask, snapshot::Wanted};
use crate::{
    engine::{
        error::{Cause, EngineError, StepError},
        message::{Grown, Message, MountGrant, Reply},
        neighbours::Released,
    },
    spec::{BackendSpec, Bytes, VolumeName},
    volume::{CallerEpoch, Holder, MountId, Phase, Record, plan::Standing, transition::Refusal},
};

/// How long another node may take to grow a file system that it has mounted, once its storage is
/// grown: longer than that, it will at the next mount.
const OWNER_GROWS: Duration = Duration::from_secs(5);

/// Those who wait, by what they wait for.
#[derive(Default)]
pub(super) struct Waiters {
    pub(super) created: Vec<Reply<()>>,
    pub(super) mounted: Vec<MountWaiter>,
    pub(super) grown: Vec<GrowWaiter>,
    pub(super) trim: Vec<Reply<Bytes>>,
    pub(super) snapshots: VecDeque<Wanted>,
    pub(super) purged: Vec<Reply<()>>,
    /// Who wants it on this node.
    pub(super) taken: Vec<Reply<()>>,
}

/// One Mount call.
pub(super) struct MountWaiter {
    pub(super) id: MountId,
    pub(super) epoch: CallerEpoch,
    /// The call added a reference: it is dropped again if the call comes to nothing.
    pub(super) added: bool,
    pub(super) reply: Reply<MountGrant>,
}

/// One that waits for a volume to be larger, or for other settings of its storage.
pub(super) struct GrowWaiter {
    pub(super) to: Bytes,
    /// The storage as it was, where its settings are to change.
    pub(super) was: Option<BackendSpec>,
    pub(super) reply: Reply<Grown>,
}

impl GrowWaiter {
    /// The record of a volume that is not being changed any more has it.
    fn is_reached(&self, record: &Record) -> bool {
        let changed = self.was.as_ref().is_none_or(|was| *was != record.spec.backend);
        self.to <= record.spec.size && changed
    }
}

impl Waiters {
    pub(super) fn want_mounted(&self) -> bool {
        !self.mounted.is_empty() || !self.trim.is_empty() || !self.taken.is_empty()
    }

    /// The volume was lost to another node, and with it what its holders had. Those who wait have nothing
    /// yet, and hold it once they get it.
    pub(super) fn keep_places(&mut self, holders: &mut Vec<Holder>) {
        holders.retain_mut(|holder| {
            let waiting = self.mounted.iter_mut().filter(|waiter| waiter.id == holder.id);
            // Each gives its own place up, where it comes to nothing.
            let waiting = waiting.map(|waiter| waiter.added = true).count();
            let places = if holder.id.is_anonymous() { waiting.min(1) } else { waiting };
            holder.count = u32::try_from(places).unwrap_or(u32::MAX);
            places > 0
        });
    }

    /// The volume is forgotten: that is what those who wait for the purge wanted.
    pub(super) fn answer_gone(&mut self) {
        for reply in self.purged.drain(..) {
            tell(reply, Ok(()));
        }
    }
}

impl VolumeTask {
    /// Answers everybody whose goal is reached.
    pub(super) fn settle(&mut self) {
        // Who hung up does not have it moved some day, nor owned.
        self.waiters.taken.retain(|reply| !reply.is_closed());
        self.waiters.grown.retain(|waiter| !waiter.reply.is_closed());
        // Who is answered finds in `Get` and `List` what it was told.
        self.publish_view();
        if self.record.phase == Phase::Ready {
            for reply in self.waiters.created.drain(..) {
                tell(reply, Ok(()));
            }
        }
        // Not while it is being unmounted: the path would be gone before the caller used it.
        if self.is_mounted() && !self.is_letting_go() {
            self.settle_mounted();
        }
        self.settle_grown();
        self.settle_slot();
        self.settle_handover();
    }

    /// Its slot is free, or it is wanted again.
    fn settle_slot(&mut self) {
        let free = self.observed.as_ref().is_some_and(crate::volume::Observed::is_released);
        let serves = self.observed.as_ref().is_some_and(|seen| seen.exported.is_some());
        let answer = match (free, self.is_wanted() || serves) {
            (true, _) => Ok(()),
            (false, true) => Err(self.gone("give up the slot of")),
            (false, false) => return,
        };
        for reply in self.slot_wanted.drain(..) {
            tell(reply, answer.clone());
        }
    }

    fn gone(&self, op: &'static str) -> EngineError {
        EngineError::Gone { op, volume: self.record.name.clone() }
    }

    fn is_mounted(&self) -> bool {
        self.observed.as_ref().is_some_and(crate::volume::Observed::is_mounted)
    }

    fn settle_mounted(&mut self) {
        let path = self.shared.host.published_path(&self.record.name);
        // What is only reached has not come to this node.
        let came = !self.is_open_here() || self.standing() != Standing::Other;
        let taken = if came { std::mem::take(&mut self.waiters.taken) } else { Vec::new() };
        if !taken.is_empty() {
            self.linger_if_free();
        }
        for reply in taken {
            tell(reply, Ok(()));
        }
        for waiter in self.waiters.mounted.drain(..) {
            let MountWaiter { id, epoch, added, reply } = waiter;
            let abandon = Message::Abandon { id, epoch, answer: None };
            let abandon = added.then(|| (self.handle.clone(), abandon));
            // Not received, the grant comes back and gives up its reference as it is dropped.
            tell(reply, Ok(MountGrant::new(path.clone(), abandon)));
        }
    }

    /// Trims the mounted file system for those who asked. True if it was begun.
    pub(super) fn next_trim(&mut self) -> bool {
        let staged = self.observed.as_ref().is_some_and(|seen| seen.staged);
        if self.waiters.trim.is_empty() || !self.is_mounted() || !staged {
            return false;
        }
        let replies = std::mem::take(&mut self.waiters.trim);
        let (stage, volume) =
            (self.shared.host.stage_path(self.record.id), self.record.name.clone());
        self.start_aside("trim", async move {
            let trimmed = spawn_blocking(move || crate::sys::format::trim(&stage)).await;
            let failed = |source: Cause| {
                let source = Arc::new(StepError::Step { step: "trim", source });
                EngineError::Failed { op: "trim", volume: volume.clone(), source }
            };
            let result = match trimmed {
                Ok(Ok(bytes)) => Ok(bytes),
                Ok(Err(error)) => Err(failed(error.into())),
                Err(panic) => Err(failed(panic.into())),
            };
            for reply in replies {
                tell(reply, result.clone());
            }
        });
        true
    }

    fn settle_grown(&mut self) {
        self.refuse_not_grown();
        if self.waiters.grown.is_empty() || self.record.changing_to.is_some() {
            self.owner_grows_until = None;
            return;
        }
        let size = self.record.spec.size;
        let seen = self.observed.as_ref();
        let waits_for_mount = seen.is_some_and(|seen| !seen.staged || seen.grow_at_next_mount);
        let is_others = self.standing() == Standing::Other;
        let grown = match (self.record.file_system_behind, waits_for_mount) {
            (false, _) => Some(Grown::Now),
            (true, true) => Some(Grown::AtNextMount),
            (true, false) if is_others => self.grown_by_its_owner(),
            (true, false) => None,
        };
        let Some(grown) = grown else {
            self.owner_grows_until = self.owner_grows_until.filter(|_| is_others);
            return;
        };
        self.owner_grows_until = None;
        for waiter in self.waiters.grown.extract_if(.., |waiter| waiter.to <= size) {
            tell(waiter.reply, Ok(grown));
        }
    }

    /// Its owner tried, could not, and said so in the record: that is all that is known of it here.
    fn refuse_not_grown(&mut self) {
        let record = &self.record;
        if record.is_growing() {
            return;
        }
        let owner = record.lease.owner.as_ref().map(|owner| owner.node.clone());
        for waiter in self.waiters.grown.extract_if(.., |waiter| !waiter.is_reached(record)) {
            let (volume, refusal) = (record.name.clone(), Refusal::NotGrown(owner.clone()));
            tell(waiter.reply, Err(EngineError::Refused { op: "grow", volume, refusal }));
        }
    }

    /// What its owner does not say: whether it has it mounted and can grow it so, which takes it
    /// moments.
    fn grown_by_its_owner(&mut self) -> Option<Grown> {
        let until = *self.owner_grows_until.get_or_insert_with(|| Instant::now() + OWNER_GROWS);
        (until <= Instant::now()).then_some(Grown::AtNextMount)
    }

    /// Tells those who asked for more that there is not more.
    pub(super) fn grow_failed(&mut self, error: &Arc<StepError>) {
        let volume = self.record.name.clone();
        for GrowWaiter { reply, .. } in self.waiters.grown.drain(..) {
            let (volume, source) = (volume.clone(), Arc::clone(error));
            tell(reply, Err(EngineError::Failed { op: "grow", volume, source }));
        }
    }

    /// Tells everybody that the step that they needed failed.
    pub(super) fn fail_waiters(&mut self, error: &Arc<StepError>) {
        let volume = self.record.name.clone();
        let failed =
            |op| EngineError::Failed { op, volume: volume.clone(), source: Arc::clone(error) };
        for reply in self.waiters.created.drain(..) {
            tell(reply, Err(failed("create")));
        }
        self.grow_failed(error);
        for reply in self.waiters.trim.drain(..) {
            tell(reply, Err(failed("trim")));
        }
        for wanted in self.waiters.snapshots.drain(..) {
            tell(wanted.reply, Err(failed("snapshot")));
        }
        for reply in self.slot_wanted.drain(..) {
            tell(reply, Err(failed("give up the slot of")));
        }
        for reply in self.waiters.taken.drain(..) {
            tell(reply, Err(failed("move")));
        }
        let asked = self.askers.drain(..).map(|(_, reply)| reply);
        for reply in self.handover.drain(..).chain(asked) {
            tell(reply, Ok(Released::Busy(error.to_string())));
        }
        for reply in self.waiters.purged.drain(..) {
            tell(reply, Err(failed("purge")));
        }
        for waiter in self.waiters.mounted.drain(..) {
            let MountWaiter { id, epoch, added, reply } = waiter;
            let error = failed("mount");
            if added {
                // Docker does not send an Unmount for a Mount that failed: the reference is gone,
                // durably, before it is told so.
                let answer = Some((reply, error));
                self.handle.tell(Message::Abandon { id, epoch, answer });
            } else {
                tell(reply, Err(error));
            }
        }
        self.fail_exclusive(error);
    }

    /// The same for those who need it unmounted.
    pub(super) fn fail_exclusive(&mut self, error: &Arc<StepError>) {
        let volume = self.record.name.clone();
        for exclusive in self.exclusive.drain(..) {
            exclusive.fail(|op| EngineError::Failed {
                op,
                volume: volume.clone(),
                source: Arc::clone(error),
            });
        }
    }
}

/// Answers. A receiver that is gone hung up, or its deadline passed: it was told so there.
pub(super) fn tell<T>(reply: Reply<T>, answer: Result<T, EngineError>) {
    let _ = reply.send(answer);
}

/// The error for what cannot be stored.
pub(super) fn not_stored(
    op: &'static str,
    volume: &VolumeName,
) -> impl FnOnce(crate::cluster::StoreError) -> EngineError {
    let volume = volume.clone();
    move |source| EngineError::Store { op, volume, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::testing::{START, dockerd, id};

    #[test]
    fn who_waits_while_a_volume_is_lost_holds_it_once_it_is_had() {
        let mut holders =
            ["lost", "waits"].map(|task| Holder::new(id(task), dockerd(1), START)).to_vec();
        let waits = holders[1].clone();
        let (reply, _answer) = tokio::sync::oneshot::channel();
        let (id, epoch) = (waits.id.clone(), waits.epoch.clone());
        let waiter = MountWaiter { id, epoch, added: true, reply };
        let mut waiters = Waiters { mounted: vec![waiter], ..Waiters::default() };

        waiters.keep_places(&mut holders);

        assert_eq!(holders, [waits]);
    }
}
