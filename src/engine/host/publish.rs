//! The path that tasks get: bound to what is mounted at the stage, or of what is reached, and taken away.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::task::spawn_blocking;

use super::{
    Host, Subject, data_dir,
    paths::{PathError, ensure_dir, path_error, refuse_mount_point, remove_published},
};
use crate::{
    backend::{Directories, VolumeRef},
    engine::error::Cause,
    fault,
    sys::{beneath::Beneath, guard, mount, mountinfo::MountTable},
    volume::Record,
};

/// How long the data directory of a mounted directory may take to be opened.
const PUBLISH: Duration = Duration::from_secs(30);

/// A directory that is to be published.
#[derive(Debug)]
pub(super) struct Wanted {
    /// What the mount table says is mounted at the stage.
    device: (u32, u32),
    /// It was given up meanwhile: what was opened at last is published by nobody.
    late: Arc<AtomicBool>,
}

/// The directory that tasks see: below a mount, opened without following links.
#[derive(Debug)]
pub(super) struct Data {
    top: PathBuf,
    below: PathBuf,
}

impl Wanted {
    fn still(&self, shown: u64) -> bool {
        let (major, minor) = self.device;
        rustix::fs::makedev(major, minor) == shown && !self.late.load(Ordering::SeqCst)
    }
}

impl Host {
    /// As [`Self::publish`], of what the mount table says is the volume's, and with an end.
    pub(super) async fn publish_directory(
        &self,
        directories: &dyn Directories,
        record: &Record,
    ) -> Result<(), Cause> {
        let (stage, volume) = (self.stage_path(record.id), VolumeRef::from(record));
        let mounts = spawn_blocking(MountTable::read).await??;
        let mount = mounts.at(&stage).filter(|mount| directories.shows(&volume, mount));
        let device = mount.ok_or(PathError::NotStaged(stage))?.device;
        self.publish_in_time(record, self.data_of(record), device).await
    }

    /// The same of what another node serves.
    pub(super) async fn publish_reached(&self, record: &Record) -> Result<(), Cause> {
        let top = self.reach_path(record.id);
        let mounts = spawn_blocking(MountTable::read).await??;
        let mount = mounts.at(&top).ok_or_else(|| PathError::NotStaged(top.clone()))?;
        // What is served is what tasks see, and nothing around it.
        let data = Data { top, below: PathBuf::from(".") };
        self.publish_in_time(record, data, mount.device).await
    }

    async fn publish_in_time(
        &self,
        record: &Record,
        data: Data,
        device: (u32, u32),
    ) -> Result<(), Cause> {
        let late = Arc::new(AtomicBool::new(false));
        let wanted = Wanted { device, late: Arc::clone(&late) };
        let published =
            tokio::time::timeout(PUBLISH, self.publish(record, data, Some(wanted))).await;
        published.map_err(|_| {
            late.store(true, Ordering::SeqCst);
            PathError::Late { after: PUBLISH }
        })?
    }

    pub(super) fn data_of(&self, record: &Record) -> Data {
        Data { top: self.stage_path(record.id), below: data_dir(record) }
    }

    /// `wanted` is for what may be on a server that is away.
    pub(super) async fn publish(
        &self,
        record: &Record,
        data: Data,
        wanted: Option<Wanted>,
    ) -> Result<(), Cause> {
        let Data { top: stage, below: data } = data;
        let path = self.published_path(&record.name);
        spawn_blocking(move || {
            ensure_dir(&path, 0o700)?;
            refuse_mount_point(&path)?;
            guard::guard(&path).map_err(path_error("protect", &path))?;
            fault::point("publish.guarded");
            // Tasks write below the stage: what is bound is what was opened, and no link.
            let data =
                Beneath::open(&stage, &data).map_err(path_error("open the data of", &stage))?;
            let shown = fs::metadata(data.path()).map_err(path_error("look at", &stage))?.dev();
            if wanted.is_some_and(|wanted| !wanted.still(shown)) {
                return Err(PathError::NotStaged(stage));
            }
            mount::bind(&data.path(), &path).map_err(path_error("bind the volume to", &path))
        })
        .await??;
        Ok(())
    }

    pub(super) async fn unpublish(&self, subject: &Subject) -> Result<(), Cause> {
        let path = self.published_path(&subject.record.name);
        self.unmount(&path, subject).await?;
        fault::point("unpublish.unmounted");
        spawn_blocking(move || remove_published(&path)).await??;
        Ok(())
    }
}
