//! Taking over storage that exists and has no record here: other plugins' volumes, and hawser's own
//! after its store was lost. One by one, and never by itself.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    Engine, EngineError, LONG, Message, View, new_handle, snapshots::failed, task::VolumeTask,
};
use crate::{
    backend::{Backend, Candidate, Imports, Maker, VolumeRef},
    spec::{BackendKind, Spec, Stated, VolumeName},
    volume::{Contents, DATA, Handle, Phase, Record, VolumeId},
};

/// The name and the place of the data that an import is to have.
#[derive(Debug, Clone, Default)]
pub struct ImportAs {
    /// The volume's name; `None` is the one that it has.
    pub name: Option<VolumeName>,
    /// The directory of its file system that tasks see; `None` is what its maker used.
    pub data_dir: Option<String>,
}

impl Engine {
    /// What could be imported: what no record here is about.
    ///
    /// # Errors
    ///
    /// Where a backend cannot tell.
    pub async fn importable(&self) -> Result<Vec<Candidate>, EngineError> {
        let mut all = Vec::new();
        for (_, imports) in self.importing() {
            all.extend(imports.candidates().await.map_err(failed("look for volumes"))?);
        }
        all.retain(|candidate| self.known_as(&candidate.handle).is_none());
        Ok(all)
    }

    /// Looks whether a new volume would have the name of an EBS volume that waits to be taken over.
    ///
    /// # Errors
    ///
    /// Where there is one, and where EC2 does not say.
    pub async fn refuse_what_waits_for_import(&self, name: &VolumeName) -> Result<(), EngineError> {
        let ebs = self.importing().filter(|(backend, _)| backend.kind() == BackendKind::Ebs);
        for (_, imports) in ebs {
            let found =
                imports.candidates().await.map_err(failed("look for a volume of REX-Ray"))?;
            let waits = |one: &&Candidate| {
                one.name.eq_ignore_ascii_case(name.as_str()) && self.known_as(&one.handle).is_none()
            };
            if let Some(one) = found.iter().find(waits) {
                let handle = one.handle.to_string();
                return Err(EngineError::NotImported { volume: name.clone(), handle });
            }
        }
        Ok(())
    }

    /// Takes storage over: marks it as this cluster's, and makes a record of it.
    ///
    /// # Errors
    ///
    /// Where there is none of that handle, it is in use, or its name is taken. Nothing was changed
    /// then.
    ///
    /// # Cancellation
    ///
    /// It goes on: half an import would be storage that is marked and has no record.
    pub async fn import(
        &self,
        handle: Handle,
        import_as: ImportAs,
    ) -> Result<Arc<View>, EngineError> {
        let engine = self.clone();
        let name = import_as.name.clone();
        let import = tokio::spawn(async move { engine.import_now(&handle, import_as).await });
        import.await.unwrap_or_else(|_| {
            let name = name.map_or_else(|| "a volume".to_owned(), |name| name.to_string());
            Err(EngineError::NotFound(name))
        })
    }

    /// Says what a node without any record should hear: that its store may have been lost. Docker would
    /// make an empty volume under the name of one that is there.
    pub(super) async fn notice_a_lost_store(self) {
        match self.importable().await {
            Ok(found) => {
                let ours = found.iter().filter(|one| one.made_by == Maker::Hawser).count();
                if ours > 0 {
                    tracing::warn!(
                        volumes = ours,
                        "this node has no records, and there is storage of this cluster: if its state directory was lost, `hawser volume import --list` shows what can be had back"
                    );
                }
            }
            Err(error) => tracing::debug!(%error, "not looked for storage without records"),
        }
    }

    async fn import_now(
        &self,
        handle: &Handle,
        import_as: ImportAs,
    ) -> Result<Arc<View>, EngineError> {
        // One at a time: two of the same storage would make two records of it.
        let _turn = self.shared.importing.lock().await;
        let refused = |why: String| EngineError::Import { handle: handle.to_string(), why };
        if let Some(name) = self.known_as(handle) {
            return Err(refused(format!("it is the volume `{name}` already")));
        }
        let mut backends = self.importing();
        let (backend, imports) =
            backends.find(|(_, imports)| imports.recognises(handle)).ok_or_else(|| {
                refused(
                    "no backend of this node has storage of such a name: it would be vol-ID on EBS, and EXPORT:PATH with a configured export on NFS".into(),
                )
            })?;
        let candidate = imports.candidate(handle).await.map_err(failed("import"))?;
        if let Some(user) = &candidate.in_use_by {
            return Err(refused(format!("it is in use by {user}: stop its task there first")));
        }
        let record = self.record_of(candidate, import_as).map_err(|error| {
            if let EngineError::Spec(why) = error {
                return refused(format!("{why}: give it another name with --name"));
            }
            error
        })?;
        if self.shared.registry.by_id(record.id).is_some() {
            return Err(refused("a volume with its id is there already".into()));
        }
        let record = Record { lease: self.shared.store.first_lease(), ..record };
        let (name, id) = (record.name.clone(), record.id);
        let (task, mut inbox) = new_handle(&record);
        self.shared
            .registry
            .insert_new(&name, id, &task)
            .map_err(|_| EngineError::NameTaken(name.clone()))?;
        // Marked before it is recorded: a record whose storage is not marked could not be removed.
        if let Err(error) = imports.adopt(&VolumeRef::from(&record)).await {
            self.shared.registry.forget(&name, id);
            inbox.close();
            while let Ok(message) = inbox.try_recv() {
                // Another node imported it meanwhile: that volume is known from now on.
                if let Message::Stored(record) = message {
                    self.shared.tell_or_start(*record);
                }
            }
            return Err(failed("import")(error));
        }
        tracing::info!(volume = %name, %handle, backend = %backend.kind(), "imported");
        let shared = Arc::clone(&self.shared);
        tokio::spawn(VolumeTask::new(shared, task.clone(), inbox, record, None).run_new());
        let ask = |reply| Message::Ensure { stated: Stated::default(), reply };
        Self::ask(&task, "import", &name, LONG, ask).await?;
        self.get(&name).map_err(|error| match self.known_as(handle) {
            Some(other) => refused(format!("another node imported it just now, as `{other}`")),
            None => error,
        })
    }

    fn record_of(&self, candidate: Candidate, import_as: ImportAs) -> Result<Record, EngineError> {
        let name = match import_as.name {
            Some(name) => name,
            None => candidate.name.parse().map_err(EngineError::from)?,
        };
        let in_cluster = self.shared.store.me().is_some();
        let (id, spec) = match candidate.known {
            // Another node may have marked it a moment ago, and its record not have come here yet.
            Some((id, spec)) => (candidate.shared_id.filter(|_| in_cluster).unwrap_or(id), spec),
            None => {
                let spec = Stated::default().resolve(&name, self.defaults());
                let spec = spec.map_err(EngineError::from)?;
                // A node that is alone imports one at a time.
                let of_handle = || VolumeId::of_import(&candidate.handle);
                (if in_cluster { of_handle() } else { VolumeId::random() }, spec)
            }
        };
        let spec = Spec { size: candidate.size, backend: candidate.backend, ..spec };
        let dir = import_as.data_dir.unwrap_or(candidate.data_dir);
        if !is_below(&dir) {
            return Err(EngineError::Import {
                handle: candidate.handle.to_string(),
                why: format!(
                    "`{dir}` is not a directory of its file system: write names, such as data or var/db, or / for all of it"
                ),
            });
        }
        // A directory has no file system of its own that would have to be recognised first.
        let directory = spec.backend.is_directory();
        let contents = if directory { Contents::Formatted } else { Contents::Inherited };
        Ok(Record {
            phase: Phase::Ready,
            contents,
            handle: Some(candidate.handle),
            data_dir: (dir != DATA).then_some(dir),
            ..Record::new(id, name, spec, Timestamp::now())
        })
    }

    fn importing(&self) -> impl Iterator<Item = (&Arc<dyn Backend>, &dyn Imports)> {
        self.shared.host.backends().filter_map(|backend| Some((backend, backend.imports()?)))
    }

    /// The volume that has that storage.
    fn known_as(&self, handle: &Handle) -> Option<VolumeName> {
        let views = self.shared.registry.all().into_iter().map(|task| task.view());
        let mut views = views.filter(|view| view.record.handle.as_ref() == Some(handle));
        views.next().map(|view| view.record.name.clone())
    }
}

/// Whether a path leads down only.
fn is_below(dir: &str) -> bool {
    dir.is_empty() || dir.split('/').all(|part| !matches!(part, "" | "." | ".."))
}
