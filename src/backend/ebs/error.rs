//! What can go wrong, before the operation is added to it, and what the caller can do about it.

use std::{path::PathBuf, time::Duration};

use super::{
    api::{ApiError, NoMetadata},
    device::WrongDevice,
};
use crate::{backend::ErrorKind, spec::BackendKind, sys::blockdev, volume::VolumeId};

/// An error before the operation is added to it. `on` is the volume in EC2's words.
#[derive(Debug, thiserror::Error)]
pub(super) enum EbsError {
    #[error("{on}: {source}")]
    Api { on: String, source: ApiError },
    #[error("no EBS volume {0} exists")]
    NoStorage(String),
    #[error("{on} is not this cluster's to change: {why}")]
    Foreign { on: String, why: String },
    #[error("{on} is in use: {why}")]
    InUse { on: String, why: String },
    #[error("{on}: {source}")]
    DeviceInUse { on: String, source: blockdev::InUse },
    #[error("{on} is not as it was asked for: {differences}")]
    Mismatch { on: String, differences: String },
    #[error("{on} cannot be attached to {node}: {why}")]
    NoSlot { on: String, node: String, why: String },
    #[error("{on} was to be {wanted} within {limit:?} and is not: {seen}")]
    TooLong { on: String, wanted: &'static str, limit: Duration, seen: String },
    #[error("{on} was to be {wanted} within {limit:?}, and whether it is, is not known: {why}")]
    NotKnown { on: String, wanted: &'static str, limit: Duration, why: String },
    #[error("{on}: {why}")]
    State { on: String, why: String },
    #[error("{on}: {source}")]
    Device { on: String, source: WrongDevice },
    #[error("not on EC2 and no {what} configured: set backends.ebs.{key} ({source})")]
    NoNode { what: &'static str, key: &'static str, source: NoMetadata },
    #[error("several volumes carry the tag of volume {id}: {found}; delete, or untag, all but one")]
    Several { id: VolumeId, found: String },
    #[error("it was called off")]
    Cancelled,
    #[error("the volume is on {0}, not on this backend")]
    OtherBackend(BackendKind),
    #[error("looking at the devices in {} failed: {why}", .dir.display())]
    Look { dir: PathBuf, why: String },
}

impl EbsError {
    pub(super) fn api(on: &str) -> impl FnOnce(ApiError) -> Self {
        let on = on.to_owned();
        move |source| Self::Api { on, source }
    }

    pub(super) fn state(on: &str, why: impl Into<String>) -> Self {
        Self::State { on: on.to_owned(), why: why.into() }
    }

    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Api { source, .. } => kind_of(source),
            Self::NoStorage(_) => ErrorKind::NotFound,
            Self::Foreign { .. } => ErrorKind::Foreign,
            Self::InUse { .. } | Self::DeviceInUse { .. } => ErrorKind::InUse,
            Self::NoSlot { .. } => ErrorKind::NoSlot,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::Mismatch { .. }
            | Self::TooLong { .. }
            | Self::NotKnown { .. }
            | Self::State { .. }
            | Self::Device { .. }
            | Self::NoNode { .. }
            | Self::Several { .. }
            | Self::OtherBackend(_)
            | Self::Look { .. } => ErrorKind::Failed,
        }
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>
fn kind_of(error: &ApiError) -> ErrorKind {
    let exhausted = [
        "VolumeLimitExceeded",
        "MaxIOPSLimitExceeded",
        "InsufficientVolumeCapacity",
        "SnapshotLimitExceeded",
        "ConcurrentSnapshotLimitExceeded",
    ];
    // Larger than any volume of its type can be: EC2 has no code of its own for it.
    let too_large = error.is(&["InvalidParameterValue"]) && error.message.contains("too large");
    if error.is(&exhausted) || too_large {
        ErrorKind::Exhausted
    } else if error.is(&["AttachmentLimitExceeded"]) {
        ErrorKind::NoSlot
    } else if error.is(&["InvalidVolume.NotFound"]) {
        ErrorKind::NotFound
    } else if error.is(&["VolumeInUse"]) {
        ErrorKind::InUse
    } else {
        ErrorKind::Failed
    }
}
