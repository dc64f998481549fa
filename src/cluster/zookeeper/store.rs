//! ZooKeeper as the store of a cluster.

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

use super::{
    Connection, Trouble, Write, ZooKeeper,
    layout::Subject,
    lock, records,
    wire::{ANY, Code, Life, Op, Refused},
};
use crate::{
    cluster::{Change, NodeInfo, Nodes, Store, StoreError, StoreHealth, Urgency},
    spec::VolumeName,
    volume::{NodeName, Record, Revision, VolumeId},
};

#[async_trait]
impl Store for ZooKeeper {
    async fn create(&self, record: &Record, _urgency: Urgency) -> Result<Revision, StoreError> {
        self.write(Write::create(record)).await
    }

    async fn replace(
        &self,
        before: &Record,
        next: &Record,
        _urgency: Urgency,
    ) -> Result<Revision, StoreError> {
        self.write(Write::replace(before, next)).await
    }

    async fn delete(&self, record: &Record) -> Result<(), StoreError> {
        self.write(Write::delete(record)).await.map(drop)
    }

    async fn read(&self, id: VolumeId) -> Result<Option<Record>, StoreError> {
        self.ask(|connection| Box::pin(async move { records::read(self, &connection, id).await }))
            .await
    }

    async fn named(&self, name: &VolumeName) -> Result<Option<VolumeId>, StoreError> {
        self.ask(|connection| {
            Box::pin(async move { records::read_name(self, &connection, name).await })
        })
        .await
    }

    fn changes(&self) -> Option<mpsc::UnboundedReceiver<Change>> {
        lock(&self.changes).take()
    }

    fn health(&self) -> watch::Receiver<StoreHealth> {
        self.shared.health.subscribe()
    }

    fn nodes(&self) -> watch::Receiver<Nodes> {
        self.shared.nodes.subscribe()
    }

    async fn announce(&self, info: &NodeInfo) -> Result<(), StoreError> {
        // Twice is as good as once.
        self.ask(|connection| Box::pin(async move { self.tell(&connection, info).await })).await?;
        *lock(&self.shared.me) = info.clone();
        Ok(())
    }

    async fn forget_node(&self, node: &NodeName) -> Result<(), StoreError> {
        self.ask(|connection| Box::pin(async move { self.forget(&connection, node).await })).await
    }

    /// The session stays, and this node is not taken for dead until its time-out: the next start goes on
    /// with it.
    async fn close(&self) {
        self.task.abort();
        self.shared.away(std::time::Instant::now(), "hawser is ending".into());
    }
}

impl ZooKeeper {
    async fn tell(&self, connection: &Connection, info: &NodeInfo) -> Result<(), Trouble> {
        let path = self.shared.layout.node(&info.name);
        let data = serde_json::to_vec(info).map_err(|error| self.shared.refusal(&error))?;
        let set = Op::Set { path: path.clone(), data: data.clone(), version: ANY };
        let told = self.tell_as(connection, info, set).await?;
        // An operator took this node for gone: it is not.
        let told = match told {
            Err(Refused { code: Code::NoNode, .. }) => {
                let create = Op::Create { path, data, life: Life::Persistent };
                self.tell_as(connection, info, create).await?
            }
            told => told,
        };
        told.map_err(|refused| self.shared.refusal(&refused.code).into())
    }

    async fn tell_as(
        &self,
        connection: &Connection,
        info: &NodeInfo,
        op: Op,
    ) -> Result<Result<(), Refused>, Trouble> {
        let ops = [op, self.shared.change(&Subject::Node(info.name.clone()))];
        let told = connection.multi(&ops).await.map_err(|failure| self.trouble(failure))?;
        Ok(told.map(drop))
    }

    async fn forget(&self, connection: &Connection, node: &NodeName) -> Result<(), Trouble> {
        let layout = &self.shared.layout;
        let alive = layout.alive_node(node);
        // It must not come back in between: it would have said nothing of itself, and live unseen.
        let ops = [
            Op::Create { path: alive.clone(), data: Vec::new(), life: Life::Persistent },
            Op::Delete { path: alive, version: ANY },
            Op::Delete { path: layout.node(node), version: ANY },
            self.shared.change(&Subject::Node(node.clone())),
        ];
        match connection.multi(&ops).await.map_err(|failure| self.trouble(failure))? {
            Ok(_) => Ok(()),
            Err(refused) if refused.code == Code::NodeExists => {
                Err(StoreError::NodeLives(node.clone()).into())
            }
            // It is forgotten.
            Err(refused) if refused.code == Code::NoNode => Ok(()),
            Err(refused) => Err(self.shared.refusal(&refused.code).into()),
        }
    }
}
