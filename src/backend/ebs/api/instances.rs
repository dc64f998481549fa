//! DescribeInstances and DescribeInstanceTypes: instances, as EC2 sees them.

use aws_sdk_ec2::types as sdk;

use super::{
    Api, ApiError, Call, InstanceStatus, InstanceView, TypeLimit,
    types::{count, number},
};

impl Api {
    pub(crate) async fn describe_instance(&self, id: &str) -> Result<InstanceView, ApiError> {
        let call = Call::DescribeInstances;
        let request = self.client(call).await?.describe_instances().instance_ids(id);
        let answer = request.send().await.map_err(|error| ApiError::of(call, &error))?;
        let mut instances = answer.reservations().iter().flat_map(sdk::Reservation::instances);
        let instance = instances
            .next()
            .ok_or_else(|| ApiError::before(call, format!("EC2 knows no instance {id}")))?;
        let devices = instance.block_device_mappings().iter().filter_map(|mapping| {
            let volume = mapping.ebs().and_then(sdk::EbsInstanceBlockDevice::volume_id);
            Some((mapping.device_name()?.to_owned(), volume.unwrap_or_default().to_owned()))
        });
        Ok(InstanceView {
            instance_type: instance
                .instance_type()
                .map(|kind| kind.as_str().to_owned())
                .unwrap_or_default(),
            devices: devices.collect(),
            network_interfaces: u32::try_from(instance.network_interfaces().len())
                .unwrap_or(u32::MAX),
        })
    }

    /// Whether an instance runs; `None` where there is none of that id.
    pub(crate) async fn instance_status(
        &self,
        id: &str,
    ) -> Result<Option<InstanceStatus>, ApiError> {
        let call = Call::DescribeInstances;
        let request = self.client(call).await?.describe_instances().instance_ids(id);
        let answer = match request.send().await.map_err(|error| ApiError::of(call, &error)) {
            Err(error) if error.is(&["InvalidInstanceID.NotFound"]) => return Ok(None),
            answer => answer?,
        };
        let mut instances = answer.reservations().iter().flat_map(sdk::Reservation::instances);
        // Asked by its id EC2 shows it or says that there is none.
        let shown = instances.find(|instance| instance.instance_id() == Some(id));
        let shown = shown
            .ok_or_else(|| ApiError::before(call, format!("EC2's answer does not show {id}")))?;
        let state = shown.state().and_then(sdk::InstanceState::name);
        Ok(Some(match state.map(sdk::InstanceStateName::as_str) {
            Some("pending" | "running" | "stopping" | "shutting-down") => InstanceStatus::Runs,
            Some("stopped") => InstanceStatus::Stopped,
            Some("terminated") => InstanceStatus::Terminated,
            Some(_) | None => InstanceStatus::Unknown,
        }))
    }

    /// The region that is asked.
    pub(crate) async fn region_name(&self) -> Result<String, ApiError> {
        let client = self.client(Call::DescribeInstances).await?;
        Ok(client.config().region().map(ToString::to_string).unwrap_or_default())
    }

    /// `None` where EC2 does not tell.
    pub(crate) async fn type_limit(&self, name: &str) -> Result<Option<TypeLimit>, ApiError> {
        let call = Call::DescribeInstanceTypes;
        let request = self.client(call).await?.describe_instance_types();
        let request = request.instance_types(sdk::InstanceType::from(name));
        let answer = request.send().await.map_err(|error| ApiError::of(call, &error))?;
        let ebs = answer.instance_types().first().and_then(sdk::InstanceTypeInfo::ebs_info);
        Ok(ebs.and_then(|ebs| {
            let volumes = count(ebs.maximum_ebs_attachments()).filter(|max| number(*max) > 0)?;
            let kind = ebs.attachment_limit_type().map(sdk::AttachmentLimitType::as_str);
            Some(TypeLimit { volumes, shared: kind == Some("shared") })
        }))
    }
}
