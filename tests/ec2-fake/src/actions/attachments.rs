//! AttachVolume, DetachVolume.

use jiff::Timestamp;

use super::show;
use crate::{
    error::{ApiError, Outcome},
    faults::InstanceState,
    state::{AttachPhase, Attachment, Instance, VolumePhase, World, after},
    wire::{Params, Xml},
};

pub(super) fn attach(world: &mut World, params: &Params, now: Timestamp) -> Outcome<Xml> {
    let (id, device) = (params.required("VolumeId")?, params.required("Device")?);
    let instance = world.instance(params.required("InstanceId")?)?.clone();
    check_volume(world, id, &instance)?;
    check_instance(world, &instance, device)?;
    let due = after(now, world.delays.attach);
    let shown = after(now, world.hide);
    let volume = world.volume(id)?;
    volume.keep_showing(now, shown);
    let attachment = Attachment {
        instance: instance.spec.id,
        device: device.to_owned(),
        since: now,
        phase: AttachPhase::Attaching { due },
        bound: None,
        working: false,
    };
    let mut xml = Xml::default();
    show::attachment(&mut xml, id, &attachment, "attaching");
    volume.attachment = Some(attachment);
    Ok(xml)
}

fn check_volume(world: &mut World, id: &str, instance: &Instance) -> Outcome<()> {
    let volume = world.volume(id)?;
    if volume.attachment.is_some() {
        let message = format!("{id} is already attached to an instance");
        return Err(ApiError::new("VolumeInUse", message));
    }
    if volume.phase != VolumePhase::Ready {
        return Err(ApiError::new("IncorrectState", format!("{id} is not 'available'.")));
    }
    if volume.zone != instance.spec.zone {
        let message = format!(
            "The volume '{id}' is not in the same availability zone as instance '{}'",
            instance.spec.id
        );
        return Err(ApiError::new("InvalidVolume.ZoneMismatch", message));
    }
    Ok(())
}

fn check_instance(world: &World, instance: &Instance, device: &str) -> Outcome<()> {
    if instance.state == InstanceState::Terminated {
        let message = format!("Instance '{}' is not 'running'.", instance.spec.id);
        return Err(ApiError::new("IncorrectInstanceState", message));
    }
    if !is_device_name(device) {
        return Err(ApiError::invalid_value(format!(
            "Value ({device}) for parameter device is invalid. {device} is not a valid EBS device \
             name."
        )));
    }
    if world.device_names(instance).contains(device) {
        return Err(ApiError::invalid_value(format!(
            "Invalid value '{device}' for unixDevice. Attachment point {device} is already in use"
        )));
    }
    if world.attached_to(&instance.spec.id).count() >= instance.slots() {
        let message = format!(
            "You may attach up to {} devices for this instance type. Please use a larger instance \
             size to attach more volumes.",
            instance.spec.max_attachments
        );
        return Err(ApiError::new("AttachmentLimitExceeded", message));
    }
    Ok(())
}

/// `/dev/sd` or `/dev/xvd`, one or two letters, perhaps a number.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html>
fn is_device_name(name: &str) -> bool {
    let rest = name.strip_prefix("/dev/xvd").or_else(|| name.strip_prefix("/dev/sd"));
    rest.is_some_and(|rest| {
        let letters = rest.trim_end_matches(|c: char| c.is_ascii_digit());
        matches!(letters.len(), 1 | 2) && letters.bytes().all(|b| b.is_ascii_lowercase())
    })
}

pub(super) fn detach(world: &mut World, params: &Params, now: Timestamp) -> Outcome<Xml> {
    let force = params.flag("Force")?;
    let due = after(now, world.delays.detach);
    let shown = after(now, world.hide);
    let volume = world.volume(params.required("VolumeId")?)?;
    let id = volume.id.clone();
    let Some(attachment) = &volume.attachment else {
        let state = volume.view(now).0;
        let message = format!("Volume '{id}' is in the '{state}' state.");
        return Err(ApiError::new("IncorrectState", message));
    };
    for (parameter, actual) in
        [("InstanceId", &attachment.instance), ("Device", &attachment.device)]
    {
        if let Some(given) = params.get(parameter).filter(|given| given != actual) {
            let message = format!("The volume '{id}' is not attached to '{given}'.");
            return Err(ApiError::new("InvalidAttachment.NotFound", message));
        }
    }
    volume.keep_showing(now, shown);
    let Some(attachment) = &mut volume.attachment else { return Ok(Xml::default()) };
    attachment.phase = match attachment.phase {
        AttachPhase::Detaching { due, force: before } => {
            AttachPhase::Detaching { due, force: force || before }
        }
        AttachPhase::Attaching { .. } | AttachPhase::Attached => {
            AttachPhase::Detaching { due, force }
        }
    };
    let mut xml = Xml::default();
    show::attachment(&mut xml, &id, attachment, "detaching");
    Ok(xml)
}
