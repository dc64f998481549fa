//! What the database holds, in memory: who may change which record, and who has which name.
//!
//! It is what was answered for: after a failed commit the database may hold more, and is brought back
//! to this when it is opened again.

use std::collections::HashMap;

use super::{
    super::StoreError,
    writer::{Change, Request},
};
use crate::{
    spec::VolumeName,
    volume::{Record, Revision, VolumeId},
};

/// All records by id, and the ids by name.
#[derive(Debug, Default)]
pub(super) struct Index {
    records: HashMap<VolumeId, Record>,
    names: HashMap<VolumeName, VolumeId>,
}

impl Index {
    pub(super) fn new(records: &[Record]) -> Self {
        let mut index = Self::default();
        for record in records {
            index.put(record.clone());
        }
        index
    }

    pub(super) fn read(&self, id: VolumeId) -> Option<Record> {
        self.records.get(&id).cloned()
    }

    pub(super) fn named(&self, name: &VolumeName) -> Option<VolumeId> {
        self.names.get(name).copied()
    }

    /// What a request changes, if it may: it is in the index then.
    pub(super) fn change(&mut self, request: Request) -> Result<Option<Change>, StoreError> {
        let change = match request {
            Request::Put(record) => Change::Put(record),
            Request::Delete(id) => Change::Delete(id),
            Request::Create(record) if self.records.contains_key(&record.id) => {
                return Err(StoreError::Conflict(record.id));
            }
            Request::Create(record) => {
                self.check_name(&record)?;
                Change::Put(Box::new(Record { revision: Revision::default().next(), ..*record }))
            }
            Request::Replace(record) => {
                self.check_revision(&record)?;
                self.check_name(&record)?;
                Change::Put(Box::new(Record { revision: record.revision.next(), ..*record }))
            }
            Request::DeleteAs(record) if !self.records.contains_key(&record.id) => return Ok(None),
            Request::DeleteAs(record) => {
                self.check_revision(&record)?;
                Change::Delete(record.id)
            }
        };
        self.apply(&change);
        Ok(Some(change))
    }

    /// Takes a change back that was not stored: what was there before comes again.
    pub(super) fn restore(&mut self, id: VolumeId, before: Option<Record>) {
        match before {
            Some(record) => self.put(record),
            None => self.remove(id),
        }
    }

    /// What makes these stored records into what was answered for.
    pub(super) fn repair(&self, stored: &[Record]) -> Vec<Change> {
        let surplus = stored.iter().filter(|record| !self.records.contains_key(&record.id));
        let deletions = surplus.map(|record| Change::Delete(record.id));
        let stored: HashMap<_, _> = stored.iter().map(|record| (record.id, record)).collect();
        let differs = |record: &&Record| stored.get(&record.id) != Some(record);
        let puts = self.records.values().filter(differs);
        deletions.chain(puts.map(|record| Change::Put(Box::new(record.clone())))).collect()
    }

    fn check_revision(&self, next: &Record) -> Result<(), StoreError> {
        let stored = self.records.get(&next.id).map(|record| record.revision);
        if stored == Some(next.revision) { Ok(()) } else { Err(StoreError::Conflict(next.id)) }
    }

    fn check_name(&self, record: &Record) -> Result<(), StoreError> {
        match self.names.get(&record.name) {
            Some(by) if *by != record.id && !record.is_removed() => {
                Err(StoreError::NameTaken { name: record.name.clone(), by: *by })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Put(record) => self.put((**record).clone()),
            Change::Delete(id) => self.remove(*id),
        }
    }

    fn put(&mut self, record: Record) {
        self.remove(record.id);
        if !record.is_removed() {
            self.names.insert(record.name.clone(), record.id);
        }
        self.records.insert(record.id, record);
    }

    fn remove(&mut self, id: VolumeId) {
        let Some(record) = self.records.remove(&id) else { return };
        if self.names.get(&record.name) == Some(&id) {
            self.names.remove(&record.name);
        }
    }
}
