//! Where a volume lies on its export, and how it gets there and away.
//!
//! ```text
//! <export>/<path>/data                   what tasks see, from its first moment on
//! <export>/<path>/.hawser/volume         the volume's mark
//! <export>/<path>/.hawser/users/<id>     the mark of a node that uses it, by that node's record
//! <export>/<path>/.hawser/users/<id>.left   ... that has removed it, and may want it back
//! <export>/.hawser-new/<id>              being made: renamed to its path when it is complete
//! <export>/.hawser-removed/<id>          removed by the last node that used it: waits for its purge
//! ```
//!
//! The export is what nodes have in common: one that finds a directory with its cluster's mark at the path
//! of a new volume joins it where it may (`joining`). Data is deleted when the last node that used it
//! has removed it. In a cluster with a common store one user's mark, of whoever made the directory, is
//! for all nodes. Between the nodes there is no lock: each makes itself known first and looks again
//! afterwards, and a rename decides.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    error::NfsError,
    joining::Joined,
    mark::{self, FORM, Node, Signer, UserMark, VolumeMark},
    settings::Records,
    tree::{Cause, Kind, Made, Owner, Tree, TreeError},
};
use crate::{
    backend::VolumeRef,
    fault,
    spec::{Mode, NfsSpec, Ownership},
    volume::{DATA, VolumeId},
};

/// The directory of hawser's own files in a volume's.
const OWN: &str = ".hawser";
const NEW: &str = ".hawser-new";
const REMOVED: &str = ".hawser-removed";
/// What names of hawser's own directories begin with.
pub(super) const RESERVED: &str = ".hawser";

/// How long a directory may still be the volume's that was removed a moment ago.
const SETTLE: Duration = Duration::from_secs(10);
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// Where a volume's directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// At its path, and this node is among its users.
    Here,
    /// Out of the way, as its last user removed it.
    Aside,
    /// At its path, used by other nodes; this one has removed it.
    Left,
    /// Half made.
    Draft,
    /// Nowhere.
    Nowhere,
}

/// The directories of volumes on one export.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) tree: Arc<dyn Tree>,
    pub(super) signer: Signer,
    /// This node.
    pub(super) node: Node,
    pub(super) records: Records,
}

impl Places {
    /// Where the volume is now.
    pub(super) async fn locate(&self, id: VolumeId, spec: &NfsSpec) -> Result<Place, NfsError> {
        if let Some(text) = self.read(&user(&spec.path, id)).await? {
            self.own(&spec.path, self.signer.read::<UserMark>(&text))?;
            return Ok(Place::Here);
        }
        for (path, place) in [
            (removed(id), Place::Aside),
            (left(&spec.path, id), Place::Left),
            (draft(id), Place::Draft),
        ] {
            if self.tree.kind(&path).await?.is_some() {
                return Ok(place);
            }
        }
        Ok(Place::Nowhere)
    }

    /// Makes the volume's directory, joins the one that is there, or brings back what was put aside.
    /// `place` is where it was located a moment ago.
    pub(super) async fn make(
        &self,
        volume: &VolumeRef,
        spec: &NfsSpec,
        place: Place,
    ) -> Result<(), NfsError> {
        match place {
            Place::Here => return Ok(()),
            Place::Aside => return self.bring_back(volume.id, spec).await,
            Place::Left | Place::Draft | Place::Nowhere => {}
        }
        self.refuse_nested(&spec.path).await?;
        let patience = Instant::now() + SETTLE;
        loop {
            match self.tree.kind(&spec.path).await? {
                None => {
                    if self.make_new(volume, spec).await? == Made::New {
                        return Ok(());
                    }
                }
                Some(_) => match self.join(volume, spec).await? {
                    Joined::Yes => return Ok(()),
                    Joined::Gone => {}
                    Joined::Taken(_) if Instant::now() < patience => {}
                    Joined::Taken(by) => return Err(by),
                },
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Complete before anybody sees it. `Present`: somebody else was first.
    async fn make_new(&self, volume: &VolumeRef, spec: &NfsSpec) -> Result<Made, NfsError> {
        let draft = draft(volume.id);
        self.tree.remove_tree(&draft).await?;
        self.tree.make_dir(NEW, 0o700).await?;
        self.tree.make_dir(&draft, 0o755).await?;
        self.make_data(&draft, &volume.spec.owner).await?;
        self.mark(&draft, volume, volume.id, DATA).await?;
        self.write_user(&draft, volume.id).await?;
        fault::point("nfs.create.drafted");
        self.make_parents(&spec.path).await?;
        match self.tree.rename(&draft, &spec.path).await {
            Ok(()) => {
                // Somebody may have made a volume of what was a mere directory a moment ago.
                if let Err(error) = self.refuse_nested(&spec.path).await {
                    self.tree.rename(&spec.path, &draft).await?;
                    return Err(error);
                }
                Ok(Made::New)
            }
            Err(TreeError { cause: Cause::Exists, .. }) => {
                self.tree.remove_tree(&draft).await?;
                Ok(Made::Present)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn make_data(&self, dir: &str, owner: &Ownership) -> Result<(), NfsError> {
        let data = format!("{dir}/{DATA}");
        let mode = owner.mode.map_or(0o755, Mode::bits);
        self.tree.make_dir(&data, mode).await?;
        let Ownership { uid, gid, mode } = *owner;
        if uid.is_some() || gid.is_some() || mode.is_some() {
            let owner = Owner { uid, gid, mode: mode.map(Mode::bits) };
            self.tree.set_owner(&data, owner).await?;
        }
        Ok(())
    }

    async fn make_parents(&self, path: &str) -> Result<(), NfsError> {
        for (end, _) in path.match_indices('/') {
            self.tree.make_dir(&path[..end], 0o755).await?;
        }
        Ok(())
    }

    /// Writes the volume's mark, and makes the directories for it.
    pub(super) async fn mark(
        &self,
        dir: &str,
        volume: &VolumeRef,
        id: VolumeId,
        data_dir: &str,
    ) -> Result<(), NfsError> {
        self.tree.make_dir(&format!("{dir}/{OWN}"), 0o700).await?;
        self.tree.make_dir(&users(dir), 0o700).await?;
        let mark = VolumeMark {
            form: FORM,
            cluster: self.signer.cluster().to_owned(),
            id,
            name: volume.name.to_string(),
            made_at: volume.created_at,
            data_dir: data_dir.to_owned(),
            spec: volume.spec.clone(),
        };
        self.tree.write(&mark_path(dir), &self.signer.sign(&mark)?).await?;
        Ok(())
    }

    pub(super) async fn write_user(&self, dir: &str, id: VolumeId) -> Result<(), NfsError> {
        let mark = UserMark {
            form: FORM,
            cluster: self.signer.cluster().to_owned(),
            id,
            node: self.node.clone(),
            since: Timestamp::now(),
        };
        self.tree.write(&user(dir, id), &self.signer.sign(&mark)?).await?;
        Ok(())
    }

    /// No volume lies in another one: its tasks could change it, and its removal would take it along.
    pub(super) async fn refuse_nested(&self, path: &str) -> Result<(), NfsError> {
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            if self.is_marked(parent).await? {
                let (path, parent) = (path.to_owned(), parent.to_owned());
                return Err(NfsError::Inside { path, parent });
            }
        }
        Ok(())
    }

    async fn bring_back(&self, id: VolumeId, spec: &NfsSpec) -> Result<(), NfsError> {
        self.make_parents(&spec.path).await?;
        match self.tree.rename(&removed(id), &spec.path).await {
            Ok(()) => {
                // It may have left it before it was moved.
                self.write_user(&spec.path, id).await?;
                self.tree.remove_tree(&left(&spec.path, id)).await?;
                Ok(())
            }
            Err(TreeError { cause: Cause::Exists, .. }) => {
                Err(NfsError::NoWayBack { path: spec.path.clone(), from: removed(id) })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Puts a removed volume out of the way; where other nodes use it, this one leaves it.
    pub(super) async fn set_aside(&self, id: VolumeId, spec: &NfsSpec) -> Result<(), NfsError> {
        match self.locate(id, spec).await? {
            Place::Here if self.has_others(&spec.path, id).await? => {
                self.leave(id, spec).await?;
                fault::point("nfs.aside.left");
                self.move_away_if_unused(id, spec).await?;
            }
            Place::Here => self.move_away(id, spec).await?,
            // The others have left it as well, at the same moment perhaps.
            Place::Left => self.move_away_if_unused(id, spec).await?,
            // Perhaps renamed by a hawser that was killed then.
            Place::Aside => {}
            Place::Draft | Place::Nowhere => return Ok(()),
        }
        if self.is_missed(id, spec).await? {
            // It was joined in this moment.
            self.bring_back(id, spec).await?;
            self.leave(id, spec).await?;
        }
        Ok(())
    }

    async fn move_away(&self, id: VolumeId, spec: &NfsSpec) -> Result<(), NfsError> {
        self.tree.make_dir(REMOVED, 0o700).await?;
        self.tree.rename(&spec.path, &removed(id)).await?;
        fault::point("nfs.aside.renamed");
        Ok(())
    }

    /// Where two nodes leave at the same moment, each sees the other, and then nobody: one of them moves
    /// it away.
    async fn move_away_if_unused(&self, id: VolumeId, spec: &NfsSpec) -> Result<(), NfsError> {
        if !self.users(&spec.path).await?.is_empty() {
            return Ok(());
        }
        match self.move_away(id, spec).await {
            Err(NfsError::Tree(TreeError { cause: Cause::NotFound, .. })) => Ok(()),
            moved => moved,
        }
    }

    /// Whether what is aside has users that lost it: who joined it while it was moved. One that found
    /// itself too late has made a volume anew at the path by now, and does not miss this one.
    pub(super) async fn is_missed(&self, id: VolumeId, spec: &NfsSpec) -> Result<bool, NfsError> {
        for other in self.users(&removed(id)).await?.iter().filter(|user| user.id != id) {
            if self.read(&user(&spec.path, other.id)).await?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn leave(&self, id: VolumeId, spec: &NfsSpec) -> Result<(), NfsError> {
        let path = &spec.path;
        self.tree.rename(&user(path, id), &left(path, id)).await?;
        tracing::info!(path, "left to the other nodes that use it");
        Ok(())
    }

    /// Deletes what this node has of a volume, and the data if no other node uses it.
    pub(super) async fn delete(&self, volume: &VolumeRef, spec: &NfsSpec) -> Result<(), NfsError> {
        let id = volume.id;
        if volume.handle.is_none() && self.is_anothers(id, spec).await? {
            // It was about to be joined, and that failed: nobody here has decided about its data.
            self.tree.remove_tree(&user(&spec.path, id)).await?;
            return Ok(());
        }
        self.set_aside(id, spec).await?;
        fault::point("nfs.remove.aside");
        match self.locate(id, spec).await? {
            Place::Here => Err(NfsError::Taken { path: spec.path.clone(), by: id }),
            Place::Aside => {
                let aside = removed(id);
                // Interrupted before, it may have lost its mark.
                self.read_mark(&aside).await?;
                self.tree.remove_tree(&aside).await?;
                Ok(())
            }
            Place::Left => self.forget(id, spec).await,
            Place::Draft => {
                self.tree.remove_tree(&draft(id)).await?;
                Ok(())
            }
            Place::Nowhere => Ok(()),
        }
    }

    async fn forget(&self, id: VolumeId, spec: &NfsSpec) -> Result<(), NfsError> {
        self.tree.remove_tree(&left(&spec.path, id)).await?;
        Ok(())
    }

    /// Whether what lies at its path was made for another volume.
    async fn is_anothers(&self, id: VolumeId, spec: &NfsSpec) -> Result<bool, NfsError> {
        Ok(self.locate(id, spec).await? == Place::Here
            && self.read_mark(&spec.path).await?.is_some_and(|mark| mark.id != id))
    }

    async fn has_others(&self, dir: &str, id: VolumeId) -> Result<bool, NfsError> {
        Ok(self.users(dir).await?.iter().any(|user| user.id != id))
    }

    /// The nodes that use a directory. One that cannot be read is an error: it may be somebody.
    pub(super) async fn users(&self, dir: &str) -> Result<Vec<UserMark>, NfsError> {
        let entries = match self.tree.list(&users(dir)).await {
            Ok(entries) => entries,
            Err(TreeError { cause: Cause::NotFound, .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut found = Vec::new();
        for entry in entries.iter().filter(|entry| entry.name.parse::<VolumeId>().is_ok()) {
            let path = format!("{}/{}", users(dir), entry.name);
            if let Some(text) = self.read(&path).await? {
                found.push(self.own(dir, self.signer.read::<UserMark>(&text))?);
            }
        }
        Ok(found)
    }

    /// The mark of the volume in that directory; `None` where there is none.
    pub(super) async fn read_mark(&self, dir: &str) -> Result<Option<VolumeMark>, NfsError> {
        match self.read(&mark_path(dir)).await? {
            Some(text) => self.own(dir, self.signer.read(&text)).map(Some),
            None => Ok(None),
        }
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, NfsError> {
        match self.tree.read(path, mark::LIMIT).await {
            Ok(text) => Ok(text),
            // What lies at a parent's place is no directory: so there is no mark.
            Err(TreeError { cause: Cause::NotFound, .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn own<T>(&self, dir: &str, mark: Result<T, mark::BadMark>) -> Result<T, NfsError> {
        mark.map_err(|why| NfsError::Foreign { path: dir.to_owned(), why })
    }

    /// Whether a directory has a mark, whoever's.
    pub(super) async fn is_marked(&self, dir: &str) -> Result<bool, NfsError> {
        Ok(self.tree.kind(&format!("{dir}/{OWN}")).await?.is_some())
    }

    /// Whether a directory is what `path` says.
    pub(super) async fn is_directory(&self, path: &str) -> Result<bool, NfsError> {
        Ok(self.tree.kind(path).await? == Some(Kind::Directory))
    }
}

fn mark_path(dir: &str) -> String {
    format!("{dir}/{OWN}/volume")
}

fn users(dir: &str) -> String {
    format!("{dir}/{OWN}/users")
}

fn user(dir: &str, id: VolumeId) -> String {
    format!("{}/{id}", users(dir))
}

pub(super) fn left(dir: &str, id: VolumeId) -> String {
    format!("{}/{id}.left", users(dir))
}

fn draft(id: VolumeId) -> String {
    format!("{NEW}/{id}")
}

fn removed(id: VolumeId) -> String {
    format!("{REMOVED}/{id}")
}
