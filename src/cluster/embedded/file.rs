//! The database file: made, opened, read and changed. Who may do so when is decided elsewhere.

use std::{fs, path::Path};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use rustix::io::Errno;

use super::{super::StoreError, writer::Change};
use crate::{
    sys::durable,
    volume::{Record, Revision},
};

pub(super) const FILE: &str = "records.redb";
/// The layout that this hawser reads and writes.
pub(in crate::cluster) const FORMAT: u64 = 1;
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
pub(super) const VOLUMES: TableDefinition<u128, &[u8]> = TableDefinition::new("volumes");

/// Opens the database file, or makes one where there is none, and checks its format.
pub(super) fn open_database(path: &Path) -> Result<Database, StoreError> {
    if !is_there(path)? {
        create_database(path)?;
    }
    open_present(path)
}

/// Opens the database file and checks its format.
pub(super) fn open_present(path: &Path) -> Result<Database, StoreError> {
    let failed = |reason: String| StoreError::Open { path: path.into(), reason };
    let database = match Database::open(path) {
        Ok(database) => database,
        Err(redb::DatabaseError::DatabaseAlreadyOpen) => {
            return Err(StoreError::Locked { path: path.into() });
        }
        Err(redb::DatabaseError::Storage(redb::StorageError::Io(error))) => {
            return Err(not_opened(path, &error));
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
pub(super) fn is_there(path: &Path) -> Result<bool, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(not_opened(path, &error)),
    }
}

/// Whether the system refused the file, or the database did not like what is in it.
fn not_opened(path: &Path, error: &std::io::Error) -> StoreError {
    let (path, reason) = (path.into(), error.to_string());
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ROFS | Errno::ACCESS | Errno::PERM | Errno::NOTDIR | Errno::NOSPC) => {
            StoreError::OutOfReach { path, reason }
        }
        // The disk's own errors too: what is there may well be damaged.
        Some(_) | None => StoreError::Open { path, reason },
    }
}

/// Makes an empty store under another name first, so that a crash never leaves a file that looks
/// like a damaged store; and links it, since a rename would replace what another hawser that was
/// started at the same moment has made.
pub(super) fn create_database(path: &Path) -> Result<(), StoreError> {
    let failed = |reason: String| StoreError::Open { path: path.into(), reason };
    let draft = path.with_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(not_opened(path, &error));
        }
        Ok(()) | Err(_) => {}
    }
    write_empty(&draft).map_err(|error| {
        if let redb::Error::Io(error) = &error {
            return not_opened(path, error);
        }
        failed(error.to_string())
    })?;
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

pub(super) fn read_all(database: &Database, path: &Path) -> Result<Vec<Record>, StoreError> {
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
pub(in crate::cluster) type RawRecord = (uuid::Uuid, Vec<u8>);

/// The record that is stored under that id, or what is wrong with it.
pub(in crate::cluster) fn decode(id: uuid::Uuid, json: &[u8]) -> Result<Record, String> {
    let record: Record = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if *record.id.uuid() == id {
        Ok(record)
    } else {
        Err(format!("it is the record of volume {}", record.id))
    }
}

/// Every record of a stopped daemon's store as it is stored, readable or not; `None` where there is
/// no store.
pub(in crate::cluster) fn read_raw(state_dir: &Path) -> Result<Option<Vec<RawRecord>>, StoreError> {
    let path = state_dir.join(FILE);
    if !is_there(&path)? {
        return Ok(None);
    }
    let database = open_present(&path)?;
    let records = raw_records(&database);
    records.map(Some).map_err(|error| StoreError::Open { path, reason: error.to_string() })
}

/// The error for a state directory without a store.
pub(in crate::cluster) fn no_store(state_dir: &Path) -> StoreError {
    StoreError::Open { path: state_dir.join(FILE), reason: "it does not exist".into() }
}

/// Stores records in a stopped daemon's store, all or none.
pub(in crate::cluster) fn write_all(
    state_dir: &Path,
    records: &[Record],
) -> Result<(), StoreError> {
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

/// All changes in one transaction: durable when this returns. After an error all or none of them are
/// on the disk: which one, an error while syncing leaves open.
pub(super) fn write_changes<'a>(
    database: &Database,
    changes: impl Iterator<Item = &'a Change>,
) -> Result<(), WriteError> {
    let transaction = database.begin_write()?;
    {
        let mut volumes = transaction.open_table(VOLUMES)?;
        for change in changes {
            match change {
                Change::Put(record) => {
                    let json = match record.lease.is_unused() {
                        // Of a node that is alone: its numbers mean something while it runs only, and
                        // an older hawser does not know them.
                        true => serde_json::to_vec(&Record {
                            revision: Revision::default(),
                            ..(**record).clone()
                        }),
                        false => serde_json::to_vec(record),
                    };
                    let json = json.map_err(WriteError::Json)?;
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
pub(super) enum WriteError {
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
