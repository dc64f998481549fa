//! What there is: volumes, snapshots, instances, client tokens. No I/O, no clock: the time is passed
//! in, and what has to be done to files and devices comes out as [`Effect`]s of [`step`].

mod effect;
mod instance;
mod limits;
mod snapshot;
mod step;
#[cfg(test)]
mod tests;
mod volume;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use uuid::Uuid;

pub(crate) use self::{
    effect::{BindOrder, Bound, Done, Effect, Shown},
    instance::Instance,
    limits::{Performance, Wanted, check},
    snapshot::{Snapshot, SnapshotPhase},
    volume::{AttachPhase, Attachment, Modification, ModifyPhase, Volume, VolumePhase},
};
use crate::{
    config::{Delays, FakeConfig},
    error::{ApiError, Outcome},
    faults::{BurnedTokens, Sabotage},
};

pub(crate) type Tags = BTreeMap<String, String>;

/// Everything that this EC2 knows.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) zones: Vec<String>,
    pub(crate) account: String,
    pub(crate) delays: Delays,
    pub(crate) volumes: BTreeMap<String, Volume>,
    pub(crate) snapshots: BTreeMap<String, Snapshot>,
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) tokens: BTreeMap<String, Token>,
    pub(crate) burned: BurnedTokens,
    pub(crate) sabotage: Sabotage,
    /// For how long describing shows what was before.
    pub(crate) hide: Duration,
}

/// A client token of CreateVolume.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// The parameters that came with it.
    pub(crate) parameters: Tags,
    /// The volume as it was answered.
    pub(crate) volume: Volume,
}

/// When something that takes this long from now is over.
pub(crate) fn after(now: Timestamp, delay: Duration) -> Timestamp {
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}

/// `vol-0…` and the like: 17 hexadecimal digits of which the first is 0, as the real ones are today.
pub(crate) fn new_id(prefix: &str) -> String {
    let random = Uuid::new_v4().simple().to_string();
    format!("{prefix}-0{}", &random[..16])
}

/// Whether this is `prefix-` and 8 or 17 hexadecimal digits.
pub(crate) fn is_id(prefix: &str, id: &str) -> bool {
    id.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')).is_some_and(|digits| {
        matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

impl World {
    pub(crate) fn new(config: &FakeConfig) -> Self {
        Self {
            zones: config.zones.clone(),
            account: config.account.clone(),
            delays: config.delays,
            volumes: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            instances: BTreeMap::new(),
            tokens: BTreeMap::new(),
            burned: BurnedTokens::AnswerDeletedId,
            sabotage: Sabotage::default(),
            hide: Duration::ZERO,
        }
    }

    /// The volume that a request means.
    pub(crate) fn volume(&mut self, id: &str) -> Outcome<&mut Volume> {
        if !is_id("vol", id) {
            return Err(ApiError::invalid_value(format!(
                "Value ({id}) for parameter volumeId is invalid. Expected: 'vol-...'."
            )));
        }
        self.volumes.get_mut(id).ok_or_else(|| ApiError::no_volume(id))
    }

    pub(crate) fn instance(&mut self, id: &str) -> Outcome<&mut Instance> {
        if !is_id("i", id) {
            let message = format!("Invalid id: \"{id}\" (expecting \"i-...\")");
            return Err(ApiError::new("InvalidInstanceID.Malformed", message));
        }
        self.instances.get_mut(id).ok_or_else(|| ApiError::no_instance(id))
    }

    pub(crate) fn snapshot(&mut self, id: &str) -> Outcome<&mut Snapshot> {
        if !is_id("snap", id) {
            return Err(ApiError::invalid_value(format!(
                "Value ({id}) for parameter snapshotId is invalid. Expected: 'snap-...'."
            )));
        }
        self.snapshots.get_mut(id).ok_or_else(|| ApiError::no_snapshot(id))
    }

    /// The volumes at this instance, in whatever phase.
    pub(crate) fn attached_to<'a>(
        &'a self,
        instance: &'a str,
    ) -> impl Iterator<Item = (&'a Volume, &'a Attachment)> {
        self.volumes.values().filter_map(move |volume| {
            let attachment = volume.attachment.as_ref()?;
            (attachment.instance == instance).then_some((volume, attachment))
        })
    }

    /// The names that are taken at this instance.
    pub(crate) fn device_names(&self, instance: &Instance) -> BTreeSet<String> {
        self.attached_to(&instance.spec.id)
            .map(|(_, attachment)| attachment.device.clone())
            .chain([instance.root_device.clone()])
            .collect()
    }
}
