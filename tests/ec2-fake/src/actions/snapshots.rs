//! CreateSnapshot, DeleteSnapshot, DescribeSnapshots.

use jiff::Timestamp;

use super::{
    filter::{self, Attributes},
    show, tags,
};
use crate::{
    error::{ApiError, Outcome},
    state::{Snapshot, SnapshotPhase, VolumePhase, World, new_id},
    wire::{Params, Xml},
};

pub(super) fn create(world: &mut World, params: &Params, now: Timestamp) -> Outcome<Xml> {
    let account = world.account.clone();
    let volume = world.volume(params.required("VolumeId")?)?;
    if volume.phase != VolumePhase::Ready {
        let message = format!("Volume '{}' is not 'available' or 'in-use'.", volume.id);
        return Err(ApiError::new("IncorrectState", message));
    }
    let tag_set = params.tag_specifications("snapshot")?;
    tags::check(&tag_set)?;
    let snapshot = Snapshot {
        id: new_id("snap"),
        volume: volume.id.clone(),
        gib: volume.gib,
        description: params.get("Description").unwrap_or_default().to_owned(),
        encrypted: volume.encrypted,
        kms_key: volume.kms_key.clone(),
        tags: tag_set,
        started: now,
        phase: SnapshotPhase::Copying,
        working: false,
    };
    let mut xml = Xml::default();
    show::snapshot(&mut xml, &snapshot, &account);
    world.snapshots.insert(snapshot.id.clone(), snapshot);
    Ok(xml)
}

pub(super) fn delete(world: &mut World, params: &Params, _: Timestamp) -> Outcome<Xml> {
    let snapshot = world.snapshot(params.required("SnapshotId")?)?;
    match snapshot.phase {
        SnapshotPhase::Removing => Err(ApiError::no_snapshot(&snapshot.id)),
        SnapshotPhase::Copying => {
            let message = format!("The snapshot '{}' is being copied.", snapshot.id);
            Err(ApiError::new("IncorrectState", message))
        }
        SnapshotPhase::Pending { .. } | SnapshotPhase::Completed => {
            snapshot.phase = SnapshotPhase::Removing;
            snapshot.working = false;
            Ok(Xml::done())
        }
    }
}

pub(super) fn describe(world: &mut World, params: &Params, _: Timestamp) -> Outcome<Xml> {
    let ids = filter::ids(params, "SnapshotId", "snapshotSet")?;
    for id in &ids {
        if world.snapshot(id)?.phase == SnapshotPhase::Removing {
            return Err(ApiError::no_snapshot(id));
        }
    }
    let owners = params.list("Owner");
    let ours = owners.is_empty() || owners.iter().any(|o| *o == "self" || *o == world.account);
    let filters = params.filters()?;
    let mut found = Vec::new();
    for snapshot in world.snapshots.values() {
        let attributes = Attributes::from([
            ("snapshot-id", snapshot.id.clone()),
            ("volume-id", snapshot.volume.clone()),
            ("status", snapshot.state().to_owned()),
            ("owner-id", world.account.clone()),
            ("volume-size", snapshot.gib.to_string()),
            ("description", snapshot.description.clone()),
        ]);
        let asked = ids.is_empty() || ids.contains(&&*snapshot.id);
        let there = ours && snapshot.phase != SnapshotPhase::Removing;
        if filter::matches(&filters, &attributes, &snapshot.tags)? && asked && there {
            found.push((snapshot.id.clone(), snapshot));
        }
    }
    let (shown, token) = filter::page(params, found)?;
    let mut xml = Xml::default();
    xml.items("snapshotSet", shown, |xml, snapshot| {
        show::snapshot(xml, snapshot, &world.account);
    });
    xml.maybe("nextToken", token);
    Ok(xml)
}
