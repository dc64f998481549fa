//! The transitions by themselves: no devices, and a clock that stands still.

use std::time::Duration;

use jiff::Timestamp;

use super::{AttachPhase, Bound, Done, Effect, Instance, Shown, World};
use crate::{actions, config::FakeConfig, wire::Params};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

struct Scene {
    world: World,
    volume: String,
}

/// A volume that AttachVolume was asked for.
fn attaching() -> Scene {
    let config = FakeConfig::new("/nonexistent");
    let mut world = World::new(&config);
    let instance = config.instance.id.clone();
    world.instances.insert(instance.clone(), Instance::new(config.instance, NOW));
    ask(&mut world, "CreateVolume", "AvailabilityZone=us-east-1a&Size=1");
    for effect in world.step(NOW) {
        world.report(&effect, Done::Finished, NOW);
    }
    let volume = world.volumes.keys().next().unwrap().clone();
    let form = format!("VolumeId={volume}&InstanceId={instance}&Device=/dev/xvdba");
    ask(&mut world, "AttachVolume", &form);
    Scene { world, volume }
}

#[track_caller]
fn ask(world: &mut World, action: &str, form: &str) {
    actions::act(world, action, &Params::parse(form.as_bytes()), NOW).unwrap();
}

fn bound() -> Bound {
    let path = std::path::PathBuf::from("/dev/loop0");
    let name = "nvme1n1".to_owned();
    Bound::Shown(Shown { loop_device: path.clone(), play: path, name, link: None })
}

#[test]
fn an_effect_is_given_out_once() {
    let Scene { mut world, .. } = attaching();
    assert!(matches!(world.step(NOW)[..], [Effect::Bind(_)]));
    assert!(world.step(NOW).is_empty());
    assert_eq!(world.next_due(), None);
}

#[test]
fn a_detach_during_the_attach_goes_on_when_the_device_is_known() {
    let Scene { mut world, volume } = attaching();
    let bind = world.step(NOW).remove(0);
    ask(&mut world, "DetachVolume", &format!("VolumeId={volume}"));
    assert!(world.step(NOW).is_empty(), "the device is still on its way");
    world.report(&bind, Done::Appeared(bound()), NOW);
    let unbind = world.step(NOW).remove(0);
    assert!(matches!(&unbind, Effect::Unbind { bound: Some(found), .. } if *found == bound()));
    world.report(&unbind, Done::Finished, NOW);
    assert_eq!(world.volumes[&volume].state(), "available");
}

#[test]
fn a_held_device_is_tried_again_later() {
    let Scene { mut world, volume } = attaching();
    let bind = world.step(NOW).remove(0);
    world.report(&bind, Done::Appeared(bound()), NOW);
    ask(&mut world, "DetachVolume", &format!("VolumeId={volume}"));
    let unbind = world.step(NOW).remove(0);
    world.report(&unbind, Done::Held, NOW);
    assert!(world.step(NOW).is_empty());
    let later = super::after(NOW, Duration::from_secs(1));
    assert!(matches!(world.step(later)[..], [Effect::Unbind { .. }]));
    let phase = world.volumes[&volume].attachment.as_ref().unwrap().phase;
    assert!(matches!(phase, AttachPhase::Detaching { .. }));
}

#[test]
fn a_dry_run_changes_nothing() {
    let Scene { mut world, volume } = attaching();
    let form = format!("VolumeId={volume}&DryRun=true");
    let refused = actions::act(&mut world, "DetachVolume", &Params::parse(form.as_bytes()), NOW);
    assert_eq!(refused.unwrap_err().code, "DryRunOperation");
    let phase = world.volumes[&volume].attachment.as_ref().unwrap().phase;
    assert!(matches!(phase, AttachPhase::Attaching { .. }));
}
