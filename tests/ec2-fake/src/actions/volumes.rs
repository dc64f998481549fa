//! CreateVolume, DeleteVolume, DescribeVolumes.

use jiff::Timestamp;

use super::{
    filter::{self, Attributes},
    show, tags,
};
use crate::{
    error::{ApiError, Outcome},
    faults::BurnedTokens,
    state::{
        SnapshotPhase, Tags, Token, Volume, VolumePhase, Wanted, World, after, check, is_id, new_id,
    },
    wire::{Params, Xml},
};

pub(super) fn create(world: &mut World, params: &Params, now: Timestamp) -> Outcome<Xml> {
    let mut parameters = params.all().clone();
    let token = parameters.remove("ClientToken").filter(|token| !token.is_empty());
    parameters.remove("DryRun");
    let known = token.as_ref().and_then(|token| world.tokens.get(token));
    let volume = match known {
        Some(known) => repeated(world, known, &parameters)?,
        None => {
            let volume = new_volume(world, params, now)?;
            world.volumes.insert(volume.id.clone(), volume.clone());
            if let Some(token) = token {
                world.tokens.insert(token, Token { parameters, volume: volume.clone() });
            }
            volume
        }
    };
    let mut xml = Xml::default();
    show::volume(&mut xml, &volume, now);
    Ok(xml)
}

/// What is answered to a token that was seen before: the same volume, whatever became of it.
fn repeated(world: &World, token: &Token, parameters: &Tags) -> Outcome<Volume> {
    let code = "IdempotentParameterMismatch";
    if token.parameters != *parameters {
        return Err(ApiError::new(
            code,
            "Parameters on this idempotent request are inconsistent with parameters used in \
             previous request(s)",
        ));
    }
    match (world.volumes.get(&token.volume.id), world.burned) {
        (Some(volume), _) => Ok(volume.clone()),
        (None, BurnedTokens::AnswerDeletedId) => Ok(token.volume.clone()),
        (None, BurnedTokens::Refuse) => Err(ApiError::new(
            code,
            "The client token you have provided is associated with a resource that is already \
             deleted. Please use a different client token.",
        )),
    }
}

fn new_volume(world: &mut World, params: &Params, now: Timestamp) -> Outcome<Volume> {
    let zone = params.required("AvailabilityZone")?.to_owned();
    if !world.zones.contains(&zone) {
        let message = format!("The zone '{zone}' does not exist.");
        return Err(ApiError::new("InvalidZone.NotFound", message));
    }
    if params.flag("MultiAttachEnabled")? {
        let message = "Multi-Attach is not part of this fake.";
        return Err(ApiError::new("UnsupportedOperation", message));
    }
    let snapshot = params.get("SnapshotId").map(str::to_owned);
    let (gib, inherited) = size(world, params, snapshot.as_deref())?;
    let wanted = Wanted {
        volume_type: params.get("VolumeType").unwrap_or("gp2"),
        iops: params.number("Iops")?,
        throughput: params.number("Throughput")?,
    };
    let performance = check(gib, &wanted)?;
    let kms_key = params.get("KmsKeyId").map(str::to_owned);
    if kms_key.is_some() && !params.flag("Encrypted")? {
        let message = "The parameter KmsKeyId requires the parameter Encrypted to be set.";
        return Err(ApiError::new("InvalidParameterDependency", message));
    }
    let tags = params.tag_specifications("volume")?;
    tags::check(&tags)?;
    let encrypted = params.flag("Encrypted")? || inherited.is_some();
    let default_key =
        || encrypted.then(|| format!("arn:aws:kms:us-east-1:{}:key/aws-ebs", world.account));
    Ok(Volume {
        id: new_id("vol"),
        gib,
        performance,
        encrypted,
        kms_key: kms_key.or(inherited).or_else(default_key),
        zone,
        snapshot,
        tags,
        created: now,
        phase: VolumePhase::Creating { due: after(now, world.delays.create) },
        attachment: None,
        modification: None,
        working: false,
        visible_from: after(now, world.hide),
        shown: None,
    })
}

/// The size in GiB, and the key of an encrypted snapshot, which its volumes inherit.
fn size(
    world: &mut World,
    params: &Params,
    snapshot: Option<&str>,
) -> Outcome<(u32, Option<String>)> {
    let wanted: Option<u32> = params.number("Size")?;
    let Some(id) = snapshot else {
        let missing = || {
            let text = "The request must contain the parameter size or snapshotId";
            ApiError::new("MissingParameter", text)
        };
        return Ok((wanted.ok_or_else(missing)?, None));
    };
    let snapshot = world.snapshot(id)?;
    if !matches!(snapshot.phase, SnapshotPhase::Completed) {
        let message = format!("Snapshot '{id}' is not 'completed'.");
        return Err(ApiError::new("IncorrectState", message));
    }
    let least = snapshot.gib;
    let gib = wanted.unwrap_or(least);
    if gib < least {
        return Err(ApiError::invalid_value(format!(
            "Volume of {gib}GiB is smaller than snapshot '{id}', expect size >= {least}GiB"
        )));
    }
    Ok((gib, snapshot.kms_key.clone().filter(|_| snapshot.encrypted)))
}

pub(super) fn delete(world: &mut World, params: &Params, now: Timestamp) -> Outcome<Xml> {
    let due = after(now, world.delays.delete);
    let volume = world.volume(params.required("VolumeId")?)?;
    if let Some(attachment) = &volume.attachment {
        let message =
            format!("Volume {} is currently attached to {}", volume.id, attachment.instance);
        return Err(ApiError::new("VolumeInUse", message));
    }
    match volume.phase {
        VolumePhase::Ready | VolumePhase::Error if !volume.working => {
            volume.phase = VolumePhase::Deleting { due };
            Ok(Xml::done())
        }
        VolumePhase::Deleting { .. } => Err(ApiError::no_volume(&volume.id)),
        VolumePhase::Creating { .. } | VolumePhase::Ready | VolumePhase::Error => {
            let message = format!("Volume '{}' is not in a state to be deleted.", volume.id);
            Err(ApiError::new("IncorrectState", message))
        }
    }
}

pub(super) fn describe(world: &mut World, params: &Params, now: Timestamp) -> Outcome<Xml> {
    let ids = filter::ids(params, "VolumeId", "volumeSet")?;
    known(world, &ids, now)?;
    let filters = params.filters()?;
    let mut found = Vec::new();
    for volume in world.volumes.values() {
        let asked = ids.is_empty() || ids.contains(&&*volume.id);
        if now >= volume.visible_from
            && filter::matches(&filters, &attributes(volume, now), &volume.tags)?
            && asked
        {
            found.push((volume.id.clone(), volume));
        }
    }
    let (shown, token) = filter::page(params, found)?;
    let mut xml = Xml::default();
    xml.items("volumeSet", shown, |xml, volume| show::volume(xml, volume, now));
    xml.maybe("nextToken", token);
    Ok(xml)
}

/// One id that is not known fails the whole call.
pub(super) fn known(world: &World, ids: &[&str], now: Timestamp) -> Outcome<()> {
    if let Some(id) = ids.iter().find(|id| !is_id("vol", id)) {
        return Err(ApiError::invalid_value(format!(
            "Value ({id}) for parameter volumes is invalid. Expected: 'vol-...'."
        )));
    }
    let there = |id: &str| world.volumes.get(id).is_some_and(|volume| now >= volume.visible_from);
    let missing: Vec<&str> = ids.iter().copied().filter(|id| !there(id)).collect();
    match &missing[..] {
        [] => Ok(()),
        [id] => Err(ApiError::no_volume(id)),
        several => {
            let message = format!("The volumes '{}' do not exist.", several.join(", "));
            Err(ApiError::new("InvalidVolume.NotFound", message))
        }
    }
}

fn attributes(volume: &Volume, now: Timestamp) -> Attributes<'_> {
    let (state, attachment) = volume.view(now);
    let attached =
        |value: fn(&crate::state::Attachment) -> String| attachment.map(value).unwrap_or_default();
    Attributes::from([
        ("availability-zone", volume.zone.clone()),
        ("status", state.to_owned()),
        ("volume-id", volume.id.clone()),
        ("volume-type", volume.performance.volume_type.clone()),
        ("size", volume.gib.to_string()),
        ("encrypted", volume.encrypted.to_string()),
        ("snapshot-id", volume.snapshot.clone().unwrap_or_default()),
        ("attachment.instance-id", attached(|attachment| attachment.instance.clone())),
        ("attachment.device", attached(|attachment| attachment.device.clone())),
        ("attachment.status", attached(|attachment| attachment.state().to_owned())),
    ])
}
