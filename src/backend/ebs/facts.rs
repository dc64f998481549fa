//! This node as EC2 sees it: for people who want to know whether EBS can work here.

use std::pin::Pin;

use super::{Ebs, Inner, error::EbsError};
use crate::backend::BackendError;

/// This node.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NodeFacts {
    /// Its instance id.
    pub instance: String,
    /// Its availability zone.
    pub zone: String,
    /// Its region.
    pub region: String,
    /// Its instance type.
    pub instance_type: String,
    /// How many volumes it can have, its root volume included; `None` where EC2 does not tell.
    pub slots: Option<u32>,
    /// How many of them are taken.
    pub slots_taken: usize,
}

impl Ebs {
    /// This node: who it is by its configuration or its metadata, and what EC2 says of it.
    ///
    /// # Errors
    ///
    /// Where the metadata service or EC2 does not answer, or EC2 does not know the instance.
    pub fn node_facts(
        &self,
    ) -> Pin<Box<dyn Future<Output = Result<NodeFacts, BackendError>> + Send + '_>> {
        let ask = self.inner.node_facts();
        Box::pin(async { ask.await.map_err(Self::failed("ask about this node")) })
    }
}

impl Inner {
    async fn node_facts(&self) -> Result<NodeFacts, EbsError> {
        let instance = self.node.instance(&self.api).await?;
        let seen = self.api.describe_instance(instance).await.map_err(EbsError::api(instance))?;
        Ok(NodeFacts {
            instance: instance.to_owned(),
            zone: self.node.zone(&self.api).await?.to_owned(),
            region: self.api.region_name().await.map_err(EbsError::api(instance))?,
            slots: self.node.limit(&self.api, &seen).await,
            slots_taken: seen.devices.len(),
            instance_type: seen.instance_type,
        })
    }
}
