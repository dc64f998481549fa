//! The steps that a volume's life is made of, and what the knowledge of it becomes after each.

use uuid::Uuid;

use super::{
    Contents, Device, DeviceContent, Epoch, Handle, Lease, Observed, Record, Remote,
    transition::Event,
};
use crate::spec::{BackendSpec, Bytes};

/// One step, done by the engine. Every one can be repeated: after a crash the plan asks for it
/// again if its result is not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Look at what exists.
    Observe,
    /// Find out what has to be done to own the volume, and have the other nodes do their part of it.
    Own,
    /// Have the node that has the writer claim give it back, if no task there uses the volume.
    Recall,
    /// Keep the former owner, which is dead, from the storage.
    Fence,
    /// Make what is mounted go nowhere: its storage is another node's.
    ShutDown,
    /// Make the storage (an image file, an EBS volume).
    Provision,
    /// Make the storage a block device of this node.
    Attach,
    /// See whether the device is blank.
    Probe,
    /// mkfs on the blank device, mount it at the stage, make the data directory.
    Format,
    /// Grow the storage and, where it is attached, the device; give it the settings that a change is
    /// on its way to.
    GrowStorage {
        /// The size to reach.
        to: Bytes,
    },
    /// Grow the file system before it is mounted.
    GrowOffline,
    /// Mount the file system at the stage.
    Stage,
    /// Grow the file system while it is mounted.
    GrowOnline,
    /// Let the writers of a file system that was held still go on.
    Thaw,
    /// Bind the data directory to the published path.
    Publish,
    /// Undo [`Effect::Publish`].
    Unpublish,
    /// Undo [`Effect::Stage`].
    Unstage,
    /// Undo [`Effect::Attach`], after proof that nobody uses the device.
    Detach,
    /// Serve the staged file system to other nodes.
    Export,
    /// Undo [`Effect::Export`].
    Unexport,
    /// Lead the tunnel to the volume's owner.
    Connect,
    /// Mount what the owner serves.
    Reach,
    /// Undo [`Effect::Reach`] and [`Effect::Connect`].
    Unreach,
    /// Put the storage of a removed volume out of the way of the next one of its name.
    SetAside,
    /// Delete the storage.
    Destroy,
}

impl Effect {
    /// True for the steps towards nothing being in the kernel.
    #[must_use]
    pub const fn lets_go(self) -> bool {
        match self {
            Self::Unpublish | Self::Unreach | Self::Unexport | Self::Unstage | Self::Detach => true,
            Self::Observe
            | Self::Own
            | Self::Recall
            | Self::Fence
            | Self::ShutDown
            | Self::Provision
            | Self::Attach
            | Self::Probe
            | Self::Format
            | Self::GrowStorage { .. }
            | Self::GrowOffline
            | Self::Stage
            | Self::GrowOnline
            | Self::Thaw
            | Self::Publish
            | Self::Export
            | Self::Connect
            | Self::Reach
            | Self::SetAside
            | Self::Destroy => false,
        }
    }

    /// True for the steps that nobody may do whose storage it is not, and that cannot be undone.
    #[must_use]
    pub const fn is_irrevocable(self) -> bool {
        match self {
            Self::Provision
            | Self::Attach
            | Self::Format
            | Self::Destroy
            | Self::SetAside
            | Self::Fence => true,
            Self::Observe
            | Self::Own
            | Self::Recall
            | Self::ShutDown
            | Self::Probe
            | Self::GrowStorage { .. }
            | Self::GrowOffline
            | Self::Stage
            | Self::GrowOnline
            | Self::Thaw
            | Self::Publish
            | Self::Unpublish
            | Self::Export
            | Self::Unexport
            | Self::Connect
            | Self::Reach
            | Self::Unreach
            | Self::Unstage
            | Self::Detach => false,
        }
    }

    /// True for the steps by which nodes share a volume.
    #[must_use]
    pub const fn shares(self) -> bool {
        matches!(self, Self::Export | Self::Unexport | Self::Connect | Self::Reach | Self::Unreach)
    }

    /// True for the steps with which a node begins to use the storage as its own.
    #[must_use]
    pub const fn uses_storage(self) -> bool {
        match self {
            Self::Provision
            | Self::Attach
            | Self::Format
            | Self::GrowOffline
            | Self::Stage
            | Self::Destroy => true,
            Self::Observe
            | Self::Own
            | Self::Recall
            | Self::Fence
            | Self::ShutDown
            | Self::Probe
            | Self::GrowStorage { .. }
            | Self::GrowOnline
            | Self::Thaw
            | Self::Publish
            | Self::Unpublish
            | Self::Export
            | Self::Unexport
            | Self::Connect
            | Self::Reach
            | Self::Unreach
            | Self::Unstage
            | Self::Detach
            | Self::SetAside => false,
        }
    }

    /// The step's name in logs, errors and fault points.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Own => "own",
            Self::Recall => "recall",
            Self::Fence => "fence",
            Self::ShutDown => "shut-down",
            Self::Provision => "provision",
            Self::Attach => "attach",
            Self::Probe => "probe",
            Self::Format => "format",
            Self::GrowStorage { .. } => "grow-storage",
            Self::GrowOffline => "grow-offline",
            Self::Stage => "stage",
            Self::GrowOnline => "grow-online",
            Self::Thaw => "thaw",
            Self::Publish => "publish",
            Self::Unpublish => "unpublish",
            Self::Unstage => "unstage",
            Self::Detach => "detach",
            Self::Export => "export",
            Self::Unexport => "unexport",
            Self::Connect => "connect",
            Self::Reach => "reach",
            Self::Unreach => "unreach",
            Self::SetAside => "set-aside",
            Self::Destroy => "destroy",
        }
    }
}

/// How a step ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It did what its name says.
    Done,
    /// The storage that [`Effect::Provision`] made.
    Provisioned {
        /// What the backend calls it.
        handle: Option<Handle>,
        /// The backend's settings as they are.
        backend: BackendSpec,
    },
    /// The storage as [`Effect::GrowStorage`] left it.
    Grown {
        /// Its size.
        to: Bytes,
        /// The backend's settings.
        backend: BackendSpec,
    },
    /// What [`Effect::Observe`] found.
    Observed(Observed),
    /// [`Effect::Own`] found that this lease can be claimed.
    Claimable(Lease),
    /// [`Effect::Own`] found the record changed: it is to be taken over from the store.
    Outdated,
    /// [`Effect::Own`] found that the owner, whose session is over, answers and goes on with it.
    OwnerAnswers,
    /// The device that [`Effect::Attach`] made.
    Attached(Device),
    /// [`Effect::Export`] serves it as the owner of that epoch.
    Exported(Epoch),
    /// [`Effect::Connect`] leads to the owner of that epoch.
    Connected(Epoch),
    /// What [`Effect::Probe`] found.
    Probed(DeviceContent),
    /// [`Effect::GrowOnline`] is not possible on this node: at the next mount, then.
    Deferred,
}

impl Outcome {
    /// The outcome that a step usually has.
    #[must_use]
    pub fn foreseen(effect: Effect, record: &Record) -> Self {
        let backend = || record.changing_to.as_ref().unwrap_or(&record.spec.backend).clone();
        match effect {
            Effect::Provision => {
                Self::Provisioned { handle: record.handle.clone(), backend: backend() }
            }
            Effect::GrowStorage { to } => Self::Grown { to, backend: backend() },
            Effect::Attach => Self::Attached(Device { path: "/dev/loop".into(), number: (7, 0) }),
            Effect::Probe if record.contents == Contents::Inherited => {
                Self::Probed(DeviceContent::FileSystem { fs: record.spec.fs, uuid: Uuid::nil() })
            }
            Effect::Probe => Self::Probed(DeviceContent::Blank),
            Effect::Own => Self::Claimable(record.lease.clone()),
            Effect::Export => Self::Exported(record.lease.epoch),
            Effect::Connect => Self::Connected(record.lease.epoch),
            Effect::Observe
            | Effect::Recall
            | Effect::Fence
            | Effect::ShutDown
            | Effect::Format
            | Effect::GrowOffline
            | Effect::Stage
            | Effect::GrowOnline
            | Effect::Thaw
            | Effect::Publish
            | Effect::Unpublish
            | Effect::Unstage
            | Effect::Detach
            | Effect::Unexport
            | Effect::Reach
            | Effect::Unreach
            | Effect::SetAside
            | Effect::Destroy => Self::Done,
        }
    }
}

/// The observation after a successful step, and the change of the record that goes with it.
#[must_use]
pub fn absorb(mut seen: Observed, effect: Effect, outcome: Outcome) -> (Observed, Option<Event>) {
    let mut event = None;
    match effect {
        Effect::Observe | Effect::Own | Effect::Recall => {}
        Effect::Fence => event = Some(Event::Fenced),
        Effect::ShutDown => seen.shut_down = true,
        Effect::Provision => {
            seen.provisioned = true;
            seen.aside = false;
            seen.destroyed = false;
        }
        Effect::Attach | Effect::Probe => {}
        Effect::Format => {
            seen.staged = true;
            event = Some(Event::Formatted);
        }
        Effect::GrowStorage { .. } => seen.grow_at_next_mount = false,
        Effect::GrowOffline => event = Some(Event::FileSystemGrown),
        Effect::Stage => {
            seen.staged = true;
            seen.shut_down = false;
        }
        Effect::GrowOnline => event = Some(Event::FileSystemGrown),
        Effect::Thaw => event = Some(Event::Thawed),
        // What is mounted of another node's is published, and nothing else: see `plan::reach`.
        Effect::Publish if seen.remote.mounted => seen.remote.published = true,
        Effect::Publish => seen.published = true,
        Effect::Unpublish => {
            seen.published = false;
            seen.remote.published = false;
        }
        Effect::Export | Effect::Connect => {}
        Effect::Unexport => seen.exported = None,
        Effect::Reach => seen.remote.mounted = true,
        Effect::Unreach => seen.remote = Remote::default(),
        Effect::Unstage => {
            seen.staged = false;
            seen.grow_at_next_mount = false;
        }
        Effect::Detach => {
            seen.device = None;
            seen.transit = None;
            seen.content = None;
        }
        Effect::SetAside => seen.aside = true,
        Effect::Destroy => {
            seen.provisioned = false;
            seen.aside = false;
            seen.destroyed = true;
            seen.half_made = false;
            event = Some(Event::StorageGone);
        }
    }
    match outcome {
        Outcome::Done => {}
        Outcome::Provisioned { handle, backend } => {
            event = Some(Event::Provisioned { handle, backend });
        }
        Outcome::Grown { to, backend } => event = Some(Event::StorageGrown { to, backend }),
        Outcome::Observed(observed) => seen = observed,
        Outcome::Claimable(lease) => event = Some(Event::Claimed { lease }),
        Outcome::Outdated | Outcome::OwnerAnswers => {}
        Outcome::Exported(epoch) => seen.exported = Some(epoch),
        Outcome::Connected(epoch) => seen.remote.connected = Some(epoch),
        Outcome::Attached(device) => {
            seen.device = Some(device);
            seen.transit = None;
        }
        Outcome::Probed(content) => seen.content = Some(content),
        Outcome::Deferred => {
            seen.grow_at_next_mount = true;
            event = None;
        }
    }
    (seen, event)
}

#[cfg(test)]
mod tests;
