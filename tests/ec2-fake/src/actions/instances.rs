//! DescribeInstances, DescribeInstanceTypes.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    filter::{self, Attributes},
    show,
};
use crate::{
    config::{AttachmentLimit, InstanceKind},
    error::{ApiError, Outcome},
    faults::InstanceState,
    state::{Instance, Tags, World},
    wire::{Params, Xml},
};

pub(super) fn describe(world: &mut World, params: &Params, _: Timestamp) -> Outcome<Xml> {
    let ids = filter::ids(params, "InstanceId", "instancesSet")?;
    for id in &ids {
        world.instance(id)?;
    }
    let filters = params.filters()?;
    let mut found = Vec::new();
    for instance in world.instances.values() {
        let attributes = Attributes::from([
            ("instance-id", instance.spec.id.clone()),
            ("instance-state-name", state(instance).1.to_owned()),
            ("instance-type", instance.spec.instance_type.clone()),
            ("availability-zone", instance.spec.zone.clone()),
        ]);
        let asked = ids.is_empty() || ids.contains(&&*instance.spec.id);
        if filter::matches(&filters, &attributes, &instance.tags)? && asked {
            found.push((instance.spec.id.clone(), instance));
        }
    }
    let (shown, token) = filter::page(params, found)?;
    let mut xml = Xml::default();
    xml.items("reservationSet", shown, |xml, instance| {
        xml.text("reservationId", instance.spec.id.replacen("i-", "r-", 1));
        xml.text("ownerId", &world.account);
        xml.items("instancesSet", [instance], |xml, instance| show_instance(xml, world, instance));
    });
    xml.maybe("nextToken", token);
    Ok(xml)
}

fn state(instance: &Instance) -> (u32, &'static str) {
    match instance.state {
        InstanceState::Running => (16, "running"),
        InstanceState::Stopped => (80, "stopped"),
        InstanceState::Terminated => (48, "terminated"),
    }
}

fn show_instance(xml: &mut Xml, world: &World, instance: &Instance) {
    let spec = &instance.spec;
    let (code, name) = state(instance);
    xml.text("instanceId", &spec.id).text("imageId", "ami-0fa4efa4efa4efa4e");
    xml.within("instanceState", |xml| {
        xml.text("code", code).text("name", name);
    });
    xml.text("instanceType", &spec.instance_type).time("launchTime", instance.launched);
    xml.within("placement", |xml| {
        xml.text("availabilityZone", &spec.zone).text("tenancy", "default");
    });
    // A terminated instance is still shown for an hour, without anything.
    let there = instance.state != InstanceState::Terminated;
    xml.text("architecture", "x86_64")
        .text("rootDeviceType", "ebs")
        .text("rootDeviceName", &instance.root_device)
        .text("virtualizationType", "hvm")
        // DescribeInstances says "xen" of Nitro, too.
        .text("hypervisor", "xen")
        .text("ebsOptimized", spec.kind == InstanceKind::Nitro);
    let root =
        [(&instance.root_device, &instance.root_volume, "attached", instance.launched, true)];
    let attached = world.attached_to(&spec.id).map(|(volume, attachment)| {
        (&attachment.device, &volume.id, attachment.state(), attachment.since, false)
    });
    let mappings = root.into_iter().chain(attached).filter(|_| there);
    xml.items("blockDeviceMapping", mappings, |xml, (device, volume, status, since, delete)| {
        xml.text("deviceName", device).within("ebs", |xml| {
            xml.text("volumeId", volume)
                .text("status", status)
                .time("attachTime", since)
                .text("deleteOnTermination", delete);
        });
    });
    let interfaces = instance.interfaces.iter().enumerate().filter(|_| there);
    xml.items("networkInterfaceSet", interfaces, |xml, (index, id)| {
        xml.text("networkInterfaceId", id).text("status", "in-use").within("attachment", |xml| {
            xml.text("attachmentId", id.replacen("eni-", "eni-attach-", 1))
                .text("deviceIndex", index)
                .text("status", "attached")
                .text("deleteOnTermination", true);
        });
    });
    show::tags(xml, &instance.tags);
}

/// Types of which there is an instance here.
pub(super) fn describe_types(world: &mut World, params: &Params, _: Timestamp) -> Outcome<Xml> {
    let types: BTreeMap<&str, &Instance> = world
        .instances
        .values()
        .map(|instance| (&*instance.spec.instance_type, instance))
        .collect();
    let asked = params.list("InstanceType");
    let unknown: Vec<_> = asked.iter().copied().filter(|name| !types.contains_key(name)).collect();
    if !unknown.is_empty() {
        let names = unknown.join(", ");
        let message = format!("The following supplied instance types do not exist: [{names}]");
        return Err(ApiError::new("InvalidInstanceType", message));
    }
    let filters = params.filters()?;
    let mut found = Vec::new();
    for (name, instance) in types {
        let attributes = Attributes::from([
            ("instance-type", name.to_owned()),
            ("hypervisor", instance.hypervisor().to_owned()),
        ]);
        if (asked.is_empty() || asked.contains(&name))
            && filter::matches(&filters, &attributes, &Tags::new())?
        {
            found.push((name.to_owned(), instance));
        }
    }
    let (shown, token) = filter::page(params, found)?;
    let mut xml = Xml::default();
    xml.items("instanceTypeSet", shown, show_type);
    xml.maybe("nextToken", token);
    Ok(xml)
}

fn show_type(xml: &mut Xml, instance: &Instance) {
    let (nvme, optimized) = match instance.spec.kind {
        InstanceKind::Nitro => ("required", "default"),
        InstanceKind::Xen => ("unsupported", "unsupported"),
    };
    let limit = match instance.spec.limit {
        AttachmentLimit::Shared => "shared",
        AttachmentLimit::Dedicated => "dedicated",
    };
    xml.text("instanceType", &instance.spec.instance_type)
        .text("currentGeneration", instance.spec.kind == InstanceKind::Nitro)
        .text("bareMetal", false)
        .text("hypervisor", instance.hypervisor())
        .text("instanceStorageSupported", false)
        .within("ebsInfo", |xml| {
            xml.text("ebsOptimizedSupport", optimized)
                .text("encryptionSupport", "supported")
                .text("nvmeSupport", nvme)
                .text("maximumEbsAttachments", instance.spec.max_attachments)
                .text("attachmentLimitType", limit);
        })
        .within("networkInfo", |xml| {
            xml.text("maximumNetworkInterfaces", instance.spec.network_interfaces.max(3));
        });
}
