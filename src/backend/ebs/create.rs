//! Making a volume: one CreateVolume, which tags what it makes, and the proof that it is what was
//! asked for.
//!
//! The same client token is the same volume, so that the call can be repeated after a crash or a
//! lost answer. EC2 forgets tokens after some hours, and answers some errors before it looks at
//! them: then the tag is looked up before anything is made. Another token is only used where EC2
//! says that the first one's volume was deleted: what is not shown may be there, and would be left
//! behind.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Inner,
    api::{ApiError, Call, Ec2Volume, NewVolume, VolumeState},
    error::EbsError,
    marks, size,
    verify::{self, filled_in},
    wait::Wait,
};
use crate::{
    backend::{Created, VolumeRef},
    fault,
    spec::{BackendSpec, EbsSpec},
    volume::{Handle, VolumeId},
};

/// AWS forgets a token after about half a day; well before that it is no longer relied upon.
const TOKEN_LASTS: Duration = Duration::from_secs(60 * 60);
/// A token that stands for a volume that was deleted behind our back is followed by another.
const TOKENS: u32 = 3;

/// How a volume came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// By this call: nobody ever had it.
    Made,
    /// It was there.
    Found,
}

/// The volumes that CreateVolume was called for so recently that EC2 may not show them.
#[derive(Debug, Default)]
pub(super) struct Creations(Mutex<HashMap<VolumeId, Instant>>);

impl Creations {
    fn called(&self, id: VolumeId, invisible: Duration) {
        let mut called = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        called.retain(|_, at| at.elapsed() < invisible);
        called.insert(id, Instant::now());
    }

    /// When the last call for it was made, if that is not long ago.
    pub(super) fn last(&self, id: VolumeId) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }
}

impl Inner {
    pub(super) async fn create(&self, volume: &VolumeRef) -> Result<Created, EbsError> {
        let spec = super::spec_of(&volume.spec.backend)?;
        if let Some(found) = self.made_before(volume).await? {
            return self.finish(volume, spec, &found.id, Origin::Found).await;
        }
        let zone = match &spec.zone {
            Some(zone) => zone.as_str(),
            None => self.node.zone(&self.api).await?,
        };
        let on = on(volume);
        let tags = marks::of_volume(&self.config.cluster, &self.config.tags, volume);
        for attempt in 0..TOKENS {
            let new = NewVolume {
                token: token(&self.config.cluster, volume, attempt),
                zone,
                gib: size::gib(volume.spec.size),
                volume_type: spec.volume_type.as_str(),
                iops: spec.iops,
                throughput: spec.throughput,
                encrypted: spec.encrypted.or(spec.kms_key.as_ref().map(|_| true)),
                kms_key: spec.kms_key.as_deref(),
                snapshot: spec.snapshot.as_deref(),
                tags: &tags,
            };
            self.creations.called(volume.id, self.describer.pace.invisible);
            let made = self.api.create_volume(&new).await;
            fault::point("ebs.create.called");
            let id = match made {
                Ok(id) => id,
                Err(error) if error.is(&["IdempotentParameterMismatch"]) => {
                    if let Some(found) = self.find_late(volume.id, Instant::now()).await? {
                        return self.finish(volume, spec, &found.id, Origin::Found).await;
                    }
                    // The token was used for something that is no more: only where EC2 says so.
                    if error.message.contains("deleted") {
                        continue;
                    }
                    return Err(EbsError::api(&on)(error));
                }
                Err(error) => return self.not_made(volume, spec, error).await,
            };
            self.describer.forget(&id);
            match self.finish(volume, spec, &id, Origin::Made).await {
                Err(EbsError::NoStorage(_)) => {}
                done => return done,
            }
        }
        Err(EbsError::state(
            &on,
            "what EC2 made was deleted again: it takes our client tokens for those of deleted volumes",
        ))
    }

    /// The volume, where it may have been made by an earlier call.
    async fn made_before(&self, volume: &VolumeRef) -> Result<Option<Ec2Volume>, EbsError> {
        if let Some(handle) = &volume.handle {
            let found = self.exists(handle.as_str()).await?;
            return Ok(found.filter(Ec2Volume::is_there));
        }
        let age = Timestamp::now().duration_since(volume.created_at);
        if age.unsigned_abs() < TOKEN_LASTS {
            return Ok(None);
        }
        self.find_by_tag(volume.id).await
    }

    /// EC2 may say "no" to a repeated call whose first one made the volume.
    async fn not_made(
        &self,
        volume: &VolumeRef,
        spec: &EbsSpec,
        error: ApiError,
    ) -> Result<Created, EbsError> {
        if error.is(&["VolumeLimitExceeded"])
            && let Some(found) = self.find_by_tag(volume.id).await?
        {
            return self.finish(volume, spec, &found.id, Origin::Found).await;
        }
        Err(EbsError::api(&on(volume))(error))
    }

    /// Waits until the volume can be used, and proves that it is what was asked for.
    ///
    /// # Errors
    ///
    /// `NoStorage` where EC2 says that the volume was deleted. That EC2 does not show it says
    /// nothing: it may be late.
    async fn finish(
        &self,
        volume: &VolumeRef,
        spec: &EbsSpec,
        id: &str,
        origin: Origin,
    ) -> Result<Created, EbsError> {
        let limit = self.describer.pace.created;
        let wait = Wait { volume: id, wanted: "available", limit, cancel: None };
        let begun = Instant::now();
        let ready = self.describer.wait_until(wait, |seen| match seen {
            None if begun.elapsed() > self.describer.pace.invisible => Err(EbsError::state(
                id,
                "EC2 has made it and does not show it yet: the next attempt looks for it again; if it was deleted since (a KMS key that cannot be used?), remove the volume, and create another",
            )),
            None => Ok(None),
            Some(seen) => match seen.state {
                VolumeState::Creating | VolumeState::Unknown => Ok(None),
                VolumeState::Available | VolumeState::InUse => Ok(Some(seen.clone())),
                VolumeState::Deleting | VolumeState::Deleted => {
                    Err(EbsError::NoStorage(id.to_owned()))
                }
                VolumeState::Error => Err(EbsError::Mismatch {
                    on: id.to_owned(),
                    differences: "EC2 made it with an error (a KMS key that cannot be used?)"
                        .into(),
                }),
            },
        });
        let checked = match ready.await {
            Ok(seen) => verify::verify(&self.config.cluster, volume, spec, &seen).map(|()| seen),
            Err(error) => Err(error),
        };
        match checked {
            Ok(seen) => Ok(Created {
                handle: Some(Handle::from(seen.id.clone())),
                backend: BackendSpec::Ebs(filled_in(spec, &seen)),
            }),
            Err(error @ EbsError::Mismatch { .. }) if origin == Origin::Made => {
                self.unmake(volume, id).await;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes what this call made and nobody was given: it carries our marks, and is attached
    /// nowhere, or it stays.
    async fn unmake(&self, volume: &VolumeRef, id: &str) {
        let deleted = match self.describer.fresh(id).await {
            Ok(Some(seen))
                if seen.attachments.is_empty()
                    && marks::foreign(&self.config.cluster, volume.id, &seen).is_none() =>
            {
                self.api.delete_volume(id).await
            }
            Ok(Some(_)) => Err(ApiError {
                call: Call::DeleteVolume,
                code: None,
                message: "it does not look like ours".to_owned(),
                request_id: None,
            }),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        self.describer.forget(id);
        if let Err(error) = deleted {
            tracing::error!(volume = %volume.name, ebs = id, %error, "a volume that is not what was asked for is left behind: delete it");
        }
    }
}

/// How the volume is called while it has no id of EC2's.
fn on(volume: &VolumeRef) -> String {
    volume.handle.as_ref().map_or_else(|| format!("volume {}", volume.name), ToString::to_string)
}

/// At most 64 ASCII characters, the same for the same storage of the same volume.
fn token(cluster: &str, volume: &VolumeRef, attempt: u32) -> String {
    // FNV-1a: it only keeps clusters apart that share an account, and a volume's id is unique.
    let hash = cluster.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}-{}-{}.{attempt}", volume.id.uuid().simple(), volume.generation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::testing;

    /// EBS CSI #1428, #1916: a name that is used again must not get the old token.
    #[test]
    fn a_token_is_short_and_of_one_cluster_volume_generation_and_attempt() {
        let mut volume = VolumeRef::from(&testing::new_record());
        let first = token("prod", &volume, 0);
        assert_eq!(first, token("prod", &volume, 0));
        assert_ne!(first, token("test", &volume, 0));
        assert_ne!(first, token("prod", &volume, 1));
        volume.generation = u32::MAX;
        let last = token("prod", &volume, 9);
        assert_ne!(first, last);
        assert!(last.is_ascii() && last.len() <= 64, "{last}");
    }
}
