//! What has to be done to files and devices, and what came of it.

use std::path::PathBuf;

use crate::config::InstanceKind;

/// Something to do outside of the state. At most one at a time for each volume and each snapshot.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    /// Make a volume's image, with a snapshot's content or empty.
    MakeImage { volume: String, from: Option<String>, gib: u32 },
    /// Remove it.
    RemoveImage { volume: String },
    /// Let it appear at an instance.
    Bind(BindOrder),
    /// Let it disappear. By force: also when somebody uses it.
    Unbind { volume: String, bound: Option<Bound>, force: bool },
    /// Make image and device larger.
    Grow { volume: String, bound: Option<Bound>, gib: u32 },
    /// Copy a volume's image.
    CopyImage { snapshot: String, volume: String },
    /// Remove a snapshot's image.
    RemoveSnapshot { snapshot: String },
}

/// A volume that is to appear at an instance.
#[derive(Debug, Clone)]
pub(crate) struct BindOrder {
    pub(crate) volume: String,
    pub(crate) instance: String,
    pub(crate) kind: InstanceKind,
    /// `/dev/xvdba`: counts only on Xen.
    pub(crate) device: String,
    /// Whether the device says that it is another volume.
    pub(crate) wrong_serial: bool,
}

impl BindOrder {
    /// What the device says that it is: the volume's id without its dash, or another one.
    pub(crate) fn serial(&self) -> String {
        let id = if self.wrong_serial { &super::new_id("vol") } else { &self.volume };
        id.replace('-', "")
    }
}

/// A volume that has appeared: what has to be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bound {
    /// In an instance's directory.
    Shown(Shown),
    /// At a machine.
    Plugged { instance: String },
}

/// A volume in an instance's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    /// `/dev/loopN`.
    pub(crate) loop_device: PathBuf,
    /// The instance's directory.
    pub(crate) play: PathBuf,
    /// `nvme1n1` or `xvdba`.
    pub(crate) name: String,
    /// `nvme-Amazon_Elastic_Block_Store_vol…`, on Nitro.
    pub(crate) link: Option<String>,
}

/// What came of an effect.
#[derive(Debug, Clone)]
pub(crate) enum Done {
    /// It is done.
    Finished,
    /// It is done: the volume has appeared.
    Appeared(Bound),
    /// Somebody uses the device: nothing was changed.
    Held,
    /// Nothing was done; to be tried again.
    Failed(String),
}
