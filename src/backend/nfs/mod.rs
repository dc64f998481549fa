//! The `nfs` backend: a directory on a filer for each volume, made without a mount.
//!
//! hawser's own work (make, measure, delete) goes by NFSv3 in user space (`v3`), or through a mount of
//! its own where a server has no NFSv3 (`mounted`): one trait, `tree`. Where a volume lies, and which
//! nodes use it, is `place`. What tasks see is mounted by the kernel's client (`sys::nfs`).
//!
//! A filer that is away fails a call within seconds, and holds up no volume of another one.

mod directory;
mod error;
mod exports;
mod images;
mod import;
mod joining;
mod mark;
mod mounted;
mod mounting;
mod path;
mod place;
mod settings;
mod tree;
mod turns;
mod v3;

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    future::ready,
    path::Path,
};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::{
    Backend, BackendError, Created, Directories, Imports, Inspection, VolumeRef, local::Local,
};
use crate::{
    spec::{BackendKind, BackendSpec, Bytes, NfsLayout, NfsSpec},
    volume::{Device, Handle, VolumeId},
};
use error::NfsError;
use exports::Export;
use images::{as_local, attached, take_back};
pub use mark::Node;
pub use settings::{
    Control, ExportSettings, Locks, NfsSettings, NfsVersion, OverLimit, Records, Secret, Server,
    ServerKind,
};

/// The NFS backend.
#[derive(Debug)]
pub struct Nfs {
    exports: BTreeMap<String, Export>,
}

impl Nfs {
    /// Opens the backend. No server is asked for anything.
    ///
    /// `node` is what the marks of the directories that this node uses say. Below `root` exports are
    /// mounted whole: for images, and where a server has no NFSv3.
    #[must_use]
    pub fn open(settings: NfsSettings, node: &Node, root: &Path) -> Self {
        let NfsSettings { cluster, records, secret, exports } = settings;
        // The mount table holds resolved paths, as in `Host::new`.
        let root = &fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
        let signer = mark::Signer::new(&cluster, secret.as_ref().map(Secret::expose));
        let exports = exports
            .into_iter()
            .map(|export| (export.name.clone(), Export::new(export, &signer, node, records, root)));
        Self { exports: exports.collect() }
    }

    /// For `hawser doctor`: each export's name and place, and the room on it where that can be asked
    /// without a mount; or what is wrong.
    pub async fn ask_servers(&self) -> Vec<(String, String, Result<Option<Bytes>, BackendError>)> {
        let mut answers = Vec::new();
        for (name, export) in &self.exports {
            let answer = export.ask().await.map_err(failed("ask the server"));
            answers.push((name.clone(), export.settings.server.to_string(), answer));
        }
        answers
    }

    /// The export of a volume, and where on it the volume is.
    fn of<'a>(&'a self, spec: &'a BackendSpec) -> Result<(&'a Export, &'a NfsSpec), NfsError> {
        match spec {
            BackendSpec::Nfs(nfs) => Ok((self.export(&nfs.export)?, nfs)),
            BackendSpec::Local(_) | BackendSpec::Ebs(_) => Err(NfsError::OtherBackend(spec.kind())),
        }
    }

    fn export(&self, name: &str) -> Result<&Export, NfsError> {
        self.exports.get(name).ok_or_else(|| NfsError::NoExport(name.to_owned()))
    }

    /// The export and the images among which the volume's is.
    async fn image<'a>(
        &'a self,
        op: &'static str,
        volume: &'a VolumeRef,
    ) -> Result<(&'a Export, Local, Box<VolumeRef>), BackendError> {
        match self.layout(volume).map_err(failed(op))? {
            Layout::Image(export, image) => {
                Ok((export, export.images().await.map_err(failed(op))?, image))
            }
            Layout::Directory(..) => Err(failed(op)(NfsError::NoDevice)),
        }
    }
}

/// What the storage is called: `EXPORT:PATH`; an image is known by its volume's id.
fn handle_of(volume: &VolumeRef) -> Option<Handle> {
    match &volume.spec.backend {
        BackendSpec::Nfs(spec) if spec.layout == NfsLayout::Directory => Some(spec_handle(spec)),
        BackendSpec::Nfs(_) | BackendSpec::Local(_) | BackendSpec::Ebs(_) => None,
    }
}

fn spec_handle(spec: &NfsSpec) -> Handle {
    format!("{}:{}", spec.export, spec.path).into()
}

/// Puts the operation's name on an error.
fn failed(op: &'static str) -> impl FnOnce(NfsError) -> BackendError {
    move |source| {
        let kind = source.kind();
        BackendError { kind, op, backend: BackendKind::Nfs, source: source.into() }
    }
}

/// A volume of either layout.
enum Layout<'a> {
    Directory(&'a Export, &'a NfsSpec),
    Image(&'a Export, Box<VolumeRef>),
}

impl Nfs {
    fn layout<'a>(&'a self, volume: &'a VolumeRef) -> Result<Layout<'a>, NfsError> {
        let (export, spec) = self.of(&volume.spec.backend)?;
        Ok(match spec.layout {
            NfsLayout::Directory => Layout::Directory(export, spec),
            NfsLayout::Image => Layout::Image(export, Box::new(as_local(volume))),
        })
    }

    async fn attached_images(&self) -> Result<HashSet<VolumeId>, BackendError> {
        let mut all = HashSet::new();
        for export in self.exports.values() {
            if let Some(images) = export.images_in_use().await.map_err(failed("list"))? {
                all.extend(attached(&images).await?);
            }
        }
        Ok(all)
    }
}

#[async_trait]
impl Backend for Nfs {
    fn kind(&self) -> BackendKind {
        BackendKind::Nfs
    }

    async fn create(&self, volume: &VolumeRef) -> Result<Created, BackendError> {
        match self.layout(volume).map_err(failed("create"))? {
            Layout::Directory(export, spec) => {
                export.create(volume, spec).await.map_err(failed("create"))?;
            }
            Layout::Image(export, image) => {
                let images = export.images().await.map_err(failed("create"))?;
                let call = async move { images.create(&image).await };
                export.images.turns.within("create", volume.id, call, ready(())).await?;
            }
        }
        let backend = volume.spec.backend.clone();
        Ok(Created { handle: handle_of(volume), backend })
    }

    async fn attach(
        &self,
        volume: &VolumeRef,
        cancel: &CancellationToken,
    ) -> Result<Device, BackendError> {
        let (export, images, image) = self.image("attach", volume).await?;
        let (cancel, undo) = (cancel.clone(), take_back(images.clone(), (*image).clone()));
        let call = async move { images.attach(&image, &cancel).await };
        export.images.turns.within("attach", volume.id, call, undo).await
    }

    async fn detach(&self, volume: &VolumeRef) -> Result<(), BackendError> {
        match self.layout(volume).map_err(failed("detach"))? {
            Layout::Directory(..) => Ok(()),
            Layout::Image(export, image) => {
                match export.images_in_use().await.map_err(failed("detach"))? {
                    Some(images) => {
                        let call = async move { images.detach(&image).await };
                        export.images.turns.within("detach", volume.id, call, ready(())).await
                    }
                    None => Ok(()),
                }
            }
        }
    }

    async fn grow(&self, volume: &VolumeRef, to: Bytes) -> Result<(), BackendError> {
        match self.layout(volume).map_err(failed("grow"))? {
            Layout::Directory(export, spec) => {
                export.grow(volume, spec, to).await.map_err(failed("grow"))
            }
            Layout::Image(export, image) => {
                let images = export.images().await.map_err(failed("grow"))?;
                let call = async move { images.grow(&image, to).await };
                export.images.turns.within("grow", volume.id, call, ready(())).await
            }
        }
    }

    async fn remove(&self, volume: &VolumeRef) -> Result<(), BackendError> {
        match self.layout(volume).map_err(failed("remove"))? {
            Layout::Directory(export, spec) => {
                export.places.delete(volume, spec).await.map_err(failed("remove"))
            }
            Layout::Image(export, image) => {
                let images = export.images().await.map_err(failed("remove"))?;
                let call = async move { images.remove(&image).await };
                export.images.turns.within("remove", volume.id, call, ready(())).await
            }
        }
    }

    async fn inspect(&self, volume: &VolumeRef) -> Result<Inspection, BackendError> {
        match self.layout(volume).map_err(failed("inspect"))? {
            Layout::Directory(export, spec) => {
                export.inspect(volume.id, spec).await.map_err(failed("inspect"))
            }
            Layout::Image(export, image) => {
                let images = export.images().await.map_err(failed("inspect"))?;
                let call = async move { images.inspect(&image).await };
                export.images.turns.within("inspect", volume.id, call, ready(())).await
            }
        }
    }

    async fn attached(&self) -> Result<HashSet<VolumeId>, BackendError> {
        // Mounted directories are known from the mount table.
        self.attached_images().await
    }

    async fn confirm(&self, volume: &VolumeRef, device: &Device) -> Result<(), BackendError> {
        let (export, images, image) = self.image("confirm the device", volume).await?;
        let device = device.clone();
        let call = async move { images.confirm(&image, &device).await };
        export.images.turns.within("confirm the device", volume.id, call, ready(())).await
    }

    async fn describe(&self, volume: &VolumeRef) -> Result<(), BackendError> {
        match self.layout(volume).map_err(failed("describe"))? {
            Layout::Directory(export, spec) => {
                export.describe(volume, spec).await.map_err(failed("describe"))
            }
            Layout::Image(..) => Ok(()),
        }
    }

    fn directories(&self) -> Option<&dyn Directories> {
        Some(self)
    }

    fn imports(&self) -> Option<&dyn Imports> {
        Some(self)
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
