//! The embedded store as the store of a cluster that has one node, and knows no others.

use std::sync::LazyLock;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

use super::{Embedded, Job, Request};
use crate::{
    cluster::{Change, NodeInfo, Nodes, Store, StoreError, StoreHealth, Urgency},
    spec::VolumeName,
    volume::{NodeName, Record, Revision, VolumeId},
};

/// It is in this process: always there. Kept, so that whoever follows it waits and is not told of an
/// end.
static HEALTH: LazyLock<watch::Sender<StoreHealth>> =
    LazyLock::new(|| watch::Sender::new(StoreHealth::Answers));
static NOBODY: LazyLock<watch::Sender<Nodes>> = LazyLock::new(watch::Sender::default);

#[async_trait]
impl Store for Embedded {
    async fn create(&self, record: &Record, urgency: Urgency) -> Result<Revision, StoreError> {
        self.submit(Request::Create(Box::new(record.clone())), urgency).await
    }

    async fn replace(
        &self,
        _before: &Record,
        next: &Record,
        urgency: Urgency,
    ) -> Result<Revision, StoreError> {
        self.submit(Request::Replace(Box::new(next.clone())), urgency).await
    }

    async fn delete(&self, record: &Record) -> Result<(), StoreError> {
        let request = Request::DeleteAs(Box::new(record.clone()));
        self.submit(request, Urgency::Release).await.map(drop)
    }

    async fn read(&self, id: VolumeId) -> Result<Option<Record>, StoreError> {
        self.ask(|done| Job::Read { id, done }).await
    }

    async fn named(&self, name: &VolumeName) -> Result<Option<VolumeId>, StoreError> {
        let name = name.clone();
        self.ask(|done| Job::Named { name, done }).await
    }

    fn changes(&self) -> Option<mpsc::UnboundedReceiver<Change>> {
        None
    }

    fn health(&self) -> watch::Receiver<StoreHealth> {
        HEALTH.subscribe()
    }

    fn nodes(&self) -> watch::Receiver<Nodes> {
        NOBODY.subscribe()
    }

    async fn announce(&self, _info: &NodeInfo) -> Result<(), StoreError> {
        Ok(())
    }

    async fn forget_node(&self, node: &NodeName) -> Result<(), StoreError> {
        Err(StoreError::Shared {
            store: self.path.display().to_string(),
            reason: format!("there is no node {node}: this hawser is in no cluster"),
        })
    }

    async fn close(&self) {}
}
