//! The embedded store as the store of a cluster that has one node.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

use super::Embedded;
use crate::{
    cluster::{Change, NodeInfo, Nodes, Store, StoreError, StoreHealth, Urgency},
    spec::VolumeName,
    volume::{NodeName, Record, Revision, VolumeId},
};

#[async_trait]
impl Store for Embedded {
    async fn create(&self, record: &Record, urgency: Urgency) -> Result<Revision, StoreError> {
        let revision = record.revision.next();
        self.put(&Record { revision, ..record.clone() }, urgency).await?;
        Ok(revision)
    }

    async fn replace(
        &self,
        _before: &Record,
        next: &Record,
        urgency: Urgency,
    ) -> Result<Revision, StoreError> {
        self.create(next, urgency).await
    }

    async fn delete(&self, record: &Record) -> Result<(), StoreError> {
        Self::delete(self, record.id).await
    }

    async fn read(&self, _id: VolumeId) -> Result<Option<Record>, StoreError> {
        Ok(None)
    }

    async fn named(&self, _name: &VolumeName) -> Result<Option<VolumeId>, StoreError> {
        Ok(None)
    }

    fn changes(&self) -> Option<mpsc::UnboundedReceiver<Change>> {
        None
    }

    fn health(&self) -> watch::Receiver<StoreHealth> {
        watch::channel(StoreHealth::Answers).1
    }

    fn nodes(&self) -> watch::Receiver<Nodes> {
        watch::channel(Arc::default()).1
    }

    async fn announce(&self, _info: &NodeInfo) -> Result<(), StoreError> {
        Ok(())
    }

    async fn forget_node(&self, _node: &NodeName) -> Result<(), StoreError> {
        Ok(())
    }

    async fn close(&self) {}
}
