//! What the cluster knows: volume records and nodes, kept durably.
//!
//! ```text
//! engine ──▶ Keeper ──▶ dyn Store      the truth: Embedded (one node) or ZooKeeper (a cluster)
//!                  └──▶ Embedded       in a cluster: this node's copy, with its holders, so that it
//!                                      starts without the store
//! ```
//!
//! [`Store`] is the contract; `conformance` is the contract as a test suite, and both pass it.

#[cfg(test)]
mod conformance;
pub mod embedded;
mod error;
mod keeper;
mod node;
pub mod rescue;
pub mod zookeeper;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

pub use embedded::Embedded;
pub use error::StoreError;
pub use keeper::Keeper;
pub use node::{NodeInfo, NodeState, Nodes};
pub use zookeeper::{ZooKeeper, ZooKeeperConfig};

use crate::{
    spec::VolumeName,
    volume::{NodeName, Record, Revision, VolumeId},
};

/// Keeps the records of volumes, and knows the nodes that use them.
///
/// For every method: it may be called in parallel; it ends within seconds, with
/// [`StoreError::Away`] where the store does not answer; and after an error of the connection the
/// change may have been made all the same, which is found out by reading.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Stores a record that no state of the store has. It is durable when this returns, and its
    /// name is no other volume's (a removed volume has none). What is true of one node alone
    /// ([`Record::shared`]) need not be kept.
    ///
    /// # Errors
    ///
    /// `NameTaken` where another volume has the name, `Conflict` where the id is there already.
    async fn create(&self, record: &Record, urgency: Urgency) -> Result<Revision, StoreError>;

    /// Stores the next state of a record, if the store's is still the one that `next.revision`
    /// numbers; takes and gives back names as `next` differs from `before`, all in one step.
    ///
    /// # Errors
    ///
    /// `Conflict` where it was changed meanwhile, or deleted; `NameTaken`.
    async fn replace(
        &self,
        before: &Record,
        next: &Record,
        urgency: Urgency,
    ) -> Result<Revision, StoreError>;

    /// Deletes a record in that state. Deleting an absent one is fine.
    ///
    /// # Errors
    ///
    /// `Conflict` where it was changed meanwhile.
    async fn delete(&self, record: &Record) -> Result<(), StoreError>;

    /// A record as it is now: not older than this call.
    ///
    /// # Errors
    ///
    /// Not knowing is an error.
    async fn read(&self, id: VolumeId) -> Result<Option<Record>, StoreError>;

    /// The volume that has the name now.
    ///
    /// # Errors
    ///
    /// Not knowing is an error.
    async fn named(&self, name: &VolumeName) -> Result<Option<VolumeId>, StoreError>;

    /// What other nodes change from now on, after everything that there is. It is taken once.
    fn changes(&self) -> Option<mpsc::UnboundedReceiver<Change>>;

    /// Whether the store answers.
    fn health(&self) -> watch::Receiver<StoreHealth>;

    /// The nodes of the cluster, this one included. As they were last known while the store is away.
    fn nodes(&self) -> watch::Receiver<Nodes>;

    /// Says what is new of this node; it does so at the beginning by itself.
    ///
    /// # Errors
    ///
    /// It is as before then.
    async fn announce(&self, info: &NodeInfo) -> Result<(), StoreError>;

    /// Forgets a node that is gone for good.
    ///
    /// # Errors
    ///
    /// `NodeLives` where its session is not over.
    async fn forget_node(&self, node: &NodeName) -> Result<(), StoreError>;

    /// Ends in order: this node is not missed, and not taken for dead.
    async fn close(&self);
}

/// Whether a change can be refused for lack of space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// New work: refused on a nearly full disk.
    NewWork,
    /// Lets go of something: stored as long as there is room for a byte.
    Release,
}

/// What became of a record elsewhere. Changes of this node's own may come back, too.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is so now.
    Record(Box<Record>),
    /// It was deleted.
    Gone(VolumeId),
    /// All that there is was told: a record that was not, is not there any more. Comes after each
    /// time that the store was found again after a while.
    Complete {
        /// All volumes.
        ids: Vec<VolumeId>,
        /// Whether what is missing was deleted.
        past: Past,
    },
}

/// Whether the store has all that it ever said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// As far as is known: what it does not have was deleted.
    Whole,
    /// It was restored from an older state: what it does not have may have been made since.
    Lost,
}

/// Whether the store answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreHealth {
    /// It does.
    Answers,
    /// It does not, since then.
    Away {
        /// Since when it has not answered; the clock of this process.
        since: std::time::Instant,
    },
}
