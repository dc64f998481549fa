//! Volumes that are file systems in files on an export (`layout=image`): their size is enforced, and one
//! node has each of them.
//!
//! The export is mounted as a whole, once, and the files are what the local backend makes: image, loop
//! device, the same lock. The lock is the server's, so a second node is refused; it is no fence: a server
//! that has restarted gives it to the first who asks.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use tokio::{sync::Mutex, task::spawn_blocking, time::timeout};

use super::{
    error::NfsError,
    exports::Export,
    failed,
    place::RESERVED,
    turns::{LIMIT, Turns},
};
use crate::{
    backend::{
        Backend, BackendError, VolumeRef,
        local::{Local, LocalConfig, Users},
    },
    spec::{BackendKind, BackendSpec, Bytes, LocalSpec, Provision},
    sys::{guard, mountinfo::MountTable},
    volume::VolumeId,
};

/// The images of an export.
#[derive(Debug)]
pub(super) struct Images {
    /// Where the export is mounted; immutable where it is not.
    pub(super) at: PathBuf,
    /// Opened when they are first needed. Held while the export is looked for, mounted and opened, so
    /// that it is mounted once.
    local: Mutex<Option<Local>>,
    pub(super) turns: Turns,
}

impl Images {
    pub(super) fn new(at: PathBuf) -> Self {
        Self { at, local: Mutex::default(), turns: Turns::default() }
    }

    fn unusable(&self) -> impl FnOnce(io::Error) -> NfsError + use<> {
        let path = self.at.clone();
        move |source| NfsError::Images { path, source }
    }

    fn open(at: &Path, device: (u32, u32), margin: Bytes) -> io::Result<Local> {
        let shown = fs::metadata(at)?.dev();
        if shown != rustix::fs::makedev(device.0, device.1) {
            return Err(io::Error::other("the export was unmounted in this moment"));
        }
        let dir = at.join(format!("{RESERVED}-images"));
        Local::open(LocalConfig { dir, overcommit: 1.0, margin, users: Users::ManyNodes })
    }
}

impl Export {
    /// The images, on the mounted export: mounted now, where it is not.
    pub(super) async fn images(&self) -> Result<Local, NfsError> {
        // A call on a mount whose server is away does not return.
        self.answers().await?;
        let late = |_| NfsError::ImageLate { after: LIMIT };
        let mut opened = timeout(LIMIT, self.images.local.lock()).await.map_err(late)?;
        let device = match self.images_device()? {
            Some(device) => device,
            None => {
                *opened = None;
                self.mount_images().await?
            }
        };
        if let Some(local) = opened.as_ref() {
            return Ok(local.clone());
        }
        let (at, margin) = (self.images.at.clone(), self.settings.margin);
        let local = self.blocking(move || Images::open(&at, device, margin)).await?;
        *opened = Some(local.clone());
        Ok(local)
    }

    async fn mount_images(&self) -> Result<(u32, u32), NfsError> {
        let at = self.images.at.clone();
        self.blocking(move || make_mount_point(&at)).await?;
        self.mount_whole(&self.images.at).await?;
        let gone = || self.images.unusable()(io::Error::other("it was unmounted at once"));
        self.images_device()?.ok_or_else(gone)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, NfsError> {
        let done = timeout(LIMIT, spawn_blocking(work)).await;
        let late = || Ok(Err(io::ErrorKind::TimedOut.into()));
        let done = done.unwrap_or_else(|_| late()).map_err(io::Error::other).flatten();
        done.map_err(self.images.unusable())
    }

    /// The images, if the export is mounted: nothing of an export that is not can be in use here.
    pub(super) async fn images_in_use(&self) -> Result<Option<Local>, NfsError> {
        match self.images_device()? {
            Some(_) => self.images().await.map(Some),
            None => Ok(None),
        }
    }

    /// The device number of the mounted export, from the mount table.
    fn images_device(&self) -> Result<Option<(u32, u32)>, NfsError> {
        let mounts = MountTable::read().map_err(self.images.unusable())?;
        let mount = mounts.at(&self.images.at).filter(|mount| self.is_whole(mount));
        Ok(mount.map(|mount| mount.device))
    }
}

/// Nothing can be written into it while nothing is mounted on it, and it is for root alone: the images of
/// all volumes are there.
fn make_mount_point(at: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(at)?;
    guard::guard(at).map(drop)
}

/// Which images are attached, with an end.
pub(super) async fn attached(images: &Local) -> Result<HashSet<VolumeId>, BackendError> {
    match timeout(LIMIT, images.attached()).await {
        Ok(done) => done.map_err(|error| BackendError { backend: BackendKind::Nfs, ..error }),
        Err(_) => Err(failed("list")(NfsError::ImageLate { after: LIMIT })),
    }
}

/// Takes the device of an image away that nobody waits for any more. What is in use stays.
pub(super) async fn take_back(images: Local, image: VolumeRef) {
    if let Err(error) = images.detach(&image).await {
        tracing::warn!(volume = %image.name, %error, "its image stays attached");
    }
}

/// The volume, as the local backend is told of it. Sparse: not every server can reserve space.
pub(super) fn as_local(volume: &VolumeRef) -> VolumeRef {
    let mut volume = volume.clone();
    volume.spec.backend = BackendSpec::Local(LocalSpec { provision: Provision::Thin });
    volume
}
