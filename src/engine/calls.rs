//! What the doors ask for of a volume: each call finds the volume's task, passes the request on and waits.

use std::{sync::Arc, time::Instant};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    Engine, EngineError, LONG, SHORT,
    message::{Checked, Exclusive, Grown, Message, MountGrant},
    new_handle,
    registry::Handle,
    task::{self, VolumeTask},
};
use crate::{
    spec::{Bytes, Request, Stated, VolumeName},
    sys::format::Repair,
    volume::{CallerEpoch, MountId, Phase, Purge, Record, VolumeId, transition::Changes},
};

/// When a removed volume's data is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Removal {
    /// As the configuration says: usually after the undelete window.
    ByPolicy,
    /// At once.
    Now,
}

impl Engine {
    /// Makes a volume, or makes sure that the one of that name is as stated.
    ///
    /// # Errors
    ///
    /// A new volume that could not be made is gone without a trace.
    pub async fn create(&self, request: &Request) -> Result<(), EngineError> {
        let handle = self.find_or_start(request)?;
        let stated = request.stated.clone();
        let ask = |reply| Message::Ensure { stated, reply };
        Self::ask(&handle, "create", &request.name, LONG, ask).await
    }

    /// The task of the volume, or a new volume's.
    pub(super) fn find_or_start(&self, request: &Request) -> Result<Handle, EngineError> {
        let Request { name, stated } = request;
        if let Some(handle) = self.shared.registry.by_name(name) {
            return Ok(handle);
        }
        let spec = stated.resolve(name, &self.shared.settings.defaults)?;
        Ok(self.start_new(Record::new(VolumeId::random(), name.clone(), spec, Timestamp::now())))
    }

    /// The task of a new volume, or of the one that got its name in this moment.
    pub(super) fn start_new(&self, mut record: Record) -> Handle {
        record.lease = self.shared.store.first_lease();
        if record.is_group() {
            // There is nothing to make, and nobody has to own it.
            record.phase = Phase::Ready;
            record.lease = record.lease.released();
        }
        let (handle, inbox) = new_handle(&record);
        match self.shared.registry.insert_new(&record.name, record.id, &handle) {
            Ok(()) => {
                let shared = Arc::clone(&self.shared);
                let task = VolumeTask::new(shared, handle.clone(), inbox, record, None);
                tokio::spawn(task.run_new());
                handle
            }
            Err(present) => present,
        }
    }

    /// Mounts a volume for a holder. An inline spec that nobody created yet is created.
    ///
    /// # Errors
    ///
    /// The call's reference is dropped then.
    ///
    /// # Cancellation
    ///
    /// The call's reference is dropped, as soon as the volume's task finds that nobody waits.
    pub async fn mount(
        &self,
        request: &Request,
        id: MountId,
        epoch: CallerEpoch,
    ) -> Result<MountGrant, EngineError> {
        let Request { name, stated } = request;
        let start = Instant::now();
        if let Err(closed) = self.refuse_new("mount", name)
            && !self.has(name)
            && !self.is_group(name)
        {
            return Err(closed);
        }
        let handle = match self.shared.registry.by_name(name) {
            Some(handle) => handle,
            None if stated.is_empty() => return Err(EngineError::NotFound(name.to_string())),
            None => {
                self.create(request).await?;
                self.named(name)?
            }
        };
        if handle.view().record.is_group() {
            return self.mount_member(&handle, request, (id, epoch), start.elapsed()).await;
        }
        let stated = stated.clone();
        let ask = |reply| Message::Mount { stated, id, epoch, chosen: None, reply };
        Self::ask(&handle, "mount", name, LONG.saturating_sub(start.elapsed()), ask).await
    }

    /// Lets go of a volume. Letting go of what is not held, or not there, is fine.
    ///
    /// # Errors
    ///
    /// Only when the task cannot answer in time; the request stands all the same.
    pub async fn unmount(
        &self,
        name: &VolumeName,
        id: MountId,
        epoch: CallerEpoch,
    ) -> Result<(), EngineError> {
        let Some(handle) = self.shared.registry.by_name(name) else { return Ok(()) };
        if handle.view().record.is_group() {
            return self.unmount_member(&handle, &id, &epoch).await;
        }
        let ask = |reply| Message::Unmount { id, epoch, reply };
        Self::ask(&handle, "unmount", name, SHORT, ask).await
    }

    /// Removes a volume. Removing what is not there is fine.
    ///
    /// # Errors
    ///
    /// Nothing was changed then.
    pub async fn remove(&self, name: &VolumeName, when: Removal) -> Result<(), EngineError> {
        let Some(handle) = self.shared.registry.by_name(name) else { return Ok(()) };
        if handle.view().record.is_group() {
            return self.remove_group(&handle, when).await;
        }
        self.remove_one(&handle, name, when).await
    }

    /// The same by a name that may say what the volume is, which has to be so: Docker has every name that it
    /// heard as a volume of its own, and one that was refused at a mount is cleared away without meaning the data.
    ///
    /// # Errors
    ///
    /// Nothing was changed then.
    pub async fn remove_asked(&self, request: &Request, when: Removal) -> Result<(), EngineError> {
        let Request { name, stated } = request;
        let record = self.shared.registry.by_name(name).map(|handle| handle.view().record.clone());
        let difference = record
            .and_then(|record| stated.first_difference(name, &record.spec, record.wanted_size()));
        match difference {
            Some(difference) => Err(EngineError::NotMeant(Arc::new(difference))),
            None => self.remove(name, when).await,
        }
    }

    pub(super) async fn remove_one(
        &self,
        handle: &Handle,
        name: &VolumeName,
        when: Removal,
    ) -> Result<(), EngineError> {
        if let Some(node) = self.only_on(handle) {
            return self.remove_on(&node, name, when).await;
        }
        let settings = &self.shared.settings;
        let window = match when {
            Removal::Now => SignedDuration::ZERO,
            Removal::ByPolicy if name.is_anonymous() => settings.undelete_anonymous,
            Removal::ByPolicy => settings.undelete,
        };
        let now = Timestamp::now();
        let purge = Purge::At(now.checked_add(window).unwrap_or(Timestamp::MAX));
        let ask = |reply| Message::Exclusive(Exclusive::Remove { purge, reply });
        Self::ask(handle, "remove", name, SHORT, ask).await
    }

    /// Grows a volume, online where it is mounted, and gives its storage other settings.
    ///
    /// # Errors
    ///
    /// It is as before then.
    pub async fn grow(
        &self,
        name: &VolumeName,
        to: Option<Bytes>,
        settings: Stated,
    ) -> Result<Grown, EngineError> {
        let handle = self.named(name)?;
        if handle.view().record.is_group() {
            return self.grow_group(&handle, to, settings).await;
        }
        self.grow_one(&handle, to, settings).await
    }

    pub(super) async fn grow_one(
        &self,
        handle: &Handle,
        to: Option<Bytes>,
        settings: Stated,
    ) -> Result<Grown, EngineError> {
        let ask = |reply| Message::Grow { to, settings, reply };
        Self::ask(handle, "grow", &handle.view().record.name, LONG, ask).await
    }

    /// Gives a volume that nobody holds another name.
    ///
    /// # Errors
    ///
    /// It has its old name then.
    pub async fn rename(&self, name: &VolumeName, to: VolumeName) -> Result<(), EngineError> {
        let handle = self.named(name)?;
        let reserved = self.reserve(&to, handle.view().record.id)?;
        let ask = |reply| Message::Exclusive(Exclusive::Rename { to, reserved, reply });
        Self::ask(&handle, "rename", name, SHORT, ask).await
    }

    /// Changes what can be changed at any time.
    ///
    /// # Errors
    ///
    /// Nothing was changed then.
    pub async fn set(&self, name: &VolumeName, changes: Changes) -> Result<(), EngineError> {
        let handle = self.named(name)?;
        if handle.view().record.is_group() {
            return self.set_group(&handle, changes).await;
        }
        let ask = |reply| Message::Set { changes, reply };
        Self::ask(&handle, "set", name, SHORT, ask).await
    }

    /// Checks the file system of a volume that nobody holds.
    ///
    /// # Errors
    ///
    /// Where it is held, or the checking program cannot run.
    pub async fn check(&self, name: &VolumeName, repair: Repair) -> Result<Checked, EngineError> {
        let ask = |reply| Message::Exclusive(Exclusive::Check { repair, reply });
        Self::ask(&self.named(name)?, "fsck", name, task::CHECK_DEADLINE, ask).await
    }

    /// Gives a volume's unused blocks back to its storage.
    ///
    /// # Errors
    ///
    /// Where the storage cannot take them back.
    pub async fn trim(&self, name: &VolumeName) -> Result<Bytes, EngineError> {
        let ask = |reply| Message::Trim { reply };
        Self::ask(&self.named(name)?, "trim", name, LONG, ask).await
    }
}
