//! The records as JSON, out of a store and into an empty one: for rescue and for moving a node.
//!
//! An export may be old: what it plans to delete may have been brought back since, or formatted. So
//! an imported record never makes hawser delete data (`harmless`).

use std::{collections::HashSet, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    StoreError,
    embedded::{self, FORMAT},
};
use crate::volume::{Contents, Lease, Phase, Purge, Record, Revision};

/// Every record of a store.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// The store's layout; another number is refused.
    pub format: u64,
    /// The records that can be read.
    pub volumes: Vec<Record>,
    /// Those that cannot, as text: mend them by hand and move them to `volumes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
}

/// A record that cannot be read.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unreadable {
    /// The volume's id.
    pub id: uuid::Uuid,
    /// What is wrong.
    pub reason: String,
    /// What is stored.
    pub text: String,
}

/// Reads everything that can be read. Changes nothing.
///
/// # Errors
///
/// When there is no database, or it does not open.
pub fn export(state_dir: &Path) -> Result<Export, StoreError> {
    let mut export = Export { format: FORMAT, volumes: Vec::new(), unreadable: Vec::new() };
    let records = embedded::read_raw(state_dir)?.ok_or_else(|| embedded::no_store(state_dir))?;
    for (id, json) in records {
        match embedded::decode(id, &json) {
            Ok(record) => export.volumes.push(record),
            Err(reason) => export.unreadable.push(Unreadable {
                id,
                reason,
                text: String::from_utf8_lossy(&json).into_owned(),
            }),
        }
    }
    Ok(export)
}

/// Why an export is not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another layout.
    #[error("the export has format {0} and this hawser reads format {FORMAT}")]
    Format(u64),
    /// There are records in the export that cannot be read.
    #[error("{0} records in the export are marked unreadable: mend or delete them there first")]
    Unreadable(usize),
    /// There are records in the store.
    #[error("the store has {0} records already: import into an empty state directory")]
    NotEmpty(usize),
    /// Two records for one volume, or two volumes of one name.
    #[error("the export has two volumes {0}: delete or rename one of them there")]
    Twice(String),
}

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// So many records are in the store.
    pub records: usize,
    /// So many of them are of removed volumes, whose data waits for `hawser volume purge`.
    pub retained: usize,
}

/// Reads an export into a store that has no records, each record made `harmless`. All of it or
/// nothing.
///
/// # Errors
///
/// Nothing was changed then.
pub fn import(state_dir: &Path, export: &Export) -> Result<Imported, ImportError> {
    if export.format != FORMAT {
        return Err(ImportError::Format(export.format));
    }
    if !export.unreadable.is_empty() {
        return Err(ImportError::Unreadable(export.unreadable.len()));
    }
    if let Some(twice) = first_twice(&export.volumes) {
        return Err(ImportError::Twice(twice));
    }
    let present = embedded::read_raw(state_dir)?.map_or(0, |records| records.len());
    if present > 0 {
        return Err(ImportError::NotEmpty(present));
    }
    let records: Vec<_> = export.volumes.iter().cloned().map(harmless).collect();
    embedded::write_all(state_dir, &records)?;
    let retained = records.iter().filter(|record| record.is_removed()).count();
    Ok(Imported { records: records.len(), retained })
}

/// The record without what would delete data, or keep a volume in use, for reasons of another time.
fn harmless(mut record: Record) -> Record {
    // Its purge time may be over, and somebody may have brought it back since the export.
    if let Phase::Removed { at, .. } = record.phase {
        record.phase = Phase::Removed { at, purge: Purge::Never };
    }
    // A half-made file system is deleted and made anew; one that was finished since the export
    // looks the same, while a blank record refuses what is not blank.
    if record.contents == Contents::Formatting {
        record.contents = Contents::Blank;
    }
    // They counted for a Docker engine of another time, or of another node.
    record.holders.clear();
    // Of a cluster of another time: a node that is in one brings it in anew.
    record.lease = Lease::default();
    record.users.clear();
    record.revision = Revision::default();
    record
}

/// The first id or name that two volumes have; those that are removed have given theirs back.
fn first_twice(records: &[Record]) -> Option<String> {
    let (mut ids, mut names) = (HashSet::new(), HashSet::new());
    records.iter().find_map(|record| {
        if !ids.insert(record.id) {
            return Some(record.id.to_string());
        }
        let named_twice = !record.is_removed() && !names.insert(&record.name);
        named_twice.then(|| record.name.to_string())
    })
}

#[cfg(test)]
mod tests;
