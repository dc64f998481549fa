//! The XML of what several actions show.

use jiff::Timestamp;

use crate::{
    state::{Attachment, Modification, Snapshot, Tags, Volume},
    wire::Xml,
};

pub(super) fn tags(xml: &mut Xml, tags: &Tags) {
    xml.items("tagSet", tags, |xml, (key, value)| {
        xml.text("key", key).text("value", value);
    });
}

/// A volume, in the state that is shown of it.
pub(super) fn volume(xml: &mut Xml, volume: &Volume, now: Timestamp) {
    let (state, attachment_shown) = volume.view(now);
    xml.text("volumeId", &volume.id)
        .text("size", volume.gib)
        .text("snapshotId", volume.snapshot.as_deref().unwrap_or_default())
        .text("availabilityZone", &volume.zone)
        .text("status", state)
        .time("createTime", volume.created)
        .items("attachmentSet", attachment_shown, |xml, shown| {
            attachment(xml, &volume.id, shown, shown.state());
        });
    tags(xml, &volume.tags);
    xml.text("volumeType", &volume.performance.volume_type)
        .maybe("iops", volume.performance.iops)
        .maybe("throughput", volume.performance.throughput)
        .text("encrypted", volume.encrypted)
        .maybe("kmsKeyId", volume.kms_key.as_deref())
        .text("multiAttachEnabled", false);
}

pub(super) fn attachment(xml: &mut Xml, volume: &str, shown: &Attachment, state: &str) {
    xml.text("volumeId", volume)
        .text("instanceId", &shown.instance)
        .text("device", &shown.device)
        .text("status", state)
        .time("attachTime", shown.since)
        .text("deleteOnTermination", false);
}

pub(super) fn modification(xml: &mut Xml, volume: &str, shown: &Modification, now: Timestamp) {
    let ((from_gib, from), (to_gib, to)) = (&shown.from, &shown.to);
    xml.text("volumeId", volume)
        .text("modificationState", shown.state())
        .text("targetSize", to_gib)
        .maybe("targetIops", to.iops)
        .text("targetVolumeType", &to.volume_type)
        .maybe("targetThroughput", to.throughput)
        .text("targetMultiAttachEnabled", false)
        .text("originalSize", from_gib)
        .maybe("originalIops", from.iops)
        .text("originalVolumeType", &from.volume_type)
        .maybe("originalThroughput", from.throughput)
        .text("originalMultiAttachEnabled", false)
        .text("progress", shown.progress(now))
        .time("startTime", shown.started);
    if let crate::state::ModifyPhase::Completed { at } = shown.phase {
        xml.time("endTime", at);
    }
}

pub(super) fn snapshot(xml: &mut Xml, snapshot: &Snapshot, account: &str) {
    let state = snapshot.state();
    let progress = if state == "completed" { "100%" } else { "0%" };
    xml.text("snapshotId", &snapshot.id)
        .text("volumeId", &snapshot.volume)
        .text("status", state)
        .time("startTime", snapshot.started)
        .text("progress", progress)
        .text("ownerId", account)
        .text("volumeSize", snapshot.gib)
        .text("description", &snapshot.description)
        .text("encrypted", snapshot.encrypted)
        .maybe("kmsKeyId", snapshot.kms_key.as_deref())
        .text("storageTier", "standard");
    tags(xml, &snapshot.tags);
}
