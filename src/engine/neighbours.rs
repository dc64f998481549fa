//! What nodes ask of each other: the requests and answers of the peer port, and who carries them.

use std::{error::Error, fmt::Debug, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    cluster::NodeInfo,
    volume::{Epoch, NodeName, VolumeId},
};

/// Another node wants a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRequest {
    /// Which.
    pub volume: VolumeId,
    /// The epoch that the asker knows: of another one it speaks of something else.
    pub epoch: Epoch,
    /// Who asks.
    pub to: NodeName,
}

/// What the owner answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "answer", content = "why")]
pub enum Released {
    /// It let go, or has nothing to let go of.
    Released,
    /// Somebody uses it there.
    Held(String),
    /// It cannot now.
    Busy(String),
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
    ) -> Result<Released, Box<dyn Error + Send + Sync>>;
}
