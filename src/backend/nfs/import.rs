//! Directories that have no record here: this cluster's, after a lost store, and any other directory of
//! an export, such as one that another plugin made.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

use super::{
    Nfs, NfsError, exports::Export, failed, mark::VolumeMark, place::RESERVED, spec_handle,
    tree::Kind,
};
use crate::{
    backend::{BackendError, Candidate, Created, Imports, Maker, VolumeRef},
    spec::{BackendSpec, Bytes, NfsLayout, NfsSpec},
    volume::{DATA, Handle, VolumeId},
};

/// How long a directory that hawser did not make may take to be measured.
const MEASURE: Duration = Duration::from_secs(60);

impl Nfs {
    /// The directories with this cluster's mark at the top of every export. Those further down are
    /// imported by their names.
    async fn marked(&self) -> Result<Vec<Candidate>, NfsError> {
        let mut found = Vec::new();
        for (name, export) in &self.exports {
            for entry in export.places.tree.list("").await? {
                if entry.kind != Kind::Directory || entry.name.starts_with(RESERVED) {
                    continue;
                }
                let spec = spec_of(name, &entry.name);
                // Another cluster's, or damaged: not for this list.
                let Ok(Some(mark)) = export.places.read_mark(&entry.name).await else { continue };
                found.push(self.known(export, spec, mark).await?);
            }
        }
        Ok(found)
    }

    async fn known(
        &self,
        export: &Export,
        spec: NfsSpec,
        mark: VolumeMark,
    ) -> Result<Candidate, NfsError> {
        let users = export.places.users(&spec.path).await?;
        let ours = users.iter().find(|user| user.node == export.places.node);
        // The share of a node that is in no cluster has the id of its own record.
        let id = ours.map_or_else(VolumeId::random, |user| user.id);
        let backend = BackendSpec::Nfs(spec.clone());
        let known = crate::spec::Spec { backend: backend.clone(), ..mark.spec };
        Ok(Candidate {
            handle: spec_handle(&spec),
            made_by: Maker::Hawser,
            name: mark.name,
            size: known.size,
            backend,
            data_dir: mark.data_dir,
            known: Some((id, known)),
            shared_id: ours.is_none().then_some(mark.id),
            in_use_by: None,
        })
    }

    async fn one(&self, handle: &Handle) -> Result<Candidate, NfsError> {
        let (export, spec) = self.named(handle)?;
        if let Some(mark) = export.places.read_mark(&spec.path).await? {
            return self.known(export, spec, mark).await;
        }
        if !export.places.is_directory(&spec.path).await? {
            return Err(NfsError::Absent { path: spec.path });
        }
        let size = match timeout(MEASURE, export.measure(&spec.path)).await {
            // What it has is what it is given, rounded up.
            Ok(used) => Bytes::gib(used?.get().div_ceil(Bytes::gib(1).get()).max(1)),
            Err(_) => Bytes::new(export.places.tree.space().await?.total),
        };
        let name = spec.path.rsplit('/').next().unwrap_or(&spec.path).to_owned();
        Ok(Candidate {
            handle: spec_handle(&spec),
            made_by: Maker::Unknown,
            name,
            size,
            backend: BackendSpec::Nfs(spec),
            data_dir: String::new(),
            known: None,
            shared_id: None,
            in_use_by: None,
        })
    }

    fn named(&self, handle: &Handle) -> Result<(&Export, NfsSpec), NfsError> {
        let bad = || NfsError::BadHandle(handle.to_string());
        let (export, path) = handle.as_str().split_once(':').ok_or_else(bad)?;
        let path = path.trim_matches('/');
        let strange = |part: &str| matches!(part, "" | "." | "..") || part.starts_with(RESERVED);
        if path.split('/').any(strange) {
            return Err(bad());
        }
        Ok((self.export(export)?, spec_of(export, path)))
    }

    /// What lies in an imported directory goes with it when it is removed. One level is looked at: those
    /// further down have been given a path on purpose.
    async fn refuse_around(&self, export: &Export, path: &str) -> Result<(), NfsError> {
        for entry in export.places.tree.list(path).await? {
            let child = format!("{path}/{}", entry.name);
            if entry.kind == Kind::Directory && export.places.is_marked(&child).await? {
                return Err(NfsError::Around { path: path.to_owned(), child });
            }
        }
        Ok(())
    }

    async fn take_over(&self, volume: &VolumeRef) -> Result<Created, NfsError> {
        let (export, spec) = self.of(&volume.spec.backend)?;
        let places = &export.places;
        places.refuse_nested(&spec.path).await?;
        if places.read_mark(&spec.path).await?.is_none() {
            self.refuse_around(export, &spec.path).await?;
            let data_dir = volume.data_dir.as_deref().unwrap_or(DATA);
            places.mark(&spec.path, volume, volume.id, data_dir).await?;
        }
        places.take(volume, spec).await?;
        let handle = Some(spec_handle(spec));
        Ok(Created { handle, backend: volume.spec.backend.clone() })
    }
}

fn spec_of(export: &str, path: &str) -> NfsSpec {
    NfsSpec { export: export.to_owned(), path: path.to_owned(), layout: NfsLayout::Directory }
}

#[async_trait]
impl Imports for Nfs {
    fn recognises(&self, handle: &Handle) -> bool {
        handle.as_str().split_once(':').is_some_and(|(export, _)| self.exports.contains_key(export))
    }

    async fn candidates(&self) -> Result<Vec<Candidate>, BackendError> {
        self.marked().await.map_err(failed("look for volumes"))
    }

    async fn candidate(&self, handle: &Handle) -> Result<Candidate, BackendError> {
        self.one(handle).await.map_err(failed("look for the volume"))
    }

    async fn adopt(&self, volume: &VolumeRef) -> Result<Created, BackendError> {
        self.take_over(volume).await.map_err(failed("import"))
    }
}
