//! The embedded store: volume records in one redb file, `records.redb` in the state directory.
//!
//! ```text
//! table "meta":    "format"      -> 1            the layout below; another number is refused
//! table "volumes": <volume UUID> -> record JSON  (volume::Record)
//! ```
//!
//! One thread owns the database and commits what has come in since the last commit in one
//! transaction, so that many volumes changing at once pay for one fsync. A change is durable when
//! its call returns; only what nobody waits for, the copy of what other nodes changed, is kept back for
//! up to a second, so that a storm of changes elsewhere costs one fsync a second. redb locks the file: a second daemon on the same directory is refused.
//!
//! On a full disk new work is refused before it reaches the database, while there still is room
//! for the changes that release something ([`Urgency`]).
//!
//! `writer` is the thread, `file` the database file and what is in it, `store` the cluster's contract
//! for a cluster of this one node, `index` what it decides by.

mod file;
mod index;
mod store;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
};

use tokio::sync::oneshot;

use super::{StoreError, Urgency};
use crate::volume::{Record, Revision, VolumeId};

use file::{FILE, is_there, open_database, open_present, read_all};
pub(super) use file::{FORMAT, decode, no_store, read_raw, write_all};
pub(super) use writer::RESERVED;
use writer::{Caller, Job, Request, Writer};

/// A handle to the store; clones share it.
#[derive(Debug, Clone)]
pub struct Embedded {
    jobs: mpsc::Sender<Job>,
    path: PathBuf,
}

impl Embedded {
    /// Whether there is a store in `state_dir`, whole or not.
    ///
    /// # Errors
    ///
    /// When that cannot be seen.
    pub fn exists(state_dir: &Path) -> Result<bool, StoreError> {
        is_there(&state_dir.join(FILE))
    }

    /// Opens the store in `state_dir`, making an empty one where there is none, and reads all
    /// records.
    ///
    /// # Errors
    ///
    /// When the file is locked, damaged, or of another format: nothing is changed then.
    pub fn open(state_dir: &Path) -> Result<(Self, Vec<Record>), StoreError> {
        let path = state_dir.join(FILE);
        let database = open_database(&path)?;
        let records = read_all(&database, &path)?;
        let (jobs, inbox) = mpsc::channel();
        Writer::start(database, &records, &path, inbox)?;
        Ok((Self { jobs, path }, records))
    }

    /// The records of a stopped daemon's store; none where there is no store. The file is closed again.
    ///
    /// # Errors
    ///
    /// When the file is locked, damaged, or of another format.
    pub fn read(state_dir: &Path) -> Result<Vec<Record>, StoreError> {
        let path = state_dir.join(FILE);
        if !is_there(&path)? {
            return Ok(Vec::new());
        }
        read_all(&open_present(&path)?, &path)
    }

    /// Stores a record. Durable when this returns `Ok`.
    ///
    /// # Errors
    ///
    /// The stored record is then as it was before, or as it was to be: an error of the disk while it
    /// is told to sync says neither. The next start reads what is there.
    ///
    /// # Cancellation
    ///
    /// The change is made all the same.
    pub async fn put(&self, record: &Record, urgency: Urgency) -> Result<(), StoreError> {
        self.submit(Request::Put(Box::new(record.clone())), urgency).await.map(drop)
    }

    /// Stores a record within a second or so, or together with the next change that somebody waits for.
    /// Changes are stored in the order of the calls. A crash before that leaves what was there before.
    pub fn put_soon(&self, record: &Record) {
        let request = Request::Put(Box::new(record.clone()));
        // Without the thread, every call that waits says so.
        let _ = self.jobs.send(Job::Write {
            request,
            urgency: Urgency::Release,
            caller: Caller::Nobody,
        });
    }

    /// Returns when everything is stored that was to be.
    pub async fn flush(&self) {
        // Without the thread, there is nothing to wait for.
        let _ = self.ask(|done| Job::Flush { done }).await;
    }

    /// Forgets a record. Forgetting an absent one is fine.
    ///
    /// # Errors
    ///
    /// The record may then still be there, or be gone, as for [`Self::put`].
    pub async fn delete(&self, id: VolumeId) -> Result<(), StoreError> {
        self.submit(Request::Delete(id), Urgency::Release).await.map(drop)
    }

    async fn submit(&self, request: Request, urgency: Urgency) -> Result<Revision, StoreError> {
        self.ask(|done| Job::Write { request, urgency, caller: Caller::Waits(done) }).await?
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, StoreError> {
        let (done, answer) = oneshot::channel();
        let gone = || StoreError::Write {
            path: self.path.clone(),
            reason: "the store's thread has ended".into(),
        };
        self.jobs.send(job(done)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

#[cfg(test)]
mod tests;
