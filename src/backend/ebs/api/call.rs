//! The calls that are made, and what each needs the right to. The IAM policy is made from this.

use std::fmt;

/// A call of EC2's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Call {
    AttachVolume,
    CreateSnapshot,
    CreateTags,
    CreateVolume,
    DeleteSnapshot,
    DeleteVolume,
    DescribeInstanceTypes,
    DescribeInstances,
    DescribeSnapshots,
    DescribeVolumes,
    DescribeVolumesModifications,
    DetachVolume,
    ModifyVolume,
}

/// What a call touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: EC2 does not restrict such calls to resources.
    Reads,
    /// It makes a volume, with tags.
    MakesVolume,
    /// It makes a snapshot of a volume, with tags.
    MakesSnapshot,
    /// It tags what is there.
    Tags,
    /// It changes or deletes a volume.
    ChangesVolume,
    /// It changes what a volume is attached to.
    ChangesAttachment,
    /// It deletes a snapshot.
    ChangesSnapshot,
}

impl Call {
    /// All of them.
    pub(crate) const ALL: &[Self] = &[
        Self::AttachVolume,
        Self::CreateSnapshot,
        Self::CreateTags,
        Self::CreateVolume,
        Self::DeleteSnapshot,
        Self::DeleteVolume,
        Self::DescribeInstanceTypes,
        Self::DescribeInstances,
        Self::DescribeSnapshots,
        Self::DescribeVolumes,
        Self::DescribeVolumesModifications,
        Self::DetachVolume,
        Self::ModifyVolume,
    ];

    /// As EC2 and IAM write it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AttachVolume => "AttachVolume",
            Self::CreateSnapshot => "CreateSnapshot",
            Self::CreateTags => "CreateTags",
            Self::CreateVolume => "CreateVolume",
            Self::DeleteSnapshot => "DeleteSnapshot",
            Self::DeleteVolume => "DeleteVolume",
            Self::DescribeInstanceTypes => "DescribeInstanceTypes",
            Self::DescribeInstances => "DescribeInstances",
            Self::DescribeSnapshots => "DescribeSnapshots",
            Self::DescribeVolumes => "DescribeVolumes",
            Self::DescribeVolumesModifications => "DescribeVolumesModifications",
            Self::DetachVolume => "DetachVolume",
            Self::ModifyVolume => "ModifyVolume",
        }
    }

    /// What it touches.
    pub(crate) const fn access(self) -> Access {
        match self {
            Self::DescribeInstanceTypes
            | Self::DescribeInstances
            | Self::DescribeSnapshots
            | Self::DescribeVolumes
            | Self::DescribeVolumesModifications => Access::Reads,
            Self::CreateVolume => Access::MakesVolume,
            Self::CreateSnapshot => Access::MakesSnapshot,
            Self::CreateTags => Access::Tags,
            Self::DeleteVolume | Self::ModifyVolume => Access::ChangesVolume,
            Self::AttachVolume | Self::DetachVolume => Access::ChangesAttachment,
            Self::DeleteSnapshot => Access::ChangesSnapshot,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
