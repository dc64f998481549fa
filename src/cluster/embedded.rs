//! The embedded store: volume records in one redb file, `records.redb` in the state directory.
//!
//! ```text
//! table "meta":    "format"      -> 1            the layout below; another number is refused
//! table "volumes": <volume UUID> -> record JSON  (volume::Record)
//! ```
//!
//! One thread owns the database and commits what has come in since the last commit in one
//! transaction, so that many volumes changing at once pay for one fsync. A change is durable when
//! its call returns. redb locks the file: a second daemon on the same directory is refused.
//!
//! On a full disk new work is refused before it reaches the database, while there still is room
//! for the changes that release something ([`Urgency`]).

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::{mpsc, oneshot};

use crate::{
    fault,
    spec::Bytes,
    sys::{durable, usage},
    volume::{Record, VolumeId},
};

const FILE: &str = "records.redb";
/// The layout that this hawser reads and writes.
pub(super) const FORMAT: u64 = 1;
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const VOLUMES: TableDefinition<u128, &[u8]> = TableDefinition::new("volumes");

/// Below this much free space only releasing changes are stored.
const RESERVED: Bytes = Bytes::mib(16);

/// Whether a change can be refused for lack of space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// New work: refused on a nearly full disk.
    NewWork,
    /// Lets go of something: stored as long as the file system takes a byte.
    Release,
}

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
        "the file system of the state directory {path} has only {free} left, and {RESERVED} are kept for releasing volumes: free some space"
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
}

enum Change {
    Put(Box<Record>),
    Delete(VolumeId),
}

struct Job {
    change: Change,
    urgency: Urgency,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// A handle to the store; clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    jobs: mpsc::UnboundedSender<Job>,
    path: PathBuf,
}

impl Store {
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
        let (jobs, inbox) = mpsc::unbounded_channel();
        let writer = Writer { database: Some(database), path: path.clone() };
        thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.run(inbox))
            .map_err(|error| StoreError::Open { path: path.clone(), reason: error.to_string() })?;
        Ok((Self { jobs, path }, records))
    }

    /// Stores a record. Durable when this returns `Ok`.
    ///
    /// # Errors
    ///
    /// The stored record is then as it was before.
    ///
    /// # Cancellation
    ///
    /// The change is made all the same.
    pub async fn put(&self, record: &Record, urgency: Urgency) -> Result<(), StoreError> {
        self.submit(Change::Put(Box::new(record.clone())), urgency).await
    }

    /// Forgets a record. Forgetting an absent one is fine.
    ///
    /// # Errors
    ///
    /// The record is then still there.
    pub async fn delete(&self, id: VolumeId) -> Result<(), StoreError> {
        self.submit(Change::Delete(id), Urgency::Release).await
    }

    async fn submit(&self, change: Change, urgency: Urgency) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        let gone = || StoreError::Write {
            path: self.path.clone(),
            reason: "the store's thread has ended".into(),
        };
        self.jobs.send(Job { change, urgency, done }).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// The thread that owns the database.
struct Writer {
    /// `None` after an I/O error, until it can be opened again.
    database: Option<Database>,
    path: PathBuf,
}

impl Writer {
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

/// All changes in one transaction: durable when this returns, or not made at all.
fn write_changes<'a>(
    database: &Database,
    changes: impl Iterator<Item = &'a Change>,
) -> Result<(), WriteError> {
    let transaction = database.begin_write()?;
    {
        let mut volumes = transaction.open_table(VOLUMES)?;
        for change in changes {
            match change {
                Change::Put(record) => {
                    let json = serde_json::to_vec(record).map_err(WriteError::Json)?;
                    volumes.insert(record.id.uuid().as_u128(), json.as_slice())?;
                }
                Change::Delete(id) => {
                    volumes.remove(id.uuid().as_u128())?;
                }
            }
        }
    }
    Ok(transaction.commit()?)
}

/// Why a transaction came to nothing.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Database(redb::Error),
    #[error(transparent)]
    Json(serde_json::Error),
}

impl<E: Into<redb::Error>> From<E> for WriteError {
    fn from(error: E) -> Self {
        Self::Database(error.into())
    }
}

/// Opens the database file, or makes one where there is none, and checks its format.
fn open_database(path: &Path) -> Result<Database, StoreError> {
    if !is_there(path)? {
        create_database(path)?;
    }
    open_present(path)
}

/// Opens the database file and checks its format.
fn open_present(path: &Path) -> Result<Database, StoreError> {
    let failed = |reason: String| StoreError::Open { path: path.into(), reason };
    let database = match Database::open(path) {
        Ok(database) => database,
        Err(redb::DatabaseError::DatabaseAlreadyOpen) => {
            return Err(StoreError::Locked { path: path.into() });
        }
        Err(error) => return Err(failed(error.to_string())),
    };
    let found = read_format(&database).map_err(|error| failed(error.to_string()))?;
    if found == FORMAT {
        Ok(database)
    } else {
        Err(StoreError::Format { path: path.into(), found })
    }
}

/// Whether there is anything under that name. Not knowing is not "no": an empty store would take
/// the place of the one that cannot be seen, or of a link to a disk that is not mounted.
fn is_there(path: &Path) -> Result<bool, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::Open { path: path.into(), reason: error.to_string() }),
    }
}

/// Makes an empty store under another name first, so that a crash never leaves a file that looks
/// like a damaged store; and links it, since a rename would replace what another hawser that was
/// started at the same moment has made.
fn create_database(path: &Path) -> Result<(), StoreError> {
    let failed = |reason: String| StoreError::Open { path: path.into(), reason };
    let draft = path.with_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed(error.to_string()));
        }
        Ok(()) | Err(_) => {}
    }
    write_empty(&draft).map_err(|error| failed(error.to_string()))?;
    match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(failed(error.to_string()));
        }
        // Somebody else's: to be opened like any other.
        Ok(()) | Err(_) => {}
    }
    fs::remove_file(&draft).map_err(|error| failed(error.to_string()))?;
    durable::sync_dir(path.parent().unwrap_or(Path::new("/")))
        .map_err(|error| failed(error.to_string()))
}

fn write_empty(path: &Path) -> Result<(), redb::Error> {
    let database = Database::create(path)?;
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert("format", FORMAT)?;
    transaction.open_table(VOLUMES)?;
    transaction.commit()?;
    Ok(())
}

fn read_format(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let format = meta.get("format")?;
    Ok(format.map_or(0, |guard| guard.value()))
}

fn read_all(database: &Database, path: &Path) -> Result<Vec<Record>, StoreError> {
    raw_records(database)
        .map_err(|error| StoreError::Open { path: path.into(), reason: error.to_string() })?
        .into_iter()
        .map(|(id, json)| {
            decode(id, &json).map_err(|reason| StoreError::Damaged {
                path: path.into(),
                id,
                reason,
            })
        })
        .collect()
}

/// A volume's id and what is stored under it.
type RawRecord = (uuid::Uuid, Vec<u8>);

/// The record that is stored under that id, or what is wrong with it.
pub(super) fn decode(id: uuid::Uuid, json: &[u8]) -> Result<Record, String> {
    let record: Record = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if *record.id.uuid() == id {
        Ok(record)
    } else {
        Err(format!("it is the record of volume {}", record.id))
    }
}

/// Every record of a stopped daemon's store as it is stored, readable or not; `None` where there is
/// no store.
pub(super) fn read_raw(state_dir: &Path) -> Result<Option<Vec<RawRecord>>, StoreError> {
    let path = state_dir.join(FILE);
    if !is_there(&path)? {
        return Ok(None);
    }
    let database = open_present(&path)?;
    let records = raw_records(&database);
    records.map(Some).map_err(|error| StoreError::Open { path, reason: error.to_string() })
}

/// The error for a state directory without a store.
pub(super) fn no_store(state_dir: &Path) -> StoreError {
    StoreError::Open { path: state_dir.join(FILE), reason: "it does not exist".into() }
}

/// Stores records in a stopped daemon's store, all or none.
pub(super) fn write_all(state_dir: &Path, records: &[Record]) -> Result<(), StoreError> {
    let path = state_dir.join(FILE);
    let database = open_database(&path)?;
    let changes: Vec<_> =
        records.iter().map(|record| Change::Put(Box::new(record.clone()))).collect();
    write_changes(&database, changes.iter())
        .map_err(|error| StoreError::Write { path, reason: error.to_string() })
}

fn raw_records(database: &Database) -> Result<Vec<RawRecord>, redb::Error> {
    let transaction = database.begin_read()?;
    let volumes = transaction.open_table(VOLUMES)?;
    let mut records = Vec::new();
    for entry in volumes.iter()? {
        let (id, json) = entry?;
        records.push((uuid::Uuid::from_u128(id.value()), json.value().to_vec()));
    }
    Ok(records)
}

#[cfg(test)]
mod tests;
