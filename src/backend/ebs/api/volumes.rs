//! CreateVolume, DeleteVolume, ModifyVolume, and what EC2 tells of volumes.

use aws_sdk_ec2::{
    operation::create_volume::builders::CreateVolumeFluentBuilder as CreateVolume, types as sdk,
};

use super::{
    Api, ApiError, Call, Ec2Volume, Filter, Modification, ModificationState, Tags, tags,
    types::{count, number, time},
};

/// How many volumes a page has.
const PAGE: i32 = 500;

/// What CreateVolume is asked for.
#[derive(Debug, Clone)]
pub(crate) struct NewVolume<'a> {
    /// The same token is the same volume.
    pub(crate) token: String,
    pub(crate) zone: &'a str,
    pub(crate) gib: u32,
    pub(crate) volume_type: &'a str,
    pub(crate) iops: Option<u32>,
    pub(crate) throughput: Option<u32>,
    pub(crate) encrypted: Option<bool>,
    pub(crate) kms_key: Option<&'a str>,
    pub(crate) snapshot: Option<&'a str>,
    pub(crate) tags: &'a Tags,
}

/// What ModifyVolume is asked for; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) gib: Option<u32>,
    pub(crate) volume_type: Option<String>,
    pub(crate) iops: Option<u32>,
    pub(crate) throughput: Option<u32>,
}

impl Api {
    pub(crate) async fn create_volume(&self, new: &NewVolume<'_>) -> Result<String, ApiError> {
        let call = Call::CreateVolume;
        let answer = self.new_volume(new).await?.send().await;
        let answer = answer.map_err(|error| ApiError::of(call, &error))?;
        let missing = || ApiError::before(call, "EC2 answered without a volume id".into());
        answer.volume_id().map(str::to_owned).ok_or_else(missing)
    }

    /// Whether EC2 would make it. What was made nevertheless, by a server that does not know
    /// `DryRun`, is the answer.
    pub(crate) async fn may_create_volume(
        &self,
        new: &NewVolume<'_>,
    ) -> Result<Option<String>, ApiError> {
        let call = Call::CreateVolume;
        let answer = self.new_volume(new).await?.dry_run(true).send().await;
        match answer.map_err(|error| ApiError::of(call, &error)) {
            Err(error) if error.is(&["DryRunOperation"]) => Ok(None),
            Err(error) => Err(error),
            Ok(made) => Ok(Some(made.volume_id().unwrap_or_default().to_owned())),
        }
    }

    async fn new_volume(&self, new: &NewVolume<'_>) -> Result<CreateVolume, ApiError> {
        Ok(self
            .client(Call::CreateVolume)
            .await?
            .create_volume()
            .client_token(&new.token)
            .availability_zone(new.zone)
            .size(number(new.gib))
            .volume_type(sdk::VolumeType::from(new.volume_type))
            .set_iops(new.iops.map(number))
            .set_throughput(new.throughput.map(number))
            .set_encrypted(new.encrypted)
            .set_kms_key_id(new.kms_key.map(str::to_owned))
            .set_snapshot_id(new.snapshot.map(str::to_owned))
            .tag_specifications(tags::specification(sdk::ResourceType::Volume, new.tags)))
    }

    pub(crate) async fn delete_volume(&self, id: &str) -> Result<(), ApiError> {
        let call = Call::DeleteVolume;
        let answer = self.client(call).await?.delete_volume().volume_id(id).send().await;
        answer.map(|_| ()).map_err(|error| ApiError::of(call, &error))
    }

    /// These volumes. One that is not there fails the call.
    pub(crate) async fn describe_volumes(
        &self,
        ids: Vec<String>,
    ) -> Result<Vec<Ec2Volume>, ApiError> {
        let call = Call::DescribeVolumes;
        let request = self.client(call).await?.describe_volumes().set_volume_ids(Some(ids));
        let answer = request.send().await.map_err(|error| ApiError::of(call, &error))?;
        Ok(answer.volumes().iter().map(Ec2Volume::of).collect())
    }

    /// All volumes that the filters let through, page by page.
    pub(crate) async fn find_volumes(&self, by: &[Filter]) -> Result<Vec<Ec2Volume>, ApiError> {
        let call = Call::DescribeVolumes;
        let client = self.client(call).await?;
        let (mut found, mut next) = (Vec::new(), None);
        loop {
            let answer = client
                .describe_volumes()
                .set_filters(Some(tags::filters(by)))
                .max_results(PAGE)
                .set_next_token(next)
                .send()
                .await
                .map_err(|error| ApiError::of(call, &error))?;
            found.extend(answer.volumes().iter().map(Ec2Volume::of));
            next = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    pub(crate) async fn modify_volume(&self, id: &str, to: &Change) -> Result<(), ApiError> {
        let call = Call::ModifyVolume;
        let answer = self
            .client(call)
            .await?
            .modify_volume()
            .volume_id(id)
            .set_size(to.gib.map(number))
            .set_volume_type(to.volume_type.as_deref().map(sdk::VolumeType::from))
            .set_iops(to.iops.map(number))
            .set_throughput(to.throughput.map(number))
            .send()
            .await;
        answer.map(|_| ()).map_err(|error| ApiError::of(call, &error))
    }

    /// The last change of a volume, where there ever was one.
    pub(crate) async fn last_modification(
        &self,
        id: &str,
    ) -> Result<Option<Modification>, ApiError> {
        let call = Call::DescribeVolumesModifications;
        let request = self.client(call).await?.describe_volumes_modifications().volume_ids(id);
        let answer = match request.send().await.map_err(|error| ApiError::of(call, &error)) {
            Err(error) if error.is(&["InvalidVolumeModification.NotFound"]) => return Ok(None),
            answer => answer?,
        };
        let all = answer.volumes_modifications().iter();
        let last = all.max_by_key(|modification| time(modification.start_time()));
        Ok(last.map(modification))
    }
}

fn modification(modification: &sdk::VolumeModification) -> Modification {
    let state = modification.modification_state().map(sdk::VolumeModificationState::as_str);
    Modification {
        state: match state {
            Some("completed") => ModificationState::Completed,
            Some("optimizing") => ModificationState::Optimizing,
            Some("failed") => ModificationState::Failed,
            Some(_) | None => ModificationState::Modifying,
        },
        message: modification.status_message().map(str::to_owned),
        gib: count(modification.target_size()),
        volume_type: modification.target_volume_type().map(|kind| kind.as_str().to_owned()),
        iops: count(modification.target_iops()),
        throughput: count(modification.target_throughput()),
        started: time(modification.start_time()),
    }
}
