//! The instance's metadata service, version 2 only.

use aws_sdk_ec2::error::DisplayErrorContext;

use super::Api;

/// The metadata service did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the instance metadata service does not answer: {0}")]
pub(crate) struct NoMetadata(String);

impl Api {
    /// The instance's id.
    pub(crate) async fn own_instance(&self) -> Result<String, NoMetadata> {
        self.ask("/latest/meta-data/instance-id").await
    }

    /// The instance's availability zone.
    pub(crate) async fn own_zone(&self) -> Result<String, NoMetadata> {
        self.ask("/latest/meta-data/placement/availability-zone").await
    }

    async fn ask(&self, path: &str) -> Result<String, NoMetadata> {
        let client = self.metadata().await.map_err(NoMetadata)?;
        let answer = client.get(path).await;
        answer.map(|text| text.as_ref().to_owned()).map_err(|error| {
            let why = DisplayErrorContext(&error).to_string();
            NoMetadata(why.split(" (").next().unwrap_or(&why).to_owned())
        })
    }
}
