//! What a request does to the task, as in `engine::task::requests`.

use super::{
    daemon::{Crashed, Daemon, Exclusive, Waiter},
    world::World,
};
use crate::volume::{
    CallerEpoch, Holder, MountId, Observed,
    transition::{self, Event, Inherited, Outside, Refusal},
};

impl Daemon {
    /// A request. `Ok(Err)` is a refusal; a failed store is `Ok(Ok(false))`.
    pub(super) fn request(
        &mut self,
        world: &mut World,
        event: Event,
    ) -> Result<Result<bool, Refusal>, Crashed> {
        match transition::apply(&self.record, event, world.now) {
            Ok(next) => self.store(world, next).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    pub(super) fn mount(
        &mut self,
        world: &mut World,
        id: &MountId,
        caller: CallerEpoch,
        hangs_up: bool,
    ) -> Result<(), Crashed> {
        // Mesos has one call for a volume under way at a time.
        if id.is_anonymous() && self.waits(id) {
            return Ok(());
        }
        let before = self.record.clone();
        let inherited = self.inherited(id, &caller);
        let event = Event::Mount { id: id.clone(), epoch: caller.clone(), inherited };
        if self.request(world, event)? == Ok(true) {
            let added = transition::added_reference(&before, &self.record, id);
            self.lingers = false;
            self.waiting.push(Waiter { id: id.clone(), caller, hangs_up, added });
        }
        Ok(())
    }

    /// A call with that id is under way. moby holds the container's lock around its calls, and
    /// Mesos has one call for a volume under way at a time.
    pub(super) fn waits(&self, id: &MountId) -> bool {
        self.waiting.iter().any(|waiter| waiter.id == *id)
    }

    pub(super) fn unmount(
        &mut self,
        world: &mut World,
        id: &MountId,
        caller: &CallerEpoch,
    ) -> Result<(), Crashed> {
        let inherited = self.inherited(id, caller);
        let outside = world.outside();
        self.store_or_remember(world, Event::Unmount { id: id.clone(), inherited, outside })?;
        self.linger_if_free();
        Ok(())
    }

    pub(super) fn abandon(&mut self, world: &mut World, waiter: Waiter) -> Result<(), Crashed> {
        if waiter.added {
            let outside = world.outside();
            let Waiter { id, caller: epoch, .. } = waiter;
            self.store_or_remember(world, Event::Abandon { id, epoch, outside })?;
            self.linger_if_free();
        }
        Ok(())
    }

    pub(super) fn sweep(&mut self, world: &mut World, living: &CallerEpoch) -> Result<(), Crashed> {
        let dead = |holder: &&Holder| !holder.id.is_anonymous() && holder.epoch != *living;
        let dead = self.record.holders.iter().filter(dead).map(|h| h.id.clone()).collect();
        let orphaned_before = world.now - jiff::SignedDuration::from_secs(600);
        let outside = world.outside();
        self.store_or_remember(world, Event::Swept { dead, outside, orphaned_before })?;
        self.linger_if_free();
        Ok(())
    }

    /// The caller is the only process that lives.
    fn inherited(&self, id: &MountId, caller: &CallerEpoch) -> Inherited {
        match self.record.holder(id) {
            Some(holder) if holder.epoch != *caller => Inherited::Yes,
            Some(_) | None => Inherited::No,
        }
    }

    fn linger_if_free(&mut self) {
        let mounted = self.observed.as_ref().is_none_or(Observed::is_mounted);
        self.lingers |= !self.record.is_held() && mounted;
    }

    /// The intent is stored, and the file system is frozen; a crash here leaves it so.
    pub(super) fn snapshot(&mut self, world: &mut World) -> Result<(), Crashed> {
        let idle = self.is_idle() && self.observed.as_ref().is_some_and(|seen| seen.staged);
        if idle && self.request(world, Event::FreezeBegun)? == Ok(true) {
            world.frozen = true;
        }
        Ok(())
    }

    /// What needs the volume unmounted: refused at once while somebody has it.
    pub(super) fn ask_exclusive(&mut self, world: &World, exclusive: Exclusive) {
        if !self.record.is_held() && world.outside() == Outside::Free {
            self.lingers = false;
            self.exclusive.push(exclusive);
        }
    }
}
