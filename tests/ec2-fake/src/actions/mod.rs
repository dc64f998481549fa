//! EC2's actions: each takes the state, the parameters and the time, and gives the inside of the
//! answer. They change the state only; files and devices follow by [`World::step`].

mod attachments;
mod filter;
mod instances;
mod modifications;
mod show;
mod snapshots;
mod tags;
mod volumes;

use jiff::Timestamp;

use crate::{
    error::{ApiError, Outcome},
    state::World,
    wire::{Params, Xml},
};

type Act = fn(&mut World, &Params, Timestamp) -> Outcome<Xml>;

/// The actions, and which parameters each knows.
const ACTIONS: &[(&str, Act, &[&str])] = &[
    (
        "CreateVolume",
        volumes::create,
        &[
            "AvailabilityZone",
            "ClientToken",
            "Encrypted",
            "Iops",
            "KmsKeyId",
            "MultiAttachEnabled",
            "Size",
            "SnapshotId",
            "TagSpecification",
            "Throughput",
            "VolumeType",
        ],
    ),
    ("DeleteVolume", volumes::delete, &["VolumeId"]),
    ("DescribeVolumes", volumes::describe, &["VolumeId", "Filter", "MaxResults", "NextToken"]),
    ("AttachVolume", attachments::attach, &["VolumeId", "InstanceId", "Device"]),
    ("DetachVolume", attachments::detach, &["VolumeId", "InstanceId", "Device", "Force"]),
    (
        "ModifyVolume",
        modifications::modify,
        &["VolumeId", "Size", "VolumeType", "Iops", "Throughput"],
    ),
    (
        "DescribeVolumesModifications",
        modifications::describe,
        &["VolumeId", "Filter", "MaxResults", "NextToken"],
    ),
    ("CreateSnapshot", snapshots::create, &["VolumeId", "Description", "TagSpecification"]),
    ("DeleteSnapshot", snapshots::delete, &["SnapshotId"]),
    (
        "DescribeSnapshots",
        snapshots::describe,
        &["SnapshotId", "Owner", "Filter", "MaxResults", "NextToken"],
    ),
    ("CreateTags", tags::create, &["ResourceId", "Tag"]),
    ("DeleteTags", tags::delete, &["ResourceId", "Tag"]),
    (
        "DescribeInstances",
        instances::describe,
        &["InstanceId", "Filter", "MaxResults", "NextToken"],
    ),
    (
        "DescribeInstanceTypes",
        instances::describe_types,
        &["InstanceType", "Filter", "MaxResults", "NextToken"],
    ),
];

/// Carries out what a request asks for. With `DryRun` on a copy of the state.
pub(crate) fn act(
    world: &mut World,
    action: &str,
    params: &Params,
    now: Timestamp,
) -> Outcome<Xml> {
    let Some((_, act, known)) = ACTIONS.iter().find(|(name, ..)| *name == action) else {
        let message = format!("The action {action} is not valid for this web service.");
        tracing::error!(action, "no such action here");
        return Err(ApiError::new("InvalidAction", message));
    };
    params.expect_only(known)?;
    if params.flag("DryRun")? {
        act(&mut world.clone(), params, now)?;
        return Err(ApiError::dry_run());
    }
    act(world, params, now)
}
