//! The local backend: an image file per volume in one directory, attached as a loop device.
//!
//! ```text
//! <dir>/<volume UUID>.img       the image; its size is the volume's, enforced by the loop device
//! <dir>/<volume UUID>.img.new   being made; deleted and made again after a crash
//! ```
//!
//! A loop device is known by its image's device and inode number, never by its path: so it is found
//! again after a `kill -9`. The image is locked (flock) before it is attached, and the lock is the
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
use tokio::task::spawn_blocking;

use super::{Backend, BackendError, ErrorKind, Inspection, VolumeRef};
use crate::{
    fault,
    spec::{BackendKind, BackendSpec, Bytes, Provision},
    sys::{blockdev, loopdev},
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
}

/// The local backend. Clones share their state.
#[derive(Debug, Clone)]
pub struct Local {
    images: Arc<Images>,
    /// Attached volumes. Held for moments only, never across I/O.
    attached: Arc<Mutex<HashMap<VolumeId, loopdev::LoopDevice>>>,
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
    #[error("{0} is attached")]
    Attached(PathBuf),
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
            Self::Io { .. } => ErrorKind::Failed,
            Self::NoRoom(_) => ErrorKind::Exhausted,
            Self::NoImage(_) => ErrorKind::NotFound,
            Self::Locked(_) | Self::DeviceInUse { .. } | Self::Attached(_) => ErrorKind::InUse,
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
        Ok(Self { images: Arc::new(Images::open(config)?), attached: Arc::default() })
    }

    fn attached_device(&self, id: VolumeId) -> Option<loopdev::LoopDevice> {
        self.lock().get(&id).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<VolumeId, loopdev::LoopDevice>> {
        // The map is changed by single calls only: a panic elsewhere cannot leave it half-made.
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attach_blocking(&self, volume: &VolumeRef) -> Result<Device, LocalError> {
        let id = volume.id;
        if let Some(device) = self.attached_device(id) {
            return Ok(as_device(&device));
        }
        let path = self.images.path(id);
        let image = self.images.open_existing(id)?.ok_or(LocalError::NoImage(path.clone()))?;
        let found = loopdev::find(&image).map_err(LocalError::io("look for a loop device"))?;
        let info = match found {
            // Left by a daemon that was killed: taken over, with its lock.
            Some(info) => info,
            None => {
                image::lock(&image, &path)?;
                let attach = match provision_of(&volume.spec) {
                    Provision::Thin => loopdev::attach_with_discards,
                    Provision::Thick => loopdev::attach,
                };
                attach(&image, &path).map_err(LocalError::io("set up a loop device"))?
            }
        };
        fault::point("local.attach.bound");
        self.set_up(volume, &image, &info);
        let device = as_device(&info.device);
        self.lock().insert(id, info.device);
        Ok(device)
    }

    /// What makes an attached device better, and is no reason to refuse it where it fails.
    fn set_up(&self, volume: &VolumeRef, image: &File, info: &loopdev::LoopInfo) {
        if !info.direct_io {
            tracing::warn!(
                volume = %volume.name, device = %info.device.path.display(),
                "the loop device works without direct I/O, which the file system of the image directory does not offer: data is cached twice"
            );
        }
        if provision_of(&volume.spec) == Provision::Thin {
            return;
        }
        // Discards, and ext4's way of zeroing blocks, punch holes into an image: its reservation
        // is made whole again here, and not lost from now on.
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
        let device = match self.attached_device(id) {
            Some(device) => device,
            None => match self.find_loop(id)? {
                Some(device) => device,
                None => return Ok(()),
            },
        };
        blockdev::ensure_unused(&device.path)
            .map_err(|source| LocalError::DeviceInUse { device: device.path.clone(), source })?;
        fault::point("local.detach.proven");
        loopdev::detach(&device)
            .map_err(LocalError::io(format!("free {}", device.path.display())))?;
        self.lock().remove(&id);
        Ok(())
    }

    fn find_loop(&self, id: VolumeId) -> Result<Option<loopdev::LoopDevice>, LocalError> {
        let Some(image) = self.images.open_existing(id)? else { return Ok(None) };
        let info = loopdev::find(&image).map_err(LocalError::io("look for a loop device"))?;
        Ok(info.map(|info| info.device))
    }

    fn grow_blocking(&self, volume: &VolumeRef, to: Bytes) -> Result<(), LocalError> {
        self.images.grow(volume.id, provision_of(&volume.spec), to)?;
        fault::point("local.grow.image");
        let attached = match self.attached_device(volume.id) {
            Some(device) => Some(device),
            // Attached by the daemon before this one.
            None => self.find_loop(volume.id)?,
        };
        if let Some(device) = attached {
            loopdev::refresh_capacity(&device)
                .map_err(LocalError::io(format!("grow {}", device.path.display())))?;
        }
        Ok(())
    }

    fn remove_blocking(&self, id: VolumeId) -> Result<(), LocalError> {
        if let Some(device) = self.attached_device(id).or(self.find_loop(id)?) {
            return Err(LocalError::Attached(device.path));
        }
        self.images.remove(id)
    }

    fn inspect_blocking(&self, id: VolumeId) -> Result<Inspection, LocalError> {
        if let Some(device) = self.attached_device(id) {
            return Ok(Inspection::Attached(as_device(&device)));
        }
        if self.images.open_existing(id)?.is_none() {
            return Ok(Inspection::Absent);
        }
        match self.find_loop(id)? {
            None => Ok(Inspection::Detached),
            // Left by a daemon that was killed: taken over.
            Some(device) => {
                let attached = as_device(&device);
                self.lock().insert(id, device);
                Ok(Inspection::Attached(attached))
            }
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

const fn provision_of(spec: &BackendSpec) -> Provision {
    let BackendSpec::Local(local) = spec;
    local.provision
}

fn as_device(device: &loopdev::LoopDevice) -> Device {
    Device { path: device.path.clone(), number: device.device }
}

#[async_trait]
impl Backend for Local {
    fn kind(&self) -> BackendKind {
        BackendKind::Local
    }

    async fn create(&self, volume: &VolumeRef) -> Result<(), BackendError> {
        let (id, size, spec) = (volume.id, volume.size, volume.spec.clone());
        self.run("create", move |local| local.images.create(id, provision_of(&spec), size)).await
    }

    async fn attach(&self, volume: &VolumeRef) -> Result<Device, BackendError> {
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

    async fn attached(&self) -> Result<HashSet<VolumeId>, BackendError> {
        self.run("list", Self::attached_blocking).await
    }
}

#[cfg(test)]
mod tests;
