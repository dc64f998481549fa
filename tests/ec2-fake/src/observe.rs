//! What a test can see of the fake: requests, volumes, snapshots, devices. As they are, whatever
//! describing shows.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    calls::Call,
    controls::Controls,
    shared::lock,
    state::{Bound, Snapshot, SnapshotPhase, Volume},
};

/// A volume as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeInfo {
    /// `vol-…`.
    pub id: String,
    /// `creating`, `available`, `in-use`, `deleting` or `error`.
    pub state: String,
    /// In GiB.
    pub size: u32,
    /// `gp3`, …
    pub volume_type: String,
    /// Provisioned or derived.
    pub iops: Option<u32>,
    /// In MiB/s.
    pub throughput: Option<u32>,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// With which key.
    pub kms_key: Option<String>,
    /// Where it is.
    pub zone: String,
    /// What it was made from.
    pub snapshot: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its attachment, in whatever state.
    pub attachment: Option<AttachmentInfo>,
}

/// An attachment as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentInfo {
    /// To which instance.
    pub instance: String,
    /// Under which name, as it was asked for.
    pub device: String,
    /// `attaching`, `attached` or `detaching`.
    pub state: String,
    /// The node in the instance's directory, while there is one. Machines have none.
    pub path: Option<PathBuf>,
}

/// A snapshot as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// `snap-…`.
    pub id: String,
    /// Of which volume.
    pub volume: String,
    /// The volume's size, in GiB.
    pub size: u32,
    /// `pending` or `completed`.
    pub state: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Controls {
    /// The requests since the last reset, in the order in which they came.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls().all().to_vec()
    }

    /// How many requests of this action have come since the last reset.
    pub fn count(&self, action: &str) -> usize {
        self.shared.calls().all().iter().filter(|call| call.action == action).count()
    }

    /// Forgets the requests.
    pub fn reset_calls(&self) {
        self.shared.calls().reset();
    }

    /// All volumes that are not deleted.
    pub fn volumes(&self) -> Vec<VolumeInfo> {
        self.shared.world().volumes.values().map(VolumeInfo::of).collect()
    }

    /// One of them.
    pub fn volume(&self, id: &str) -> Option<VolumeInfo> {
        self.shared.world().volumes.get(id).map(VolumeInfo::of)
    }

    /// All snapshots that are not deleted.
    pub fn snapshots(&self) -> Vec<SnapshotInfo> {
        let world = self.shared.world();
        let there = world.snapshots.values().filter(|found| found.phase != SnapshotPhase::Removing);
        there.map(SnapshotInfo::of).collect()
    }

    /// A volume's device node, while it has one.
    pub fn attach_path(&self, volume: &str) -> Option<PathBuf> {
        self.volume(volume)?.attachment?.path
    }

    /// A volume's image file.
    pub fn image(&self, volume: &str) -> PathBuf {
        self.shared.devices.image(volume)
    }

    /// The directory that holds an instance's `dev` and `sys`.
    pub fn play_dir(&self, instance: &str) -> PathBuf {
        self.shared.devices.play(instance)
    }

    /// `http://…`: where an instance's metadata service listens. EC2 answers there, too.
    pub fn imds_endpoint(&self, instance: &str) -> Option<String> {
        lock(&self.shared.ports).get(instance).map(|address| format!("http://{address}"))
    }
}

fn node(bound: &Bound) -> Option<PathBuf> {
    match bound {
        Bound::Shown(shown) => Some(shown.play.join("dev").join(&shown.name)),
        Bound::Plugged { .. } => None,
    }
}

impl VolumeInfo {
    fn of(volume: &Volume) -> Self {
        let attachment = volume.attachment.as_ref().map(|attachment| AttachmentInfo {
            instance: attachment.instance.clone(),
            device: attachment.device.clone(),
            state: attachment.state().to_owned(),
            path: attachment.bound.as_ref().and_then(node),
        });
        Self {
            id: volume.id.clone(),
            state: volume.state().to_owned(),
            size: volume.gib,
            volume_type: volume.performance.volume_type.clone(),
            iops: volume.performance.iops,
            throughput: volume.performance.throughput,
            encrypted: volume.encrypted,
            kms_key: volume.kms_key.clone(),
            zone: volume.zone.clone(),
            snapshot: volume.snapshot.clone(),
            tags: volume.tags.clone(),
            attachment,
        }
    }
}

impl SnapshotInfo {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            id: snapshot.id.clone(),
            volume: snapshot.volume.clone(),
            size: snapshot.gib,
            state: snapshot.state().to_owned(),
            tags: snapshot.tags.clone(),
        }
    }
}
