//! Snapshots, marked with the cluster's tags as volumes are.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Ebs, Inner,
    api::{Ec2Snapshot, Filter},
    attach::no_storage,
    error::EbsError,
    marks, size,
};
use crate::{
    backend::{BackendError, Snapshot, Snapshots, VolumeRef},
    volume::VolumeId,
};

#[async_trait]
impl Snapshots for Ebs {
    async fn create(
        &self,
        volume: &VolumeRef,
        description: &str,
    ) -> Result<Snapshot, BackendError> {
        let made = self.inner.create_snapshot(volume, description).await;
        made.map_err(Self::failed("snapshot"))
    }

    async fn list(&self, of: Option<VolumeId>) -> Result<Vec<Snapshot>, BackendError> {
        self.inner.list_snapshots(of).await.map_err(Self::failed("list snapshots"))
    }

    async fn remove(&self, id: &str) -> Result<(), BackendError> {
        self.inner.remove_snapshot(id).await.map_err(Self::failed("remove snapshot"))
    }
}

impl Inner {
    async fn create_snapshot(
        &self,
        volume: &VolumeRef,
        description: &str,
    ) -> Result<Snapshot, EbsError> {
        let id = self.handle_of(volume).await?.ok_or_else(|| no_storage(volume))?;
        self.ours(volume, &id).await?;
        let tags = marks::of_volume(&self.config.cluster, &self.config.tags, volume);
        let made = self.api.create_snapshot(&id, description, &tags).await;
        let made = made.map_err(EbsError::api(&id))?;
        crate::fault::point("ebs.snapshot.called");
        let on = made.id.clone();
        as_snapshot(made).ok_or_else(|| EbsError::state(&on, "EC2 does not show its tags"))
    }

    async fn list_snapshots(&self, of: Option<VolumeId>) -> Result<Vec<Snapshot>, EbsError> {
        let mut by = vec![Filter::tag(marks::CLUSTER, &self.config.cluster)];
        by.extend(of.map(|id| Filter::tag(marks::ID, &id.to_string())));
        let found = self.api.find_snapshots(&by).await.map_err(EbsError::api("snapshots"))?;
        let mut snapshots: Vec<_> = found.into_iter().filter_map(as_snapshot).collect();
        snapshots.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        Ok(snapshots)
    }

    async fn remove_snapshot(&self, id: &str) -> Result<(), EbsError> {
        let by = [Filter("snapshot-id".into(), vec![id.to_owned()])];
        let found = self.api.find_snapshots(&by).await.map_err(EbsError::api(id))?;
        let Some(found) = found.first() else { return Ok(()) };
        if found.tags.get(marks::CLUSTER) != Some(&self.config.cluster) {
            let why = format!("it has no tag {}={}", marks::CLUSTER, self.config.cluster);
            return Err(EbsError::Foreign { on: id.to_owned(), why });
        }
        match self.api.delete_snapshot(id).await {
            Err(error) if error.is(&["InvalidSnapshot.NotFound"]) => Ok(()),
            answer => answer.map_err(EbsError::api(id)),
        }
    }
}

/// `None` where the tags are not as we write them.
fn as_snapshot(found: Ec2Snapshot) -> Option<Snapshot> {
    Some(Snapshot {
        volume: marks::id(&found.tags)?,
        name: found.tags.get(marks::NAME).cloned().unwrap_or_default(),
        size: size::bytes(found.gib),
        state: found.state,
        created_at: found.started.unwrap_or(Timestamp::UNIX_EPOCH),
        id: found.id,
    })
}
