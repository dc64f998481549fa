//! Becoming a user of a directory that is there, and whose it must be for that.
//!
//! Without a common store the path is all that nodes have in common: a node joins the directory that it
//! finds, under an id of its own. In a cluster one record, with one id, is all nodes': a directory of
//! another id is another volume's, whatever that one is called now.

use super::{
    error::NfsError,
    mark::VolumeMark,
    place::{Places, left},
    settings::Records,
    tree::{Cause, TreeError},
};
use crate::{
    backend::VolumeRef,
    fault,
    spec::NfsSpec,
    volume::{DATA, VolumeId},
};

/// How an attempt to join a directory ended.
pub(super) enum Joined {
    Yes,
    /// It went away meanwhile.
    Gone,
    /// Another volume has it: why it was refused.
    Taken(NfsError),
}

impl Places {
    /// Becomes a user of the directory at the volume's path.
    pub(super) async fn take(&self, volume: &VolumeRef, spec: &NfsSpec) -> Result<(), NfsError> {
        match self.join(volume, spec).await? {
            Joined::Yes => Ok(()),
            Joined::Gone => Err(NfsError::Absent { path: spec.path.clone() }),
            Joined::Taken(by) => Err(by),
        }
    }

    pub(super) async fn join(
        &self,
        volume: &VolumeRef,
        spec: &NfsSpec,
    ) -> Result<Joined, NfsError> {
        let (id, path) = (volume.id, &spec.path);
        let Some(found) = self.read_mark(path).await? else {
            // It may be going away at this moment.
            return match self.tree.kind(path).await? {
                None => Ok(Joined::Gone),
                Some(_) => Err(NfsError::Unmarked { path: path.clone() }),
            };
        };
        if let Some(by) = self.taken(id, path, &found).await? {
            return Ok(Joined::Taken(by));
        }
        let data_dir = volume.data_dir.as_deref().unwrap_or(DATA);
        if found.data_dir != data_dir {
            return Err(NfsError::OtherData { path: path.clone(), data_dir: found.data_dir });
        }
        match self.write_user(path, id).await {
            Err(NfsError::Tree(TreeError { cause: Cause::NotFound, .. })) => {
                return Ok(Joined::Gone);
            }
            written => written?,
        }
        fault::point("nfs.join.known");
        // Its last user may have removed it meanwhile: then this was written in what is no more.
        if self.read_mark(path).await?.map(|mark| mark.id) != Some(found.id) {
            return Ok(Joined::Gone);
        }
        self.tree.remove_tree(&left(path, id)).await?;
        Ok(Joined::Yes)
    }

    /// Why the directory is not for that volume.
    async fn taken(
        &self,
        id: VolumeId,
        path: &str,
        found: &VolumeMark,
    ) -> Result<Option<NfsError>, NfsError> {
        let users = self.users(path).await?;
        if self.records == Records::Nodes {
            let other = users.iter().find(|user| user.node == self.node && user.id != id);
            return Ok(other.map(|other| NfsError::Taken { path: path.to_owned(), by: other.id }));
        }
        // Under an id of its own are nodes that joined it before they were in a cluster.
        let is_its = found.id == id
            || users.iter().any(|user| user.id == id)
            || self.tree.kind(&left(path, id)).await?.is_some();
        let (name, by) = (found.name.clone(), found.id);
        Ok((!is_its).then(|| NfsError::OfAnother { path: path.to_owned(), name, by }))
    }
}
