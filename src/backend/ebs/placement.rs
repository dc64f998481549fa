//! Where this node is in EC2, and how many more volumes it takes: for operators and schedulers.

use async_trait::async_trait;

use super::{Ebs, Inner, error::EbsError};
use crate::backend::{BackendError, Placement};

impl Inner {
    async fn free_slots(&self) -> Result<Option<u32>, EbsError> {
        let instance = self.node.instance(&self.api).await?;
        let seen = self.slots.first_look(&self.api, instance).await;
        let seen = seen.map_err(EbsError::api(instance))?;
        let limit = self.node.limit(&self.api, seen).await;
        Ok(limit.map(|limit| self.slots.free_of(limit)))
    }
}

#[async_trait]
impl Placement for Ebs {
    async fn zone(&self) -> Result<String, BackendError> {
        let zone = self.inner.node.zone(&self.inner.api).await;
        zone.map(str::to_owned).map_err(Self::failed("ask which zone this node is in"))
    }

    async fn free_slots(&self) -> Result<Option<u32>, BackendError> {
        self.inner.free_slots().await.map_err(Self::failed("ask how many volumes this node takes"))
    }
}
