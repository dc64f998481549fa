//! The image files: made whole or not at all, grown, deleted, and never touched while unknown.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rustix::fs::FallocateFlags;

use super::{
    LocalConfig, LocalError, Users,
    admission::{Pool, admit},
};
use crate::{
    fault,
    spec::{Bytes, Provision},
    sys::{durable, usage},
    volume::VolumeId,
};

const SUFFIX: &str = ".img";
const DRAFT_SUFFIX: &str = ".img.new";

/// The directory of images.
#[derive(Debug)]
pub(super) struct Images {
    config: LocalConfig,
    /// The thin images: those that may still claim space. Locking it is the admission, one at a
    /// time, so that two volumes are not given the same space. Held while the space is taken
    /// (milliseconds: fallocate only reserves), never across an await.
    thin: Mutex<HashSet<VolumeId>>,
}

impl Images {
    pub(super) fn open(config: LocalConfig) -> io::Result<Self> {
        fs::create_dir_all(&config.dir)?;
        rustix::fs::chmod(&config.dir, rustix::fs::Mode::RWXU)?;
        match config.users {
            Users::ThisNode => delete_drafts(&config.dir)?,
            Users::ManyNodes => {}
        }
        let mut thin = HashSet::new();
        for_each(&config.dir, |id, metadata| {
            if taken(metadata) < metadata.len() {
                thin.insert(id);
            }
        })?;
        Ok(Self { config, thin: Mutex::new(thin) })
    }

    pub(super) fn path(&self, id: VolumeId) -> PathBuf {
        self.config.dir.join(format!("{id}{SUFFIX}"))
    }

    /// Makes the image under a draft name, reserves its space, and renames it: what has the
    /// image's name is whole.
    pub(super) fn create(
        &self,
        id: VolumeId,
        provision: Provision,
        size: Bytes,
    ) -> Result<(), LocalError> {
        let path = self.path(id);
        if self.open_existing(id)?.is_some() {
            return Ok(());
        }
        let draft = self.config.dir.join(format!("{id}{DRAFT_SUFFIX}"));
        let made = self.make_draft(id, &draft, provision, size);
        if made.is_err() {
            // Best effort: a draft that stays is deleted with the volume, or at the next try.
            let _ = fs::remove_file(&draft);
        }
        made?;
        fault::point("local.create.draft");
        fs::rename(&draft, &path)
            .and_then(|()| durable::sync_dir(&self.config.dir))
            .map_err(LocalError::io(format!("make the image {}", path.display())))
    }

    fn make_draft(
        &self,
        id: VolumeId,
        draft: &PathBuf,
        provision: Provision,
        size: Bytes,
    ) -> Result<(), LocalError> {
        let mut thin = self.thin.lock().unwrap_or_else(PoisonError::into_inner);
        admit(self.pool(&thin)?, provision, size)?;
        let failed = || LocalError::io(format!("make the image {}", draft.display()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(draft)
            .map_err(failed())?;
        reserve(&file, provision, Bytes::ZERO, size).map_err(failed())?;
        if provision == Provision::Thin {
            thin.insert(id);
        }
        file.sync_all().map_err(failed())
    }

    /// Grows the image, or leaves it exactly as it was.
    pub(super) fn grow(
        &self,
        id: VolumeId,
        provision: Provision,
        to: Bytes,
    ) -> Result<(), LocalError> {
        let path = self.path(id);
        let failed = || LocalError::io(format!("grow the image {}", path.display()));
        let file = self.open_existing(id)?.ok_or_else(|| LocalError::NoImage(path.clone()))?;
        let present = Bytes::new(file.metadata().map_err(failed())?.len());
        if present >= to {
            return Ok(());
        }
        let thin = self.thin.lock().unwrap_or_else(PoisonError::into_inner);
        admit(self.pool(&thin)?, provision, to.saturating_sub(present))?;
        if let Err(error) = reserve(&file, provision, present, to) {
            // What lies past the old size was never part of the volume.
            file.set_len(present.get()).map_err(failed())?;
            return Err(failed()(error));
        }
        file.sync_all().map_err(failed())
    }

    pub(super) fn remove(&self, id: VolumeId) -> Result<(), LocalError> {
        let draft = self.config.dir.join(format!("{id}{DRAFT_SUFFIX}"));
        for path in [draft, self.path(id)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(LocalError::io(format!("delete {}", path.display()))(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        self.thin.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        durable::sync_dir(&self.config.dir).map_err(LocalError::io("sync the image directory"))
    }

    pub(super) fn open_existing(&self, id: VolumeId) -> Result<Option<File>, LocalError> {
        let path = self.path(id);
        match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LocalError::io(format!("open the image {}", path.display()))(error)),
        }
    }

    /// Every image by its device and inode number.
    pub(super) fn by_inode(&self) -> Result<HashMap<(u64, u64), VolumeId>, LocalError> {
        let mut images = HashMap::new();
        for_each(&self.config.dir, |id, metadata| {
            images.insert((metadata.dev(), metadata.ino()), id);
        })
        .map_err(LocalError::io(format!("read {}", self.config.dir.display())))?;
        Ok(images)
    }

    fn pool(&self, thin: &HashSet<VolumeId>) -> Result<Pool, LocalError> {
        let usage = usage::of(&self.config.dir)
            .map_err(LocalError::io(format!("measure {}", self.config.dir.display())))?;
        let promised = thin
            .iter()
            .filter_map(|id| fs::metadata(self.path(*id)).ok())
            .map(|metadata| metadata.len().saturating_sub(taken(&metadata)))
            .fold(0, u64::saturating_add);
        Ok(Pool {
            available: usage.available,
            promised: Bytes::new(promised),
            margin: self.config.margin,
            overcommit: self.config.overcommit,
        })
    }
}

/// Locks an image against every other process that looks for the lock; `false` if one has it.
pub(super) fn lock(image: &File, path: &Path) -> Result<bool, LocalError> {
    durable::lock_exclusive(image).map_err(LocalError::io(format!("lock {}", path.display())))
}

/// The bytes that a file takes on its disk (`st_blocks` counts 512-byte units everywhere).
fn taken(metadata: &fs::Metadata) -> u64 {
    metadata.blocks().saturating_mul(512)
}

/// Visits every image. Foreign files are none of our business, and one that is deleted meanwhile
/// is no error.
fn for_each(dir: &Path, mut visit: impl FnMut(VolumeId, &fs::Metadata)) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
        if let (Some(id), Ok(metadata)) = (id, entry.metadata()) {
            visit(id, &metadata);
        }
    }
    Ok(())
}

/// Deletes what a killed daemon was making: the volume may be removed without a look at its draft,
/// which has all its space already. The store's lock sees to it that no other daemon makes it now.
fn delete_drafts(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(DRAFT_SUFFIX));
        if id.is_some_and(|id| id.parse::<VolumeId>().is_ok())
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::warn!("cannot delete {}: {error}", entry.path().display());
        }
    }
    Ok(())
}

/// Makes the file `to` bytes long. Thick: with all its blocks, so that a write inside the volume
/// can never find the disk full.
pub(super) fn reserve(file: &File, provision: Provision, from: Bytes, to: Bytes) -> io::Result<()> {
    match provision {
        Provision::Thin => file.set_len(to.get()),
        Provision::Thick => {
            let length = to.saturating_sub(from).get();
            Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), from.get(), length)?)
        }
    }
}
