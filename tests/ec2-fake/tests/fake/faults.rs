//! What goes wrong on the wire, and the controls by HTTP.

use std::time::Duration;

use ec2_fake::{CallOutcome, Throttle};

use crate::client::{World, element, eventually, http};

const ONE: &str = "AvailabilityZone=us-east-1a&Size=1&VolumeType=gp3";

#[test]
fn a_throttled_request_is_503() {
    let world = World::new();
    world.fake.throttle("CreateVolume", Throttle::Next(1));
    let body = format!("Action=CreateVolume&{ONE}");
    let (status, text) = http(world.fake.address(), "POST", "/", &[], &body).unwrap();
    assert_eq!((status, &*element(&text, "Code")), (503, "RequestLimitExceeded"));
    world.volume();
    let outcomes: Vec<_> = world.fake.calls().into_iter().map(|call| call.outcome).collect();
    let refused = CallOutcome::Refused("RequestLimitExceeded".to_owned());
    assert_eq!(outcomes, [refused, CallOutcome::Done]);
}

#[test]
fn an_action_fails_as_often_as_was_said() {
    let world = World::new();
    world.fake.fail_next("CreateVolume", "VolumeLimitExceeded", "too many", 2);
    for _ in 0..2 {
        assert_eq!(world.refused("CreateVolume", ONE), "VolumeLimitExceeded");
    }
    world.volume();
    assert_eq!(world.fake.count("CreateVolume"), 3);
    world.fake.reset_calls();
    assert_eq!(world.fake.count("CreateVolume"), 0);
}

#[test]
fn a_lost_answer_is_of_an_act_that_happened() {
    let world = World::new();
    world.fake.lose_response("CreateVolume", 1);
    assert_eq!(world.refused("CreateVolume", ONE), "hung up");
    assert_eq!(world.fake.volumes().len(), 1);
    assert_eq!(world.fake.calls()[0].outcome, CallOutcome::Lost);
}

#[test]
fn one_that_is_away_answers_nothing() {
    let world = World::new();
    world.fake.away(true);
    assert_eq!(world.refused("DescribeVolumes", ""), "hung up");
    world.fake.away(false);
    world.ask("DescribeVolumes", "");
}

#[test]
fn what_is_new_is_seen_later() {
    let world = World::new();
    world.fake.hide_new_volumes(Duration::from_secs(60));
    let id = world.volume();
    let form = format!("VolumeId.1={id}");
    assert_eq!(world.refused("DescribeVolumes", &form), "InvalidVolume.NotFound");
    world.fake.advance(Duration::from_secs(60));
    world.attach(&id, "xvdba");
    let state = || element(&world.ask("DescribeVolumes", &form), "status");
    assert_eq!((state(), world.state(&id)), ("available".to_owned(), "in-use".to_owned()));
    world.fake.advance(Duration::from_secs(60));
    assert!(world.ask("DescribeVolumes", &form).contains("<status>attached</status>"));
}

#[test]
fn the_controls_are_there_by_http() {
    let world = World::new();
    let control = |path: &str| http(world.fake.address(), "POST", path, &[], "").unwrap();
    let (_, text) = control("/fake/add-volume?gib=3&Tag.1.Key=a&Tag.1.Value=b");
    assert!(text.contains("vol-0"), "{text}");
    let id = world.fake.volumes()[0].id.clone();
    assert_eq!(control(&format!("/fake/stick?volume={id}&transition=attach")).0, 200);
    world.attach(&id, "xvdba");
    assert_eq!(world.fake.attach_path(&id), None);
    control(&format!("/fake/unstick?volume={id}"));
    eventually(|| world.fake.attach_path(&id).is_some());
    assert!(control("/fake/calls").1.contains("AttachVolume"));
    assert!(control("/fake/volumes").1.contains("nvme1n1"));
    control("/fake/away?on=true");
    assert_eq!(world.refused("DescribeVolumes", ""), "hung up");
    control("/fake/away?on=false");
    assert_eq!(control("/fake/nonsense").0, 404);
    assert_eq!(control("/fake/instance-state?instance=i-00000000&state=running").0, 400);
}
