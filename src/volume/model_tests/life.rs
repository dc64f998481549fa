//! Docker's and Mesos' side of a volume's life, and the promises to them, each a function.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::{
    IDS, Op,
    daemon::{Crashed, Daemon, Exclusive, Fate, Halt, StoreFate},
    world::World,
};
use crate::{
    spec::{AttachPolicy, Bytes},
    volume::{
        CallerEpoch, Purge, Record, Transit,
        plan::Ext4OnlineGrow,
        testing::{START, grow, id, new_record, on_ebs, on_nfs},
        transition::Event,
    },
};

/// What the volume is stored on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Local,
    Cloud(AttachPolicy),
    Directory,
}

/// One volume, Docker and Mesos around it, and what they were promised.
pub(super) struct Life {
    pub(super) world: World,
    pub(super) daemon: Daemon,
    boot: u32,
    dockerd: i32,
    /// References that the callers that live believe to have.
    active: BTreeMap<&'static str, u32>,
    /// What containers wrote last, once any was given the volume.
    pub(super) written: Option<u32>,
    pub(super) largest: Bytes,
    pub(super) forgotten: bool,
    pub(super) grants: u32,
}

impl Life {
    pub(super) fn new(ext4: Ext4OnlineGrow, kind: Kind) -> Self {
        let stored = match kind {
            Kind::Local => new_record(),
            Kind::Cloud(attach) => on_ebs(new_record(), attach),
            Kind::Directory => on_nfs(new_record()),
        };
        let daemon = Daemon::new(&stored, "boot-1");
        let world = World {
            storage: None,
            attached: false,
            transit: None,
            cloud: matches!(kind, Kind::Cloud(_)),
            directory: kind == Kind::Directory,
            aside: false,
            staged: false,
            frozen: false,
            published: false,
            containers: [].into(),
            ext4,
            now: START,
            stored,
            formats: 0,
            destroyed: 0,
        };
        Self {
            world,
            daemon,
            boot: 1,
            dockerd: 1,
            active: BTreeMap::new(),
            written: None,
            largest: Bytes::ZERO,
            forgotten: false,
            grants: 0,
        }
    }

    fn boot_id(&self) -> String {
        format!("boot-{}", self.boot)
    }

    fn caller(&self) -> CallerEpoch {
        CallerEpoch { boot_id: self.boot_id(), pid: self.dockerd, start_time: 7 }
    }

    pub(super) fn run(&mut self, op: &Op) {
        if self.forgotten {
            return;
        }
        if let Err(Crashed) = self.apply(op) {
            self.restart_hawser();
        }
        self.take_answers();
        self.assert_invariants();
    }

    fn apply(&mut self, op: &Op) -> Result<(), Crashed> {
        let (caller, world) = (self.caller(), &mut self.world);
        match *op {
            Op::Step(fate) => self.daemon.finish(world, fate)?,
            Op::NextStore(fate) => self.daemon.next_store = fate,
            Op::Mount { who, hangs_up } => {
                self.daemon.mount(world, &id(IDS[who]), caller, hangs_up)?;
            }
            Op::Unmount(n) => self.unmount(IDS[n])?,
            Op::Write => {
                if !world.containers.is_empty() && !world.frozen {
                    let next = self.written.unwrap_or_default() + 1;
                    world.write(next);
                    self.written = Some(next);
                }
            }
            Op::KillDockerd { live_restore } => self.kill_dockerd(live_restore),
            Op::Reboot => {
                world.reboot();
                self.boot += 1;
                self.active.clear();
                return Err(Crashed);
            }
            Op::Crash => return Err(Crashed),
            Op::Sweep => self.daemon.sweep(world, &caller)?,
            Op::TimePasses(seconds) => {
                world.now += SignedDuration::from_secs(seconds);
                self.daemon.lingers = false;
            }
            Op::Grow(gib) => drop(self.daemon.request(world, grow(gib))?),
            Op::Remove { after } => {
                let purge = after
                    .map_or(Purge::Never, |s| Purge::At(world.now + SignedDuration::from_secs(s)));
                self.daemon.ask_exclusive(world, Exclusive::Remove(purge));
            }
            Op::Undelete => self.daemon.ask_exclusive(world, Exclusive::Undelete),
            Op::Snapshot => {
                self.daemon.snapshot(world)?;
            }
            Op::Purge => drop(self.daemon.request(world, Event::Purge)?),
        }
        self.forgotten = self.daemon.advance(&mut self.world)? == Halt::Forgotten;
        Ok(())
    }

    /// What a caller does with a reference that it has: a container's last one ends the container.
    fn unmount(&mut self, holder: &'static str) -> Result<(), Crashed> {
        let busy = self.daemon.waits(&id(holder));
        let Some(count) = self.active.get_mut(holder).filter(|_| !busy) else { return Ok(()) };
        *count -= 1;
        if *count == 0 {
            self.active.remove(holder);
            self.world.containers.remove(holder);
        }
        let caller = self.caller();
        self.daemon.unmount(&mut self.world, &id(holder), &caller)
    }

    fn kill_dockerd(&mut self, live_restore: bool) {
        self.dockerd += 1;
        // Mesos is not dockerd, and goes on.
        self.active.retain(|holder, _| holder.is_empty());
        if live_restore {
            for holder in IDS.into_iter().filter(|id| !id.is_empty()) {
                if self.world.containers.contains(holder) {
                    self.active.insert(holder, 1);
                }
            }
        } else {
            self.world.containers.retain(String::is_empty);
        }
    }

    fn restart_hawser(&mut self) {
        self.daemon = Daemon::new(&self.world.stored, &self.boot_id());
    }

    /// Callers take their answers: containers start. Who hung up gives the reference back.
    fn take_answers(&mut self) {
        for waiter in std::mem::take(&mut self.daemon.granted) {
            let killed = !waiter.id.is_anonymous() && waiter.caller != self.caller();
            if waiter.hangs_up || killed {
                if self.daemon.abandon(&mut self.world, waiter).is_err() {
                    return self.restart_hawser();
                }
                continue;
            }
            self.assert_data_is_there_when_mounted();
            self.grants += 1;
            let holder = IDS.into_iter().find(|text| id(text) == waiter.id).unwrap();
            self.world.containers.insert(holder.to_owned());
            let count = self.active.entry(holder).or_default();
            // Mesos unmounts once for all of its containers.
            *count = if holder.is_empty() { 1 } else { *count + 1 };
        }
    }

    /// Nothing fails any more: where the volume comes to rest.
    pub(super) fn settle(&mut self) {
        self.daemon.next_store = StoreFate::Works;
        for _ in 0..40 {
            self.run(&Op::TimePasses(0));
            self.run(&Op::Step(Fate::Works));
        }
        if self.forgotten {
            return assert_eq!(self.world.storage, None, "forgotten, and its storage is left");
        }
        let halt = self.daemon.advance(&mut self.world).unwrap();
        assert_eq!(halt, Halt::Rests, "{:?}", self.daemon);
        // Holders of an earlier boot are dropped in memory; the next change stores it.
        let stored = Daemon::new(&self.world.stored, &self.boot_id()).record;
        assert_eq!(stored, self.daemon.record, "something is not stored");
        let Record { holders, .. } = &self.daemon.record;
        let mounted = self.world.staged && self.world.published;
        match self.daemon.record.is_removed() || holders.is_empty() {
            true => self.assert_rests(),
            false => {
                assert!(mounted, "it is held by {holders:?} and not mounted");
                assert!(!self.world.frozen, "its tasks wait for ever");
            }
        }
    }

    /// Nobody holds it: it is released, or as far as it is to be.
    fn assert_rests(&self) {
        let (world, record) = (&self.world, &self.daemon.record);
        assert!(!world.staged && !world.published, "nobody holds it, and it is mounted");
        assert!(!record.frozen, "it is called frozen, and is not mounted");
        assert_ne!(world.transit, Some(Transit::Detaching), "a detach is left to itself");
        let stays = record.spec.backend.stays_attached() && !record.is_removed();
        assert!(stays || world.is_released(), "nobody holds it, and it is not released");
    }

    /// Everybody goes home: nothing may be left of anybody.
    pub(super) fn end(&mut self) {
        self.run(&Op::KillDockerd { live_restore: false });
        self.world.containers.clear();
        // Mesos unmounts what it finds, also what it never mounted.
        let caller = self.caller();
        self.daemon.unmount(&mut self.world, &id(""), &caller).unwrap();
        self.run(&Op::Sweep);
        self.run(&Op::TimePasses(700));
        self.run(&Op::Sweep);
        self.settle();
        if self.forgotten {
            return;
        }
        assert_eq!(self.daemon.record.holders, [], "holders are left for ever");
        self.run(&Op::Remove { after: Some(0) });
        self.settle();
        self.run(&Op::Purge);
        self.settle();
        assert!(self.forgotten, "removed, purged, and not forgotten: {:?}", self.daemon);
    }
}
