//! Volumes that are file systems in files on an export (`layout=image`): their size is enforced, and one
//! node has each of them.
//!
//! The export is mounted as a whole, once, and the files are what the local backend makes: image, loop
//! device, the same lock. The lock is the server's, so a second node is refused; it is no fence: a server
//! that has restarted gives it to the first who asks.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tokio::{sync::Mutex, task::spawn_blocking};

use super::{error::NfsError, exports::Export, place::RESERVED};
use crate::{
    backend::{
        VolumeRef,
        local::{Local, LocalConfig, Users},
    },
    spec::{BackendSpec, LocalSpec, Provision},
    sys::{guard, mountinfo::MountTable},
};

/// The images of an export.
#[derive(Debug)]
pub(super) struct Images {
    /// Where the export is mounted; immutable where it is not.
    pub(super) at: PathBuf,
    /// Opened when it is first needed. Held while it is mounted.
    local: Mutex<Option<Local>>,
}

impl Images {
    pub(super) fn new(at: PathBuf) -> Self {
        Self { at, local: Mutex::default() }
    }

    /// The images in a directory that is there.
    async fn open(&self, margin: crate::spec::Bytes) -> Result<Local, NfsError> {
        let mut opened = self.local.lock().await;
        if let Some(local) = opened.as_ref() {
            return Ok(local.clone());
        }
        let dir = self.at.join(format!("{RESERVED}-images"));
        let config = LocalConfig { dir, overcommit: 1.0, margin, users: Users::ManyNodes };
        let local = spawn_blocking(move || Local::open(config)).await;
        let local = local.map_err(io::Error::other).flatten().map_err(self.unusable())?;
        *opened = Some(local.clone());
        Ok(local)
    }

    fn unusable(&self) -> impl FnOnce(io::Error) -> NfsError + use<> {
        let path = self.at.clone();
        move |source| NfsError::Images { path, source }
    }
}

impl Export {
    /// The images, on the mounted export: mounted now, where it is not.
    pub(super) async fn images(&self) -> Result<Local, NfsError> {
        // A call on a mount whose server is away does not return.
        self.answers().await?;
        if !self.is_mounted()? {
            let at = self.images.at.clone();
            let made = spawn_blocking(move || make_mount_point(&at)).await;
            made.map_err(io::Error::other).flatten().map_err(self.images.unusable())?;
            self.mount_whole(&self.images.at).await?;
        }
        self.images.open(self.settings.margin).await
    }

    /// The images, if the export is mounted: nothing of an export that is not can be in use here.
    pub(super) async fn images_in_use(&self) -> Result<Option<Local>, NfsError> {
        match self.is_mounted()? {
            true => self.images().await.map(Some),
            false => Ok(None),
        }
    }

    fn is_mounted(&self) -> Result<bool, NfsError> {
        let at = &self.images.at;
        let mounts = MountTable::read().map_err(self.images.unusable())?;
        Ok(mounts.at(at).is_some_and(|mount| self.is_whole(mount)))
    }
}

/// Nothing can be written into it while nothing is mounted on it.
fn make_mount_point(at: &Path) -> io::Result<()> {
    fs::create_dir_all(at)?;
    guard::guard(at).map(drop)
}

/// The volume, as the local backend is told of it. Sparse: not every server can reserve space.
pub(super) fn as_local(volume: &VolumeRef) -> VolumeRef {
    let mut volume = volume.clone();
    volume.spec.backend = BackendSpec::Local(LocalSpec { provision: Provision::Thin });
    volume
}
