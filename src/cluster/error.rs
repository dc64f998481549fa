//! What can go wrong with the store, as an operator reads it.

use std::path::PathBuf;

use super::embedded::{FORMAT, RESERVED};
use crate::{
    spec::{Bytes, VolumeName},
    volume::{NodeName, VolumeId},
};

/// What can go wrong with the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It cannot be opened.
    #[error(
        "cannot open the records in {path}: {reason}; nothing was changed: restore the file from a backup or a `hawser store export`, or move it away to start without any volume"
    )]
    Open {
        /// The database file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file system does not let hawser use it: that says nothing about what is in it.
    #[error(
        "cannot use the records in {path}: {reason}; nothing was changed, and that says nothing against the records: make their directory one that hawser can write to (is its disk mounted, and not read-only?)"
    )]
    OutOfReach {
        /// The database file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Another process has it open.
    #[error(
        "{path} is in use by another hawser: stop it first (only one can run on a state directory)"
    )]
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// It was written by a hawser with another layout.
    #[error(
        "{path} has store format {found} and this hawser reads format {FORMAT}: run the hawser version that wrote it; nothing was changed"
    )]
    Format {
        /// The database file.
        path: PathBuf,
        /// The format number in it.
        found: u64,
    },
    /// A record cannot be read.
    #[error(
        "the record of volume {id} in {path} cannot be read: {reason}; nothing was changed: `hawser store export` shows what can be rescued"
    )]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// The volume's id.
        id: uuid::Uuid,
        /// What is wrong with it.
        reason: String,
    },
    /// There is too little room for new work.
    #[error(
        "the file system of the state directory {path} has only {} left, and {RESERVED} are kept for releasing volumes: free some space (removing and purging volumes still works)",
        free.rounded()
    )]
    Full {
        /// The state directory.
        path: PathBuf,
        /// What is free.
        free: Bytes,
    },
    /// A change could not be stored.
    #[error("cannot store a change in {path}: {reason}")]
    Write {
        /// The database file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The record was changed by another node since it was read.
    #[error("volume {0} was changed by another node in this moment: try again")]
    Conflict(VolumeId),
    /// Another volume has the name.
    #[error("the name `{name}` is another volume's ({by})")]
    NameTaken {
        /// The name.
        name: VolumeName,
        /// The volume that has it.
        by: VolumeId,
    },
    /// The store does not answer.
    #[error("the cluster's store {store} does not answer ({reason}): look at ZooKeeper")]
    Away {
        /// Which store: the ensemble.
        store: String,
        /// Why.
        reason: String,
    },
    /// The store refuses, or holds what it should not.
    #[error("the cluster's store {store}: {reason}")]
    Shared {
        /// Which store: the ensemble.
        store: String,
        /// What is wrong.
        reason: String,
    },
    /// A node that lives cannot be forgotten.
    #[error("node {0} lives: stop hawser there first (its session ends some seconds later)")]
    NodeLives(NodeName),
}
