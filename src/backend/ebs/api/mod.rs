//! EC2's API, as far as this backend needs it: the only place that names the AWS SDK.
//!
//! One thin function per call, with small types of our own in and out. Each kind of call has a
//! client of its own with its own rate limiter and retry budget, so that `RequestLimitExceeded`
//! slows only its own kind. Nothing is asked before the first call: the backend opens without a
//! network.

mod attachments;
mod call;
mod client;
mod error;
mod instances;
mod metadata;
mod snapshots;
mod tags;
mod types;
mod volumes;

pub(super) use call::{Access, Call};
pub(super) use client::{Api, ApiSettings};
pub(super) use error::ApiError;
pub(super) use metadata::NoMetadata;
pub(super) use snapshots::Ec2Snapshot;
pub(super) use tags::Filter;
pub(super) use types::{
    Attachment, AttachmentState, Ec2Volume, InstanceStatus, InstanceView, Modification,
    ModificationState, Tags, TypeLimit, VolumeState,
};
pub(super) use volumes::{Change, NewVolume};
