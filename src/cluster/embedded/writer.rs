//! The thread that owns the database: takes changes, commits what came in together, answers.

use std::{
    path::{Path, PathBuf},
    thread,
};

use redb::Database;
use tokio::sync::{mpsc, oneshot};

use super::{
    super::{StoreError, Urgency},
    file::{open_present, write_changes},
};
use crate::{
    fault,
    spec::Bytes,
    sys::usage,
    volume::{Record, VolumeId},
};

/// Below this much free space only releasing changes are stored.
pub(in crate::cluster) const RESERVED: Bytes = Bytes::mib(16);

/// One change of one record.
pub(super) enum Change {
    Put(Box<Record>),
    Delete(VolumeId),
}

/// A change, and who waits for it.
pub(super) struct Job {
    pub(super) change: Change,
    pub(super) urgency: Urgency,
    pub(super) done: oneshot::Sender<Result<(), StoreError>>,
}

/// The thread that owns the database.
pub(super) struct Writer {
    /// `None` after an I/O error, until it can be opened again.
    database: Option<Database>,
    path: PathBuf,
}

impl Writer {
    /// It ends when the last handle's sender is gone.
    pub(super) fn start(
        database: Database,
        path: &Path,
        inbox: mpsc::UnboundedReceiver<Job>,
    ) -> Result<(), StoreError> {
        let writer = Self { database: Some(database), path: path.into() };
        let thread = thread::Builder::new().name("store".into());
        thread
            .spawn(move || writer.run(inbox))
            .map_err(|error| StoreError::Open { path: path.into(), reason: error.to_string() })?;
        Ok(())
    }

    fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Job>) {
        while let Some(first) = inbox.blocking_recv() {
            let mut batch = vec![first];
            while let Ok(job) = inbox.try_recv() {
                batch.push(job);
            }
            self.commit(batch);
        }
    }

    fn commit(&mut self, batch: Vec<Job>) {
        let room = self.room();
        let (batch, refused): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|job| job.urgency == Urgency::Release || room.is_ok());
        for job in refused {
            answer(job.done, room.clone());
        }
        if batch.is_empty() {
            return;
        }
        fault::point("store.commit.before");
        let result = self.write(&batch);
        fault::point("store.commit.after");
        for job in batch {
            answer(job.done, result.clone());
        }
    }

    fn room(&self) -> Result<(), StoreError> {
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        match usage::of(dir) {
            Ok(usage) if usage.available < RESERVED => {
                Err(StoreError::Full { path: dir.into(), free: usage.available })
            }
            // Not knowing is no reason to refuse: the commit itself will tell.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn write(&mut self, batch: &[Job]) -> Result<(), StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            // Never made anew: it would lack every record but those of this batch.
            None => open_present(&self.path)?,
        };
        match write_changes(&database, batch.iter().map(|job| &job.change)) {
            Ok(()) => {
                self.database = Some(database);
                Ok(())
            }
            // After an I/O error redb answers nothing but that error until it is opened again.
            Err(error) => {
                Err(StoreError::Write { path: self.path.clone(), reason: error.to_string() })
            }
        }
    }
}

/// The receiver is gone when the caller gave up waiting: the change stands all the same.
fn answer(done: oneshot::Sender<Result<(), StoreError>>, result: Result<(), StoreError>) {
    let _ = done.send(result);
}
