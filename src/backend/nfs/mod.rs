//! The `nfs` backend: a directory on a filer for each volume, made without a mount.
//!
//! hawser's own work (make, measure, delete) goes by NFSv3 in user space (`v3`), or through a mount of
//! its own where a server has no NFSv3 (`mounted`): one trait, `tree`. Where a volume lies, and which
//! nodes use it, is `place`. What tasks see is mounted by the kernel's client (`sys::nfs`).
//!
//! A filer that is away fails a call within seconds, and holds up no volume of another one.

mod error;
mod exports;
mod import;
mod mark;
mod mounting;
mod place;
mod settings;
mod tree;
mod v3;

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::{Backend, BackendError, Created, Directories, ErrorKind, Imports, Inspection, VolumeRef};
use crate::{
    spec::{BackendKind, BackendSpec, Bytes, NfsSpec},
    volume::{Device, Handle, VolumeId},
};
use error::NfsError;
use exports::Export;
use place::{DATA, Place};
pub use settings::{
    Control, ExportSettings, Locks, NfsSettings, NfsVersion, OverLimit, Secret, Server, ServerKind,
};

/// The NFS backend.
#[derive(Debug)]
pub struct Nfs {
    exports: BTreeMap<String, Export>,
}

impl Nfs {
    /// Opens the backend. No server is asked for anything.
    #[must_use]
    pub fn open(settings: NfsSettings) -> Self {
        let NfsSettings { cluster, node, secret, exports } = settings;
        let signer = mark::Signer::new(&cluster, secret.as_ref().map(Secret::expose));
        let exports = exports
            .into_iter()
            .map(|export| (export.name.clone(), Export::new(export, &signer, &node)));
        Self { exports: exports.collect() }
    }

    /// The export of a volume, and where on it the volume is.
    fn of<'a>(&self, spec: &'a BackendSpec) -> Result<(&Export, &'a NfsSpec), NfsError> {
        match spec {
            BackendSpec::Nfs(nfs) => Ok((self.export(&nfs.export)?, nfs)),
            BackendSpec::Local(_) | BackendSpec::Ebs(_) => Err(NfsError::OtherBackend(spec.kind())),
        }
    }

    fn export(&self, name: &str) -> Result<&Export, NfsError> {
        self.exports.get(name).ok_or_else(|| NfsError::NoExport(name.to_owned()))
    }

    async fn make(&self, volume: &VolumeRef) -> Result<Created, NfsError> {
        let (export, spec) = self.of(&volume.spec.backend)?;
        if export.places.locate(volume.id, spec).await? == Place::Nowhere
            && !export.places.is_directory(&spec.path).await?
        {
            export.admit(volume.spec.size).await?;
        }
        export.places.make(volume, spec).await?;
        let handle = Some(handle_of(spec));
        Ok(Created { handle, backend: volume.spec.backend.clone() })
    }

    async fn look(&self, volume: &VolumeRef) -> Result<Inspection, NfsError> {
        let (export, spec) = self.of(&volume.spec.backend)?;
        Ok(match export.places.locate(volume.id, spec).await? {
            Place::Here | Place::Draft => Inspection::Detached,
            Place::Aside | Place::Left => Inspection::SetAside,
            Place::Nowhere => Inspection::Absent,
        })
    }

    /// The directory has no wall that could be moved: its mark says the new size.
    async fn enlarge(&self, volume: &VolumeRef, to: Bytes) -> Result<(), NfsError> {
        let (export, spec) = self.of(&volume.spec.backend)?;
        let places = &export.places;
        let here = places.locate(volume.id, spec).await? == Place::Here;
        let mark = places.read_mark(&spec.path).await?.filter(|_| here);
        let Some(mark) = mark else { return Err(NfsError::Absent { path: spec.path.clone() }) };
        if to <= mark.spec.size {
            return Ok(());
        }
        export.admit(to.saturating_sub(mark.spec.size)).await?;
        let mut larger = volume.clone();
        larger.spec.size = to;
        places.mark(&spec.path, &larger, mark.id, &mark.data_dir).await
    }

    async fn rewrite(&self, volume: &VolumeRef) -> Result<(), NfsError> {
        let (export, spec) = self.of(&volume.spec.backend)?;
        let places = &export.places;
        if places.locate(volume.id, spec).await? != Place::Here {
            return Ok(());
        }
        match places.read_mark(&spec.path).await? {
            Some(mark) => places.mark(&spec.path, volume, mark.id, &mark.data_dir).await,
            None => Ok(()),
        }
    }

    async fn forget(&self, volume: &VolumeRef) -> Result<(), NfsError> {
        let (export, spec) = self.of(&volume.spec.backend)?;
        export.places.delete(volume.id, spec).await
    }

    async fn put_aside(&self, volume: &VolumeRef) -> Result<(), NfsError> {
        let (export, spec) = self.of(&volume.spec.backend)?;
        export.places.set_aside(volume.id, spec).await
    }

    async fn add_up(&self, volume: &VolumeRef) -> Result<Bytes, NfsError> {
        let (export, spec) = self.of(&volume.spec.backend)?;
        export.measure(&data_of(volume, spec)).await
    }

    async fn is_well(&self, volume: &VolumeRef) -> Result<(), NfsError> {
        let (export, _) = self.of(&volume.spec.backend)?;
        export.answers().await
    }
}

/// The directory that tasks see, from the export's root.
fn data_of(volume: &VolumeRef, spec: &NfsSpec) -> String {
    match volume.data_dir.as_deref().unwrap_or(DATA) {
        "" => spec.path.clone(),
        data => format!("{}/{data}", spec.path),
    }
}

/// What the storage is called: `EXPORT:PATH`.
fn handle_of(spec: &NfsSpec) -> Handle {
    format!("{}:{}", spec.export, spec.path).into()
}

/// Puts the operation's name on an error.
fn failed(op: &'static str) -> impl FnOnce(NfsError) -> BackendError {
    move |source| {
        let kind = source.kind();
        BackendError { kind, op, backend: BackendKind::Nfs, source: source.into() }
    }
}

fn no_device(op: &'static str) -> BackendError {
    failed(op)(NfsError::NoDevice)
}

#[async_trait]
impl Backend for Nfs {
    fn kind(&self) -> BackendKind {
        BackendKind::Nfs
    }

    async fn create(&self, volume: &VolumeRef) -> Result<Created, BackendError> {
        self.make(volume).await.map_err(failed("create"))
    }

    async fn attach(
        &self,
        _volume: &VolumeRef,
        _cancel: &CancellationToken,
    ) -> Result<Device, BackendError> {
        Err(no_device("attach"))
    }

    async fn detach(&self, _volume: &VolumeRef) -> Result<(), BackendError> {
        Ok(())
    }

    async fn grow(&self, volume: &VolumeRef, to: Bytes) -> Result<(), BackendError> {
        self.enlarge(volume, to).await.map_err(failed("grow"))
    }

    async fn remove(&self, volume: &VolumeRef) -> Result<(), BackendError> {
        self.forget(volume).await.map_err(failed("remove"))
    }

    async fn inspect(&self, volume: &VolumeRef) -> Result<Inspection, BackendError> {
        self.look(volume).await.map_err(failed("inspect"))
    }

    async fn attached(&self) -> Result<HashSet<VolumeId>, BackendError> {
        // What is mounted is known from the mount table.
        Ok(HashSet::new())
    }

    async fn confirm(&self, _volume: &VolumeRef, _device: &Device) -> Result<(), BackendError> {
        Err(BackendError { kind: ErrorKind::NotFound, ..no_device("confirm the device") })
    }

    async fn describe(&self, volume: &VolumeRef) -> Result<(), BackendError> {
        self.rewrite(volume).await.map_err(failed("describe"))
    }

    fn directories(&self) -> Option<&dyn Directories> {
        Some(self)
    }

    fn imports(&self) -> Option<&dyn Imports> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
