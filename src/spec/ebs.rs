//! What a volume on Amazon EBS is: its type, performance, encryption, place and attachment.
//!
//! `limits` is what AWS documents of each type; `stated` makes such a spec of what a user wrote, for
//! a new volume and for a change of one that exists.

mod limits;
mod stated;
mod tags;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    choice::{Choice, choose},
    error::Why,
};

pub use limits::{EbsLimits, IopsLimits, ThroughputLimits};
pub(super) use stated::{WITH_SNAPSHOT, same_key};
pub use tags::CONFIGURED_MAX as CONFIGURED_TAGS_MAX;
pub(super) use tags::check as check_tags;

/// An EBS volume type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EbsType {
    /// General purpose SSD: performance apart from size.
    Gp3,
    /// General purpose SSD: performance by size.
    Gp2,
    /// Provisioned IOPS SSD, five nines of durability.
    Io2,
    /// Provisioned IOPS SSD.
    Io1,
    /// Throughput optimized HDD.
    St1,
    /// Cold HDD.
    Sc1,
    /// The previous generation's magnetic disks.
    Standard,
}

/// What becomes of the attachment when nobody on the node uses the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttachPolicy {
    /// It stays until its slot is needed or the volume is removed: the next mount takes no EC2 call.
    #[default]
    Stay,
    /// It ends after the linger.
    Follow,
}

/// Settings of the EBS backend. What is `None` is the account's or the type's own value until the
/// volume is made; then it is what EC2 made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EbsSpec {
    /// The volume type.
    pub volume_type: EbsType,
    /// Provisioned IOPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iops: Option<u32>,
    /// Provisioned throughput, in MiB/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<u32>,
    /// Whether EBS encrypts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,
    /// The KMS key that encrypts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// The availability zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The snapshot that it is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// What becomes of the attachment.
    #[serde(default)]
    pub attach: AttachPolicy,
}

/// What stands in for what a user did not state of an EBS volume. Comes from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EbsDefaults {
    /// The volume type.
    pub volume_type: EbsType,
    /// Whether EBS encrypts it; `None` leaves it to the account.
    pub encrypted: Option<bool>,
    /// The KMS key; `None` is the account's.
    pub kms_key: Option<String>,
    /// The availability zone; `None` is this node's.
    pub zone: Option<String>,
    /// What becomes of the attachment.
    pub attach: AttachPolicy,
}

impl Choice for EbsType {
    const ALL: &'static [Self] =
        &[Self::Gp3, Self::Gp2, Self::Io2, Self::Io1, Self::St1, Self::Sc1, Self::Standard];

    fn word(self) -> &'static str {
        match self {
            Self::Gp3 => "gp3",
            Self::Gp2 => "gp2",
            Self::Io2 => "io2",
            Self::Io1 => "io1",
            Self::St1 => "st1",
            Self::Sc1 => "sc1",
            Self::Standard => "standard",
        }
    }
}

impl Choice for AttachPolicy {
    const ALL: &'static [Self] = &[Self::Stay, Self::Follow];

    fn word(self) -> &'static str {
        match self {
            Self::Stay => "stay",
            Self::Follow => "follow",
        }
    }
}

impl EbsType {
    /// The type as EC2 and specs write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.word()
    }
}

impl FromStr for EbsType {
    type Err = Why;

    fn from_str(text: &str) -> Result<Self, Why> {
        choose(text)
    }
}

impl FromStr for AttachPolicy {
    type Err = Why;

    fn from_str(text: &str) -> Result<Self, Why> {
        choose(text)
    }
}

impl fmt::Display for EbsType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl fmt::Display for AttachPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
