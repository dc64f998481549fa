//! CreateSnapshot, DescribeSnapshots, DeleteSnapshot.

use aws_sdk_ec2::types as sdk;
use jiff::Timestamp;

use super::{
    Api, ApiError, Call, Filter, Tags, tags,
    types::{count, time},
};

const PAGE: i32 = 500;

/// A snapshot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ec2Snapshot {
    pub(crate) id: String,
    pub(crate) gib: u32,
    pub(crate) state: String,
    pub(crate) started: Option<Timestamp>,
    pub(crate) tags: Tags,
}

impl Api {
    pub(crate) async fn create_snapshot(
        &self,
        volume: &str,
        description: &str,
        with: &Tags,
    ) -> Result<Ec2Snapshot, ApiError> {
        let call = Call::CreateSnapshot;
        let request = self.client(call).await?.create_snapshot();
        let answer = request
            .volume_id(volume)
            .description(description)
            .tag_specifications(tags::specification(sdk::ResourceType::Snapshot, with))
            .send()
            .await
            .map_err(|error| ApiError::of(call, &error))?;
        Ok(Ec2Snapshot {
            id: answer.snapshot_id().unwrap_or_default().to_owned(),
            gib: count(answer.volume_size()).unwrap_or_default(),
            state: answer.state().map_or("pending", sdk::SnapshotState::as_str).to_owned(),
            started: time(answer.start_time()),
            tags: with.clone(),
        })
    }

    /// This account's snapshots that the filters let through, page by page.
    pub(crate) async fn find_snapshots(&self, by: &[Filter]) -> Result<Vec<Ec2Snapshot>, ApiError> {
        let call = Call::DescribeSnapshots;
        let client = self.client(call).await?;
        let (mut found, mut next) = (Vec::new(), None);
        loop {
            let answer = client
                .describe_snapshots()
                .owner_ids("self")
                .set_filters(Some(tags::filters(by)))
                .max_results(PAGE)
                .set_next_token(next)
                .send()
                .await
                .map_err(|error| ApiError::of(call, &error))?;
            found.extend(answer.snapshots().iter().map(snapshot));
            next = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    pub(crate) async fn delete_snapshot(&self, id: &str) -> Result<(), ApiError> {
        let call = Call::DeleteSnapshot;
        let answer = self.client(call).await?.delete_snapshot().snapshot_id(id).send().await;
        answer.map(|_| ()).map_err(|error| ApiError::of(call, &error))
    }
}

fn snapshot(snapshot: &sdk::Snapshot) -> Ec2Snapshot {
    Ec2Snapshot {
        id: snapshot.snapshot_id().unwrap_or_default().to_owned(),
        gib: count(snapshot.volume_size()).unwrap_or_default(),
        state: snapshot.state().map_or("unknown", sdk::SnapshotState::as_str).to_owned(),
        started: time(snapshot.start_time()),
        tags: tags::read(snapshot.tags()),
    }
}
