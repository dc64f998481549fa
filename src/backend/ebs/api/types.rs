//! What EC2 tells, in types of our own.

use std::{collections::BTreeMap, fmt};

use aws_sdk_ec2::types as sdk;
use jiff::Timestamp;

/// Tags by their key.
pub(crate) type Tags = BTreeMap<String, String>;

/// A volume.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ec2Volume {
    pub(crate) id: String,
    pub(crate) gib: u32,
    pub(crate) volume_type: String,
    pub(crate) iops: Option<u32>,
    pub(crate) throughput: Option<u32>,
    pub(crate) encrypted: bool,
    pub(crate) kms_key: Option<String>,
    pub(crate) zone: String,
    pub(crate) snapshot: Option<String>,
    /// Several instances can have it at the same time.
    pub(crate) multi_attach: bool,
    pub(crate) state: VolumeState,
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) tags: Tags,
}

/// A volume's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VolumeState {
    Creating,
    Available,
    InUse,
    Deleting,
    Deleted,
    Error,
    /// One that this version does not know.
    Unknown,
}

/// An attachment, also one that is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) instance: String,
    pub(crate) device: String,
    pub(crate) state: AttachmentState,
}

/// An attachment's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttachmentState {
    Attaching,
    Attached,
    /// Asked to detach, and the instance has not let go yet.
    Busy,
    Detaching,
}

/// What EC2 sees of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstanceView {
    pub(crate) instance_type: String,
    /// Device names, and the volumes behind them; the root volume included.
    pub(crate) devices: BTreeMap<String, String>,
    pub(crate) network_interfaces: u32,
}

/// Whether an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InstanceStatus {
    /// It does, or did a moment ago, or is about to.
    Runs,
    Stopped,
    Terminated,
    /// One that this version does not know.
    Unknown,
}

/// How many volumes an instance type takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TypeLimit {
    pub(crate) volumes: u32,
    /// Network interfaces count, too.
    pub(crate) shared: bool,
}

/// The last change of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Modification {
    pub(crate) state: ModificationState,
    pub(crate) message: Option<String>,
    pub(crate) gib: Option<u32>,
    pub(crate) volume_type: Option<String>,
    pub(crate) iops: Option<u32>,
    pub(crate) throughput: Option<u32>,
    pub(crate) started: Option<Timestamp>,
}

/// How far a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModificationState {
    Modifying,
    /// Done, as far as anybody can tell but for its speed.
    Optimizing,
    Completed,
    Failed,
}

impl fmt::Display for VolumeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Creating => "creating",
            Self::Available => "available",
            Self::InUse => "in-use",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
            Self::Error => "error",
            Self::Unknown => "unknown",
        })
    }
}

impl fmt::Display for AttachmentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Attaching => "attaching",
            Self::Attached => "attached",
            Self::Busy => "busy",
            Self::Detaching => "detaching",
        })
    }
}

impl Ec2Volume {
    /// Its attachment to an instance.
    pub(crate) fn attached_to(&self, instance: &str) -> Option<&Attachment> {
        self.attachments.iter().find(|attachment| attachment.instance == instance)
    }

    /// Its attachment to any other instance.
    pub(crate) fn attached_elsewhere(&self, instance: &str) -> Option<&Attachment> {
        self.attachments.iter().find(|attachment| attachment.instance != instance)
    }

    /// True while it exists, and goes on existing.
    pub(crate) const fn is_there(&self) -> bool {
        !matches!(self.state, VolumeState::Deleting | VolumeState::Deleted)
    }

    pub(super) fn of(volume: &sdk::Volume) -> Self {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        Self {
            id: text(volume.volume_id()),
            gib: count(volume.size()).unwrap_or_default(),
            volume_type: text(volume.volume_type().map(sdk::VolumeType::as_str)),
            iops: count(volume.iops()),
            throughput: count(volume.throughput()),
            encrypted: volume.encrypted().unwrap_or_default(),
            kms_key: volume.kms_key_id().map(str::to_owned),
            zone: text(volume.availability_zone()),
            snapshot: volume.snapshot_id().filter(|id| !id.is_empty()).map(str::to_owned),
            multi_attach: volume.multi_attach_enabled().unwrap_or_default(),
            state: match volume.state().map(sdk::VolumeState::as_str) {
                Some("creating") => VolumeState::Creating,
                Some("available") => VolumeState::Available,
                Some("in-use") => VolumeState::InUse,
                Some("deleting") => VolumeState::Deleting,
                Some("deleted") => VolumeState::Deleted,
                Some("error") => VolumeState::Error,
                Some(_) | None => VolumeState::Unknown,
            },
            attachments: volume.attachments().iter().filter_map(Attachment::of).collect(),
            tags: super::tags::read(volume.tags()),
        }
    }
}

impl Attachment {
    /// Whether it was asked to end and has not yet.
    pub(crate) const fn is_leaving(&self) -> bool {
        matches!(self.state, AttachmentState::Detaching | AttachmentState::Busy)
    }

    /// `None` where it is over.
    fn of(attachment: &sdk::VolumeAttachment) -> Option<Self> {
        let state = match attachment.state().map(sdk::VolumeAttachmentState::as_str) {
            Some("detached") => return None,
            Some("attached") => AttachmentState::Attached,
            Some("detaching") => AttachmentState::Detaching,
            Some("busy") => AttachmentState::Busy,
            // What is not known is not to be used yet.
            Some(_) | None => AttachmentState::Attaching,
        };
        // A managed attachment (Fargate, …) names its owner instead of an instance.
        let owner = attachment.instance_id().or_else(|| attachment.associated_resource());
        Some(Self {
            instance: owner.unwrap_or("an unknown owner").to_owned(),
            device: attachment.device().unwrap_or_default().to_owned(),
            state,
        })
    }
}

/// EC2's numbers are signed and never negative.
pub(super) fn count(number: Option<i32>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok())
}

/// A number for EC2.
pub(super) fn number(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

pub(super) fn time(time: Option<&aws_sdk_ec2::primitives::DateTime>) -> Option<Timestamp> {
    time.and_then(|time| Timestamp::from_second(time.secs()).ok())
}
