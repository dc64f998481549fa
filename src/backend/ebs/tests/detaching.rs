//! Detaching: never under a user, forced only after the proof.

use ec2_fake::{Throttle, Transition};

use super::*;

fn forced(world: &World) -> Vec<bool> {
    let calls = world.fake.calls();
    let detaches = calls.iter().filter(|call| call.action == "DetachVolume");
    detaches.map(|call| call.params.get("Force").is_some_and(|force| force == "true")).collect()
}

/// REX-Ray's a and b: unmounted and detached under a user.
#[tokio::test]
async fn a_detach_is_not_even_asked_for_while_the_device_is_held() {
    let world = World::new();
    let backend = world.open();
    let volume = made(&backend, volume("pgdata")).await;
    let held = hold(&attach(&backend, &volume).await.unwrap());

    assert_eq!(backend.detach(&volume).await.unwrap_err().kind, ErrorKind::InUse);
    assert_eq!(world.fake.count("DetachVolume"), 0);
    drop(held);
    backend.detach(&volume).await.unwrap();
    assert_eq!(forced(&world), [false]);
}

/// k8s #38824: force is unsafe; without a user it is not.
#[tokio::test]
async fn a_stuck_detach_is_forced_once_and_after_the_limit() {
    let world = World::new();
    let backend = world.open();
    let volume = made(&backend, volume("pgdata")).await;
    attach(&backend, &volume).await.unwrap();
    world.fake.stick(id(&volume), Transition::Detach);
    let begun = std::time::Instant::now();

    backend.detach(&volume).await.unwrap();

    assert!(begun.elapsed() >= backend.inner.config.force_detach_after);
    assert_eq!(forced(&world), [false, true]);
    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Detached);
}

#[tokio::test]
async fn a_detach_that_nobody_could_look_at_is_not_forced() {
    let world = World::new();
    let backend = world.open();
    let volume = made(&backend, volume("pgdata")).await;
    attach(&backend, &volume).await.unwrap();
    world.fake.stick(id(&volume), Transition::Detach);
    let controls = world.fake.controls();
    let helper = tokio::spawn(async move {
        while controls.count("DetachVolume") == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        controls.throttle("DescribeVolumes", Throttle::Percent(100));
    });

    let error = backend.detach(&volume).await.unwrap_err();

    helper.await.unwrap();
    assert_eq!(error.kind, ErrorKind::Failed, "{error}");
    assert_eq!(forced(&world), [false]);
}

/// Also where an attachment was asked for just now that EC2 might not show yet.
#[tokio::test]
async fn what_is_attached_elsewhere_and_has_no_device_here_is_detached() {
    let world = World::new();
    let (neighbour, _) = world.neighbour("us-east-1a");
    let backend = world.open();
    let volume = made(&backend, volume("pgdata")).await;
    attach(&neighbour, &volume).await.unwrap();

    backend.detach(&volume).await.unwrap();
    backend.inner.slots.calling(id(&volume));
    backend.detach(&volume).await.unwrap();

    assert!(world.fake.volume(id(&volume)).unwrap().attachment.is_some());
}

#[tokio::test]
async fn a_stuck_detach_is_not_forced_when_somebody_uses_the_device_again() {
    let world = World::new();
    let backend = world.open();
    let volume = made(&backend, volume("pgdata")).await;
    let device = attach(&backend, &volume).await.unwrap();
    world.fake.stick(id(&volume), Transition::Detach);
    let detaching = tokio::spawn({
        let (backend, volume) = (backend.clone(), volume.clone());
        async move { backend.detach(&volume).await }
    });
    while world.fake.count("DetachVolume") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let held = hold(&device);
    assert_eq!(detaching.await.unwrap().unwrap_err().kind, ErrorKind::InUse);
    assert_eq!(forced(&world), [false]);
    drop(held);
}

#[tokio::test]
async fn a_detach_that_even_force_does_not_end_is_an_error_and_can_be_asked_for_again() {
    let world = World::new();
    let backend = world.open();
    let volume = made(&backend, volume("pgdata")).await;
    attach(&backend, &volume).await.unwrap();
    world.fake.stick(id(&volume), Transition::DetachEvenForced);

    assert_eq!(backend.detach(&volume).await.unwrap_err().kind, ErrorKind::Failed);
    let seen = backend.inspect(&volume).await.unwrap();
    assert_eq!(seen, Inspection::InTransit(crate::volume::Transit::Detaching));
    world.fake.unstick(id(&volume));
    backend.detach(&volume).await.unwrap();
    backend.detach(&volume).await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_to_detach_volume_is_no_error() {
    let world = World::new();
    let backend = world.open();
    let volume = made(&backend, volume("pgdata")).await;
    attach(&backend, &volume).await.unwrap();
    world.fake.lose_response("DetachVolume", 1);
    backend.detach(&volume).await.unwrap();
}

/// REX-Ray #397: a volume that was deleted behind its back.
#[tokio::test]
async fn a_volume_that_was_deleted_outside_is_absent_detached_and_removed() {
    let world = World::new();
    let backend = world.open();
    let gone = made(&backend, volume("gone")).await;
    Backend::remove(&world.open(), &gone).await.unwrap();
    tokio::time::sleep(backend.inner.describer.pace.cached).await;

    assert_eq!(backend.inspect(&gone).await.unwrap(), Inspection::Absent);
    backend.detach(&gone).await.unwrap();
    Backend::remove(&backend, &gone).await.unwrap();
    let error = attach(&backend, &gone).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
}

/// REX-Ray #773: all operations hung behind one.
#[tokio::test]
async fn a_stuck_volume_delays_no_other() {
    let world = World::new();
    let config = EbsConfig { force_detach_after: Duration::from_secs(60), ..world.config() };
    let backend = Ebs::open_at(config, fast());
    let stuck = made(&backend, volume("stuck")).await;
    attach(&backend, &stuck).await.unwrap();
    world.fake.stick(id(&stuck), Transition::Detach);
    let detaching = tokio::spawn({
        let backend = backend.clone();
        async move { backend.detach(&stuck).await }
    });

    let begun = std::time::Instant::now();
    let other = made(&backend, volume("other")).await;
    attach(&backend, &other).await.unwrap();
    backend.detach(&other).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    detaching.abort();
}

/// A guest may keep the device of a detach that was forced, and get another one with the next attachment.
#[tokio::test]
async fn all_devices_with_its_serial_number_are_proven_before_it_is_detached() {
    let world = World::new();
    let backend = world.open();
    let (volume, other) =
        (made(&backend, volume("pgdata")).await, made(&backend, volume("other")).await);
    let device = attach(&backend, &volume).await.unwrap();
    let stale = attach(&backend, &other).await.unwrap();
    world.pretend(&stale, id(&volume));
    let transit = Inspection::InTransit(crate::volume::Transit::Attaching);
    assert_eq!(backend.inspect(&volume).await.unwrap(), transit, "neither is believed");
    let error = backend.confirm(&volume, &device).await.unwrap_err().to_string();
    assert!(error.contains("all have its serial number"), "{error}");

    for one in [&device, &stale] {
        let held = hold(one);
        assert_eq!(backend.detach(&volume).await.unwrap_err().kind, ErrorKind::InUse);
        assert_eq!(world.fake.count("DetachVolume"), 0);
        let in_use = Inspection::Attached(one.clone());
        assert_eq!(backend.inspect(&volume).await.unwrap(), in_use, "whoever has it is let go");
        drop(held);
    }
    let error = backend.detach(&volume).await.unwrap_err().to_string();
    assert!(error.contains("EC2 has detached it, and"), "{error}");
    assert_eq!(world.fake.volume(id(&volume)).unwrap().attachment, None);
    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Detached);
}
