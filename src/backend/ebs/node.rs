//! Who this node is, asked when it is first needed and remembered.

use std::time::Duration;

use super::{
    api::{Api, InstanceView, NoMetadata, TypeLimit},
    asked::Asked,
    error::EbsError,
};

/// How long EC2 may take to tell what can be found out by trying.
const LIMIT_WAIT: Duration = Duration::from_secs(3);

/// This node. What is `None` in the configuration is asked of the metadata service.
#[derive(Debug)]
pub(super) struct Node {
    instance: Asked<String, NoMetadata>,
    zone: Asked<String, NoMetadata>,
    limit: Asked<Option<u32>, String>,
    /// From the configuration: it stands for what EC2 says of the type.
    configured_limit: Option<u32>,
}

impl Node {
    pub(super) fn new(
        instance: Option<String>,
        zone: Option<String>,
        configured_limit: Option<u32>,
    ) -> Self {
        Self {
            instance: Asked::known(instance),
            zone: Asked::known(zone),
            limit: Asked::new(),
            configured_limit,
        }
    }

    /// This node's instance id.
    pub(super) async fn instance(&self, api: &Api) -> Result<&str, EbsError> {
        let (what, key) = ("instance id", "instance_id");
        let known = self.instance.get(|| api.own_instance()).await.map(String::as_str);
        known.map_err(|source| EbsError::NoNode { what, key, source })
    }

    /// This node's availability zone.
    pub(super) async fn zone(&self, api: &Api) -> Result<&str, EbsError> {
        let (what, key) = ("zone", "zone");
        let known = self.zone.get(|| api.own_zone()).await.map(String::as_str);
        known.map_err(|source| EbsError::NoNode { what, key, source })
    }

    /// How many volumes can be attached here, the root volume included; `None` where EC2 does not
    /// tell, and it is found out by trying.
    pub(super) async fn limit(&self, api: &Api, seen: &InstanceView) -> Option<u32> {
        if self.configured_limit.is_some() {
            return self.configured_limit;
        }
        let ask = || async {
            let asked = tokio::time::timeout(LIMIT_WAIT, api.type_limit(&seen.instance_type)).await;
            let limit = asked.map_err(|_| format!("EC2 did not answer within {LIMIT_WAIT:?}"))?;
            let limit = limit.map_err(|error| error.to_string())?;
            Ok(limit.map(|limit| volumes(limit, seen.network_interfaces)))
        };
        match self.limit.get(ask).await {
            Ok(limit) => *limit,
            Err(error) => {
                tracing::warn!(error, "how many volumes this instance type takes is not known");
                None
            }
        }
    }
}

/// EC2's figure leaves room for one network interface; where the limit is shared, each further one
/// takes a volume's place.
/// <https://docs.aws.amazon.com/ebs/latest/userguide/nvme-ebs-volumes.html>
fn volumes(limit: TypeLimit, network_interfaces: u32) -> u32 {
    let others = if limit.shared { network_interfaces.saturating_sub(1) } else { 0 };
    limit.volumes.saturating_sub(others).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_network_interfaces_take_slots_only_where_the_limit_is_shared() {
        for (volume_count, shared, interfaces, expected) in
            [(27, true, 1, 27), (27, true, 3, 25), (128, false, 3, 128), (2, true, 9, 1)]
        {
            let limit = TypeLimit { volumes: volume_count, shared };
            assert_eq!(volumes(limit, interfaces), expected);
        }
    }
}
