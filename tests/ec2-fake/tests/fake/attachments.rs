//! AttachVolume and DetachVolume, with real devices.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use ec2_fake::{Delays, InstanceSpec, InstanceState, Transition};
use rustix::fs::OFlags;

use crate::{
    client::{World, element, eventually},
    program::is_bound_below,
};

fn claim(path: &Path) -> File {
    let exclusive = OFlags::EXCL.bits().cast_signed();
    OpenOptions::new().read(true).write(true).custom_flags(exclusive).open(path).unwrap()
}

fn first_bytes(path: &Path, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    File::open(path).unwrap().read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_nitro_instance_sees_a_numbered_device_with_the_volumes_serial() {
    let world = World::new();
    let id = world.fake.add_volume(&[], 1, b"content").unwrap();
    let answer = world.ask("AttachVolume", &world.attach_form(&id, "xvdba"));
    assert_eq!(element(&answer, "status"), "attaching");
    let play = world.fake.play_dir(&world.instance);
    let serial = id.replace('-', "");
    let link = play.join(format!("dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{serial}"));
    assert_eq!(link.canonicalize().unwrap(), play.join("dev/nvme1n1"));
    let sys = play.join("sys/block/nvme1n1");
    assert_eq!(fs::read_to_string(sys.join("device/serial")).unwrap(), format!("{serial}\n"));
    assert_eq!(fs::read_to_string(sys.join("size")).unwrap(), "2097152\n");
    let mut device = claim(&link);
    let mut bytes = [0; 7];
    device.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"content");
    assert_eq!(device.seek(SeekFrom::End(0)).unwrap(), 1 << 30);
    drop(device);
    world.detach(&id);
    world.wait_for(&id, "available");
    assert!(
        !sys.exists() && !play.join("dev/nvme1n1").exists() && link.symlink_metadata().is_err()
    );
}

#[test]
fn a_number_that_came_free_goes_to_the_next_volume() {
    let world = World::new();
    let (a, b) = (world.volume(), world.volume());
    world.attach(&a, "xvdba");
    let path = world.fake.attach_path(&a).unwrap();
    world.detach(&a);
    world.wait_for(&a, "available");
    world.attach(&b, "xvdba");
    assert_eq!(world.fake.attach_path(&b).unwrap(), path);
}

#[test]
fn a_xen_instance_sees_the_name_that_was_asked_for() {
    let world = World::with(|config| config.instance = InstanceSpec::xen("us-east-1a"));
    let (a, b) = (world.volume(), world.volume());
    world.attach(&a, "xvdba");
    world.attach(&b, "sdf");
    let dev = world.fake.play_dir(&world.instance).join("dev");
    assert_eq!(world.fake.attach_path(&a), Some(dev.join("xvdba")));
    assert_eq!(world.fake.attach_path(&b), Some(dev.join("xvdf")));
}

#[test]
fn what_cannot_be_attached_is_refused() {
    let world = World::with(|config| config.instance.max_attachments = 2);
    let (a, b) = (world.volume(), world.volume());
    let other = InstanceSpec::new("us-east-1b");
    world.fake.add_instance(other.clone()).unwrap();
    let form = world.attach_form(&a, "xvdba").replace(&world.instance, &other.id);
    assert_eq!(world.refused("AttachVolume", &form), "InvalidVolume.ZoneMismatch");
    assert_eq!(world.refused("DetachVolume", &format!("VolumeId={a}")), "IncorrectState");
    world.attach(&a, "xvdba");
    assert_eq!(world.refused("AttachVolume", &world.attach_form(&a, "xvdbb")), "VolumeInUse");
    assert_eq!(
        world.message("AttachVolume", &world.attach_form(&b, "xvdba")),
        "Invalid value '/dev/xvdba' for unixDevice. Attachment point /dev/xvdba is already in use"
    );
    let full = world.refused("AttachVolume", &world.attach_form(&b, "xvdbb"));
    assert_eq!(full, "AttachmentLimitExceeded");
    assert_eq!(world.refused("DeleteVolume", &format!("VolumeId={a}")), "VolumeInUse");
    let wrong = format!("VolumeId={a}&InstanceId={}", other.id);
    assert_eq!(world.refused("DetachVolume", &wrong), "InvalidAttachment.NotFound");
    world.fake.instance_state(&world.instance, InstanceState::Terminated);
    let dead = world.refused("AttachVolume", &world.attach_form(&b, "xvdbb"));
    assert_eq!(dead, "IncorrectInstanceState");
    world.wait_for(&a, "available");
}

#[test]
fn a_detach_waits_for_who_holds_the_device() {
    let world = World::new();
    let id = world.volume();
    world.attach(&id, "xvdba");
    let held = claim(&world.fake.attach_path(&id).unwrap());
    world.detach(&id);
    world.detach(&id);
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(world.fake.volume(&id).unwrap().attachment.unwrap().state, "detaching");
    drop(held);
    world.wait_for(&id, "available");
}

#[test]
fn a_forced_detach_leaves_the_holder_behind() {
    let world = World::new();
    let id = world.volume();
    world.attach(&id, "xvdba");
    let mut held = claim(&world.fake.attach_path(&id).unwrap());
    world.ask("DetachVolume", &format!("VolumeId={id}&Force=true"));
    world.wait_for(&id, "available");
    held.write_all(b"too late").unwrap();
    held.sync_all().unwrap();
    assert_eq!(first_bytes(&world.fake.image(&id), 8), [0; 8]);
}

#[test]
fn a_stopped_instance_holds_nothing() {
    let world = World::new();
    let id = world.volume();
    world.attach(&id, "xvdba");
    let _held = claim(&world.fake.attach_path(&id).unwrap());
    world.fake.instance_state(&world.instance, InstanceState::Stopped);
    assert_eq!(world.state(&id), "in-use");
    world.detach(&id);
    world.wait_for(&id, "available");
}

#[test]
fn delays_show_the_states_between() {
    let world = World::new();
    let id = world.volume();
    world.fake.set_delays(Delays::all(Duration::from_secs(3600)));
    world.attach(&id, "xvdba");
    let state = || element(&world.ask("DescribeVolumes", ""), "attachmentSet");
    assert!(state().contains("<status>attaching</status>"));
    assert_eq!(world.fake.attach_path(&id), None);
    world.fake.advance(Duration::from_secs(3600));
    eventually(|| state().contains("<status>attached</status>"));
}

#[test]
fn a_stuck_volume_is_nobody_elses_matter() {
    let world = World::new();
    let (a, b) = (world.volume(), world.volume());
    world.fake.stick(&a, Transition::Attach);
    world.attach(&a, "xvdba");
    world.attach(&b, "xvdbb");
    assert!(world.fake.attach_path(&b).is_some() && world.fake.attach_path(&a).is_none());
    world.fake.unstick(&a);
    eventually(|| world.fake.attach_path(&a).is_some());
    for (transition, forced) in
        [(Transition::Detach, "available"), (Transition::DetachEvenForced, "in-use")]
    {
        world.fake.stick(&b, transition);
        world.detach(&b);
        assert_eq!(world.state(&b), "in-use");
        world.ask("DetachVolume", &format!("VolumeId={b}&Force=true"));
        assert_eq!(world.state(&b), forced);
        world.fake.unstick(&b);
        world.wait_for(&b, "available");
        world.attach(&b, "xvdbb");
    }
}

#[test]
fn a_wrong_serial_number_is_shown() {
    let world = World::new();
    let (a, b) = (world.volume(), world.volume());
    world.attach(&a, "xvdba");
    world.fake.wrong_serial(&b);
    world.attach(&b, "xvdbb");
    let play = world.fake.play_dir(&world.instance);
    let serial = fs::read_to_string(play.join("sys/block/nvme2n1/device/serial")).unwrap();
    assert_ne!(serial.trim(), b.replace('-', ""));
    let link = format!("dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{}", b.replace('-', ""));
    assert_eq!(play.join(link).canonicalize().unwrap(), play.join("dev/nvme1n1"));
}

#[test]
fn a_fake_that_ends_frees_its_devices() {
    let world = World::new();
    let id = world.volume();
    world.attach(&id, "xvdba");
    let image = world.fake.image(&id);
    let bound = || is_bound_below(&image);
    assert!(bound());
    drop(world);
    eventually(|| !bound());
}
