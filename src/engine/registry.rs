//! Which volumes there are: names to ids, ids to the tasks that drive them.
//!
//! A name is reserved here before the record that bears it is stored, so that two calls cannot
//! make one name twice; it is given back when storing fails.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::mpsc;

use super::{Shared, message::Message, view::View};
use crate::{
    spec::VolumeName,
    volume::{Record, VolumeId},
};

/// A volume's task, and what it last said of itself.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    pub(super) inbox: mpsc::UnboundedSender<Message>,
    pub(super) view: Arc<RwLock<Arc<View>>>,
}

impl Handle {
    /// Passes a message on; a task that just ended has nobody to tell.
    pub(super) fn tell(&self, message: Message) {
        let _ = self.inbox.send(message);
    }

    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_view(&self, view: View) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }
}

#[derive(Debug, Default)]
struct Tables {
    names: HashMap<VolumeName, VolumeId>,
    handles: HashMap<VolumeId, Handle>,
}

/// What came of asking for a name.
pub(super) enum Reserve {
    /// It is the volume's own already.
    Own,
    /// It is another volume's.
    Taken,
    /// It was free, and is reserved now.
    New(Reservation),
}

/// A name that is reserved for a volume, and given back when this is dropped, whatever the reason.
#[derive(Debug)]
pub(super) struct Reservation {
    /// `None` once it is kept.
    shared: Option<Arc<Shared>>,
    name: VolumeName,
    id: VolumeId,
}

impl Reservation {
    /// The record that bears the name is stored: the name is the volume's now.
    pub(super) fn keep(mut self) {
        self.shared = None;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.registry.release(&self.name, self.id);
        }
    }
}

/// The tables. The lock is held for look-ups only, never across an await or I/O.
#[derive(Debug, Default)]
pub(super) struct Registry(RwLock<Tables>);

impl Registry {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Tables> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The volume that has the name.
    pub(super) fn by_name(&self, name: &VolumeName) -> Option<Handle> {
        let tables = self.read();
        tables.handles.get(tables.names.get(name)?).cloned()
    }

    /// The volume with the id, removed ones included.
    pub(super) fn by_id(&self, id: VolumeId) -> Option<Handle> {
        self.read().handles.get(&id).cloned()
    }

    /// Every volume, removed ones included, in no order.
    pub(super) fn all(&self) -> Vec<Handle> {
        self.read().handles.values().cloned().collect()
    }

    /// Gives the name to the volume, unless another has it; for good only once the record that
    /// bears it is stored.
    pub(super) fn reserve(shared: &Arc<Shared>, name: VolumeName, id: VolumeId) -> Reserve {
        match shared.registry.write().names.entry(name.clone()) {
            Entry::Occupied(present) if *present.get() == id => Reserve::Own,
            Entry::Occupied(_) => Reserve::Taken,
            Entry::Vacant(free) => {
                free.insert(id);
                Reserve::New(Reservation { shared: Some(Arc::clone(shared)), name, id })
            }
        }
    }

    /// Takes the name from the volume, if it has it.
    pub(super) fn release(&self, name: &VolumeName, id: VolumeId) {
        let mut tables = self.write();
        if tables.names.get(name) == Some(&id) {
            tables.names.remove(name);
        }
    }

    /// Adds a volume's task; with the name, unless another volume has that: that one's handle
    /// comes back then, and nothing was added.
    pub(super) fn insert_new(
        &self,
        name: &VolumeName,
        id: VolumeId,
        handle: &Handle,
    ) -> Result<(), Handle> {
        let mut tables = self.write();
        if let Some(present) = tables.names.get(name).and_then(|id| tables.handles.get(id)) {
            return Err(present.clone());
        }
        // Another node imported the same storage in this moment: its volume has a task already.
        if let Some(present) = tables.handles.get(&id) {
            return Err(present.clone());
        }
        tables.names.insert(name.clone(), id);
        tables.handles.insert(id, handle.clone());
        Ok(())
    }

    /// Adds the task of a volume that is in the cluster's store, unless it has one: that comes back then.
    /// A name that another volume has here is left to it: that one is just being made, and will find its
    /// name taken.
    pub(super) fn insert_known(&self, record: &Record, handle: &Handle) -> Result<(), Handle> {
        let mut tables = self.write();
        if let Some(present) = tables.handles.get(&record.id) {
            return Err(present.clone());
        }
        tables.handles.insert(record.id, handle.clone());
        if !record.is_removed() {
            tables.names.entry(record.name.clone()).or_insert(record.id);
        }
        Ok(())
    }

    /// A volume's name, or that it has one, was changed in the cluster's store.
    pub(super) fn renamed(&self, before: &Record, after: &Record) {
        // A removed volume had none: what it has is reserved for its undelete.
        let gave_up = !before.is_removed() && (before.name != after.name || after.is_removed());
        if gave_up {
            self.release(&before.name, before.id);
            self.pass_on(&before.name, before.id);
        }
        self.name_if_free(after);
    }

    /// Gives the volume its name, where no other has it.
    pub(super) fn name_if_free(&self, record: &Record) {
        if !record.is_removed() {
            self.write().names.entry(record.name.clone()).or_insert(record.id);
        }
    }

    /// Gives a free name to the volume that bears it in the cluster's store: its record may have come
    /// before the one that gave the name up.
    pub(super) fn pass_on(&self, name: &VolumeName, gave_up: VolumeId) {
        let bears = |handle: &Handle| {
            let record = &handle.view().record;
            // What it gave up is still what it was last seen with.
            let bears = record.name == *name && !record.is_removed() && record.id != gave_up;
            bears.then_some(record.id)
        };
        let heir = self.all().iter().find_map(bears);
        if let Some(heir) = heir {
            self.write().names.entry(name.clone()).or_insert(heir);
        }
    }

    /// Forgets a volume that is gone.
    pub(super) fn forget(&self, name: &VolumeName, id: VolumeId) {
        self.release(name, id);
        self.write().handles.remove(&id);
    }
}
