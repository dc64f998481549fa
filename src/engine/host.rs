//! Carries the steps out on this node: mounts, mkfs, directories, and calls to the backend.
//!
//! ```text
//! <root>/stage/<volume UUID>   the file system, mounted once
//! <root>/reach/<volume UUID>   the same of another node's, by way of that node
//! <root>/volumes/<name>        what tasks get: a bind of <stage>/data, so nobody sees lost+found, or
//!                              of what is reached
//! ```
//!
//! `<root>` has shared propagation: a namespace that copied it lets go of a volume with the host.
//! A published directory is immutable until something is mounted on it, so that a task that finds
//! it unmounted cannot write into the host's file system.

mod observe;
mod paths;
mod publish;
mod shared;
mod stage;
mod subject;

pub(super) use shared::{RECOVERY, names_are_durable};
pub use subject::Subject;

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use observe::directories_of;
use paths::{PathError, ensure_dir, remove_dir, remove_published};
use stage::refuse_other_volume;

use tokio::task::spawn_blocking;

use super::error::{Cause, StepError};
use crate::{
    backend::{Accounting, Backend, Created, Directories, VolumeRef},
    fault,
    spec::{BackendKind, VolumeName},
    sys::{
        format, freeze, mount,
        mountinfo::MountTable,
        probe::{self, Content},
    },
    volume::{
        DATA, Device, DeviceContent, Record, VolumeId,
        effect::{Effect, Outcome},
    },
};

/// This node's hands.
#[derive(Debug)]
pub struct Host {
    root: PathBuf,
    backends: HashMap<BackendKind, Arc<dyn Backend>>,
}

impl Host {
    /// Changes nothing yet. The mount table holds resolved paths, so the root is resolved, too.
    #[must_use]
    pub fn new(root: PathBuf, backends: Vec<Arc<dyn Backend>>) -> Self {
        let root = fs::canonicalize(&root).unwrap_or(root);
        let backends = backends.into_iter().map(|backend| (backend.kind(), backend)).collect();
        Self { root, backends }
    }

    /// Makes the root directory a shared mount, with the directories in it.
    ///
    /// # Errors
    ///
    /// With what could not be made.
    pub fn prepare(&self, kind: mount::RootKind) -> io::Result<()> {
        mount::ensure_shared_root(&self.root, kind)?;
        for dir in ["stage", "reach", "volumes"] {
            // 0711: tasks reach their own volume by its path, and cannot list the others.
            fs::DirBuilder::new().recursive(true).mode(0o711).create(self.root.join(dir))?;
        }
        Ok(())
    }

    /// The root directory, resolved as the mount table has it.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a volume's file system is mounted.
    #[must_use]
    pub fn stage_path(&self, id: VolumeId) -> PathBuf {
        self.root.join("stage").join(id.to_string())
    }

    /// Where a volume of another node is mounted.
    #[must_use]
    pub fn reach_path(&self, id: VolumeId) -> PathBuf {
        self.root.join("reach").join(id.to_string())
    }

    pub(super) async fn make_reach(&self, id: VolumeId) -> Result<(), Cause> {
        let path = self.reach_path(id);
        Ok(spawn_blocking(move || ensure_dir(&path, 0o711)).await??)
    }

    pub(super) async fn remove_reach(&self, id: VolumeId) -> Result<(), Cause> {
        let path = self.reach_path(id);
        Ok(spawn_blocking(move || remove_dir(&path)).await??)
    }

    /// Where an NFS export is mounted as a whole, while there is need for it.
    #[must_use]
    pub fn export_path(&self, export: &str) -> PathBuf {
        self.root.join("exports").join(export)
    }

    /// The path that tasks get.
    #[must_use]
    pub fn published_path(&self, name: &VolumeName) -> PathBuf {
        self.root.join("volumes").join(name.as_str())
    }

    /// The backend of that kind.
    #[must_use]
    pub fn backend(&self, kind: BackendKind) -> Option<&Arc<dyn Backend>> {
        self.backends.get(&kind)
    }

    /// The backend that serves the volume as a directory, if it is one.
    #[must_use]
    pub fn server_of(&self, record: &Record) -> Option<Arc<dyn Backend>> {
        let backend = self.backend(record.spec.backend.kind())?;
        record.spec.backend.is_directory().then(|| Arc::clone(backend))
    }

    /// How the size of a directory is kept to.
    #[must_use]
    pub fn accounting(&self, record: &Record) -> Option<Accounting> {
        let server = self.server_of(record)?;
        Some(server.directories()?.accounting(&VolumeRef::from(record)))
    }

    /// Every backend of this node.
    pub fn backends(&self) -> impl Iterator<Item = &Arc<dyn Backend>> {
        self.backends.values()
    }

    /// Carries a step out.
    ///
    /// # Errors
    ///
    /// What exists afterwards is unknown: the caller observes again.
    pub async fn execute(&self, effect: Effect, subject: &Subject) -> Result<Outcome, StepError> {
        fault::point(&format!("{}.before", effect.name()));
        let result = self.dispatch(effect, subject).await;
        fault::point(&format!("{}.after", effect.name()));
        result.map_err(|source| StepError::Step { step: effect.name(), source })
    }

    async fn dispatch(&self, effect: Effect, subject: &Subject) -> Result<Outcome, Cause> {
        let Subject { record, .. } = subject;
        let volume = VolumeRef::from(record);
        let backend = self
            .backend(record.spec.backend.kind())
            .ok_or_else(|| PathError::NoBackend(record.spec.backend.kind()))?;
        if let Some(directories) = directories_of(record, backend.as_ref())?
            && let Some(done) = self.on_directory(effect, directories, record).await?
        {
            return Ok(done);
        }
        // What was attached some time ago may be gone, and its name be another's.
        if matches!(effect, Effect::Probe | Effect::Format | Effect::GrowOffline | Effect::Stage) {
            backend.confirm(&volume, device_of(subject)?).await?;
        }
        match effect {
            Effect::Observe => return self.observe(backend, subject).await.map(Outcome::Observed),
            Effect::Provision => {
                let Created { handle, backend } = backend.create(&volume).await?;
                return Ok(Outcome::Provisioned { handle, backend });
            }
            Effect::Attach => {
                return Ok(Outcome::Attached(backend.attach(&volume, &subject.cancel).await?));
            }
            Effect::Probe => return probe_device(device_of(subject)?).await,
            Effect::Format => self.format(subject, device_of(subject)?).await?,
            Effect::GrowStorage { to } => {
                backend.grow(&volume, to).await?;
                return Ok(Outcome::Grown { to, backend: volume.spec.backend });
            }
            Effect::GrowOffline => {
                refuse_other_volume(record, device_of(subject)?).await?;
                format::grow_offline(&device_of(subject)?.path, record.spec.fs).await?;
            }
            Effect::Stage => self.stage(subject, device_of(subject)?).await?,
            Effect::GrowOnline => return self.grow_online(record, device_of(subject)?).await,
            Effect::Thaw => {
                let stage = self.stage_path(record.id);
                spawn_blocking(move || freeze::thaw(&stage)).await??;
            }
            Effect::Publish if subject.reached => self.publish_reached(record).await?,
            Effect::Publish => self.publish(record, self.data_of(record), None).await?,
            Effect::Unpublish => self.unpublish(subject).await?,
            Effect::Unstage => self.unstage(subject).await?,
            Effect::Detach => backend.detach(&volume).await?,
            Effect::ShutDown => self.shut_down(record).await?,
            // The engine's own: it has the store and the other nodes.
            Effect::Own
            | Effect::Recall
            | Effect::Fence
            | Effect::Export
            | Effect::Unexport
            | Effect::Connect
            | Effect::Reach
            | Effect::Unreach => return Err(PathError::NotHere.into()),
            Effect::SetAside => return Err(PathError::NoDirectory.into()),
            Effect::Destroy => backend.remove(&volume).await?,
        }
        Ok(Outcome::Done)
    }

    /// The steps that are others for a directory; `None` for those that are the same.
    async fn on_directory(
        &self,
        effect: Effect,
        directories: &dyn Directories,
        record: &Record,
    ) -> Result<Option<Outcome>, Cause> {
        let (volume, stage) = (VolumeRef::from(record), self.stage_path(record.id));
        match effect {
            Effect::Stage => {
                let target = stage.clone();
                spawn_blocking(move || ensure_dir(&target, 0o711)).await??;
                if let Err(error) = directories.mount(&volume, &stage).await {
                    // Where something was mounted all the same, it stays.
                    let _ = spawn_blocking(move || remove_dir(&stage)).await?;
                    return Err(error.into());
                }
            }
            Effect::Unstage => {
                directories.unmount(&volume, &stage).await?;
                fault::point("unstage.unmounted");
                spawn_blocking(move || remove_dir(&stage)).await??;
            }
            Effect::Publish => {
                // Whoever opens what is on a server that is away waits for it.
                directories.answers(&volume).await?;
                self.publish_directory(directories, record).await?;
            }
            Effect::SetAside => directories.set_aside(&volume).await?,
            Effect::Attach
            | Effect::Probe
            | Effect::Format
            | Effect::GrowOffline
            | Effect::GrowOnline
            | Effect::Thaw
            | Effect::Export
            | Effect::Unexport
            | Effect::Connect
            | Effect::Reach
            | Effect::Unreach
            | Effect::Detach => return Err(PathError::NoDevice.into()),
            Effect::Observe
            | Effect::Own
            | Effect::Recall
            | Effect::Fence
            | Effect::ShutDown
            | Effect::Provision
            | Effect::GrowStorage { .. }
            | Effect::Unpublish
            | Effect::Destroy => return Ok(None),
        }
        Ok(Some(Outcome::Done))
    }

    /// Deletes the directories that a crash or a reboot left behind: published paths and stages
    /// on which nothing is mounted. Only empty ones can be, and only empty ones are deleted.
    ///
    /// # Errors
    ///
    /// When a directory cannot be read.
    pub fn sweep_directories(&self, mounts: &MountTable) -> io::Result<()> {
        for (dir, remove) in [
            ("stage", remove_dir as fn(&Path) -> _),
            ("reach", remove_dir),
            ("volumes", remove_published),
        ] {
            for entry in fs::read_dir(self.root.join(dir))? {
                let path = entry?.path();
                if mounts.at(&path).is_none()
                    && let Err(error) = remove(&path)
                {
                    tracing::warn!("leave {} where it is: {error}", path.display());
                }
            }
        }
        Ok(())
    }
}

fn shows_device(path: &Path, device: &Device) -> bool {
    let (major, minor) = device.number;
    fs::metadata(path).is_ok_and(|metadata| metadata.dev() == rustix::fs::makedev(major, minor))
}

/// The directory of the file system that tasks see.
pub(super) fn data_dir(record: &Record) -> PathBuf {
    PathBuf::from(record.data_dir.as_deref().unwrap_or(DATA))
}

fn device_of(subject: &Subject) -> Result<&Device, PathError> {
    subject.device.as_ref().ok_or(PathError::NotAttached)
}

async fn probe_device(device: &Device) -> Result<Outcome, Cause> {
    Ok(Outcome::Probed(match probe::probe(&device.path).await? {
        Content::Blank => DeviceContent::Blank,
        Content::FileSystem { fs, uuid, .. } => match (fs.parse(), uuid.map(|u| u.parse())) {
            (Ok(fs), Some(Ok(uuid))) => DeviceContent::FileSystem { fs, uuid },
            (Ok(_) | Err(_), _) => DeviceContent::Something,
        },
        Content::Other { .. } => DeviceContent::Something,
    }))
}
