//! What a fake is started with.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use crate::{devices::Machines, state::new_id};

/// What a fake is started with.
#[derive(Debug, Clone)]
pub struct FakeConfig {
    /// Where images and the instances' play directories are kept. Made if it is not there.
    pub dir: PathBuf,
    /// Where it listens; port 0 is any free one.
    pub listen: SocketAddr,
    /// The zones that there are, all of one region.
    pub zones: Vec<String>,
    /// The instance whose metadata is served on the main port.
    pub instance: InstanceSpec,
    /// How long transitions take.
    pub delays: Delays,
    /// Which requests the metadata service takes.
    pub imds: ImdsVersions,
    /// The role whose credentials the metadata service hands out.
    pub role: String,
    /// What the account's volumes belong to.
    pub account: String,
    /// Where volumes appear.
    pub attach: Attach,
}

/// Where volumes appear that are attached.
#[derive(Debug, Clone)]
pub enum Attach {
    /// As loop devices, in a directory for each instance.
    Directories,
    /// In machines.
    Machines(Arc<dyn Machines>),
}

/// How long each transition takes; 0 is done before the answer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delays {
    /// `creating` to `available`.
    pub create: Duration,
    /// `attaching` to `attached`.
    pub attach: Duration,
    /// `detaching` to `available`.
    pub detach: Duration,
    /// `modifying` to `optimizing`, and as long again to `completed`.
    pub modify: Duration,
    /// `deleting` to gone.
    pub delete: Duration,
    /// A snapshot's `pending` to `completed`.
    pub snapshot: Duration,
}

/// Which requests the metadata service takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImdsVersions {
    /// Only those with a token; the others get 401.
    V2Only,
    /// Those without a token, too.
    V1AndV2,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSpec {
    /// `i-…`.
    pub id: String,
    /// Its zone.
    pub zone: String,
    /// How its volumes appear.
    pub kind: InstanceKind,
    /// `m5.large`, …: only a name here.
    pub instance_type: String,
    /// What DescribeInstanceTypes calls `maximumEbsAttachments`. The root volume counts.
    pub max_attachments: u32,
    /// Whether network interfaces count, too.
    pub limit: AttachmentLimit,
    /// How many network interfaces it has.
    pub network_interfaces: u32,
}

/// How an instance's volumes appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceKind {
    /// As `nvme1n1`, whatever name was asked for.
    Nitro,
    /// As `xvdba`.
    Xen,
}

/// What counts for the limit of attachments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachmentLimit {
    /// Volumes and all network interfaces but the first.
    Shared,
    /// Volumes only.
    Dedicated,
}

impl FakeConfig {
    /// One Nitro instance in us-east-1a, no delays, tokens required, on a free port.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            zones: ["us-east-1a", "us-east-1b", "us-east-1c"].map(str::to_owned).into(),
            instance: InstanceSpec::new("us-east-1a"),
            delays: Delays::default(),
            imds: ImdsVersions::V2Only,
            role: "hawser".to_owned(),
            account: "123456789012".to_owned(),
            attach: Attach::Directories,
        }
    }
}

impl Delays {
    /// The same for each transition.
    pub fn all(each: Duration) -> Self {
        Self {
            create: each,
            attach: each,
            detach: each,
            modify: each,
            delete: each,
            snapshot: each,
        }
    }
}

impl InstanceSpec {
    /// An m5.large with a new id.
    pub fn new(zone: &str) -> Self {
        Self {
            id: new_id("i"),
            zone: zone.to_owned(),
            kind: InstanceKind::Nitro,
            instance_type: "m5.large".to_owned(),
            max_attachments: 27,
            limit: AttachmentLimit::Shared,
            network_interfaces: 1,
        }
    }

    /// A t2.large (Xen) with a new id.
    pub fn xen(zone: &str) -> Self {
        Self {
            kind: InstanceKind::Xen,
            instance_type: "t2.large".to_owned(),
            max_attachments: 39,
            ..Self::new(zone)
        }
    }
}
