//! CreateSnapshot and what is made from it.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::MetadataExt,
};

use crate::client::{World, element};

#[test]
fn a_volume_made_from_a_snapshot_has_its_content_of_that_time() {
    let world = World::new();
    let id = world.fake.add_volume(&[], 2, b"before").unwrap();
    let snapshot = element(&world.ask("CreateSnapshot", &format!("VolumeId={id}")), "snapshotId");
    OpenOptions::new()
        .write(true)
        .open(world.fake.image(&id))
        .unwrap()
        .write_all(b"after!")
        .unwrap();
    assert_eq!(world.fake.snapshots()[0].state, "completed");
    let form = format!("AvailabilityZone=us-east-1b&VolumeType=gp3&SnapshotId={snapshot}");
    let copy = element(&world.ask("CreateVolume", &form), "volumeId");
    let mut bytes = [0; 6];
    let image = world.fake.image(&copy);
    File::open(&image).unwrap().read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"before");
    let meta = image.metadata().unwrap();
    assert_eq!(meta.len(), 2 << 30);
    assert!(meta.blocks() < 1000, "it is sparse");
    assert_eq!(world.refused("CreateVolume", &format!("{form}&Size=1")), "InvalidParameterValue");
}

#[test]
fn snapshots_are_described_and_deleted() {
    let world = World::new();
    let id = world.volume();
    let form = format!(
        "VolumeId={id}&Description=d&TagSpecification.1.ResourceType=snapshot\
         &TagSpecification.1.Tag.1.Key=k&TagSpecification.1.Tag.1.Value=v"
    );
    let answer = world.ask("CreateSnapshot", &form);
    assert_eq!(element(&answer, "status"), "pending");
    let snapshot = element(&answer, "snapshotId");
    let ours = "Owner.1=self&Filter.1.Name=tag:k&Filter.1.Value.1=v";
    assert_eq!(element(&world.ask("DescribeSnapshots", ours), "snapshotId"), snapshot);
    world.ask("DeleteSnapshot", &format!("SnapshotId={snapshot}"));
    assert!(!world.ask("DescribeSnapshots", ours).contains("snap-"));
    let again = world.refused("DeleteSnapshot", &format!("SnapshotId={snapshot}"));
    assert_eq!(again, "InvalidSnapshot.NotFound");
}
