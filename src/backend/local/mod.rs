//! The local backend: an image file per volume in one directory, attached as a loop device.
//!
//! ```text
//! <dir>/<volume UUID>.img       the image; its size is the volume's, enforced by the loop device
//! <dir>/<volume UUID>.img.new   being made; deleted and made again after a crash
//! ```
//!
//! A loop device is known by its image's device and inode number, never by its path: so it is found
//! again after a `kill -9`. Its own name means nothing, since the kernel gives it to the next image
//! once it is free: before each use it is asked what it is bound to. The image is locked (flock) before it is attached, and the lock is the
//! loop device's from then on, which shares the open file: it outlives a killed daemon, and ends
//! with the loop device, so there is never a second one on the same image.

mod admission;
mod image;

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use rustix::io::Errno;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{Backend, BackendError, Created, ErrorKind, Inspection, VolumeRef};
use crate::{
    fault,
    spec::{BackendKind, BackendSpec, Bytes, Provision},
    sys::{
        blockdev, errno,
        loopdev::{self, Discards, LoopError, LoopInfo},
    },
    volume::{Device, VolumeId},
};
pub use admission::NoRoom;
use image::Images;

/// How the local backend is set up.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalConfig {
    /// Where the images are.
    pub dir: PathBuf,
    /// How much more than the free space thin volumes may promise: 1.0 is no more.
    pub overcommit: f64,
    /// Free space that is never given to a volume.
    pub margin: Bytes,
    /// Whose directory it is.
    pub users: Users,
}

/// Who makes images in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    /// This node alone: drafts that are found at the start are left from a killed daemon.
    ThisNode,
    /// Other nodes as well: a draft may be one that another node is making.
    ManyNodes,
}

/// The local backend. Clones share their state.
#[derive(Debug, Clone)]
pub struct Local {
    images: Arc<Images>,
    /// Where volumes were seen attached: a place to look first, to be asked before it is believed.
    /// Held for moments only, never across I/O.
    seen: Arc<Mutex<HashMap<VolumeId, LoopInfo>>>,
}

/// An error before the volume and operation are added to it.
#[derive(Debug, thiserror::Error)]
enum LocalError {
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    #[error("the image {0} does not exist")]
    NoImage(PathBuf),
    #[error("the image {0} is locked by another process")]
    Locked(PathBuf),
    #[error("{device} is still in use, perhaps by a mount in another namespace: {source}")]
    DeviceInUse { device: PathBuf, source: blockdev::InUse },
    #[error("{device} is kept open by another program: {source}")]
    KeptOpen { device: PathBuf, source: io::Error },
    #[error("it is attached as {0}")]
    Attached(String),
    #[error("{0} is not its device any more")]
    NotThere(PathBuf),
    #[error("the volume is on {0}, not on this backend")]
    OtherBackend(BackendKind),
    #[error(transparent)]
    Loop(#[from] LoopError),
}

impl LocalError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                ErrorKind::Exhausted
            }
            Self::Io { .. } | Self::OtherBackend(_) | Self::Loop(LoopError::Io(_)) => {
                ErrorKind::Failed
            }
            Self::NoRoom(_) => ErrorKind::Exhausted,
            Self::NoImage(_) | Self::NotThere(_) => ErrorKind::NotFound,
            Self::Locked(_)
            | Self::DeviceInUse { .. }
            | Self::KeptOpen { .. }
            | Self::Attached(_)
            | Self::Loop(LoopError::Foreign { .. } | LoopError::Several(_)) => ErrorKind::InUse,
        }
    }
}

impl Local {
    /// Opens the backend, making its directory where it is missing.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or read.
    pub fn open(config: LocalConfig) -> io::Result<Self> {
        Ok(Self { images: Arc::new(Images::open(config)?), seen: Arc::default() })
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, HashMap<VolumeId, LoopInfo>> {
        // The map is changed by single calls only: a panic elsewhere cannot leave it half-made.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The volume's loop device at this moment.
    fn find_attached(&self, id: VolumeId) -> Result<Option<LoopInfo>, LocalError> {
        let image = self.images.open_existing(id)?;
        let present = image.as_ref().map(loopdev::identity).transpose().map_err(look())?;
        let seen = self.seen().get(&id).cloned();
        // The inode of an image that was deleted is the loop device's until it is freed.
        if let Some(seen) = seen.filter(|seen| present.is_none_or(|id| id == seen.backing))
            && let Some(info) = loopdev::find_again(&seen).map_err(look())?
        {
            return Ok(Some(info));
        }
        let found = match image {
            Some(image) => loopdev::find(&image)?,
            None => None,
        };
        self.remember(id, found.as_ref());
        Ok(found)
    }

    fn remember(&self, id: VolumeId, info: Option<&LoopInfo>) {
        let mut seen = self.seen();
        match info {
            Some(info) => seen.insert(id, info.clone()),
            None => seen.remove(&id),
        };
    }

    fn attach_blocking(&self, volume: &VolumeRef) -> Result<Device, LocalError> {
        let id = volume.id;
        let path = self.images.path(id);
        let image = self.images.open_existing(id)?.ok_or(LocalError::NoImage(path.clone()))?;
        let discards = match provision_of(&volume.spec.backend)? {
            Provision::Thin => Discards::Wanted,
            Provision::Thick => Discards::AsTheyAre,
        };
        // Every loop device is looked at, whatever was seen before: a second one on the image is
        // found here.
        let info = if image::lock(&image, &path)? {
            loopdev::attach(&image, &path, discards)?
        } else {
            // Left by a daemon that was killed, with its lock: taken over.
            loopdev::find(&image)?.ok_or(LocalError::Locked(path))?
        };
        fault::point("local.attach.bound");
        self.set_up(volume, discards, &image, &info);
        self.remember(id, Some(&info));
        Ok(as_device(&info.device))
    }

    /// What makes an attached device better, and is no reason to refuse it where it fails.
    fn set_up(&self, volume: &VolumeRef, discards: Discards, image: &File, info: &LoopInfo) {
        if !info.direct_io {
            tracing::warn!(
                volume = %volume.name, device = %info.device.path.display(),
                "the loop device works without direct I/O, which the file system of the image directory does not offer: data is cached twice"
            );
        }
        if discards == Discards::Wanted {
            return;
        }
        // Discards, and ext4's way of zeroing blocks, punch holes into an image: its reservation
        // is made whole again here, and not lost from now on. Before mkfs, too, although mkfs.xfs
        // then writes its log instead of having it zeroed (about 30 ms, once): the first session
        // may last for months, with `mount_options=discard` or a trim (measured: one trim of a new
        // volume of 1 GiB gave 911 MiB away), and a full host disk is an I/O error in the volume.
        let whole = loopdev::forbid_discard(&info.device)
            .and_then(|()| image::reserve(image, Provision::Thick, Bytes::ZERO, info.size));
        if let Err(error) = whole {
            tracing::warn!(
                volume = %volume.name, %error,
                "the volume's space is not wholly reserved: it may find the disk full"
            );
        }
    }

    fn detach_blocking(&self, id: VolumeId) -> Result<(), LocalError> {
        let Some(LoopInfo { device, backing, .. }) = self.find_attached(id)? else {
            return Ok(());
        };
        blockdev::ensure_unused(&device.path)
            .map_err(|source| LocalError::DeviceInUse { device: device.path.clone(), source })?;
        fault::point("local.detach.proven");
        loopdev::detach(&device, backing).map_err(|source| match errno::of(&source) {
            Some(Errno::BUSY) => LocalError::KeptOpen { device: device.path.clone(), source },
            Some(_) | None => LocalError::io(format!("free {}", device.path.display()))(source),
        })?;
        self.remember(id, None);
        Ok(())
    }

    fn grow_blocking(&self, volume: &VolumeRef, to: Bytes) -> Result<(), LocalError> {
        self.images.grow(volume.id, provision_of(&volume.spec.backend)?, to)?;
        fault::point("local.grow.image");
        if let Some(LoopInfo { device, backing, .. }) = self.find_attached(volume.id)? {
            loopdev::refresh_capacity(&device, backing)
                .map_err(LocalError::io(format!("grow {}", device.path.display())))?;
        }
        Ok(())
    }

    fn remove_blocking(&self, id: VolumeId) -> Result<(), LocalError> {
        let image = self.images.open_existing(id)?;
        let mut loops = match &image {
            // Any: each shows the data that would be deleted.
            Some(image) => loopdev::list_of(image).map_err(look())?,
            None => self.find_attached(id)?.into_iter().collect(),
        };
        if loops.is_empty() {
            self.remember(id, None);
            return self.images.remove(id);
        }
        loops.sort_by_key(|info| info.device.number);
        let names: Vec<_> = loops.iter().map(|info| info.device.path.to_string_lossy()).collect();
        Err(LocalError::Attached(names.join(", ")))
    }

    fn inspect_blocking(&self, id: VolumeId) -> Result<Inspection, LocalError> {
        if let Some(info) = self.find_attached(id)? {
            return Ok(Inspection::Attached(as_device(&info.device)));
        }
        match self.images.open_existing(id)? {
            None => Ok(Inspection::Absent),
            Some(_) => Ok(Inspection::Detached),
        }
    }

    fn attached_blocking(&self) -> Result<HashSet<VolumeId>, LocalError> {
        let by_inode = self.images.by_inode()?;
        let loops = loopdev::list().map_err(LocalError::io("list the loop devices"))?;
        Ok(loops.into_iter().filter_map(|info| by_inode.get(&info.backing).copied()).collect())
    }

    /// Runs the blocking `work` for a volume and puts the operation's name on its error.
    async fn run<T: Send + 'static>(
        &self,
        op: &'static str,
        work: impl FnOnce(&Self) -> Result<T, LocalError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let this = self.clone();
        let result = spawn_blocking(move || work(&this)).await;
        let error = |kind, source| BackendError { kind, op, backend: BackendKind::Local, source };
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(source)) => Err(error(source.kind(), source.into())),
            Err(panic) => Err(error(ErrorKind::Failed, panic.into())),
        }
    }
}

/// What failed when the loop devices were looked at.
fn look() -> impl FnOnce(io::Error) -> LocalError {
    LocalError::io("look for a loop device")
}

fn provision_of(spec: &BackendSpec) -> Result<Provision, LocalError> {
    match spec {
        BackendSpec::Local(local) => Ok(local.provision),
        BackendSpec::Ebs(_) | BackendSpec::Nfs(_) => Err(LocalError::OtherBackend(spec.kind())),
    }
}

fn as_device(device: &loopdev::LoopDevice) -> Device {
    Device { path: device.path.clone(), number: device.device }
}

#[async_trait]
impl Backend for Local {
    fn kind(&self) -> BackendKind {
        BackendKind::Local
    }

    async fn create(&self, volume: &VolumeRef) -> Result<Created, BackendError> {
        let (id, spec) = (volume.id, volume.spec.clone());
        let create = move |local: &Self| {
            local.images.create(id, provision_of(&spec.backend)?, spec.size)?;
            Ok(Created { handle: None, backend: spec.backend })
        };
        self.run("create", create).await
    }

    async fn attach(
        &self,
        volume: &VolumeRef,
        // Binding a loop device is a matter of milliseconds.
        _cancel: &CancellationToken,
    ) -> Result<Device, BackendError> {
        let volume = volume.clone();
        self.run("attach", move |local| local.attach_blocking(&volume)).await
    }

    async fn detach(&self, volume: &VolumeRef) -> Result<(), BackendError> {
        let id = volume.id;
        self.run("detach", move |local| local.detach_blocking(id)).await
    }

    async fn grow(&self, volume: &VolumeRef, to: Bytes) -> Result<(), BackendError> {
        let volume = volume.clone();
        self.run("grow", move |local| local.grow_blocking(&volume, to)).await
    }

    async fn remove(&self, volume: &VolumeRef) -> Result<(), BackendError> {
        let id = volume.id;
        self.run("remove", move |local| local.remove_blocking(id)).await
    }

    async fn inspect(&self, volume: &VolumeRef) -> Result<Inspection, BackendError> {
        let id = volume.id;
        self.run("inspect", move |local| local.inspect_blocking(id)).await
    }

    async fn confirm(&self, volume: &VolumeRef, device: &Device) -> Result<(), BackendError> {
        let (id, device) = (volume.id, device.clone());
        let confirm = move |local: &Self| match local.find_attached(id)? {
            Some(found) if as_device(&found.device) == device => Ok(()),
            Some(_) | None => Err(LocalError::NotThere(device.path)),
        };
        self.run("confirm the device", confirm).await
    }

    async fn attached(&self) -> Result<HashSet<VolumeId>, BackendError> {
        self.run("list", Self::attached_blocking).await
    }
}

#[cfg(test)]
mod tests;
