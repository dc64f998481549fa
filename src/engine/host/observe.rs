//! What exists of a volume on this node: looked at, not remembered.

use std::{path::Path, sync::Arc};

use super::{Cause, Host, Subject, paths::PathError};
use crate::{
    backend::{Backend, Directories, Inspection, VolumeRef},
    sys::mountinfo::{Mount, MountTable},
    volume::{Contents, Device, Observed, Record, plan::Standing},
};

impl Host {
    pub(super) async fn observe(
        &self,
        backend: &Arc<dyn Backend>,
        subject: &Subject,
    ) -> Result<Observed, Cause> {
        let record = &subject.record;
        let mounts = subject.mounts().await?;
        match directories_of(record, backend.as_ref())? {
            Some(directories) => {
                self.observe_directory(backend, directories, record, &mounts).await
            }
            None => self.observe_device(backend, subject, &mounts).await,
        }
    }

    async fn observe_device(
        &self,
        backend: &Arc<dyn Backend>,
        subject: &Subject,
        mounts: &MountTable,
    ) -> Result<Observed, Cause> {
        let record = &subject.record;
        let inspection = backend.inspect(&VolumeRef::from(record)).await?;
        let (device, transit) = match &inspection {
            Inspection::Absent | Inspection::Detached | Inspection::SetAside => (None, None),
            Inspection::InTransit(transit) => (None, Some(*transit)),
            Inspection::Attached(device) => (Some(device.clone()), None),
        };
        let is_its = |mount: &Mount| {
            device.as_ref().is_some_and(|device: &Device| mount.device == device.number)
        };
        // A path that shows what is reached is not the device's.
        let path = self.published_path(&record.name);
        let reached = mounts.at(&self.reach_path(record.id)).zip(mounts.at(&path));
        let by_reach = reached.is_some_and(|(reach, path)| reach.device == path.device);
        let is_its = |mount: &Mount| is_its(mount) || by_reach && mount.mount_point == path;
        let (staged, published) = match subject.standing {
            // Its device may be gone already: what is at its stage is its own all the same.
            Standing::Other => self.left_mounted(record, mounts),
            Standing::Alone | Standing::Owner | Standing::Fencing => {
                self.mounted(record, mounts, is_its)?
            }
        };
        Ok(Observed {
            provisioned: inspection != Inspection::Absent,
            staged,
            published: published && !by_reach,
            // In the middle of formatting, and not by this process: see volume::plan.
            half_made: record.contents == Contents::Formatting && inspection != Inspection::Absent,
            device,
            transit,
            ..Observed::default()
        })
    }

    /// What is mounted exists: its server, which may be away, is not asked then.
    async fn observe_directory(
        &self,
        backend: &Arc<dyn Backend>,
        directories: &dyn Directories,
        record: &Record,
        mounts: &MountTable,
    ) -> Result<Observed, Cause> {
        let volume = VolumeRef::from(record);
        let (staged, published) =
            self.mounted(record, mounts, |mount| directories.shows(&volume, mount))?;
        let inspection = match staged || published {
            true => Inspection::Detached,
            false => backend.inspect(&volume).await?,
        };
        Ok(Observed {
            provisioned: inspection != Inspection::Absent,
            aside: inspection == Inspection::SetAside,
            staged,
            published,
            ..Observed::default()
        })
    }

    /// What another node's volume left here: the stage is known by the volume's id, and the published
    /// path by what is mounted there.
    fn left_mounted(&self, record: &Record, mounts: &MountTable) -> (bool, bool) {
        let stage = mounts.at(&self.stage_path(record.id));
        let published = mounts.at(&self.published_path(&record.name));
        let same = stage.zip(published).is_some_and(|(stage, path)| stage.device == path.device);
        (stage.is_some(), same)
    }

    /// Whether the volume is mounted at its stage, and at its published path.
    fn mounted(
        &self,
        record: &Record,
        mounts: &MountTable,
        is_its: impl Fn(&Mount) -> bool,
    ) -> Result<(bool, bool), PathError> {
        let shows = |path: &Path| match mounts.at(path) {
            None => Ok(false),
            Some(mount) if is_its(mount) => Ok(true),
            // A removed volume's name may be another one's by now, and the path with it.
            Some(_) if record.is_removed() => Ok(false),
            Some(mount) => {
                Err(PathError::Occupied { path: path.into(), source_name: mount.source.clone() })
            }
        };
        Ok((shows(&self.stage_path(record.id))?, shows(&self.published_path(&record.name))?))
    }

    /// True when the published path shows what is reached of another node's: by the mount table alone.
    #[must_use]
    pub fn is_reached(&self, record: &Record) -> bool {
        let (reach, path) = (self.reach_path(record.id), self.published_path(&record.name));
        let shown =
            |mounts: MountTable| Some(mounts.at(&reach)?.device == mounts.at(&path)?.device);
        MountTable::read().map_or(true, |mounts| shown(mounts).unwrap_or(false))
    }

    /// True when the published path really shows the volume. Of a device, one `stat` tells. A
    /// directory's server may be away, and then everybody waits who touches the path: the mount
    /// table tells.
    #[must_use]
    pub fn is_published(&self, record: &Record, device: Option<&Device>) -> bool {
        let path = self.published_path(&record.name);
        match device {
            Some(device) => super::shows_device(&path, device),
            None => {
                let Some(backend) = self.backend(record.spec.backend.kind()) else { return false };
                let volume = VolumeRef::from(record);
                let shown = |mounts: MountTable| {
                    let mount = mounts.at(&path)?;
                    Some(backend.directories()?.shows(&volume, mount))
                };
                // Not knowing is no reason to mount it once more.
                MountTable::read().map_or(true, |mounts| shown(mounts).unwrap_or(false))
            }
        }
    }
}

/// The directories of its backend, if the volume is one.
pub(super) fn directories_of<'a>(
    record: &Record,
    backend: &'a dyn Backend,
) -> Result<Option<&'a dyn Directories>, PathError> {
    if !record.spec.backend.is_directory() {
        return Ok(None);
    }
    let found = backend.directories();
    found.map(Some).ok_or_else(|| PathError::NoBackend(record.spec.backend.kind()))
}
