//! ModifyVolume, DescribeVolumesModifications.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    filter::{self, Attributes},
    show, volumes,
};
use crate::{
    error::{ApiError, Outcome},
    state::{Modification, ModifyPhase, Tags, Volume, VolumePhase, Wanted, World, after, check},
    wire::{Params, Xml},
};

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyVolume.html>
const COOL_DOWN: Duration = Duration::from_secs(6 * 60 * 60);

pub(super) fn modify(world: &mut World, params: &Params, now: Timestamp) -> Outcome<Xml> {
    let due = after(now, world.delays.modify);
    let volume = world.volume(params.required("VolumeId")?)?;
    if volume.phase != VolumePhase::Ready {
        let (state, _) = volume.view(now);
        let message = format!("Volume '{}' is in the '{state}' state.", volume.id);
        return Err(ApiError::new("IncorrectState", message));
    }
    check_rate(volume, now)?;
    let to = target(volume, params)?;
    let from = (volume.gib, volume.performance.clone());
    let modification =
        Modification { phase: ModifyPhase::Modifying { due }, started: now, from, to };
    let mut xml = Xml::default();
    xml.within("volumeModification", |xml| show::modification(xml, &volume.id, &modification, now));
    volume.modification = Some(modification);
    Ok(xml)
}

fn check_rate(volume: &Volume, now: Timestamp) -> Outcome<()> {
    let Some(last) = &volume.modification else { return Ok(()) };
    if !matches!(last.phase, ModifyPhase::Completed { .. }) {
        let message = format!(
            "Volume {} cannot be modified in modification state {}",
            volume.id,
            last.state().to_ascii_uppercase()
        );
        return Err(ApiError::new("IncorrectModificationState", message));
    }
    if now < after(last.started, COOL_DOWN) {
        return Err(ApiError::new(
            "VolumeModificationRateExceeded",
            "You've reached the maximum modification rate per volume limit. Wait at least 6 hours \
             between modifications per EBS volume.",
        ));
    }
    Ok(())
}

fn target(volume: &Volume, params: &Params) -> Outcome<(u32, crate::state::Performance)> {
    let gib = params.number("Size")?.unwrap_or(volume.gib);
    if gib < volume.gib {
        return Err(ApiError::invalid_value("New size cannot be smaller than existing size"));
    }
    let now = &volume.performance;
    let volume_type = params.get("VolumeType").unwrap_or(&now.volume_type);
    // What was chosen before stays; what the type derived is derived again.
    let same = volume_type == now.volume_type && volume_type != "gp2";
    let wanted = Wanted {
        volume_type,
        iops: params.number("Iops")?.or(now.iops.filter(|_| same)),
        throughput: params.number("Throughput")?.or(now.throughput.filter(|_| same)),
    };
    Ok((gib, check(gib, &wanted)?))
}

pub(super) fn describe(world: &mut World, params: &Params, now: Timestamp) -> Outcome<Xml> {
    let ids = filter::ids(params, "VolumeId", "volumeSet")?;
    volumes::known(world, &ids, now)?;
    if let [id] = &ids[..]
        && world.volume(id)?.modification.is_none()
    {
        let message = format!("Modification for volume '{id}' does not exist.");
        return Err(ApiError::new("InvalidVolumeModification.NotFound", message));
    }
    let filters = params.filters()?;
    let mut found = Vec::new();
    for volume in world.volumes.values() {
        let Some(modification) = &volume.modification else { continue };
        let attributes = Attributes::from([
            ("volume-id", volume.id.clone()),
            ("modification-state", modification.state().to_owned()),
            ("target-size", modification.to.0.to_string()),
            ("original-size", modification.from.0.to_string()),
        ]);
        let asked = ids.is_empty() || ids.contains(&&*volume.id);
        if filter::matches(&filters, &attributes, &Tags::new())? && asked {
            found.push((volume.id.clone(), (volume, modification)));
        }
    }
    let (shown, token) = filter::page(params, found)?;
    let mut xml = Xml::default();
    xml.items("volumeModificationSet", shown, |xml, (volume, modification)| {
        show::modification(xml, &volume.id, modification, now);
    });
    xml.maybe("nextToken", token);
    Ok(xml)
}
