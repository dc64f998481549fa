//! Detaching, after the proof that nobody uses the device.
//!
//! A detach once asked for cannot be taken back, and a volume that is in use is not let go by the
//! instance but stays `busy`. Hence the proof (`O_EXCL`, which sees mounts in all namespaces) comes
//! before DetachVolume. What sticks after it can be forced: a device that nobody has open loses
//! nothing. Only the attachment to this instance is taken away here.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Inner,
    api::{Attachment, Ec2Volume},
    device::Located,
    error::EbsError,
    wait::Wait,
};
use crate::{
    backend::VolumeRef,
    fault,
    sys::blockdev::{self, InUse},
};

/// What EC2 answers where there is nothing to detach.
pub(super) const DONE: &[&str] =
    &["IncorrectState", "InvalidAttachment.NotFound", "InvalidVolume.NotFound"];

/// Whether the instance is asked to let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Force {
    /// It is asked.
    No,
    /// The device is taken from it.
    Yes,
}

impl Inner {
    pub(super) async fn detach(&self, volume: &VolumeRef) -> Result<(), EbsError> {
        let Some(id) = self.handle_of(volume).await? else { return Ok(()) };
        let me = self.node.instance(&self.api).await?;
        let seen = self.exists(&id).await?;
        let here = seen.as_ref().and_then(|seen| seen.attached_to(me));
        let devices = self.own_devices(&id, here.map(|here| here.device.as_str())).await?;
        let unseen = self.slots.called_within(&id, self.describer.pace.invisible);
        if here.is_none() && devices.is_empty() && !unseen {
            self.slots.free(&id);
            return Ok(());
        }
        self.ensure_unused(&id, &devices).await?;
        fault::point("ebs.detach.proven");
        if !here.is_some_and(Attachment::is_leaving) {
            self.call_detach(&id, me, Force::No).await?;
            fault::point("ebs.detach.called");
        }
        let name = here.map(|here| here.device.as_str());
        self.wait_detached(volume, &id, me, name).await?;
        self.slots.free(&id);
        self.wait_gone(&id).await
    }

    /// The devices that may be the volume's on this node: more than one where something is left of an
    /// earlier attachment. What has another's serial number is none.
    pub(super) async fn own_devices(
        &self,
        id: &str,
        attached_as: Option<&str>,
    ) -> Result<Vec<Located>, EbsError> {
        let (devices, volume) = (Arc::clone(&self.devices), id.to_owned());
        let name = attached_as.map(str::to_owned);
        self.blocking(id, move || devices.own(&volume, name.as_deref())).await
    }

    /// The proof, of each device. Without one there is nothing that anybody could use.
    pub(super) async fn ensure_unused(
        &self,
        id: &str,
        devices: &[Located],
    ) -> Result<(), EbsError> {
        for found in devices {
            let claimed = self.claim(found.device.path.clone()).await?;
            claimed.map_err(|source| EbsError::DeviceInUse { on: id.to_owned(), source })?;
        }
        Ok(())
    }

    /// What the kernel says to an exclusive claim of the device.
    pub(super) async fn claim(&self, path: PathBuf) -> Result<Result<(), InUse>, EbsError> {
        let claimed = tokio::task::spawn_blocking(move || blockdev::ensure_unused(&path)).await;
        claimed.map_err(|panic| EbsError::Look {
            dir: self.devices.dev.clone(),
            why: panic.to_string(),
        })
    }

    /// Asks for it. That there is nothing to detach is seen by what is looked at afterwards.
    pub(super) async fn call_detach(
        &self,
        id: &str,
        me: &str,
        force: Force,
    ) -> Result<(), EbsError> {
        let answer = self.api.detach_volume(id, me, force).await;
        self.describer.forget(id);
        match answer {
            Err(error) if error.is(DONE) => Ok(()),
            answer => answer.map_err(EbsError::api(id)),
        }
    }

    /// Waits until the volume has left this instance, and forces it after the limit, if EC2 says
    /// then that it is still leaving.
    async fn wait_detached(
        &self,
        volume: &VolumeRef,
        id: &str,
        me: &str,
        attached_as: Option<&str>,
    ) -> Result<(), EbsError> {
        let limit = self.config.force_detach_after;
        match self.wait_free(id, me, limit, None).await {
            Err(EbsError::TooLong { seen, .. }) if self.is_leaving(id, me).await? => {
                let devices = self.own_devices(id, attached_as).await?;
                // Once more: it is the whole reason why force is safe.
                self.ensure_unused(id, &devices).await?;
                tracing::warn!(
                    volume = %volume.name, ebs = id, instance = me, ?limit, seen,
                    "the detach is stuck and is forced: nothing is lost, since it was unmounted and nobody on this node has the device open (proven by an exclusive claim)"
                );
                self.call_detach(id, me, Force::Yes).await?;
                fault::point("ebs.detach.forced");
                self.wait_free(id, me, self.describer.pace.forced, None).await
            }
            done => done,
        }
    }

    /// Whether EC2 says of the last moment that the volume is on its way from this instance.
    async fn is_leaving(&self, id: &str, me: &str) -> Result<bool, EbsError> {
        let seen = self.describer.look(id).await.map_err(EbsError::api(id))?;
        let here = seen.as_ref().and_then(|seen| seen.attached_to(me));
        Ok(here.is_some_and(Attachment::is_leaving))
    }

    /// Waits until the volume is not attached to this instance.
    pub(super) async fn wait_free(
        &self,
        id: &str,
        me: &str,
        limit: Duration,
        cancel: Option<&CancellationToken>,
    ) -> Result<(), EbsError> {
        let wait = Wait { volume: id, wanted: "detached", limit, cancel };
        let free = |seen: Option<&Ec2Volume>| {
            Ok(seen.is_none_or(|seen| seen.attached_to(me).is_none()).then_some(()))
        };
        self.describer.wait_until(wait, free).await
    }

    /// Waits until the kernel has let the device go.
    pub(super) async fn wait_gone(&self, id: &str) -> Result<(), EbsError> {
        let limit = self.describer.pace.device;
        let deadline = Instant::now() + limit;
        let mut pause = self.describer.pace.first_look;
        while let Some(found) = self.devices_by_serial(id).await?.pop() {
            if Instant::now() >= deadline {
                let seen = format!(
                    "EC2 has detached it, and {} is still there",
                    found.device.path.display()
                );
                return Err(EbsError::TooLong { on: id.to_owned(), wanted: "gone", limit, seen });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.describer.pace.longest_look);
        }
        Ok(())
    }
}
