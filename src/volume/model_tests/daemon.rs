//! Hawser's own part, as `engine::task` plays it: one volume's task, without tokio.

use super::world::{Extent, World};
use crate::volume::{
    CallerEpoch, Contents, MountId, Observed, Phase, Purge, Record,
    effect::{self, Effect},
    plan::{self, Here, Step, Want},
    testing::here,
    transition::{self, Event},
};

/// How the next write of the record goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum StoreFate {
    Works,
    Fails,
    CrashBefore,
    CrashAfter,
}

/// How a step goes, and what hawser learns of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    Works,
    Fails(Extent),
    Crash(Extent),
}

/// The process is gone; [`Daemon::new`] is the next one.
#[derive(Debug)]
pub(super) struct Crashed;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Exclusive {
    Remove(Purge),
    Undelete,
}

/// A Mount that waits, and whether it added a reference.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) id: MountId,
    pub(super) caller: CallerEpoch,
    pub(super) hangs_up: bool,
    pub(super) added: bool,
}

#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) record: Record,
    pub(super) observed: Option<Observed>,
    running: Option<(Effect, Record)>,
    pub(super) waiting: Vec<Waiter>,
    /// Mounts that were answered with success and not looked at yet.
    pub(super) granted: Vec<Waiter>,
    pub(super) exclusive: Vec<Exclusive>,
    unsaved: bool,
    pub(super) lingers: bool,
    pub(super) next_store: StoreFate,
}

/// Where the task came to a halt.
#[derive(Debug, PartialEq)]
pub(super) enum Halt {
    StepRuns,
    Failed,
    Rests,
    Forgotten,
}

impl Daemon {
    pub(super) fn new(stored: &Record, boot_id: &str) -> Self {
        let booted = Event::Booted { boot_id: boot_id.to_owned() };
        Self {
            record: transition::apply(stored, booted, stored.created_at).unwrap(),
            observed: None,
            running: None,
            waiting: Vec::new(),
            granted: Vec::new(),
            exclusive: Vec::new(),
            unsaved: false,
            lingers: false,
            next_store: StoreFate::Works,
        }
    }

    pub(super) const fn is_idle(&self) -> bool {
        self.running.is_none()
    }

    fn want(&self) -> Want {
        if !self.exclusive.is_empty() {
            Want::Released
        } else if self.record.is_held() || !self.waiting.is_empty() || self.lingers {
            Want::Mounted
        } else {
            Want::Released
        }
    }

    /// Stores a record. `Ok(false)`: it could not be stored, and memory is as before.
    pub(super) fn store(&mut self, world: &mut World, next: Record) -> Result<bool, Crashed> {
        if next == self.record && !self.unsaved {
            return Ok(true);
        }
        match std::mem::replace(&mut self.next_store, StoreFate::Works) {
            StoreFate::Fails => return Ok(false),
            StoreFate::CrashBefore => return Err(Crashed),
            StoreFate::CrashAfter => {
                world.stored = next;
                return Err(Crashed);
            }
            StoreFate::Works => {}
        }
        world.stored = next.clone();
        self.record = next;
        self.unsaved = false;
        Ok(true)
    }

    pub(super) fn store_or_remember(
        &mut self,
        world: &mut World,
        event: Event,
    ) -> Result<(), Crashed> {
        let Ok(next) = transition::apply(&self.record, event, world.now) else { return Ok(()) };
        if !self.store(world, next.clone())? {
            self.record = next;
            self.unsaved = true;
        }
        Ok(())
    }

    /// Ends the step that runs.
    pub(super) fn finish(&mut self, world: &mut World, fate: Fate) -> Result<(), Crashed> {
        let Some((effect, record)) = self.running.take() else { return Ok(()) };
        let outcome = match fate {
            Fate::Works => world.execute(effect, &record, Extent::Everything),
            Fate::Fails(extent) => {
                world.execute(effect, &record, extent);
                None
            }
            Fate::Crash(extent) => {
                world.execute(effect, &record, extent);
                return Err(Crashed);
            }
        };
        let Some(outcome) = outcome else { return self.failed_step(world, effect) };
        let seen = self.observed.take().unwrap_or_default();
        let (seen, event) = effect::absorb(seen, effect, outcome);
        if let Some(event) = event {
            let next = transition::apply(&self.record, event, world.now)
                .expect("the engine's own events are never refused");
            if !self.store(world, next)? {
                return self.failed_step(world, effect);
            }
        }
        self.observed = Some(seen);
        Ok(())
    }

    fn failed_step(&mut self, world: &mut World, effect: Effect) -> Result<(), Crashed> {
        self.observed = None;
        if let Effect::GrowStorage { .. } = effect {
            self.store_or_remember(world, Event::GrowFailed)?;
        }
        if self.record.phase == Phase::Creating {
            self.store_or_remember(world, Event::CreationFailed)?;
        }
        self.fail_waiters(world)
    }

    fn fail_waiters(&mut self, world: &mut World) -> Result<(), Crashed> {
        self.exclusive.clear();
        for waiter in std::mem::take(&mut self.waiting) {
            self.abandon(world, waiter)?;
        }
        Ok(())
    }

    /// Goes on until a step starts, or there is nothing to do.
    pub(super) fn advance(&mut self, world: &mut World) -> Result<Halt, Crashed> {
        for _ in 0..10 {
            // What comes down, or is about to, is given to nobody, whatever was seen before.
            let comes_down =
                matches!(self.running, Some((Effect::Unpublish, _))) || !self.exclusive.is_empty();
            if !comes_down && self.observed.as_ref().is_some_and(Observed::is_mounted) {
                self.granted.append(&mut self.waiting);
            }
            if self.running.is_some() {
                return Ok(Halt::StepRuns);
            }
            if self.next_exclusive(world)? {
                continue;
            }
            if self.unsaved {
                self.store(world, self.record.clone())?;
            }
            let (seen, now) = (self.observed.as_ref(), world.now);
            let here = Here { ext4: world.ext4, now, ..here(None) };
            match plan::next(&self.record, seen, self.want(), &here) {
                Step::Record(event) => {
                    let next = transition::apply(&self.record, event, now)
                        .expect("the engine's own events are never refused");
                    if !self.store(world, next)? {
                        self.fail_waiters(world)?;
                        return Ok(Halt::Failed);
                    }
                }
                Step::Do(effect) => self.running = Some((effect, self.record.clone())),
                Step::Stuck(problem) => panic!("stuck though nobody did anything: {problem}"),
                Step::Leave(why) => panic!("left to others, and there are none: {why}"),
                Step::Wait(until) => {
                    assert!(until > now, "waits for what is past");
                    return Ok(Halt::Rests);
                }
                Step::Idle => {
                    self.assert_nothing_is_left_to_do();
                    return Ok(Halt::Rests);
                }
                Step::Forget => return Ok(Halt::Forgotten),
            }
        }
        panic!("ten decisions and no step: {self:?}");
    }

    /// Does the first exclusive request if the volume is unmounted. True if it did something.
    fn next_exclusive(&mut self, world: &mut World) -> Result<bool, Crashed> {
        let unmounted = self.observed.as_ref().is_some_and(|seen| !seen.staged && !seen.published);
        if !unmounted || self.exclusive.is_empty() {
            return Ok(false);
        }
        match self.exclusive.remove(0) {
            // refuse_holders; the transition refuses it as well.
            Exclusive::Remove(purge) => drop(self.request(world, Event::Remove { purge })?),
            Exclusive::Undelete => {
                let name = self.record.name.clone();
                drop(self.request(world, Event::Undelete { name })?);
            }
        }
        Ok(true)
    }

    fn assert_nothing_is_left_to_do(&self) {
        let seen = self.observed.as_ref().expect("idle without a look");
        let record = &self.record;
        assert!(!record.is_removed() || seen.is_released());
        assert!(record.is_removed() || record.phase == Phase::Ready, "idle while {record:?}");
        assert!(record.is_removed() || record.growing_to.is_none(), "idle while growing");
        let directory = record.spec.backend.is_directory();
        assert!(!directory || record.is_removed() == seen.aside || !seen.provisioned, "in the way");
        match self.want() {
            _ if record.is_removed() => {}
            Want::Mounted => assert!(seen.is_mounted() && record.contents == Contents::Formatted),
            Want::Released if record.spec.backend.stays_attached() => {
                assert!(!seen.staged && !seen.published);
            }
            Want::Released | Want::Detached | Want::Owned => assert!(seen.is_released()),
        }
    }
}
