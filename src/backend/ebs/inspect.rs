//! Looking: where a volume is, seen from this node, and which volumes this node has.

use std::collections::HashSet;

use tokio::time::Instant;

use super::{
    Inner,
    api::{AttachmentState, Ec2Volume, Filter},
    attach::no_storage,
    error::EbsError,
    marks,
};
use crate::{
    backend::{Inspection, VolumeRef},
    sys::blockdev::InUse,
    volume::{Device, Transit, VolumeId},
};

impl Inner {
    pub(super) async fn inspect(&self, volume: &VolumeRef) -> Result<Inspection, EbsError> {
        let known = volume.handle.as_ref().map(|handle| handle.as_str().to_owned());
        if let Some(id) = &known {
            // DetachVolume is only asked for after the proof that nobody has it open: what somebody
            // has open is not on its way out, and EC2 need not be asked.
            for found in self.devices_by_serial(id).await? {
                if let Err(InUse::Busy { .. }) = self.claim(found.device.path.clone()).await? {
                    return Ok(Inspection::Attached(found.device));
                }
            }
        }
        let seen = match known {
            Some(id) => self.exists_by(&id, Freshness::Recent).await?,
            // Made by a call that failed, perhaps: whoever hears "absent" forgets it.
            None => match self.creations.last(volume.id) {
                Some(called) => self.find_late(volume.id, called).await?,
                None => self.find_by_tag(volume.id).await?,
            },
        };
        match seen.filter(Ec2Volume::is_there) {
            Some(seen) => self.inspect_seen(&seen).await,
            None => Ok(Inspection::Absent),
        }
    }

    /// Whether that device has the volume's serial number; Xen's devices have none, and EC2 says which
    /// name the volume has.
    pub(super) async fn confirm(
        &self,
        volume: &VolumeRef,
        device: &Device,
    ) -> Result<(), EbsError> {
        let id = volume.handle.as_ref().ok_or_else(|| no_storage(volume))?.as_str();
        let mut found = self.device_by_serial(id).await?;
        if found.is_none() && !is_nvme(device) {
            let me = self.node.instance(&self.api).await?;
            let seen = self.describer.look(id).await.map_err(EbsError::api(id))?;
            if let Some(here) = seen.as_ref().and_then(|seen| seen.attached_to(me)) {
                found = self.look_for_device(id, here.device.clone()).await?;
            }
        }
        if found.is_some_and(|found| found.device == *device) {
            return Ok(());
        }
        Err(EbsError::NoStorage(format!("{id} as {}", device.path.display())))
    }

    pub(super) async fn inspect_seen(&self, seen: &Ec2Volume) -> Result<Inspection, EbsError> {
        if seen.attachments.is_empty() {
            // Called off, perhaps, before EC2 showed it: it will be attached all the same.
            let on_its_way = self.slots.called_within(&seen.id, self.describer.pace.invisible);
            return Ok(match on_its_way {
                true => Inspection::InTransit(Transit::Attaching),
                false => Inspection::Detached,
            });
        }
        let me = self.node.instance(&self.api).await?;
        let Some(here) = seen.attached_to(me) else { return Ok(Inspection::Detached) };
        if seen.attached_elsewhere(me).is_some() {
            // It is not to be used here: an attach says why, and a detach ends it.
            return Ok(Inspection::InTransit(Transit::Attaching));
        }
        match here.state {
            AttachmentState::Attaching => Ok(Inspection::InTransit(Transit::Attaching)),
            AttachmentState::Detaching | AttachmentState::Busy => {
                Ok(Inspection::InTransit(Transit::Detaching))
            }
            // Without a device it is not here yet, or never will be: an attach waits for it and takes
            // it back, and a detach has nothing to prove. Of several none is believed: the same holds,
            // and a detach proves that nobody uses any.
            AttachmentState::Attached => {
                let mut found = self.own_devices(&seen.id, Some(&here.device)).await?;
                Ok(match (found.pop(), found.is_empty()) {
                    (Some(only), true) => Inspection::Attached(only.device),
                    (Some(_), false) | (None, _) => Inspection::InTransit(Transit::Attaching),
                })
            }
        }
    }

    /// The volumes of this cluster that EC2 has attached to this instance.
    pub(super) async fn attached(&self) -> Result<HashSet<VolumeId>, EbsError> {
        let me = self.node.instance(&self.api).await?;
        let by = [
            Filter("attachment.instance-id".into(), vec![me.to_owned()]),
            Filter::tag(marks::CLUSTER, &self.config.cluster),
        ];
        let found = self.api.find_volumes(&by).await.map_err(EbsError::api(me))?;
        let here = found.iter().filter(|seen| seen.attached_to(me).is_some());
        Ok(here.filter_map(|seen| marks::id(&seen.tags)).collect())
    }

    /// EC2's id of the volume; `None` where there is none.
    pub(super) async fn handle_of(&self, volume: &VolumeRef) -> Result<Option<String>, EbsError> {
        match &volume.handle {
            Some(handle) => Ok(Some(handle.as_str().to_owned())),
            None => Ok(self.find_by_tag(volume.id).await?.map(|found| found.id)),
        }
    }

    /// The volume as it is now. That there is none is asked twice, the second time alone: EC2 may
    /// not know yet what it has just made.
    pub(super) async fn exists(&self, id: &str) -> Result<Option<Ec2Volume>, EbsError> {
        self.exists_by(id, Freshness::Now).await
    }

    /// The storage of a volume that is to be used or changed. What does not carry the tags of the
    /// cluster and of the volume may have been given to another cluster, which writes to it.
    pub(super) async fn ours(&self, volume: &VolumeRef, id: &str) -> Result<Ec2Volume, EbsError> {
        let seen = self.exists(id).await?.filter(Ec2Volume::is_there);
        let seen = seen.ok_or_else(|| no_storage(volume))?;
        self.refuse_foreign(volume, &seen)?;
        Ok(seen)
    }

    pub(super) fn refuse_foreign(
        &self,
        volume: &VolumeRef,
        seen: &Ec2Volume,
    ) -> Result<(), EbsError> {
        match marks::foreign(&self.config.cluster, volume.id, seen) {
            Some(why) => Err(EbsError::Foreign { on: seen.id.clone(), why }),
            None => Ok(()),
        }
    }

    async fn exists_by(
        &self,
        id: &str,
        freshness: Freshness,
    ) -> Result<Option<Ec2Volume>, EbsError> {
        let seen = match freshness {
            Freshness::Now => self.describer.fresh(id).await,
            Freshness::Recent => self.describer.look(id).await,
        };
        match seen.map_err(EbsError::api(id))? {
            Some(seen) => Ok(Some(seen)),
            None => self.describer.fresh(id).await.map_err(EbsError::api(id)),
        }
    }

    /// As [`Self::find_by_tag`], for what may have been made at that time: that there is none is
    /// believed when EC2 says so after as long as it may not know what it has made.
    pub(super) async fn find_late(
        &self,
        id: VolumeId,
        made: Instant,
    ) -> Result<Option<Ec2Volume>, EbsError> {
        let pace = self.describer.pace;
        loop {
            let old = made.elapsed() >= pace.invisible;
            let found = self.find_by_tag(id).await?;
            if found.is_some() || old {
                return Ok(found);
            }
            tokio::time::sleep(pace.between_finds).await;
        }
    }

    /// The volume that carries the cluster's and the volume's tag.
    pub(super) async fn find_by_tag(&self, id: VolumeId) -> Result<Option<Ec2Volume>, EbsError> {
        let by = [
            Filter::tag(marks::CLUSTER, &self.config.cluster),
            Filter::tag(marks::ID, &id.to_string()),
        ];
        let on = format!("volume {id}");
        let mut found = self.api.find_volumes(&by).await.map_err(EbsError::api(&on))?;
        found.retain(Ec2Volume::is_there);
        if found.len() > 1 {
            let ids: Vec<_> = found.iter().map(|seen| seen.id.as_str()).collect();
            return Err(EbsError::Several { id, found: ids.join(", ") });
        }
        Ok(found.pop())
    }
}

fn is_nvme(device: &Device) -> bool {
    device.path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"nvme"))
}

/// How old a look may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freshness {
    /// It is made now.
    Now,
    /// Of the last second.
    Recent,
}
