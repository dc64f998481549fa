//! The EBS backend: an EBS volume per volume, attached to this EC2 instance.
//!
//! ```text
//! Ebs ─ create, attach, detach, inspect, grow, remove, snapshot, import: a file each
//!        │              │              │
//!        ▼              ▼              ▼
//!   describe, wait   slots, names   device        (batched looks; names in flight; sysfs)
//!        └──────┬───────┴──────────────┘
//!              api                                (the only place that names the AWS SDK)
//! ```
//! EC2 is eventually consistent and its calls may be repeated after a lost answer: what a call says
//! is never the proof, a look at the volume is. Only volumes with this cluster's tag are seen or
//! deleted; this instance's attachments are taken away only after the proof that nobody uses the
//! device, and another's by `fence` alone, after the decision that it loses the volume. Opening the backend asks nobody anything: the daemon's socket must be there
//! before EC2 is.

mod api;
mod asked;
mod attach;
mod create;
mod describe;
mod detach;
mod device;
mod diagnose;
mod error;
mod facts;
mod fence;
mod grow;
mod iam;
mod import;
mod inspect;
mod marks;
mod names;
mod node;
mod placement;
mod remove;
mod size;
mod slots;
mod snapshot;
#[cfg(test)]
mod tests;
mod verify;
mod wait;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::{
    Backend, BackendError, Created, Fencing, Imports, Inspection, Placement, Snapshots, VolumeRef,
};
use crate::{
    spec::{BackendKind, BackendSpec, Bytes, EbsSpec},
    volume::{Device, VolumeId},
};
use api::{Api, ApiSettings};
use create::Creations;
use describe::Describer;
use device::Devices;
pub use diagnose::{Diagnosis, Health};
use error::EbsError;
pub use facts::NodeFacts;
use fence::Fenced;
pub use iam::policy;
use node::Node;
use slots::Slots;

/// How the EBS backend is set up. What is `None` is found out: from the SDK's usual places (the
/// environment, the profile, the instance's role) and from the metadata service.
#[derive(Debug, Clone)]
pub struct EbsConfig {
    /// The cluster's name: only volumes that are tagged with it are seen.
    pub cluster: String,
    /// The AWS region.
    pub region: Option<String>,
    /// The availability zone of this node.
    pub zone: Option<String>,
    /// The EC2 instance id of this node.
    pub instance_id: Option<String>,
    /// Where EC2's API is, in place of AWS's own.
    pub endpoint: Option<String>,
    /// Where the instance's metadata service is, in place of the usual address.
    pub metadata_endpoint: Option<String>,
    /// Keys, in place of those that the SDK finds.
    pub credentials: Option<StaticCredentials>,
    /// Further tags of all volumes and snapshots that are made.
    pub tags: BTreeMap<String, String>,
    /// How many EBS volumes this node may have, its root volume included, in place of what EC2 says
    /// of its instance type.
    pub attach_limit: Option<u32>,
    /// How long an attachment may be on its way before it is taken back.
    pub attach_timeout: Duration,
    /// How long a detachment may be on its way before it is forced.
    pub force_detach_after: Duration,
    /// Where device nodes are.
    pub dev_dir: PathBuf,
    /// Where sysfs is.
    pub sys_dir: PathBuf,
}

impl EbsConfig {
    /// Everything found out, on a real host.
    #[must_use]
    pub fn new(cluster: impl Into<String>) -> Self {
        Self {
            cluster: cluster.into(),
            region: None,
            zone: None,
            instance_id: None,
            endpoint: None,
            metadata_endpoint: None,
            credentials: None,
            tags: BTreeMap::new(),
            attach_limit: None,
            attach_timeout: Duration::from_secs(90),
            force_detach_after: Duration::from_secs(300),
            dev_dir: PathBuf::from("/dev"),
            sys_dir: PathBuf::from("/sys"),
        }
    }
}

/// AWS keys from the configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticCredentials {
    /// The access key id.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: String,
    /// The session token of temporary keys.
    pub session_token: Option<String>,
}

impl fmt::Debug for StaticCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticCredentials").finish_non_exhaustive()
    }
}

/// How long things take, and how often they are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    /// Questions within this share a call.
    window: Duration,
    /// How old a plain look may be.
    cached: Duration,
    /// How long an id that does not exist is asked alone.
    suspicion: Duration,
    /// The first pause of a wait for EC2; each is longer than the one before.
    first_poll: Duration,
    longest_poll: Duration,
    /// The pauses of a wait for a device of this node.
    first_look: Duration,
    longest_look: Duration,
    /// How long a device may take to appear, go or grow after EC2 is done.
    device: Duration,
    /// How long a new volume may take to be available, and an old one to be gone.
    created: Duration,
    /// How long EC2 may not know what it has made.
    invisible: Duration,
    /// How long a change of a volume may take.
    modified: Duration,
    /// How long a forced detach may take.
    forced: Duration,
    /// The pause between looks for a volume that EC2 may not show yet.
    between_finds: Duration,
    /// How long EC2 may take to say whether an instance runs.
    answer: Duration,
    /// How long a whole fence may take: below the engine's own deadline.
    fence: Duration,
    /// How long an instance that runs, and does not answer, may take to let go of a volume.
    silent_detach: Duration,
    /// The same of one that does not run: nothing there has to let go, EC2 alone takes its time.
    gone_detach: Duration,
    /// How long a fence's forced detach may take.
    forced_fence: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            window: Duration::from_millis(500),
            cached: Duration::from_secs(1),
            suspicion: Duration::from_secs(60 * 60),
            first_poll: Duration::from_millis(300),
            longest_poll: Duration::from_secs(5),
            first_look: Duration::from_millis(20),
            longest_look: Duration::from_millis(500),
            device: Duration::from_secs(30),
            created: Duration::from_secs(90),
            invisible: Duration::from_secs(20),
            modified: Duration::from_secs(300),
            forced: Duration::from_secs(120),
            between_finds: Duration::from_secs(3),
            answer: Duration::from_secs(10),
            fence: Duration::from_secs(100),
            silent_detach: Duration::from_secs(10),
            gone_detach: Duration::from_secs(30),
            forced_fence: Duration::from_secs(45),
        }
    }
}

/// The EBS backend. Clones share their state.
#[derive(Debug, Clone)]
pub struct Ebs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: EbsConfig,
    api: Arc<Api>,
    describer: Describer,
    node: Node,
    slots: Arc<Slots>,
    creations: Creations,
    fenced: Fenced,
    devices: Arc<Devices>,
}

impl Ebs {
    /// Opens the backend. Nobody is asked anything before the first call.
    #[must_use]
    pub fn open(config: EbsConfig) -> Self {
        Self::open_at(config, Pace::default())
    }

    fn open_at(config: EbsConfig, pace: Pace) -> Self {
        let api = Arc::new(Api::new(ApiSettings {
            region: config.region.clone(),
            endpoint: config.endpoint.clone(),
            credentials: config.credentials.clone(),
            metadata_endpoint: config.metadata_endpoint.clone(),
        }));
        let inner = Inner {
            describer: Describer::new(Arc::clone(&api), pace),
            node: Node::new(config.instance_id.clone(), config.zone.clone(), config.attach_limit),
            slots: Arc::default(),
            creations: Creations::default(),
            fenced: Fenced::default(),
            devices: Arc::new(Devices { dev: config.dev_dir.clone(), sys: config.sys_dir.clone() }),
            api,
            config,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The EC2 instance id and the availability zone of this node.
    ///
    /// # Errors
    ///
    /// When they are neither configured nor told by the metadata service.
    pub async fn identity(&self) -> Result<(String, String), BackendError> {
        let ask = async {
            let instance = self.inner.node.instance(&self.inner.api).await?;
            Ok((instance.to_owned(), self.inner.node.zone(&self.inner.api).await?.to_owned()))
        };
        ask.await.map_err(Self::failed("ask who this node is"))
    }

    fn failed(op: &'static str) -> impl FnOnce(EbsError) -> BackendError {
        move |source| BackendError {
            kind: source.kind(),
            op,
            backend: BackendKind::Ebs,
            source: source.into(),
        }
    }
}

fn spec_of(spec: &BackendSpec) -> Result<&EbsSpec, EbsError> {
    match spec {
        BackendSpec::Ebs(ebs) => Ok(ebs),
        BackendSpec::Local(_) | BackendSpec::Nfs(_) => Err(EbsError::OtherBackend(spec.kind())),
    }
}

#[async_trait]
impl Backend for Ebs {
    fn kind(&self) -> BackendKind {
        BackendKind::Ebs
    }

    async fn create(&self, volume: &VolumeRef) -> Result<Created, BackendError> {
        self.inner.create(volume).await.map_err(Self::failed("create"))
    }

    async fn attach(
        &self,
        volume: &VolumeRef,
        cancel: &CancellationToken,
    ) -> Result<Device, BackendError> {
        self.inner.attach(volume, cancel).await.map_err(Self::failed("attach"))
    }

    async fn detach(&self, volume: &VolumeRef) -> Result<(), BackendError> {
        self.inner.detach(volume).await.map_err(Self::failed("detach"))
    }

    async fn grow(&self, volume: &VolumeRef, to: Bytes) -> Result<(), BackendError> {
        self.inner.grow(volume, to).await.map_err(Self::failed("grow"))
    }

    async fn remove(&self, volume: &VolumeRef) -> Result<(), BackendError> {
        self.inner.remove(volume).await.map_err(Self::failed("remove"))
    }

    async fn inspect(&self, volume: &VolumeRef) -> Result<Inspection, BackendError> {
        self.inner.inspect(volume).await.map_err(Self::failed("inspect"))
    }

    async fn confirm(&self, volume: &VolumeRef, device: &Device) -> Result<(), BackendError> {
        self.inner.confirm(volume, device).await.map_err(Self::failed("confirm the device"))
    }

    async fn attached(&self) -> Result<HashSet<VolumeId>, BackendError> {
        self.inner.attached().await.map_err(Self::failed("list"))
    }

    async fn describe(&self, volume: &VolumeRef) -> Result<(), BackendError> {
        self.inner.describe(volume).await.map_err(Self::failed("describe"))
    }

    fn fencing(&self) -> Option<&dyn Fencing> {
        Some(self)
    }

    fn placement(&self) -> Option<&dyn Placement> {
        Some(self)
    }

    fn snapshots(&self) -> Option<&dyn Snapshots> {
        Some(self)
    }

    fn imports(&self) -> Option<&dyn Imports> {
        Some(self)
    }
}
