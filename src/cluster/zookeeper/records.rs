//! Records in the ensemble: written by compare-and-set, with their names and an entry in the log, in
//! one step; and read.
//!
//! A connection that ends in the middle of a write leaves open whether it was made. Each write carries
//! an id of its own in the znode that it writes, so that reading tells: it was made, or it was not and
//! is made now, or somebody else was faster. Nothing is made twice.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    ZooKeeper,
    connection::{Connection, Failure},
    layout::Subject,
    wire::{ANY, Code, Done, Life, Op, Refused},
};
use crate::{
    cluster::StoreError,
    fault,
    spec::VolumeName,
    volume::{Record, Revision, VolumeId},
};

/// A server ends the connection on which a megabyte or more comes.
const LARGEST: usize = 1_000_000;

/// What is in a volume's znode.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// Which write made it.
    write: Uuid,
    record: Record,
}

/// A change of one record.
pub(super) struct Write<'a> {
    id: Uuid,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Create(&'a Record),
    Replace { before: &'a Record, next: &'a Record },
    Delete(&'a Record),
}

/// How one attempt ended.
pub(super) enum Attempt {
    Made(Revision),
    /// It was not made, and may be tried again.
    Again,
}

/// Why one attempt did not end, or what it ended with.
pub(super) enum Trouble {
    /// Whether it was made is not known.
    Lost,
    Error(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Error(error)
    }
}

impl<'a> Write<'a> {
    pub(super) fn create(record: &'a Record) -> Self {
        Self { id: Uuid::new_v4(), kind: Kind::Create(record) }
    }

    pub(super) fn replace(before: &'a Record, next: &'a Record) -> Self {
        Self { id: Uuid::new_v4(), kind: Kind::Replace { before, next } }
    }

    pub(super) fn delete(record: &'a Record) -> Self {
        Self { id: Uuid::new_v4(), kind: Kind::Delete(record) }
    }

    fn volume(&self) -> VolumeId {
        match self.kind {
            Kind::Create(record) | Kind::Delete(record) => record.id,
            Kind::Replace { next, .. } => next.id,
        }
    }

    /// The version of the znode that the change is made to. Without one there is nothing to compare
    /// with, and ZooKeeper would take a -1 for "any".
    fn version(&self) -> Result<i32, StoreError> {
        match self.kind {
            Kind::Create(_) => Ok(0),
            Kind::Replace { next: record, .. } | Kind::Delete(record) => {
                let version = record.revision.get().checked_sub(1);
                version
                    .and_then(|version| i32::try_from(version).ok())
                    .ok_or(StoreError::Conflict(record.id))
            }
        }
    }

    /// The name that is given back, and the one that is taken.
    fn names(&self) -> (Option<&'a VolumeName>, Option<&'a VolumeName>) {
        let (before, next) = match self.kind {
            Kind::Create(record) => (None, named(record)),
            Kind::Replace { before, next } => (named(before), named(next)),
            Kind::Delete(record) => (named(record), None),
        };
        if before == next { (None, None) } else { (before, next) }
    }

    /// The change itself is the first of the operations, and the taking of a name the second.
    fn ops(&self, store: &ZooKeeper) -> Result<Vec<Op>, Trouble> {
        let layout = &store.shared.layout;
        let (path, version) = (layout.volume(self.volume()), self.version()?);
        let data = |record: &Record| self.data(record).map_err(|why| store.shared.refusal(&why));
        let mut ops = vec![match self.kind {
            Kind::Create(record) => {
                Op::Create { path, data: data(record)?, life: Life::Persistent }
            }
            Kind::Replace { next, .. } => Op::Set { path, data: data(next)?, version },
            Kind::Delete(_) => Op::Delete { path, version },
        }];
        let (back, taken) = self.names();
        ops.extend(taken.map(|name| Op::Create {
            path: layout.name(name),
            data: self.volume().to_string().into_bytes(),
            life: Life::Persistent,
        }));
        ops.extend(back.map(|name| Op::Delete { path: layout.name(name), version: ANY }));
        ops.push(store.shared.change(&Subject::Volume(self.volume())));
        Ok(ops)
    }

    fn data(&self, record: &Record) -> Result<Vec<u8>, String> {
        let stored = Stored { write: self.id, record: record.shared() };
        let data = serde_json::to_vec(&stored).map_err(|error| error.to_string())?;
        if data.len() > LARGEST {
            return Err(format!(
                "the record of volume {} is {} bytes long, and ZooKeeper takes no more than {LARGEST}: give it fewer or shorter labels",
                record.name,
                data.len()
            ));
        }
        Ok(data)
    }

    /// Tries once.
    pub(super) async fn attempt(
        &self,
        store: &ZooKeeper,
        connection: &Connection,
    ) -> Result<Attempt, Trouble> {
        if let (Some(back), _) = self.names() {
            self.is_named(store, connection, back).await?;
        }
        fault::point("cluster.write.before");
        match connection.multi(&self.ops(store)?).await {
            Ok(Ok(done)) => {
                fault::point("cluster.write.after");
                if let Some(Done::Created(entry)) = done.last() {
                    store.shared.trim(entry);
                }
                Ok(Attempt::Made(self.revision()?))
            }
            Ok(Err(refused)) => self.refused(store, connection, refused).await,
            Err(failure) => Err(store.trouble(failure)),
        }
    }

    /// After a connection was lost: whether it was made. A deletion, and a state that was followed by
    /// another one, cannot be told from somebody else's, and need not be.
    pub(super) async fn look(
        &self,
        store: &ZooKeeper,
        connection: &Connection,
    ) -> Result<Attempt, Trouble> {
        let found = read_stored(store, connection, self.volume()).await?;
        let conflict = || Trouble::Error(StoreError::Conflict(self.volume()));
        match (&self.kind, found) {
            (_, Some((write, stored))) if write == self.id => Ok(Attempt::Made(stored.revision)),
            (Kind::Create(_), None) => Ok(Attempt::Again),
            (Kind::Delete(_), None) => self.revision().map(Attempt::Made).map_err(Into::into),
            (Kind::Replace { next: expected, .. } | Kind::Delete(expected), Some((_, stored)))
                if stored.revision == expected.revision =>
            {
                Ok(Attempt::Again)
            }
            (Kind::Create(_) | Kind::Replace { .. } | Kind::Delete(_), _) => Err(conflict()),
        }
    }

    fn revision(&self) -> Result<Revision, StoreError> {
        Ok(match self.kind {
            Kind::Create(_) => Revision::default().next(),
            Kind::Replace { next: record, .. } | Kind::Delete(record) => record.revision.next(),
        })
    }

    /// Refuses to give back a name that is another volume's: the caller's record is not the store's.
    async fn is_named(
        &self,
        store: &ZooKeeper,
        connection: &Connection,
        name: &VolumeName,
    ) -> Result<(), Trouble> {
        match read_name(store, connection, name).await? {
            Some(id) if id == self.volume() => Ok(()),
            // Deleting the absent is fine; `refused` sees that it is absent.
            None if matches!(self.kind, Kind::Delete(_)) => Ok(()),
            Some(_) | None => Err(StoreError::Conflict(self.volume()).into()),
        }
    }

    async fn refused(
        &self,
        store: &ZooKeeper,
        connection: &Connection,
        refused: Refused,
    ) -> Result<Attempt, Trouble> {
        let conflict = || Trouble::Error(StoreError::Conflict(self.volume()));
        match (refused.index, refused.code, &self.kind) {
            (0, Code::NoNode, Kind::Delete(_)) => Ok(Attempt::Made(self.revision()?)),
            (0, Code::NoNode | Code::BadVersion | Code::NodeExists, _) => Err(conflict()),
            (1, Code::NodeExists, _) => {
                let (_, taken) = self.names();
                let Some(name) = taken else { return Err(conflict()) };
                match read_name(store, connection, name).await? {
                    Some(by) => Err(StoreError::NameTaken { name: name.clone(), by }.into()),
                    // Given back in this moment.
                    None => Ok(Attempt::Again),
                }
            }
            // The name that was to be given back.
            (_, Code::NoNode, _) => Err(conflict()),
            (_, code, _) => Err(store.shared.refusal(&code).into()),
        }
    }
}

/// The name that a record has in the store.
fn named(record: &Record) -> Option<&VolumeName> {
    (!record.is_removed()).then_some(&record.name)
}

/// A record as this server has it.
pub(super) async fn read(
    store: &ZooKeeper,
    connection: &Connection,
    id: VolumeId,
) -> Result<Option<Record>, Trouble> {
    let found = read_stored(store, connection, id).await?;
    Ok(found.map(|(_, record)| record))
}

async fn read_stored(
    store: &ZooKeeper,
    connection: &Connection,
    id: VolumeId,
) -> Result<Option<(Uuid, Record)>, Trouble> {
    let found = connection.get_newest(&store.shared.layout.volume(id)).await;
    let Some((data, stat)) = found.map_err(|failure| store.trouble(failure))? else {
        return Ok(None);
    };
    let (write, record) = decode(id, &data, stat.version).map_err(|reason| {
        store.shared.refusal(&format!("the record of volume {id} cannot be read: {reason}"))
    })?;
    Ok(Some((write, record)))
}

/// The record in a volume's znode.
pub(super) fn decode(id: VolumeId, data: &[u8], version: i32) -> Result<(Uuid, Record), String> {
    let stored: Stored = serde_json::from_slice(data).map_err(|error| error.to_string())?;
    if stored.record.id != id {
        return Err(format!("it is the record of volume {}", stored.record.id));
    }
    let version = u64::try_from(version).map_err(|_| format!("its version is {version}"))?;
    let revision = Revision::from(version).next();
    Ok((stored.write, Record { revision, ..stored.record }))
}

/// The volume that has a name, not older than this call.
pub(super) async fn read_name(
    store: &ZooKeeper,
    connection: &Connection,
    name: &VolumeName,
) -> Result<Option<VolumeId>, Trouble> {
    let found = connection.get_newest(&store.shared.layout.name(name)).await;
    let Some((data, _)) = found.map_err(|failure| store.trouble(failure))? else {
        return Ok(None);
    };
    let id = std::str::from_utf8(&data).ok().and_then(|text| text.parse().ok());
    id.map(Some).ok_or_else(|| {
        store.shared.refusal(&format!("the name `{name}` leads to no volume's id")).into()
    })
}

impl ZooKeeper {
    /// What a failure means for a call.
    #[expect(clippy::needless_pass_by_value, reason = "it takes the failure's place")]
    pub(super) fn trouble(&self, failure: Failure) -> Trouble {
        match failure {
            Failure::Lost(_) => Trouble::Lost,
            Failure::Refused(code) => self.shared.refusal(&code).into(),
        }
    }
}
