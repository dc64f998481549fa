//! The world that the steps act on: storage, kernel, and containers with namespaces of their own.
//!
//! It outlives hawser's crashes, and it is where the damage would be done: every step asserts that
//! it is allowed to happen, whatever the plan thought.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::{
    spec::Bytes,
    volume::{
        Contents, Device, DeviceContent, Observed, Phase, Purge, Record, Remote, Transit,
        effect::{Effect, Outcome},
        plan::Ext4OnlineGrow,
        transition::Outside,
    },
};

/// What is on the storage.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FileSystem {
    Half,
    /// What was written last, and the size that it fills.
    Whole {
        data: u32,
        size: Bytes,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Storage {
    /// How often it had been made before: what a cloud's token says.
    pub(super) generation: u32,
    pub(super) size: Bytes,
    pub(super) file_system: Option<FileSystem>,
}

/// How a step goes, apart from what hawser learns of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Extent {
    Nothing,
    Half,
    Everything,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) storage: Option<Storage>,
    pub(super) attached: bool,
    /// Of a cloud: an attachment on its way.
    pub(super) transit: Option<Transit>,
    /// Storage is made by a cloud, which calls it by names of its own, and attaches and detaches in
    /// its own time.
    pub(super) cloud: bool,
    /// Storage is a directory: no device, made with what tasks see, and put aside after a removal.
    pub(super) directory: bool,
    /// It is put aside.
    pub(super) aside: bool,
    pub(super) staged: bool,
    /// Writers are held for a snapshot.
    pub(super) frozen: bool,
    pub(super) published: bool,
    /// The containers that run and have the file system in their mount namespaces.
    pub(super) containers: BTreeSet<String>,
    pub(super) ext4: Ext4OnlineGrow,
    pub(super) now: Timestamp,
    /// What is stored durably.
    pub(super) stored: Record,
    /// How often each way was taken, so that the tests can tell that they test something.
    pub(super) formats: u32,
    pub(super) destroyed: u32,
}

impl World {
    pub(super) fn outside(&self) -> Outside {
        if self.containers.is_empty() { Outside::Free } else { Outside::Held }
    }

    pub(super) fn is_released(&self) -> bool {
        !self.attached && self.transit.is_none() && !self.staged && !self.published
    }

    pub(super) fn data(&self) -> Option<u32> {
        match self.storage.as_ref()?.file_system {
            Some(FileSystem::Whole { data, .. }) => Some(data),
            Some(FileSystem::Half) | None => None,
        }
    }

    /// A container writes.
    pub(super) fn write(&mut self, new: u32) {
        assert!(
            self.staged && self.published && !self.frozen,
            "a running container's volume is not mounted"
        );
        let storage = self.storage.as_mut().expect("a running container's storage is gone");
        match &mut storage.file_system {
            Some(FileSystem::Whole { data, .. }) => *data = new,
            other => panic!("a running container's file system is {other:?}"),
        }
    }

    pub(super) fn reboot(&mut self) {
        // A cloud's attachment outlives the machine.
        (self.staged, self.published, self.frozen) = (false, false, false);
        self.attached &= self.cloud;
        self.containers.clear();
    }

    fn observe(&self, record: &Record) -> Observed {
        let device = Device { path: "/dev/loop7".into(), number: (7, 7) };
        Observed {
            provisioned: self.storage.is_some(),
            aside: self.aside,
            device: self.attached.then_some(device),
            transit: self.transit,
            content: None,
            destroyed: false,
            half_made: record.contents == Contents::Formatting && self.storage.is_some(),
            staged: self.staged,
            shut_down: false,
            published: self.published,
            exported: None,
            remote: Remote::default(),
            grow_at_next_mount: false,
        }
    }

    /// Carries a step out, as far as `extent` says. `None`: it cannot be done.
    pub(super) fn execute(
        &mut self,
        effect: Effect,
        record: &Record,
        extent: Extent,
    ) -> Option<Outcome> {
        self.assert_allowed(effect);
        if extent == Extent::Nothing && effect != Effect::Observe {
            return None;
        }
        match effect {
            Effect::Observe => return Some(Outcome::Observed(self.observe(record))),
            Effect::Own
            | Effect::Recall
            | Effect::Fence
            | Effect::ShutDown
            | Effect::Export
            | Effect::Unexport
            | Effect::Connect
            | Effect::Reach
            | Effect::Unreach => {
                panic!("{effect:?} without a cluster")
            }
            Effect::Provision => {
                let (size, generation) = (record.spec.size, record.generation);
                let whole = FileSystem::Whole { data: 0, size };
                let file_system = self.directory.then_some(whole);
                let new = Storage { size, generation, file_system };
                let made = self.storage.get_or_insert(new);
                assert_eq!(made.generation, generation, "the name of what was deleted");
                self.aside = false;
                let handle = self.cloud.then(|| format!("vol-{generation}").into());
                return Some(Outcome::Provisioned { handle, backend: record.spec.backend.clone() });
            }
            Effect::Attach => {
                self.storage.as_ref()?;
                if self.cloud && extent == Extent::Half && !self.attached {
                    self.transit = Some(Transit::Attaching);
                    return None;
                }
                (self.attached, self.transit) = (true, None);
                let device = Device { path: "/dev/loop7".into(), number: (7, 7) };
                return Some(Outcome::Attached(device));
            }
            Effect::Probe => {
                let blank = self.storage.as_ref()?.file_system.is_none();
                let content = if blank { DeviceContent::Blank } else { DeviceContent::Something };
                return Some(Outcome::Probed(content));
            }
            Effect::Format => {
                self.formats += 1;
                let whole = extent == Extent::Everything;
                let storage = self.storage.as_mut()?;
                let new = FileSystem::Whole { data: 0, size: storage.size };
                storage.file_system = Some(if whole { new } else { FileSystem::Half });
                self.staged = whole;
            }
            Effect::GrowStorage { to } => {
                let storage = self.storage.as_mut()?;
                storage.size = storage.size.max(to);
                return Some(Outcome::Grown { to, backend: record.spec.backend.clone() });
            }
            Effect::GrowOffline => self.grow_file_system()?,
            Effect::Stage => {
                self.data()?;
                self.staged = true;
            }
            Effect::GrowOnline if self.ext4 == Ext4OnlineGrow::NotPossible => {
                return Some(Outcome::Deferred);
            }
            Effect::GrowOnline => self.grow_file_system()?,
            Effect::Thaw => self.frozen = false,
            Effect::Publish => self.published = true,
            Effect::Unpublish => self.published = false,
            Effect::Unstage => self.staged = false,
            Effect::Detach if self.cloud && extent == Extent::Half => {
                self.attached = false;
                self.transit = Some(Transit::Detaching);
            }
            Effect::Detach => (self.attached, self.transit) = (false, None),
            Effect::SetAside => self.aside = true,
            Effect::Destroy => {
                self.aside = false;
                self.destroyed += u32::from(self.storage.is_some());
                self.storage = None;
            }
        }
        Some(Outcome::Done)
    }

    fn grow_file_system(&mut self) -> Option<()> {
        let storage = self.storage.as_mut()?;
        let Some(FileSystem::Whole { size, .. }) = &mut storage.file_system else { return None };
        *size = storage.size;
        Some(())
    }

    fn assert_allowed(&self, effect: Effect) {
        match effect {
            Effect::Observe
            | Effect::Own
            | Effect::Recall
            | Effect::Fence
            | Effect::ShutDown
            | Effect::Export
            | Effect::Unexport
            | Effect::Connect
            | Effect::Reach
            | Effect::Unreach => {}
            Effect::Provision => self.assert_nothing_is_provisioned_in_place_of_data(),
            Effect::Attach => {
                assert!(!self.directory, "a directory has no device");
                assert_ne!(self.transit, Some(Transit::Detaching), "attached while it detaches");
            }
            Effect::GrowStorage { .. } => {}
            Effect::Probe => assert!(self.attached && !self.staged),
            Effect::Format => self.assert_mkfs_is_on_a_blank_device_with_the_intent_stored(),
            Effect::GrowOffline => assert!(self.attached && !self.staged),
            Effect::Stage => {
                assert!(self.attached != self.directory && !self.staged && !self.aside);
            }
            Effect::SetAside => {
                assert!(self.directory && self.is_released() && self.stored.is_removed());
            }
            Effect::GrowOnline => assert!(self.staged && self.published),
            Effect::Thaw => assert!(self.staged),
            Effect::Publish => assert!(self.staged && !self.published),
            Effect::Unpublish | Effect::Unstage | Effect::Detach => {
                let users = &self.containers;
                assert!(users.is_empty(), "{effect:?} under running containers {users:?}");
                assert!(effect != Effect::Unstage || !self.published, "{effect:?}");
                assert!(!self.frozen, "{effect:?} of a frozen file system");
                assert!(effect != Effect::Detach || !self.staged, "{effect:?}");
            }
            Effect::Destroy => self.assert_only_unused_and_unwanted_storage_is_destroyed(),
        }
    }

    fn assert_nothing_is_provisioned_in_place_of_data(&self) {
        let back = self.aside;
        assert!(back || self.stored.contents != Contents::Formatted, "data would be replaced");
        assert!(!self.stored.is_removed());
    }

    fn assert_mkfs_is_on_a_blank_device_with_the_intent_stored(&self) {
        assert!(self.attached && !self.staged);
        assert_eq!(self.stored.contents, Contents::Formatting, "mkfs without a stored intent");
        let storage = self.storage.as_ref().expect("mkfs needs storage");
        assert_eq!(storage.file_system, None, "mkfs over a file system");
    }

    fn assert_only_unused_and_unwanted_storage_is_destroyed(&self) {
        assert!(self.is_released(), "destroyed while in the kernel");
        assert!(self.containers.is_empty(), "destroyed under a container");
        let due = match self.stored.phase {
            Phase::Removed { purge: Purge::At(at) | Purge::Condemned(at), .. } => at <= self.now,
            Phase::Removed { purge: Purge::Never, .. } | Phase::Creating | Phase::Ready => false,
        };
        let data = self.stored.contents == Contents::Formatted;
        assert!(due || !data, "data destroyed though nobody let go of it: {:?}", self.stored);
    }
}
