//! Where the engine keeps its records: the store that decides, and in a cluster this node's copy.
//!
//! The copy holds what is true of this node alone (who holds a volume here), and lets a node start
//! while the store is away. It decides nothing: what the store says replaces it.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::{mpsc, watch};

use super::{Change, Embedded, NodeInfo, Nodes, Store, StoreError, StoreHealth, Urgency};
use crate::{
    sys::durable,
    volume::{
        Lease, NodeName, Owner, Record, VolumeId,
        lease::{Session, StoreReach},
    },
};

/// The engine's hand on the records; clones share it.
#[derive(Debug, Clone)]
pub struct Keeper {
    store: Arc<dyn Store>,
    here: Here,
}

/// What is kept on this node.
#[derive(Debug, Clone)]
enum Here {
    /// The store itself: there is no other node.
    All(Embedded),
    /// A copy, and what makes it a node of a cluster.
    Copy(Membership),
}

/// What a node of a cluster has besides the store.
#[derive(Debug, Clone)]
struct Membership {
    copy: Embedded,
    me: Owner,
    /// Is there while the node is drained: over restarts, and before the store answers.
    drained: PathBuf,
    /// Is there until what this node had before it joined was brought in: over restarts, too.
    marker: PathBuf,
    /// It was there at this start: what the store does not know of this node's records was never there,
    /// or is lost. Otherwise it was deleted.
    joining: bool,
}

impl Keeper {
    /// Of a node that is in no cluster: the embedded store decides.
    #[must_use]
    pub fn alone(store: Embedded) -> Self {
        Self { store: Arc::new(store.clone()), here: Here::All(store) }
    }

    /// Of a node of a cluster, which is called so there.
    #[must_use]
    pub fn clustered(
        store: Arc<dyn Store>,
        copy: Embedded,
        me: Owner,
        drained: PathBuf,
        marker: PathBuf,
    ) -> Self {
        let joining = marker.exists();
        Self { store, here: Here::Copy(Membership { copy, me, drained, marker, joining }) }
    }

    const fn membership(&self) -> Option<&Membership> {
        match &self.here {
            Here::All(_) => None,
            Here::Copy(membership) => Some(membership),
        }
    }

    /// The lease of a volume that this node makes.
    #[must_use]
    pub fn first_lease(&self) -> Lease {
        self.me().cloned().map_or_else(Lease::default, Lease::first)
    }

    /// This node as an owner, where it is in a cluster.
    #[must_use]
    pub fn me(&self) -> Option<&Owner> {
        self.membership().map(|cluster| &cluster.me)
    }

    /// This node was not in this cluster before it was started.
    #[must_use]
    pub fn is_joining(&self) -> bool {
        self.membership().is_some_and(|cluster| cluster.joining)
    }

    /// All that this node had was brought in: what the store does not have from now on was deleted.
    pub fn joined(&self) {
        let marker = self.membership().map(|cluster| &cluster.marker);
        if let Some(marker) = marker.filter(|marker| marker.exists())
            && let Err(error) = std::fs::remove_file(marker)
        {
            tracing::warn!(marker = %marker.display(), %error, "this node goes on as one that just joins");
        }
    }

    /// Stores a new volume's record. The record as it is stored comes back.
    ///
    /// # Errors
    ///
    /// As of [`Store::create`].
    pub async fn create(&self, record: &Record, urgency: Urgency) -> Result<Record, StoreError> {
        // The copy first: without room for it here, nothing is made for everybody.
        self.mirror(record, urgency).await?;
        let revision = match self.store.create(record, urgency).await {
            Ok(revision) => revision,
            Err(error) => {
                // What stays is forgotten when the store says that it has no such record.
                let _ = self.forget(record.id).await;
                return Err(error);
            }
        };
        let stored = Record { revision, ..record.clone() };
        self.mirror_at_best(&stored, urgency).await;
        Ok(stored)
    }

    /// Stores the record of a volume that this node had before the cluster knew of it. The copy, which
    /// may be all that there is of it, stays as it is until that is done.
    ///
    /// # Errors
    ///
    /// As of [`Store::create`].
    pub async fn introduce(&self, record: &Record) -> Result<Record, StoreError> {
        let revision = self.store.create(record, Urgency::Release).await?;
        let stored = Record { revision, ..record.clone() };
        self.mirror_at_best(&stored, Urgency::Release).await;
        Ok(stored)
    }

    async fn mirror_at_best(&self, record: &Record, urgency: Urgency) {
        if let Err(error) = self.mirror(record, urgency).await {
            // The store has it, and decides.
            tracing::warn!(volume = %record.name, %error, "this node's copy of the record is older");
        }
    }

    /// Stores a record's next state. What is true of this node alone is stored without the cluster's
    /// store, so that tasks are mounted and let go of while that is away.
    ///
    /// # Errors
    ///
    /// As of [`Store::replace`].
    pub async fn put(
        &self,
        before: &Record,
        next: &Record,
        urgency: Urgency,
    ) -> Result<Record, StoreError> {
        // What the cluster does not know yet is this node's alone, all of it.
        let unknown = before.lease.is_unused() && next.lease.is_unused()
            || before.untold && is_another_name(before, next);
        let here_alone =
            self.membership().is_some() && (unknown || before.shared() == next.shared());
        let revision = if here_alone {
            before.revision
        } else {
            self.store.replace(before, next, urgency).await?
        };
        let untold = here_alone && next.untold;
        let stored = Record { revision, untold, ..next.clone() };
        if here_alone {
            self.mirror(&stored, urgency).await?;
        } else {
            self.mirror_at_best(&stored, urgency).await;
        }
        Ok(stored)
    }

    /// Deletes a record.
    ///
    /// # Errors
    ///
    /// As of [`Store::delete`].
    pub async fn delete(&self, record: &Record) -> Result<(), StoreError> {
        if self.membership().is_none() || !record.lease.is_unused() {
            self.store.delete(record).await?;
        }
        self.forget(record.id).await
    }

    /// Takes back a creation of which it is not known whether it was stored.
    ///
    /// # Errors
    ///
    /// It may still be there.
    pub async fn discard(&self, record: &Record) -> Result<(), StoreError> {
        if let Here::All(alone) = &self.here {
            return alone.delete(record.id).await;
        }
        // Another node may have imported the same storage, under the same id.
        let own = |stored: &Record| {
            stored.created_at == record.created_at && stored.lease == record.lease
        };
        if let Some(stored) = self.store.read(record.id).await?.filter(own) {
            self.store.delete(&stored).await?;
        }
        self.forget(record.id).await
    }

    /// Keeps this node's copy of what the store has.
    ///
    /// # Errors
    ///
    /// The copy may then be the older one.
    pub async fn mirror(&self, record: &Record, urgency: Urgency) -> Result<(), StoreError> {
        match self.membership() {
            Some(cluster) => cluster.copy.put(record, urgency).await,
            None => Ok(()),
        }
    }

    /// Keeps this node's copy of what is another node's to decide and of which nothing is here, soon:
    /// after a crash the older copy is caught up with, as after any time away.
    pub fn mirror_soon(&self, record: &Record) {
        if let Some(cluster) = self.membership() {
            cluster.copy.put_soon(record);
        }
    }

    /// Forgets this node's copy of what the store does not have any more.
    ///
    /// # Errors
    ///
    /// It may still be there, and is then forgotten with the next start.
    pub async fn forget(&self, id: VolumeId) -> Result<(), StoreError> {
        match self.membership() {
            Some(cluster) => cluster.copy.delete(id).await,
            None => Ok(()),
        }
    }

    /// A record as the store has it now.
    ///
    /// # Errors
    ///
    /// Not knowing is an error.
    pub async fn read(&self, id: VolumeId) -> Result<Option<Record>, StoreError> {
        self.store.read(id).await
    }

    /// What other nodes change. It is taken once.
    #[must_use]
    pub fn changes(&self) -> Option<mpsc::UnboundedReceiver<Change>> {
        self.store.changes()
    }

    /// Whether the store answers.
    #[must_use]
    pub fn reach(&self) -> StoreReach {
        match *self.store.health().borrow() {
            StoreHealth::Answers => StoreReach::Answers,
            StoreHealth::Away { .. } => StoreReach::Away,
        }
    }

    /// The nodes as they are known now.
    #[must_use]
    pub fn nodes(&self) -> Nodes {
        Arc::clone(&self.store.nodes().borrow())
    }

    /// Follows the nodes.
    #[must_use]
    pub fn watch_nodes(&self) -> watch::Receiver<Nodes> {
        self.store.nodes()
    }

    /// A node's session, as far as it is known. One that the store does not know has none; but until the
    /// store has answered this daemon nobody is known, and not to know is no reason to take anybody for dead.
    #[must_use]
    pub fn session(&self, node: &NodeName) -> Session {
        session(&self.nodes(), self.reach(), node)
    }

    /// This node was drained, and not taken back since.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.membership().is_some_and(|cluster| cluster.drained.exists())
    }

    /// Says what is new of this node.
    ///
    /// # Errors
    ///
    /// It is as before then, to the other nodes.
    pub async fn announce(&self, info: &NodeInfo) -> Result<(), StoreError> {
        self.store.announce(info).await?;
        let Some(Membership { drained, .. }) = self.membership() else { return Ok(()) };
        let noted = match (info.drained, drained.exists()) {
            (true, false) => durable::create(drained, b"", 0o600),
            (false, true) => std::fs::remove_file(drained),
            (true, true) | (false, false) => Ok(()),
        };
        noted
            .map_err(|error| StoreError::Write { path: drained.clone(), reason: error.to_string() })
    }

    /// Forgets a node that is gone for good.
    ///
    /// # Errors
    ///
    /// Where it lives.
    pub async fn forget_node(&self, node: &NodeName) -> Result<(), StoreError> {
        self.store.forget_node(node).await
    }

    /// Ends in order.
    pub async fn close(&self) {
        self.store.close().await;
        if let Some(cluster) = self.membership() {
            cluster.copy.flush().await;
        }
    }
}

fn session(nodes: &Nodes, store: StoreReach, node: &NodeName) -> Session {
    match (nodes.get(node), store) {
        (Some(state), _) => state.session,
        (None, StoreReach::Away) => Session::Lives,
        (None, StoreReach::Answers) => Session::Over,
    }
}

/// Nothing but its name differs: all that can be changed of a record that the cluster's store lost.
fn is_another_name(before: &Record, next: &Record) -> bool {
    Record { name: next.name.clone(), ..before.shared() } == next.shared()
}

#[cfg(test)]
mod tests;
