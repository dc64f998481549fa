//! Who this node is, asked when it is first needed and remembered.

use tokio::sync::OnceCell;

use super::{
    api::{Api, ApiError, InstanceView, TypeLimit},
    error::EbsError,
};

/// This node. What is `None` in the configuration is asked of the metadata service.
#[derive(Debug)]
pub(super) struct Node {
    instance: OnceCell<String>,
    zone: OnceCell<String>,
    limit: OnceCell<Option<u32>>,
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
            instance: OnceCell::new_with(instance),
            zone: OnceCell::new_with(zone),
            limit: OnceCell::new(),
            configured_limit,
        }
    }

    /// This node's instance id.
    pub(super) async fn instance(&self, api: &Api) -> Result<&str, EbsError> {
        let ask = || async {
            api.own_instance().await.map_err(|source| EbsError::NoNode {
                what: "instance id",
                key: "instance_id",
                source,
            })
        };
        self.instance.get_or_try_init(ask).await.map(String::as_str)
    }

    /// This node's availability zone.
    pub(super) async fn zone(&self, api: &Api) -> Result<&str, EbsError> {
        let ask = || async {
            api.own_zone().await.map_err(|source| EbsError::NoNode {
                what: "zone",
                key: "zone",
                source,
            })
        };
        self.zone.get_or_try_init(ask).await.map(String::as_str)
    }

    /// How many volumes can be attached here, the root volume included; `None` where EC2 does not
    /// tell, and it is found out by trying.
    pub(super) async fn limit(&self, api: &Api, seen: &InstanceView) -> Option<u32> {
        if self.configured_limit.is_some() {
            return self.configured_limit;
        }
        let ask = || async {
            let limit = api.type_limit(&seen.instance_type).await?;
            Ok::<_, ApiError>(limit.map(|limit| volumes(limit, seen.network_interfaces)))
        };
        match self.limit.get_or_try_init(ask).await {
            Ok(limit) => *limit,
            Err(error) => {
                tracing::warn!(%error, "how many volumes this instance type takes is not known");
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
