//! Calls to the other nodes' peer ports.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};

use super::PresenceRequest;
use crate::{
    cluster::NodeInfo,
    engine::{
        DrainRequest, Drained, MoveRequest, NeighbourError, Neighbours, Presence, ReleaseRequest,
        Released, RemoveRequest,
    },
    peer::{PeerError, Peers},
    volume::VolumeId,
};

/// As long as a whole mount may take there, and a little more, so that its reason is heard.
const LONG: Duration = Duration::from_secs(115);
/// Docker waits a minute for a removal.
const REMOVE: Duration = Duration::from_secs(45);
/// For what is answered from memory.
const SHORT: Duration = Duration::from_secs(5);

/// The other nodes, over their peer ports.
#[derive(Debug, Clone)]
pub struct PeerPort(Peers);

impl PeerPort {
    /// Calls as this node.
    #[must_use]
    pub const fn new(peers: Peers) -> Self {
        Self(peers)
    }

    async fn call<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        node: &NodeInfo,
        path: &str,
        body: &Q,
        limit: Duration,
    ) -> Result<A, NeighbourError> {
        let Some(address) = &node.address else {
            return Err(format!("node `{}` says no address of its peer port", node.name).into());
        };
        let answer = self.0.call(&node.name, address, path, body, limit).await;
        if let Err(error @ PeerError::Untrusted { .. }) = &answer {
            tracing::warn!(%error, "a node of this cluster is not believed, or does not believe this one");
        }
        Ok(answer?)
    }
}

#[async_trait]
impl Neighbours for PeerPort {
    async fn release(
        &self,
        node: &NodeInfo,
        request: &ReleaseRequest,
        limit: Duration,
    ) -> Result<Released, NeighbourError> {
        // Whether it is there at all is found out soon; letting go may take a while.
        let _: Presence = self
            .call(node, "/presence", &PresenceRequest { volume: request.volume }, SHORT)
            .await?;
        let answer = self.call(node, "/release", request, limit).await;
        let Err(error) = answer else { return answer };
        match error.downcast::<PeerError>() {
            // It is there, and says why not.
            Ok(error) if matches!(*error, PeerError::Refused { .. }) => {
                Ok(Released::Busy(error.to_string()))
            }
            Ok(error) => Err(error),
            Err(error) => Err(error),
        }
    }

    async fn presence(&self, node: &NodeInfo, id: VolumeId) -> Result<Presence, NeighbourError> {
        self.call(node, "/presence", &PresenceRequest { volume: id }, SHORT).await
    }

    async fn take(&self, node: &NodeInfo, request: &MoveRequest) -> Result<(), NeighbourError> {
        self.call(node, "/take", request, LONG).await
    }

    async fn remove(&self, node: &NodeInfo, request: &RemoveRequest) -> Result<(), NeighbourError> {
        self.call(node, "/remove", request, REMOVE).await
    }

    async fn drain(
        &self,
        node: &NodeInfo,
        request: DrainRequest,
    ) -> Result<Drained, NeighbourError> {
        self.call(node, "/drain", &request, LONG).await
    }
}
