//! What volumes are stored on: one trait, its contract, and the backends behind it.
//!
//! A backend makes, attaches, grows and deletes storage. It knows nothing of file systems, names
//! in use, holders or records: the engine does. `conformance` is the contract as a test suite, and
//! every backend passes it.

#[cfg(test)]
mod conformance;
#[cfg(feature = "ebs")]
pub mod ebs;
pub mod local;
pub mod nfs;

use std::{collections::HashSet, error::Error, fmt, mem, path::Path, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{
    spec::{BackendKind, BackendSpec, Bytes, Spec, VolumeName},
    sys::mountinfo::Mount,
    volume::{Device, Handle, Record, Transit, VolumeId},
};

/// What a backend is told about a volume.
#[derive(Debug, Clone)]
pub struct VolumeRef {
    /// The identity: what storage is known by, and tagged with.
    pub id: VolumeId,
    /// The name, for messages and tags.
    pub name: VolumeName,
    /// What the backend called the storage when it was made; `None` while that is not known.
    pub handle: Option<Handle>,
    /// How often storage was made for this volume before.
    pub generation: u32,
    /// When the volume was first asked for.
    pub created_at: Timestamp,
    /// What it is, or is to be.
    pub spec: Spec,
    /// The backend's settings as they were recorded before, while `spec` has others that were asked for.
    pub changed_from: Option<BackendSpec>,
    /// The directory of its file system that tasks see, where that is not hawser's own.
    pub data_dir: Option<String>,
}

impl From<&Record> for VolumeRef {
    fn from(record: &Record) -> Self {
        let mut spec = record.spec.clone();
        let changed_from = record
            .changing_to
            .as_ref()
            .map(|wanted| mem::replace(&mut spec.backend, wanted.clone()));
        Self {
            id: record.id,
            name: record.name.clone(),
            handle: record.handle.clone(),
            generation: record.generation,
            created_at: record.created_at,
            spec,
            changed_from,
            data_dir: record.data_dir.clone(),
        }
    }
}

/// Storage that was made, or found made.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// What the backend calls it, where its id is not enough.
    pub handle: Option<Handle>,
    /// The backend's settings as they are: what the spec left open is filled in.
    pub backend: BackendSpec,
}

/// What exists of a volume's storage, seen from this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inspection {
    /// Nothing.
    Absent,
    /// Storage that is not attached here.
    Detached,
    /// Storage that is on its way to this node, or away from it.
    InTransit(Transit),
    /// Storage that is attached here.
    Attached(Device),
    /// Storage of a removed volume, out of the way of the next one of its name.
    SetAside,
}

/// Makes, attaches, grows and deletes what volumes are stored on.
///
/// For every method: it is called for one volume by one task at a time, and for different volumes
/// in parallel; it is **idempotent** (a call that finds its work done succeeds), so that it can be
/// repeated after a crash at any moment; it is not safe to cancel, and the engine never does; it
/// is bounded in time.
#[async_trait]
pub trait Backend: Send + Sync + fmt::Debug {
    /// Which backend this is.
    fn kind(&self) -> BackendKind;

    /// Makes the storage: of at least `volume.spec.size`, blank (unless the spec names a snapshot),
    /// reading as zeroes. Postcondition: it is as the spec says, verified.
    ///
    /// # Errors
    ///
    /// `Exhausted` where there is no room; nothing is left behind then.
    async fn create(&self, volume: &VolumeRef) -> Result<Created, BackendError>;

    /// Makes the storage a block device of this node. Postcondition: the device is this volume's
    /// and no other's, verified.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no storage, `InUse` where somebody else has it, `NoSlot` where this
    /// node can attach no more.
    ///
    /// # Cancellation
    ///
    /// By `cancel`, when nobody wants the volume any more: it ends soon with `Cancelled`, and what
    /// exists then is found out by looking.
    async fn attach(
        &self,
        volume: &VolumeRef,
        cancel: &CancellationToken,
    ) -> Result<Device, BackendError>;

    /// Takes the device away, after proof that nobody on this node uses it. What was begun cannot
    /// be taken back: a detach under way is waited for, and, since nobody uses the device, forced
    /// where it does not end.
    ///
    /// # Errors
    ///
    /// `InUse` while something has the device open exclusively, a mount in another namespace
    /// included: nothing was changed then.
    async fn detach(&self, volume: &VolumeRef) -> Result<(), BackendError>;

    /// Grows the storage to `to`, and the device with it where it is attached, and gives it the
    /// other settings of `volume.spec.backend` that can be changed and are not those of
    /// `volume.changed_from`. Never shrinks.
    ///
    /// # Errors
    ///
    /// `Exhausted` where there is no room: the storage has its old size then.
    async fn grow(&self, volume: &VolumeRef, to: Bytes) -> Result<(), BackendError>;

    /// Deletes the storage. Deleting what is absent succeeds.
    ///
    /// # Errors
    ///
    /// `InUse` while it is attached.
    async fn remove(&self, volume: &VolumeRef) -> Result<(), BackendError>;

    /// Looks at what exists.
    ///
    /// # Errors
    ///
    /// Not knowing is an error, never `Absent`.
    async fn inspect(&self, volume: &VolumeRef) -> Result<Inspection, BackendError>;

    /// The volumes attached to this node, in one look: recovery wakes these.
    ///
    /// # Errors
    ///
    /// Not knowing is an error.
    async fn attached(&self) -> Result<HashSet<VolumeId>, BackendError>;

    /// Looks, on this node alone, whether a device that was attached before is still the volume's: a
    /// name such as `nvme1n1` is given to the next device once it is free.
    ///
    /// # Errors
    ///
    /// `NotFound` where it is not: what there is must be looked at again.
    async fn confirm(&self, volume: &VolumeRef, device: &Device) -> Result<(), BackendError>;

    /// Writes the name and the spec beside the storage, where the backend keeps them there, so that
    /// a lost record can be rebuilt. Done after a change of either.
    ///
    /// # Errors
    ///
    /// What is written there is the older state then.
    async fn describe(&self, _volume: &VolumeRef) -> Result<(), BackendError> {
        Ok(())
    }

    /// Volumes that are directories, where the backend has them: `BackendSpec::is_directory` says
    /// which of its volumes are.
    fn directories(&self) -> Option<&dyn Directories> {
        None
    }

    /// Keeping other machines away from a volume, where the backend can do that.
    fn fencing(&self) -> Option<&dyn Fencing> {
        None
    }

    /// Where this node is in the backend's cloud, where it is in one.
    fn placement(&self) -> Option<&dyn Placement> {
        None
    }

    /// Snapshots, where the backend has them.
    fn snapshots(&self) -> Option<&dyn Snapshots> {
        None
    }

    /// Storage that no record knows, where the backend can find it.
    fn imports(&self) -> Option<&dyn Imports> {
        None
    }
}

/// Volumes that are directories on a server: mounted as they are, without a device, without a file
/// system of hawser's own, and by any number of nodes. For these, `attach` and `detach` are not
/// called.
#[async_trait]
pub trait Directories: Send + Sync {
    /// Mounts the volume at `target`, which exists. Postcondition: it is this volume's directory.
    ///
    /// # Errors
    ///
    /// Within seconds where the server does not answer. Nothing is mounted then.
    async fn mount(&self, volume: &VolumeRef, target: &Path) -> Result<(), BackendError>;

    /// Unmounts what `mount` mounted, in bounded time also where the server does not answer.
    ///
    /// # Errors
    ///
    /// `InUse` while somebody uses it.
    async fn unmount(&self, volume: &VolumeRef, target: &Path) -> Result<(), BackendError>;

    /// Whether a mount, or a bind of a directory in it, is the volume's: decided without asking
    /// anybody, since a server that is away lets everybody wait who touches its mounts.
    fn shows(&self, volume: &VolumeRef, mount: &Mount) -> bool;

    /// Puts the storage of a removed volume out of the way of the next one of its name, from where
    /// `create` brings it back. Where another node has the volume, this node's share in it ends.
    ///
    /// # Errors
    ///
    /// It is where it was then.
    async fn set_aside(&self, volume: &VolumeRef) -> Result<(), BackendError>;

    /// Whether the server answers.
    ///
    /// # Errors
    ///
    /// Why it does not serve the volume now.
    async fn answers(&self, volume: &VolumeRef) -> Result<(), BackendError>;

    /// Adds up what the volume holds, at a bounded rate: minutes, for a large one.
    ///
    /// # Errors
    ///
    /// Not knowing is an error.
    async fn measure(&self, volume: &VolumeRef) -> Result<Bytes, BackendError>;

    /// How its size is kept to.
    fn accounting(&self, volume: &VolumeRef) -> Accounting;
}

/// How the size of a directory is kept to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accounting {
    /// How often it is measured; `None` is never.
    pub every: Option<Duration>,
    /// Whether one that holds more than its size is mounted.
    pub beyond: Beyond,
}

/// What becomes of a volume that holds more than its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// It is said in the log and by `inspect`.
    Said,
    /// It is not mounted for further tasks.
    Refused,
}

/// Keeping other machines away from a volume: what a takeover stands on.
#[async_trait]
pub trait Fencing: Send + Sync {
    /// What the backend calls the machine of this node.
    ///
    /// # Errors
    ///
    /// Where nobody tells.
    async fn machine(&self) -> Result<String, BackendError>;

    /// Whether that machine can still write to what is attached to it.
    ///
    /// # Errors
    ///
    /// Not knowing is an error, never `Gone`.
    async fn state(&self, machine: &str) -> Result<MachineState, BackendError>;

    /// Takes the volume away from that machine, whether it lets go of it or not. Postcondition: no
    /// write of that machine reaches the volume any more. Only what does not end by itself is
    /// forced. It succeeds where that machine does not have the volume.
    ///
    /// # Errors
    ///
    /// `InUse` where a third machine has it: nothing was changed then.
    async fn fence(&self, volume: &VolumeRef, machine: &str) -> Result<(), BackendError>;
}

/// Whether a machine can still write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineState {
    /// It runs, or is about to run, or has not stopped yet.
    Runs,
    /// It is stopped, or terminated, or there is none of that name.
    Gone,
}

/// Where this node is in the backend's cloud, and what still fits there. Nothing is decided by it: it is
/// for who places tasks.
#[async_trait]
pub trait Placement: Send + Sync {
    /// The zone that this node is in.
    ///
    /// # Errors
    ///
    /// Where nobody tells.
    async fn zone(&self) -> Result<String, BackendError>;

    /// How many more volumes can be attached to this node; none where the cloud does not tell. The cloud
    /// is asked until it has answered once, and nobody from then on.
    ///
    /// # Errors
    ///
    /// Not knowing is an error.
    async fn free_slots(&self) -> Result<Option<u32>, BackendError>;
}

/// Copies of a volume's storage at a moment.
#[async_trait]
pub trait Snapshots: Send + Sync {
    /// Begins a snapshot; it holds what was written when this returns. It is complete later.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no storage.
    async fn create(&self, volume: &VolumeRef, description: &str)
    -> Result<Snapshot, BackendError>;

    /// The snapshots of this cluster, newest first; those of one volume, or all.
    ///
    /// # Errors
    ///
    /// Not knowing is an error.
    async fn list(&self, of: Option<VolumeId>) -> Result<Vec<Snapshot>, BackendError>;

    /// Deletes a snapshot of this cluster. Deleting what is absent succeeds.
    ///
    /// # Errors
    ///
    /// `Foreign` where it is not this cluster's.
    async fn remove(&self, id: &str) -> Result<(), BackendError>;
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What the backend calls it: what `snapshot=` takes.
    pub id: String,
    /// The volume that it was made of.
    pub volume: VolumeId,
    /// That volume's name when it was made.
    pub name: String,
    /// The volume's size then.
    pub size: Bytes,
    /// The backend's word for how far it is, such as `pending` or `completed`.
    pub state: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Storage that exists and has no record here: made by another plugin, or by a hawser whose store
/// was lost.
#[async_trait]
pub trait Imports: Send + Sync {
    /// Whether a handle is of this backend, by its form.
    fn recognises(&self, handle: &Handle) -> bool;

    /// What could be imported.
    ///
    /// # Errors
    ///
    /// Not knowing is an error.
    async fn candidates(&self) -> Result<Vec<Candidate>, BackendError>;

    /// What is known of one of them.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is none of that handle.
    async fn candidate(&self, handle: &Handle) -> Result<Candidate, BackendError>;

    /// Marks storage as this cluster's and this volume's (`volume.handle` says which).
    ///
    /// # Errors
    ///
    /// `InUse` where it is attached, or is another volume's by its mark.
    async fn adopt(&self, volume: &VolumeRef) -> Result<Created, BackendError>;
}

/// Storage that could be imported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// What the backend calls it.
    pub handle: Handle,
    /// By which mark it was recognised.
    pub made_by: Maker,
    /// The name that it has there.
    pub name: String,
    /// Its size.
    pub size: Bytes,
    /// The backend's settings as they are.
    pub backend: BackendSpec,
    /// The directory of its file system that tasks saw; empty for all of it.
    pub data_dir: String,
    /// The volume's id and whole spec, where hawser made it.
    pub known: Option<(VolumeId, Spec)>,
    /// The id that the storage itself is marked with, where other nodes may use it under records of their
    /// own: the nodes of a cluster share one record of it, which has that id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_id: Option<VolumeId>,
    /// Who uses it now, in the backend's words.
    pub in_use_by: Option<String>,
}

/// Which plugin made a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Maker {
    /// This one.
    Hawser,
    /// REX-Ray.
    RexRay,
    /// Docker for AWS.
    Cloudstor,
    /// Rancher's.
    Convoy,
    /// None that is known: it has a name only.
    Unknown,
}

/// What the caller can do about a backend's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The storage is not there.
    NotFound,
    /// Somebody else uses it.
    InUse,
    /// There is no room for it.
    Exhausted,
    /// This node can attach no more volumes.
    NoSlot,
    /// It was called off.
    Cancelled,
    /// It is not this cluster's.
    Foreign,
    /// It failed, and what exists now is found out by looking.
    Failed,
}

/// A backend's error: what failed, for which volume, why.
#[derive(Debug, thiserror::Error)]
#[error("{op} on backend {backend}: {source}")]
pub struct BackendError {
    /// What the caller can do about it.
    pub kind: ErrorKind,
    /// What was being done.
    pub op: &'static str,
    /// By which backend.
    pub backend: BackendKind,
    /// Why it failed.
    pub source: Box<dyn Error + Send + Sync>,
}
