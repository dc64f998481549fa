//! What a step is told of the volume that it is about.

use std::sync::Arc;

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::{
    engine::error::Cause,
    sys::mountinfo::MountTable,
    volume::{Device, Record, plan::Standing},
};

/// What a step needs to know of its volume.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The record as the step was decided on.
    pub record: Record,
    /// The device, where it is attached.
    pub device: Option<Device>,
    /// The mounts, where somebody just read them.
    pub mounts: Option<Arc<MountTable>>,
    /// Cancelled when nobody wants the step any more.
    pub cancel: CancellationToken,
    /// What the lease lets this node do.
    pub standing: Standing,
    /// It is used by way of its owner.
    pub reached: bool,
    /// It was, and another node's tasks write to it now.
    pub shut_out: bool,
}

impl Subject {
    /// Of a record alone.
    #[must_use]
    pub fn new(record: Record) -> Self {
        Self {
            record,
            device: None,
            mounts: None,
            cancel: CancellationToken::new(),
            standing: Standing::Alone,
            reached: false,
            shut_out: false,
        }
    }

    /// The mounts: as they were just read, or read now.
    pub(in crate::engine) async fn mounts(&self) -> Result<Arc<MountTable>, Cause> {
        match &self.mounts {
            Some(mounts) => Ok(Arc::clone(mounts)),
            None => Ok(Arc::new(spawn_blocking(MountTable::read).await??)),
        }
    }
}
