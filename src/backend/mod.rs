//! What volumes are stored on: one trait, its contract, and the backends behind it.
//!
//! A backend makes, attaches, grows and deletes storage. It knows nothing of file systems, names
//! in use, holders or records: the engine does. `conformance` is the contract as a test suite, and
//! every backend passes it.

#[cfg(test)]
mod conformance;
pub mod local;

use std::{collections::HashSet, error::Error, fmt};

use async_trait::async_trait;

use crate::{
    spec::{BackendKind, BackendSpec, Bytes, VolumeName},
    volume::{Device, Record, VolumeId},
};

/// What a backend is told about a volume.
#[derive(Debug, Clone)]
pub struct VolumeRef {
    /// The identity: the only thing that storage is known by.
    pub id: VolumeId,
    /// The name, for messages and tags.
    pub name: VolumeName,
    /// The size that it has, or is to have.
    pub size: Bytes,
    /// What was asked of this backend.
    pub spec: BackendSpec,
}

impl From<&Record> for VolumeRef {
    fn from(record: &Record) -> Self {
        Self {
            id: record.id,
            name: record.name.clone(),
            size: record.spec.size,
            spec: record.spec.backend.clone(),
        }
    }
}

/// What exists of a volume's storage, seen from this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inspection {
    /// Nothing.
    Absent,
    /// Storage that is not attached here.
    Detached,
    /// Storage that is attached here.
    Attached(Device),
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

    /// Makes the storage: of at least `volume.size`, blank, reading as zeroes.
    ///
    /// # Errors
    ///
    /// `Exhausted` where there is no room; nothing is left behind then.
    async fn create(&self, volume: &VolumeRef) -> Result<(), BackendError>;

    /// Makes the storage a block device of this node. Postcondition: the device is this volume's
    /// and no other's, verified.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no storage, `InUse` where somebody else has it.
    async fn attach(&self, volume: &VolumeRef) -> Result<Device, BackendError>;

    /// Takes the device away, after proof that nobody on this node uses it.
    ///
    /// # Errors
    ///
    /// `InUse` while something has the device open exclusively, a mount in another namespace
    /// included: nothing was changed then.
    async fn detach(&self, volume: &VolumeRef) -> Result<(), BackendError>;

    /// Grows the storage to `to`, and the device with it where it is attached. Never shrinks.
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
