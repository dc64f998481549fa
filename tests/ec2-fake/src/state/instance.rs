//! An instance: where volumes are attached.

use jiff::Timestamp;

use super::new_id;
use crate::config::{AttachmentLimit, InstanceKind, InstanceSpec};
use crate::faults::InstanceState;

/// An instance and its root volume, which nothing can be done to.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) spec: InstanceSpec,
    pub(crate) state: InstanceState,
    pub(crate) launched: Timestamp,
    pub(crate) root_device: String,
    pub(crate) root_volume: String,
    pub(crate) interfaces: Vec<String>,
    pub(crate) tags: super::Tags,
}

impl Instance {
    pub(crate) fn new(spec: InstanceSpec, now: Timestamp) -> Self {
        let interfaces = (0..spec.network_interfaces).map(|_| new_id("eni")).collect();
        Self {
            spec,
            state: InstanceState::Running,
            launched: now,
            root_device: "/dev/xvda".to_owned(),
            root_volume: new_id("vol"),
            interfaces,
            tags: super::Tags::new(),
        }
    }

    /// How many volumes can be attached beside the root volume.
    pub(crate) fn slots(&self) -> usize {
        let taken = match self.spec.limit {
            AttachmentLimit::Shared => self.spec.network_interfaces.saturating_sub(1),
            AttachmentLimit::Dedicated => 0,
        };
        let free = self.spec.max_attachments.saturating_sub(1).saturating_sub(taken);
        usize::try_from(free).unwrap_or(usize::MAX)
    }

    pub(crate) fn hypervisor(&self) -> &'static str {
        match self.spec.kind {
            InstanceKind::Nitro => "nitro",
            InstanceKind::Xen => "xen",
        }
    }
}
