//! The settings of the EBS backend, resolved. What they become for the SDK is the backend's business.

mod values;

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

pub(super) use values::{cluster, word};

use super::{Reader, absolute, boolean, interval, parsed};
use crate::spec::{AttachPolicy, EbsDefaults};

/// What the EBS backend is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EbsSettings {
    /// The cluster's name, which tags everything.
    pub cluster: String,
    /// The region; `None` is the SDK's own chain, with the instance's metadata at its end.
    pub region: Option<String>,
    /// The URL of EC2's API; `None` is the region's own.
    pub endpoint: Option<String>,
    /// This node's zone; `None` is the metadata's.
    pub zone: Option<String>,
    /// This node's instance; `None` is the metadata's.
    pub instance_id: Option<String>,
    /// Configured credentials; `None` is the SDK's own chain, instance roles among it.
    pub credentials: Option<Credentials>,
    /// The operator's tags for everything that is made.
    pub tags: BTreeMap<String, String>,
    /// How many volumes are attached at most; `None` is what the instance takes.
    pub attach_limit: Option<u32>,
    /// How long an attachment may take.
    pub attach_timeout: Duration,
    /// How long a detachment of an unmounted volume may take before it is forced.
    pub force_detach_after: Duration,
    /// Where the host's devices are.
    pub dev_dir: PathBuf,
    /// Where the host's sysfs is.
    pub sys_dir: PathBuf,
}

/// An access key and its secret. Shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key: String,
    secret_key: String,
}

impl Credentials {
    /// A pair of keys.
    #[must_use]
    pub fn new(access_key: String, secret_key: String) -> Self {
        Self { access_key, secret_key }
    }

    /// The access key's id.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// The secret, for whoever signs requests with it.
    #[must_use]
    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(not shown)")
    }
}

/// The EBS backend as it is configured: what it is told, and what specs leave open.
pub(super) struct Ebs {
    pub(super) settings: EbsSettings,
    pub(super) defaults: EbsDefaults,
}

impl Reader {
    /// `None` after a mistake, `Some(None)` where the backend is off. Its settings are read in either
    /// case: a mistake in them is one today, not on the day when it is turned on.
    pub(super) fn ebs(&mut self) -> Option<Option<Ebs>> {
        let enabled = self.get("backends.ebs.enabled", boolean);
        let cluster = self.get("daemon.cluster", values::cluster);
        let region = self.get("backends.ebs.region", values::word);
        let endpoint = self.get("backends.ebs.endpoint", values::endpoint);
        let zone = self.get("backends.ebs.zone", values::word);
        let instance_id = self.get("backends.ebs.instance_id", values::instance_id);
        let credentials = self.credentials();
        let tags = self.get("backends.ebs.tags", values::tags);
        let attach_limit = self.get("backends.ebs.attach_limit", values::attach_limit);
        let attach_timeout = self.get("backends.ebs.attach_timeout", interval);
        let force_detach_after = self.get("backends.ebs.force_detach_after", interval);
        let dev_dir = self.get("backends.ebs.dev_dir", absolute);
        let sys_dir = self.get("backends.ebs.sys_dir", absolute);
        let defaults = self.ebs_defaults(zone.clone().flatten());
        if enabled? {
            if !cfg!(feature = "ebs") {
                self.mistake(
                    "backends.ebs.enabled",
                    "this hawser was built without the EBS backend: use one that was built with \
                     the feature `ebs`",
                );
                return None;
            }
            if cluster == Some(None) {
                self.mistake(
                    "backends.ebs.enabled",
                    "it needs daemon.cluster: a name for all that hawser makes in the cloud, the \
                     same on every node",
                );
                return None;
            }
        } else if defaults.is_some() {
            return Some(None);
        }
        Some(Some(Ebs {
            settings: EbsSettings {
                cluster: cluster??,
                region: region?,
                endpoint: endpoint?,
                zone: zone?,
                instance_id: instance_id?,
                credentials: credentials?,
                tags: tags?,
                attach_limit: attach_limit?,
                attach_timeout: attach_timeout?,
                force_detach_after: force_detach_after?,
                dev_dir: dev_dir?,
                sys_dir: sys_dir?,
            },
            defaults: defaults?,
        }))
    }

    fn ebs_defaults(&mut self, zone: Option<String>) -> Option<EbsDefaults> {
        let volume_type = self.get("backends.ebs.type", values::default_type);
        let encrypted = self.get("backends.ebs.encrypted", values::encrypted);
        let kms_key = self.get("backends.ebs.kms_key", values::kms_key);
        let attach = self.get("backends.ebs.attach", parsed::<AttachPolicy>);
        let (encrypted, kms_key) = (encrypted?, kms_key?);
        if encrypted == Some(false) && kms_key.is_some() {
            self.mistake(
                "backends.ebs.encrypted",
                "it contradicts backends.ebs.kms_key, which would encrypt nothing: remove one of \
                 them",
            );
            return None;
        }
        Some(EbsDefaults { volume_type: volume_type?, encrypted, kms_key, zone, attach: attach? })
    }

    fn credentials(&mut self) -> Option<Option<Credentials>> {
        let access_key = self.get("backends.ebs.access_key", values::key_text)?;
        let secret_key = self.get("backends.ebs.secret_key", values::key_text)?;
        let (given, missing) = match (access_key, secret_key) {
            (None, None) => return Some(None),
            (Some(access), Some(secret)) => return Some(Some(Credentials::new(access, secret))),
            (Some(_), None) => ("backends.ebs.access_key", "backends.ebs.secret_key"),
            (None, Some(_)) => ("backends.ebs.secret_key", "backends.ebs.access_key"),
        };
        let why = format!("{missing} is missing: give both, or none and an instance role");
        self.mistake(given, &why);
        None
    }
}

#[cfg(test)]
#[cfg(feature = "ebs")]
mod tests;

#[cfg(test)]
#[cfg(not(feature = "ebs"))]
mod tests {
    use super::super::{Config, tests::values};

    #[test]
    fn a_build_without_the_backend_says_so() {
        let file = "[daemon]\ncluster = \"prod\"\n[backends.ebs]\nenabled = true";
        let told = Config::read(values(file, &[], &[])).unwrap_err();
        assert_eq!(told.0.len(), 1, "{told}");
        assert!(told.to_string().contains("built without the EBS backend"), "{told}");
    }
}
