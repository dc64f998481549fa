//! The messages between the daemon and the `hawser` commands. `--json` prints them as they are, so
//! they are stable: fields are added, never renamed.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    backend::Snapshot,
    engine::{Consistency, Effort, Grown, State, View, Ways},
    spec::Spec,
    volume::{Contents, Holder, Membership, Phase, Purge, VolumeId},
};

/// Where a volume is to go.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MoveVolumeRequest {
    /// The node's name.
    pub to: String,
    /// How hard that node tries.
    pub effort: Effort,
}

/// A volume that is to stay mounted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublishRequest {
    /// Its name, or an inline spec.
    pub name: String,
}

/// A volume that stays mounted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublishResponse {
    /// Where it is on this host.
    pub path: PathBuf,
}

/// A node was forgotten.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ForgottenResponse {
    /// The volumes that it had.
    pub volumes: Vec<String>,
}

/// A volume.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VolumeInfo {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub id: VolumeId,
    /// Its state in one word.
    pub state: State,
    /// What it was asked to be, with defaults; `size` is the present one, in bytes.
    pub spec: Spec,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether it has a file system yet.
    pub contents: Contents,
    /// What the backend calls its storage.
    pub storage: Option<String>,
    /// Where tasks see it, while it is mounted.
    pub path: Option<PathBuf>,
    /// The device that it is attached as.
    pub device: Option<PathBuf>,
    /// Bytes used, while it is mounted.
    pub used_bytes: Option<u64>,
    /// The node of the cluster that has its storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Of which group it is, with whose it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Membership>,
    /// The members of a group that is looked at by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<VolumeInfo>,
    /// Who uses it here.
    pub holders: Vec<Holder>,
    /// The step being done now.
    pub doing: Option<String>,
    /// Why it cannot be served, or why the last step failed.
    pub failure: Option<String>,
    /// How this node shares it with others, where it does and was asked for it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<Ways>,
    /// The size that a grow is on its way to, in bytes.
    pub growing_to_bytes: Option<u64>,
    /// The file system takes up its new size at the next mount.
    pub grows_at_next_mount: bool,
    /// When it was removed.
    pub removed_at: Option<Timestamp>,
    /// When its data is deleted; none for a removed volume that is retained.
    pub deleted_at: Option<Timestamp>,
}

impl VolumeInfo {
    /// What is known of a volume, with the bytes used where they were measured.
    #[must_use]
    pub fn new(view: &View, used_bytes: Option<u64>) -> Self {
        let record = view.record.clone();
        let (removed_at, deleted_at) = match record.phase {
            Phase::Removed { at, purge: Purge::At(deleted) | Purge::Condemned(deleted) } => {
                (Some(at), Some(deleted))
            }
            Phase::Removed { at, purge: Purge::Never } => (Some(at), None),
            Phase::Creating | Phase::Ready => (None, None),
        };
        Self {
            name: record.name.to_string(),
            id: record.id,
            state: view.state(),
            created_at: record.created_at,
            contents: record.contents,
            storage: record.handle.map(|handle| handle.to_string()),
            path: view.path.clone(),
            device: view
                .observed
                .as_ref()
                .and_then(|seen| seen.device.as_ref())
                .map(|device| device.path.clone()),
            used_bytes,
            growing_to_bytes: record.growing_to.map(crate::spec::Bytes::get),
            grows_at_next_mount: record.file_system_behind,
            spec: record.spec,
            owner: record.lease.owner.map(|owner| owner.node.to_string()),
            member: record.member,
            members: Vec::new(),
            holders: record.holders,
            doing: view.doing.map(str::to_owned),
            failure: view.failure.clone(),
            sharing: None,
            removed_at,
            deleted_at,
        }
    }
}

/// Asks for a volume.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateRequest {
    /// A name or an inline spec.
    pub name: String,
    /// Options, as with `docker volume create -o`.
    #[serde(default)]
    pub options: Vec<(String, String)>,
}

/// Asks for a larger volume.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrowRequest {
    /// The new size, as users write it.
    pub size: String,
    /// New settings of its storage, in the same change.
    #[serde(default)]
    pub options: Vec<(String, String)>,
}

/// What a grow came to.
#[derive(Debug, Serialize, Deserialize)]
pub struct GrowResponse {
    /// When tasks see it.
    pub grown: Grown,
}

/// Asks for a snapshot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotRequest {
    /// What it is for.
    #[serde(default)]
    pub description: String,
}

/// A snapshot that was begun.
#[derive(Debug, Serialize, Deserialize)]
pub struct SnapshotResponse {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// What its file system is like.
    pub consistency: Consistency,
}

/// Asks for storage to be taken over.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// What the backend calls it.
    pub handle: String,
    /// The volume's name; none is the one that it has.
    #[serde(default)]
    pub name: Option<String>,
    /// The directory of its file system that tasks see.
    #[serde(default)]
    pub data_dir: Option<String>,
}

/// Asks for another name; for `undelete`, none is the old one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameRequest {
    /// The new name.
    pub name: Option<String>,
}

/// Asks for new values of what can be changed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetRequest {
    /// Options, as with `docker volume create -o`.
    pub options: Vec<(String, String)>,
}

/// Asks for a check of the file system.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// Also mend what is wrong.
    pub repair: bool,
}

/// What a trim gave back.
#[derive(Debug, Serialize, Deserialize)]
pub struct TrimResponse {
    /// Bytes given back to the storage.
    pub trimmed_bytes: u64,
}

/// A name.
#[derive(Debug, Serialize, Deserialize)]
pub struct NameResponse {
    /// The name.
    pub name: String,
}

/// A failure.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorResponse {
    /// What failed, and why.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Device, Observed};

    /// Scripts read it: fields are added, never renamed or dropped.
    #[test]
    fn the_json_of_a_volume_does_not_change() {
        let record = include_str!("../../../tests/golden/record-v1.json");
        let device = Device { path: "/dev/loop7".into(), number: (7, 7) };
        let view = View {
            observed: Some(Observed { device: Some(device), ..Observed::default() }),
            path: Some("/mnt/volumes/v".into()),
            doing: Some("stage"),
            ..View::new(serde_json::from_str(record).unwrap())
        };

        let json = serde_json::to_string_pretty(&VolumeInfo::new(&view, Some(4096))).unwrap();

        let golden = include_str!("../../../tests/golden/volume-info.json");
        assert_eq!(json, golden.trim_end(), "\n{json}\n");
        let read: VolumeInfo = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_string_pretty(&read).unwrap(), json, "it reads back");
    }
}
