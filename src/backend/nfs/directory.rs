//! Volumes that are directories: made, looked at, accounted for.

use super::{error::NfsError, exports::Export, place::Place};
use crate::{
    backend::{Inspection, VolumeRef},
    spec::{Bytes, NfsSpec},
    volume::{DATA, VolumeId},
};

impl Export {
    pub(super) async fn create(&self, volume: &VolumeRef, spec: &NfsSpec) -> Result<(), NfsError> {
        let place = self.places.locate(volume.id, spec).await?;
        if place == Place::Nowhere && !self.places.is_directory(&spec.path).await? {
            self.admit(volume.spec.size).await?;
        }
        self.places.make(volume, spec, place).await
    }

    pub(super) async fn inspect(
        &self,
        id: VolumeId,
        spec: &NfsSpec,
    ) -> Result<Inspection, NfsError> {
        Ok(match self.places.locate(id, spec).await? {
            Place::Here | Place::Draft => Inspection::Detached,
            // Not at its end yet: it goes back to those who joined it.
            Place::Aside if self.places.is_missed(id, spec).await? => Inspection::Detached,
            Place::Aside | Place::Left => Inspection::SetAside,
            Place::Nowhere => Inspection::Absent,
        })
    }

    /// A directory has no wall that could be moved: its mark says the new size.
    pub(super) async fn grow(
        &self,
        volume: &VolumeRef,
        spec: &NfsSpec,
        to: Bytes,
    ) -> Result<(), NfsError> {
        let here = self.places.locate(volume.id, spec).await? == Place::Here;
        let mark = self.places.read_mark(&spec.path).await?.filter(|_| here);
        let Some(mark) = mark else { return Err(NfsError::Absent { path: spec.path.clone() }) };
        if to <= mark.spec.size {
            return Ok(());
        }
        self.admit(to.saturating_sub(mark.spec.size)).await?;
        let mut larger = volume.clone();
        larger.spec.size = to;
        self.places.mark(&spec.path, &larger, mark.id, &mark.data_dir).await
    }

    /// Writes the name and the spec into the mark.
    pub(super) async fn describe(
        &self,
        volume: &VolumeRef,
        spec: &NfsSpec,
    ) -> Result<(), NfsError> {
        if self.places.locate(volume.id, spec).await? != Place::Here {
            return Ok(());
        }
        match self.places.read_mark(&spec.path).await? {
            Some(mark) => self.places.mark(&spec.path, volume, mark.id, &mark.data_dir).await,
            None => Ok(()),
        }
    }
}

/// The directory that tasks see, from the export's root.
pub(super) fn data_of(volume: &VolumeRef, spec: &NfsSpec) -> String {
    match volume.data_dir.as_deref().unwrap_or(DATA) {
        "" => spec.path.clone(),
        data => format!("{}/{data}", spec.path),
    }
}
