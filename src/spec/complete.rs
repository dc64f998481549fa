//! A complete spec: a value for everything, as the volume's record keeps it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    AttachPolicy, BackendKind, Bytes, EbsDefaults, EbsSpec, FsType, Key, NfsDefaults, NfsLayout,
    NfsSpec, OnRemove, Ownership, Preempt, Provision, Scale, Sharing, SpecError, Squash, Stated,
    Sticky,
    error::Shown,
    mount::{self, Mounted},
};

/// What a volume is to be, completely.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The size asked for; the present size may be larger, after a grow.
    pub size: Bytes,
    /// The file system.
    pub fs: FsType,
    /// Whether many nodes may use it at the same time.
    pub sharing: Sharing,
    /// Whom root is taken for that comes from another node.
    #[serde(default, skip_serializing_if = "Squash::is_default")]
    pub squash: Squash,
    /// How many tasks get a volume of their own under this name: it is a group of volumes, then, and has
    /// no storage itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// Options of the mount, as `mount -o` takes them; each one is on the allow-list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mount_options: Vec<String>,
    /// Arguments of mkfs; each one is on the allow-list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mkfs_options: Vec<String>,
    /// The owner of the root directory.
    #[serde(default)]
    pub owner: Ownership,
    /// What becomes of the data at removal; `None` is the daemon's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_remove: Option<OnRemove>,
    /// Whether it is protected from removal.
    #[serde(default)]
    pub sticky: Sticky,
    /// Whether it is taken from a node that does not let go of it.
    #[serde(default, skip_serializing_if = "Preempt::is_default")]
    pub preempt: Preempt,
    /// Free text for the user's own purposes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What it is stored on, and the settings of that backend.
    pub backend: BackendSpec,
}

impl Spec {
    /// The file system that tasks see: of a directory on an NFS server that is `nfs`, and the field
    /// `fs` means nothing.
    #[must_use]
    pub fn file_system(&self) -> &'static str {
        if self.backend.is_directory() { "nfs" } else { self.fs.as_str() }
    }

    /// What a member of this group is to be. A directory on an NFS server lies beside the others', with
    /// the member's number: `team/elk_003`.
    #[must_use]
    pub fn of_member(&self, number: u16) -> Self {
        let mut spec = Self { scale: None, ..self.clone() };
        if let BackendSpec::Nfs(nfs) = &mut spec.backend {
            nfs.path = format!("{}_{number:03}", nfs.path);
        }
        spec
    }

    /// Whether a mount of this volume takes these options, for a change of them.
    ///
    /// # Errors
    ///
    /// The first that it does not have.
    pub fn check_mount_options(&self, options: &[String]) -> Result<(), SpecError> {
        let mounted = self.backend.mounted(self.fs);
        mount::check_for(mounted, options).map_err(|why| SpecError::Value {
            key: Shown::new("mount_options"),
            value: Shown::new(&options.join(" ")),
            why,
        })
    }
}

/// The part of a spec that only one backend knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum BackendSpec {
    /// An image file on this node.
    Local(LocalSpec),
    /// An EBS volume.
    Ebs(EbsSpec),
    /// A directory on an NFS server, or an image file there.
    Nfs(NfsSpec),
}

impl BackendSpec {
    /// Which backend it is for.
    #[must_use]
    pub fn kind(&self) -> BackendKind {
        match self {
            Self::Local(_) => BackendKind::Local,
            Self::Ebs(_) => BackendKind::Ebs,
            Self::Nfs(_) => BackendKind::Nfs,
        }
    }

    /// These settings after the change that is stated, for storage of `size`.
    ///
    /// # Errors
    ///
    /// What cannot be changed.
    pub fn changed(&self, stated: &Stated, size: Bytes) -> Result<Self, SpecError> {
        match self {
            Self::Ebs(ebs) => ebs.changed(stated, size).map(Self::Ebs),
            Self::Local(_) | Self::Nfs(_) => match stated.iter().next() {
                None => Ok(self.clone()),
                Some((key, _)) => Err(SpecError::Refused {
                    key: Shown::new(stated.written(key)),
                    why: format!(
                        "it cannot be changed of a volume on {}, only its size can",
                        self.kind()
                    )
                    .into(),
                }),
            },
        }
    }

    /// Whether its storage is a cloud's: made, named, attached and detached by calls whose answers can
    /// be late or lost.
    #[must_use]
    pub const fn is_in_a_cloud(&self) -> bool {
        match self {
            Self::Local(_) | Self::Nfs(_) => false,
            Self::Ebs(_) => true,
        }
    }

    /// Whether its storage is a directory that is mounted as it is: no device, no file system of its own.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        match self {
            Self::Local(_) | Self::Ebs(_) => false,
            Self::Nfs(nfs) => nfs.layout == NfsLayout::Directory,
        }
    }

    /// Whether what is to be done about a node that does not let go of it can be said.
    ///
    /// # Errors
    ///
    /// Why it is never taken from a node, whatever is said.
    pub fn check_preempt(&self) -> Result<(), SpecError> {
        let why = match self {
            Self::Ebs(_) => return Ok(()),
            Self::Local(_) => {
                "a local volume is on a disk of its node, and no other node can take it over: \
                 remove it"
            }
            Self::Nfs(_) if self.is_directory() => {
                "a directory on an NFS server is no node's own, all use it at any time: remove it"
            }
            Self::Nfs(_) => {
                "nothing keeps a node that does not answer from writing to an image on an NFS \
                 server, so it is never taken from one: remove it"
            }
        };
        Err(SpecError::Refused { key: Shown::new(Key::Preempt.as_str()), why: why.into() })
    }

    /// What is mounted of it, where a device has that file system.
    pub(super) fn mounted(&self, fs: FsType) -> Mounted {
        // What is on a snapshot shows when it is mounted; before that it is known by nobody.
        let known = Some(fs).filter(|_| !self.comes_with_data());
        if self.is_directory() { Mounted::Directory } else { Mounted::Device(known) }
    }

    /// Whether its storage is made with something on it.
    #[must_use]
    pub fn comes_with_data(&self) -> bool {
        match self {
            Self::Local(_) | Self::Nfs(_) => false,
            Self::Ebs(ebs) => ebs.snapshot.is_some(),
        }
    }

    /// Whether a device that nobody on the node uses stays attached.
    #[must_use]
    pub fn stays_attached(&self) -> bool {
        match self {
            Self::Local(_) | Self::Nfs(_) => false,
            Self::Ebs(ebs) => ebs.attach == AttachPolicy::Stay,
        }
    }

    /// The size that storage of at least `size` has.
    #[must_use]
    pub fn round_up(&self, size: Bytes) -> Bytes {
        match self {
            Self::Local(_) | Self::Nfs(_) => size,
            Self::Ebs(_) => Bytes::gib(size.get().div_ceil(Bytes::gib(1).get())),
        }
    }
}

/// Settings of the local backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalSpec {
    /// When space is taken.
    pub provision: Provision,
}

/// What stands in for the fields that a user did not state. Comes from the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Defaults {
    /// The backend.
    pub backend: BackendKind,
    /// The size of a volume that somebody named.
    pub size: Bytes,
    /// The size of Docker's anonymous volumes: nobody asked for them, so usually smaller.
    pub anonymous_size: Bytes,
    /// The file system.
    pub fs: FsType,
    /// That of a block volume which is shared between nodes: one that keeps what they were told.
    pub shared_fs: FsType,
    /// When a local volume's space is taken.
    pub provision: Provision,
    /// What an EBS volume is; `None` where this node has no EBS backend.
    pub ebs: Option<EbsDefaults>,
    /// Where an NFS volume is; `None` where this node has no NFS backend.
    pub nfs: Option<NfsDefaults>,
}

#[cfg(test)]
impl Defaults {
    /// What the tests of this folder take as configured.
    pub(super) fn of_tests() -> Self {
        let (size, anonymous_size) = (Bytes::gib(10), Bytes::gib(1));
        Self {
            backend: BackendKind::Local,
            size,
            anonymous_size,
            fs: FsType::Ext4,
            shared_fs: FsType::Xfs,
            provision: Provision::Thick,
            ebs: None,
            nfs: None,
        }
    }

    /// The same, of a node with an EBS backend.
    pub(super) fn with_ebs() -> Self {
        Self {
            ebs: Some(EbsDefaults {
                volume_type: super::EbsType::Gp3,
                encrypted: None,
                kms_key: None,
                zone: None,
                attach: AttachPolicy::Stay,
            }),
            ..Self::of_tests()
        }
    }
}

#[cfg(test)]
impl Defaults {
    /// The same, of a node with two exports of NFS servers, of which `fast` is the default.
    pub(super) fn with_nfs() -> Self {
        let exports = ["fast", "slow"].map(str::to_owned).to_vec();
        let nfs = Some(NfsDefaults { exports, export: Some("fast".to_owned()) });
        Self { nfs, ..Self::of_tests() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = r#"{"size":1073741824,"fs":"ext4","sharing":"shared","mount_options":["noatime"],"owner":{"uid":1000,"mode":"0750"},"on_remove":"retain","sticky":"no","labels":{"team":"web"},"backend":{"type":"local","provision":"thin"}}"#;

    #[test]
    fn the_stored_form_of_a_spec_does_not_change() {
        let spec: Spec = serde_json::from_str(GOLDEN).unwrap();
        assert_eq!(spec.backend, BackendSpec::Local(LocalSpec { provision: Provision::Thin }));
        assert_eq!(spec.backend.kind(), BackendKind::Local);
        assert_eq!(serde_json::to_string(&spec).unwrap(), GOLDEN);
    }

    const GOLDEN_EBS: &str = r#"{"size":21474836480,"fs":"xfs","sharing":"exclusive","owner":{},"sticky":"yes","backend":{"type":"ebs","volume_type":"gp3","iops":4000,"throughput":500,"encrypted":true,"kms_key":"alias/k","zone":"us-east-1a","snapshot":"snap-0123456789abcdef0","attach":"follow"}}"#;

    #[test]
    fn the_stored_form_of_an_ebs_spec_does_not_change() {
        let spec: Spec = serde_json::from_str(GOLDEN_EBS).unwrap();
        assert_eq!(spec.backend.kind(), BackendKind::Ebs);
        assert!(spec.backend.comes_with_data() && !spec.backend.stays_attached());
        assert_eq!(serde_json::to_string(&spec).unwrap(), GOLDEN_EBS);
        assert_eq!(spec.preempt, Preempt::DeadOnly);
        let forced = GOLDEN_EBS.replace("\"yes\",", "\"yes\",\"preempt\":\"force\",");
        let spec: Spec = serde_json::from_str(&forced).unwrap();
        assert_eq!(spec.preempt, Preempt::Force);
        assert_eq!(serde_json::to_string(&spec).unwrap(), forced);
        let least = r#"{"type":"ebs","volume_type":"standard"}"#;
        let ebs: BackendSpec = serde_json::from_str(least).unwrap();
        assert!(ebs.stays_attached());
        let stored = r#"{"type":"ebs","volume_type":"standard","attach":"stay"}"#;
        assert_eq!(serde_json::to_string(&ebs).unwrap(), stored);
    }

    const GOLDEN_NFS: &str = r#"{"size":10737418240,"fs":"ext4","sharing":"shared","owner":{"uid":1000},"sticky":"no","backend":{"type":"nfs","export":"fast","path":"team/pgdata","layout":"directory"}}"#;

    #[test]
    fn the_stored_form_of_an_nfs_spec_does_not_change() {
        let spec: Spec = serde_json::from_str(GOLDEN_NFS).unwrap();
        assert_eq!(spec.backend.kind(), BackendKind::Nfs);
        assert!(spec.backend.is_directory() && !spec.backend.stays_attached());
        assert_eq!(spec.file_system(), "nfs");
        assert_eq!(serde_json::to_string(&spec).unwrap(), GOLDEN_NFS);
        let least = r#"{"type":"nfs","export":"fast","path":"a"}"#;
        let nfs: BackendSpec = serde_json::from_str(least).unwrap();
        assert!(nfs.is_directory());
    }

    #[test]
    fn unknown_fields_of_a_stored_spec_are_refused() {
        let strange = |from: &str, to: &str| {
            serde_json::from_str::<Spec>(&GOLDEN.replace(from, to)).unwrap_err().to_string()
        };
        assert!(strange("\"sticky\"", "\"stucky\"").contains("unknown field `stucky`"));
        assert!(strange("\"provision\"", "\"raid\"").contains("unknown field `raid`"));
        assert!(strange("\"local\"", "\"tape\"").contains("unknown variant `tape`"));
    }
}
