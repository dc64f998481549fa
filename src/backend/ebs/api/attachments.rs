//! AttachVolume and DetachVolume.

use super::{Api, ApiError, Call};
use crate::backend::ebs::detach::Force;

impl Api {
    pub(crate) async fn attach_volume(
        &self,
        volume: &str,
        instance: &str,
        device: &str,
    ) -> Result<(), ApiError> {
        let call = Call::AttachVolume;
        let request = self.client(call).await?.attach_volume();
        let request = request.volume_id(volume).instance_id(instance).device(device);
        request.send().await.map(|_| ()).map_err(|error| ApiError::of(call, &error))
    }

    /// Always with the instance: what is taken away is that one's attachment and no other.
    pub(crate) async fn detach_volume(
        &self,
        volume: &str,
        instance: &str,
        force: Force,
    ) -> Result<(), ApiError> {
        let call = Call::DetachVolume;
        let request = self.client(call).await?.detach_volume();
        let request = request.volume_id(volume).instance_id(instance);
        let force = (force == Force::Yes).then_some(true);
        let answer = request.set_force(force).send().await;
        answer.map(|_| ()).map_err(|error| ApiError::of(call, &error))
    }
}
