//! CreateVolume, DescribeVolumes, ModifyVolume, DeleteVolume, tags, instances.

use std::time::Duration;

use ec2_fake::{BurnedTokens, Delays, KmsFailure};

use crate::client::{World, element, eventually};

const ONE: &str = "AvailabilityZone=us-east-1a&Size=1&VolumeType=gp3";

#[test]
fn a_volume_is_creating_then_available_then_gone() {
    let world = World::new();
    let form = format!(
        "{ONE}&TagSpecification.1.ResourceType=volume&TagSpecification.1.Tag.1.Key=a\
         &TagSpecification.1.Tag.1.Value=b"
    );
    let answer = world.ask("CreateVolume", &form);
    assert_eq!(element(&answer, "status"), "creating");
    let id = element(&answer, "volumeId");
    let shown = world.ask("DescribeVolumes", &format!("VolumeId.1={id}"));
    assert_eq!(element(&shown, "status"), "available");
    assert!(
        shown.contains("<tagSet><item><key>a</key><value>b</value></item></tagSet>"),
        "{shown}"
    );
    world.ask("DeleteVolume", &format!("VolumeId={id}"));
    assert_eq!(world.state(&id), "gone");
    assert!(!world.fake.image(&id).exists());
    assert_eq!(world.refused("DeleteVolume", &format!("VolumeId={id}")), "InvalidVolume.NotFound");
}

#[test]
fn a_token_makes_one_volume() {
    let world = World::new();
    let form = format!("{ONE}&ClientToken=t");
    let id = element(&world.ask("CreateVolume", &form), "volumeId");
    assert_eq!(element(&world.ask("CreateVolume", &form), "volumeId"), id);
    let other = form.replace("Size=1", "Size=2");
    assert_eq!(world.refused("CreateVolume", &other), "IdempotentParameterMismatch");
    world.ask("DeleteVolume", &format!("VolumeId={id}"));
    assert_eq!(element(&world.ask("CreateVolume", &form), "volumeId"), id);
    let described = world.refused("DescribeVolumes", &format!("VolumeId.1={id}"));
    assert_eq!(described, "InvalidVolume.NotFound");
    world.fake.burned_tokens(BurnedTokens::Refuse);
    assert_eq!(world.refused("CreateVolume", &form), "IdempotentParameterMismatch");
}

#[test]
fn what_cannot_be_is_refused() {
    let world = World::new();
    let cases = [
        ("CreateVolume", "AvailabilityZone=us-west-9z&Size=1", "InvalidZone.NotFound"),
        ("CreateVolume", "AvailabilityZone=us-east-1a", "MissingParameter"),
        ("CreateVolume", "AvailabilityZone=us-east-1a&Sise=1", "UnknownParameter"),
        ("CreateVolume", &format!("{ONE}&DryRun=true"), "DryRunOperation"),
        ("CreateVolume", &format!("{ONE}&Throughput=9"), "InvalidParameterValue"),
        ("DescribeVolumes", "VolumeId.1=vol-x", "InvalidParameterValue"),
        ("DescribeVolumes", "VolumeId.1=vol-00000000", "InvalidVolume.NotFound"),
        ("DescribeVolumes", "VolumeId.1=vol-00000000&MaxResults=5", "InvalidParameterCombination"),
        ("DescribeVolumes", "MaxResults=4", "InvalidParameterValue"),
        ("DescribeVolumes", "Filter.1.Name=nonsense&Filter.1.Value.1=x", "InvalidParameterValue"),
        ("CreateTags", "ResourceId.1=vol-00000000&Tag.1.Key=a", "InvalidVolume.NotFound"),
        ("RunInstances", "", "InvalidAction"),
    ];
    world.fake.add_volume(&[], 1, b"").unwrap();
    for (action, form, code) in cases {
        assert_eq!(world.refused(action, form), code, "{action} {form}");
    }
    assert_eq!(world.fake.volumes().len(), 1);
}

#[test]
fn volumes_are_found_by_filters_and_come_in_pages() {
    let world = World::new();
    for n in 0..7 {
        world.fake.add_volume(&[("n", &n.to_string()), ("owner", "me")], 1, b"").unwrap();
    }
    let found = world.ask("DescribeVolumes", "Filter.1.Name=tag:n&Filter.1.Value.1=3");
    assert_eq!(found.matches("<volumeId>").count(), 1);
    let by_key = "Filter.1.Name=tag-key&Filter.1.Value.1=owner&MaxResults=5";
    let first = world.ask("DescribeVolumes", by_key);
    let next = format!("{by_key}&NextToken={}", element(&first, "nextToken"));
    let second = world.ask("DescribeVolumes", &next);
    assert_eq!(first.matches("<volumeId>").count(), 5);
    assert_eq!(second.matches("<volumeId>").count(), 2);
    assert!(!second.contains("nextToken"));
}

#[test]
fn a_volume_grows_once_in_six_hours_while_it_is_attached() {
    let world = World::new();
    let id = world.volume();
    world.attach(&id, "xvdba");
    let grow = format!("VolumeId={id}&Size=2");
    assert_eq!(element(&world.ask("ModifyVolume", &grow), "modificationState"), "modifying");
    assert_eq!(world.fake.volume(&id).unwrap().size, 2);
    let size = world.fake.play_dir(&world.instance).join("sys/block/nvme1n1/size");
    assert_eq!(std::fs::read_to_string(size).unwrap(), "4194304\n");
    let shown = world.ask("DescribeVolumesModifications", &format!("VolumeId.1={id}"));
    assert_eq!(element(&shown, "progress"), "100");
    let again = format!("VolumeId={id}&Size=3");
    assert_eq!(world.refused("ModifyVolume", &again), "VolumeModificationRateExceeded");
    world.fake.advance(Duration::from_secs(6 * 60 * 60));
    assert_eq!(
        world.refused("ModifyVolume", &format!("VolumeId={id}&Size=1")),
        "InvalidParameterValue"
    );
    world.ask("ModifyVolume", &again);
}

#[test]
fn a_modification_goes_through_its_states_by_the_fakes_clock() {
    let hour = Duration::from_secs(3600);
    let world = World::with(|config| config.delays = Delays { modify: hour, ..Delays::default() });
    let id = world.volume();
    world.ask("ModifyVolume", &format!("VolumeId={id}&Size=2"));
    let state = || element(&world.ask("DescribeVolumesModifications", ""), "modificationState");
    assert_eq!(state(), "modifying");
    let again = format!("VolumeId={id}&Size=3");
    assert_eq!(
        world.message("ModifyVolume", &again),
        format!("Volume {id} cannot be modified in modification state MODIFYING")
    );
    world.fake.advance(hour);
    eventually(|| state() == "optimizing");
    assert_eq!(world.fake.volume(&id).unwrap().size, 2);
    assert_eq!(world.refused("ModifyVolume", &again), "IncorrectModificationState");
    world.fake.advance(hour);
    eventually(|| state() == "completed");
}

#[test]
fn tags_are_set_and_taken_away() {
    let world = World::new();
    let id = world.volume();
    world.ask("CreateTags", &format!("ResourceId.1={id}&Tag.1.Key=a&Tag.1.Value=1&Tag.2.Key=b"));
    world.ask("DeleteTags", &format!("ResourceId.1={id}&Tag.1.Key=b&Tag.2.Key=a&Tag.2.Value=2"));
    let tags = world.fake.volume(&id).unwrap().tags;
    assert_eq!(tags.into_iter().collect::<Vec<_>>(), [("a".to_owned(), "1".to_owned())]);
}

#[test]
fn a_key_that_cannot_be_used_fails_the_volume_later() {
    let world = World::new();
    world.fake.kms_fails("k1", KmsFailure::Error);
    world.fake.kms_fails("k2", KmsFailure::Vanish);
    for (key, state) in [("k1", "error"), ("k2", "gone"), ("k3", "available")] {
        let form = format!("{ONE}&Encrypted=true&KmsKeyId={key}");
        let id = element(&world.ask("CreateVolume", &form), "volumeId");
        assert_eq!(world.state(&id), state);
    }
}

#[test]
fn instances_and_their_types_are_described() {
    let world = World::new();
    let id = world.volume();
    world.attach(&id, "xvdba");
    let shown = world.ask("DescribeInstances", &format!("InstanceId.1={}", world.instance));
    assert_eq!(element(&shown, "availabilityZone"), "us-east-1a");
    assert!(shown.contains("<deviceName>/dev/xvda</deviceName>"), "{shown}");
    assert!(shown.contains("<deviceName>/dev/xvdba</deviceName>"), "{shown}");
    let types = world.ask("DescribeInstanceTypes", "InstanceType.1=m5.large");
    assert_eq!(element(&types, "maximumEbsAttachments"), "27");
    assert_eq!(
        world.refused("DescribeInstanceTypes", "InstanceType.1=x9.huge"),
        "InvalidInstanceType"
    );
}
