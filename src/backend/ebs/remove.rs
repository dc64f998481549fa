//! Deleting, and the tags of what stays.

use tokio::time::Instant;

use super::{
    Inner, api::Ec2Volume, attach::no_storage, error::EbsError, marks, wait::Wait, wait::shown,
};
use crate::{backend::VolumeRef, fault};

impl Inner {
    pub(super) async fn remove(&self, volume: &VolumeRef) -> Result<(), EbsError> {
        let Some(id) = self.find_to_remove(volume).await? else { return Ok(()) };
        let Some(seen) = self.exists(&id).await?.filter(Ec2Volume::is_there) else { return Ok(()) };
        self.refuse_foreign(volume, &seen)?;
        if !seen.attachments.is_empty() {
            return Err(EbsError::InUse { on: id, why: shown(Some(&seen)) });
        }
        let answer = self.api.delete_volume(&id).await;
        fault::point("ebs.remove.called");
        self.describer.forget(&id);
        match answer {
            Err(error) if error.is_no_volume() => return Ok(()),
            answer => answer.map_err(EbsError::api(&id))?,
        }
        let limit = self.describer.pace.created;
        let wait = Wait { volume: &id, wanted: "deleted", limit, cancel: None };
        let gone =
            |seen: Option<&Ec2Volume>| Ok((!seen.is_some_and(Ec2Volume::is_there)).then_some(()));
        self.describer.wait_until(wait, gone).await
    }

    /// A volume that was made by a call whose answer was lost may not show yet.
    async fn find_to_remove(&self, volume: &VolumeRef) -> Result<Option<String>, EbsError> {
        match &volume.handle {
            Some(handle) => Ok(Some(handle.as_str().to_owned())),
            None => Ok(self.find_late(volume.id, Instant::now()).await?.map(|found| found.id)),
        }
    }

    /// Writes the name and the spec into the volume's tags.
    pub(super) async fn describe(&self, volume: &VolumeRef) -> Result<(), EbsError> {
        let id = self.handle_of(volume).await?.ok_or_else(|| no_storage(volume))?;
        self.ours(volume, &id).await?;
        let tags = marks::description(volume);
        self.api.create_tags(&id, &tags).await.map_err(EbsError::api(&id))?;
        self.describer.forget(&id);
        Ok(())
    }
}
