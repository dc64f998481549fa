//! What nodes ask of each other: the requests and answers of the peer port, and who carries them.

use std::{error::Error, fmt::Debug, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Removal, Ways};
use crate::{
    cluster::NodeInfo,
    spec::VolumeName,
    volume::{Epoch, VolumeId},
};

/// Why another node did not answer, or refused.
pub type NeighbourError = Box<dyn Error + Send + Sync>;

/// Another node wants a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRequest {
    /// Which.
    pub volume: VolumeId,
    /// The epoch that the asker knows: of another one it speaks of something else.
    pub epoch: Epoch,
    /// Whether the asker can reach it where it is, too. Older nodes do not say so, and have it moved.
    #[serde(default)]
    pub remotely: bool,
}

/// What the owner answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "answer", content = "why")]
pub enum Released {
    /// It let go, or has nothing to let go of.
    Released,
    /// It stays there, and the asker has the writer claim: only where it said that it can use that.
    Joined,
    /// Somebody uses it there.
    Held(String),
    /// It cannot now.
    Busy(String),
}

/// What a node has of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Presence {
    /// Its storage is attached there.
    pub attached: bool,
    /// It is mounted there.
    pub mounted: bool,
    /// By way of its owner.
    #[serde(default)]
    pub reached: bool,
    /// Who uses it there.
    pub holders: Vec<String>,
    /// What is being done with it there.
    pub doing: Option<String>,
    /// Why it cannot be served there.
    pub failure: Option<String>,
    /// How it is shared there with other nodes. An older hawser does not say.
    #[serde(default)]
    pub ways: Ways,
}

/// How hard a node tries to get a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// From an owner that lets go, or whose machine is gone.
    Usual,
    /// Also from one that does not answer though its machine runs.
    Force,
}

/// A volume is to be moved to the node that is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveRequest {
    /// Which.
    pub volume: VolumeName,
    /// How hard it tries.
    pub effort: Effort,
}

/// A volume is to be removed that only the node that is asked can remove: it is on its own disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveRequest {
    /// Which.
    pub volume: VolumeName,
    /// When its data goes.
    pub when: Removal,
}

/// Whether a node takes volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainRequest {
    /// False: it takes volumes again.
    pub drained: bool,
}

/// What a drained node still has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Drained {
    /// Volumes that it gave free.
    pub released: Vec<String>,
    /// Volumes that are in use there, and by whom.
    pub held: Vec<(String, String)>,
    /// Volumes on its own disks, which stay.
    pub local: Vec<String>,
}

/// Carries requests to other nodes.
#[async_trait]
pub trait Neighbours: Send + Sync + Debug {
    /// Asks the owner to let go of a volume.
    ///
    /// # Errors
    ///
    /// Where there is no answer within `limit`: it may have let go all the same.
    async fn release(
        &self,
        node: &NodeInfo,
        request: &ReleaseRequest,
        limit: Duration,
    ) -> Result<Released, NeighbourError>;

    /// Asks a node what it has of a volume.
    ///
    /// # Errors
    ///
    /// Where it does not answer.
    async fn presence(&self, node: &NodeInfo, id: VolumeId) -> Result<Presence, NeighbourError>;

    /// Has a node get a volume.
    ///
    /// # Errors
    ///
    /// Where it does not get it, or does not answer: it may get it all the same.
    async fn take(&self, node: &NodeInfo, request: &MoveRequest) -> Result<(), NeighbourError>;

    /// Has a node remove a volume.
    ///
    /// # Errors
    ///
    /// Where it refuses, or does not answer: it may be removed all the same.
    async fn remove(&self, node: &NodeInfo, request: &RemoveRequest) -> Result<(), NeighbourError>;

    /// Has a node give its volumes free, or take volumes again.
    ///
    /// # Errors
    ///
    /// Where it does not answer.
    async fn drain(
        &self,
        node: &NodeInfo,
        request: DrainRequest,
    ) -> Result<Drained, NeighbourError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_node_asks_is_to_come_to_it_and_it_understands_the_answer() {
        let volume = VolumeId::random();
        let asked = serde_json::json!({"volume": volume, "epoch": 3});
        let request: ReleaseRequest = serde_json::from_value(asked).unwrap();
        assert_eq!(request, ReleaseRequest { volume, epoch: 3.into(), remotely: false });
        let said = serde_json::to_value(Released::Released).unwrap();
        assert_eq!(said, serde_json::json!({"answer": "released"}));
    }

    #[test]
    fn an_older_node_reads_what_a_newer_one_asks_as_far_as_it_knows_it() {
        #[derive(Deserialize)]
        struct Older {
            volume: VolumeId,
            epoch: Epoch,
        }
        let volume = VolumeId::random();
        let request = ReleaseRequest { volume, epoch: 3.into(), remotely: true };
        let read: Older = serde_json::from_value(serde_json::to_value(request).unwrap()).unwrap();
        assert_eq!((read.volume, read.epoch), (volume, 3.into()));
    }
}
