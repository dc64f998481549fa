//! Making, growing and deleting.

use ec2_fake::{BurnedTokens, KmsFailure, Throttle};

use super::*;

#[tokio::test]
async fn a_volume_is_made_tagged_and_verified_with_one_call_and_a_describe() {
    let world = World::new();
    let config = EbsConfig { tags: [("cost".into(), "7".into())].into(), ..world.config() };
    let backend = Ebs::open_at(config, fast());
    let mut wanted = volume("pgdata");
    wanted.spec.labels = [("team".into(), "a".into())].into();

    let volume = made(&backend, wanted.clone()).await;

    let counts = world.counts(&["CreateVolume", "DescribeVolumes", "CreateTags"]);
    assert_eq!(counts, [1, 1, 0]);
    assert_eq!(world.fake.calls().len(), 2);
    let seen = world.fake.volume(id(&volume)).unwrap();
    for (key, value) in [
        ("hawser:cluster", "prod"),
        ("hawser:id", &*volume.id.to_string()),
        ("hawser:name", "pgdata"),
        ("Name", "pgdata"),
        ("cost", "7"),
        ("team", "a"),
    ] {
        assert_eq!(seen.tags[key], value);
    }
    assert_eq!(marks::spec(&seen.tags), Some(wanted.spec));
    let BackendSpec::Ebs(spec) = &volume.spec.backend else { panic!() };
    assert_eq!((spec.iops, spec.throughput, spec.encrypted), (Some(3000), Some(125), Some(false)));
    assert_eq!(spec.zone.as_deref(), Some("us-east-1a"));
}

/// REX-Ray's h (#845): a name that was created twice was two volumes.
#[tokio::test]
async fn one_volume_created_by_many_at_once_is_one_volume() {
    let world = World::new();
    let volume = volume("pgdata");
    let backends: Vec<_> = (0..8).map(|_| world.open()).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for backend in backends {
        let volume = volume.clone();
        tasks.spawn(async move { Backend::create(&backend, &volume).await.unwrap() });
    }
    let all = tasks.join_all().await;
    assert!(all.iter().all(|created| *created == all[0]));
    assert_eq!(world.fake.volumes().len(), 1);
}

/// EBS CSI #165, #744: the answer is lost and the call is made again.
#[tokio::test]
async fn a_lost_answer_to_create_volume_makes_no_second_volume() {
    let world = World::new();
    world.fake.lose_response("CreateVolume", 1);
    made(&world.open(), volume("pgdata")).await;
    assert_eq!((world.fake.count("CreateVolume"), world.fake.volumes().len()), (2, 1));
}

#[tokio::test]
async fn parameters_that_changed_since_the_lost_call_find_the_volume_by_its_tag() {
    let world = World::new();
    let first = made(&world.open(), volume("pgdata")).await;
    // The configuration has other tags after the restart.
    let config = EbsConfig { tags: [("cost".into(), "7".into())].into(), ..world.config() };
    let mut asked = first.clone();
    (asked.handle, asked.spec.backend) = (None, BackendSpec::Ebs(ebs()));

    let again = made(&Ebs::open_at(config, fast()), asked).await;

    assert_eq!((id(&again), world.fake.volumes().len()), (id(&first), 1));
}

#[tokio::test]
async fn an_old_request_is_looked_for_before_it_is_made_since_tokens_are_forgotten() {
    let world = World::new();
    let first = made(&world.open(), volume("pgdata")).await;
    world.fake.reset_calls();
    let mut asked = first.clone();
    asked.handle = None;
    asked.created_at = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(2);

    let again = made(&world.open(), asked).await;

    assert_eq!((id(&again), world.fake.count("CreateVolume")), (id(&first), 0));
}

/// What EC2 does not show yet is there all the same.
#[tokio::test]
async fn a_volume_that_ec2_shows_late_is_not_made_a_second_time() {
    let world = World::new();
    world.fake.hide_new_volumes(Duration::from_secs(3));
    let backend = world.open();
    let wanted = volume("pgdata");

    let error = Backend::create(&backend, &wanted).await.unwrap_err();

    let made_one = world.fake.volumes().remove(0).id;
    assert_eq!(error.kind, ErrorKind::Failed, "{error}");
    assert!(error.to_string().contains(&made_one), "{error}");
    // Neither where the configuration has other tags by now.
    let config = EbsConfig { tags: [("cost".into(), "7".into())].into(), ..world.config() };
    let error = Backend::create(&Ebs::open_at(config, fast()), &wanted).await.unwrap_err();
    assert!(error.to_string().contains("IdempotentParameterMismatch"), "{error}");
    assert_eq!(world.fake.volumes().len(), 1);
    while Backend::create(&backend, &wanted).await.is_err() {}
    assert_eq!(world.fake.volumes().len(), 1);
}

#[tokio::test]
async fn a_volume_whose_creation_was_given_up_is_removed_as_soon_as_it_shows() {
    let world = World::new();
    world.fake.hide_new_volumes(Duration::from_millis(400));
    let backend = world.open();
    let wanted = volume("pgdata");
    let creating = tokio::spawn({
        let (backend, wanted) = (backend.clone(), wanted.clone());
        async move { Backend::create(&backend, &wanted).await }
    });
    while world.fake.count("CreateVolume") == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    creating.abort();
    // Not before the fake has done it.
    while world.fake.volumes().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }

    assert_eq!(backend.inspect(&wanted).await.unwrap(), Inspection::Detached, "not absent");
    Backend::remove(&backend, &wanted).await.unwrap();

    assert_eq!(world.fake.count("DeleteVolume"), 1);
    let never = volume("never");
    let begun = std::time::Instant::now();
    assert_eq!(backend.inspect(&never).await.unwrap(), Inspection::Absent);
    assert!(begun.elapsed() < backend.inner.describer.pace.invisible);
}

/// EBS CSI #1951: the token of a volume that was deleted.
#[tokio::test]
async fn a_burned_token_is_followed_by_another() {
    for burned in [BurnedTokens::AnswerDeletedId, BurnedTokens::Refuse] {
        // EC2 says of a volume that it is being deleted before it says that there is none.
        let world = World::with(|config| {
            if burned == BurnedTokens::AnswerDeletedId {
                config.delays.delete = Duration::from_secs(60);
            }
        });
        world.fake.burned_tokens(burned);
        let backend = world.open();
        let first = made(&backend, volume("pgdata")).await;
        let mut asked = first.clone();
        (asked.handle, asked.spec.backend) = (None, BackendSpec::Ebs(ebs()));
        Backend::remove(&backend, &first).await.unwrap();

        let again = made(&backend, asked).await;

        assert_ne!(id(&again), id(&first), "{burned:?}");
        let deleting = |v: &&ec2_fake::VolumeInfo| v.state == "deleting";
        let all = world.fake.volumes();
        assert_eq!(all.len() - all.iter().filter(deleting).count(), 1);
    }
}

/// REX-Ray's f (#1363): encryption that was asked for and silently not applied.
#[tokio::test]
async fn a_volume_that_is_not_as_asked_is_refused_and_leaves_nothing() {
    let world = World::new();
    let backend = world.open();
    let mut asked = volume_of("secret", EbsSpec { encrypted: Some(true), ..ebs() });
    let made = made(&backend, asked.clone()).await;
    assert!(world.fake.volume(id(&made)).unwrap().encrypted);

    // What EC2 would show if it had not done it.
    let mut seen = backend.inner.describer.fresh(id(&made)).await.unwrap().unwrap();
    seen.encrypted = false;
    let spec = spec_of(&asked.spec.backend).unwrap();
    let error = verify::verify("prod", &asked, spec, &seen).unwrap_err();
    assert!(error.to_string().contains("its encryption is off, not on"), "{error}");

    // A key that cannot be used: EC2 answers "created", and then the volume is in error.
    world.fake.kms_fails("bad-key", KmsFailure::Error);
    asked = volume_of("broken", EbsSpec { kms_key: Some("bad-key".into()), ..ebs() });
    let error = Backend::create(&backend, &asked).await.unwrap_err();
    assert!(error.to_string().contains("KMS"), "{error}");
    assert_eq!(world.fake.volumes().len(), 1, "only the good one is left");
}

/// REX-Ray's g: a volume in another zone made the daemon panic.
#[tokio::test]
async fn another_zone_is_no_panic_and_both_zones_are_named() {
    let world = World::new();
    let backend = world.open();
    let volume =
        made(&backend, volume_of("far", EbsSpec { zone: Some("us-east-1b".into()), ..ebs() }))
            .await;

    let error = attach(&backend, &volume).await.unwrap_err().to_string();

    assert!(error.contains("us-east-1a") && error.contains("us-east-1b"), "{error}");
    assert_eq!(world.fake.count("AttachVolume"), 0);
    let error = Backend::create(
        &backend,
        &super::volume_of("no", EbsSpec { zone: Some("us-east-1x".into()), ..ebs() }),
    )
    .await
    .unwrap_err();
    assert!(error.to_string().contains("us-east-1x"), "{error}");
}

/// REX-Ray #405: the whole account's volumes could be deleted.
#[tokio::test]
async fn a_volume_without_our_tags_is_never_deleted() {
    let world = World::new();
    let backend = world.open();
    for tags in
        [&[("Name", "pgdata")][..], &[("hawser:cluster", "other")], &[("hawser:cluster", "prod")]]
    {
        let foreign = world.fake.add_volume(tags, 1, b"").unwrap();
        let mut volume = volume("pgdata");
        volume.handle = Some(crate::volume::Handle::from(foreign.clone()));
        let error = Backend::remove(&backend, &volume).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Foreign, "{error}");
        assert!(world.fake.volume(&foreign).is_some());
    }
    assert_eq!(world.fake.count("DeleteVolume"), 0);
}

#[tokio::test]
async fn the_accounts_limit_is_no_room_and_a_volume_that_was_made_before_it_is_found() {
    let world = World::new();
    let backend = world.open();
    let first = made(&backend, volume("one")).await;
    let text = "Maximum number of volumes exceeded";
    world.fake.fail_next("CreateVolume", "VolumeLimitExceeded", text, 2);

    let mut asked = first.clone();
    asked.handle = None;
    assert_eq!(id(&made(&backend, asked).await), id(&first));
    let error = Backend::create(&backend, &volume("two")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exhausted, "{error}");
    assert!(error.to_string().contains(text), "{error}");
}

#[tokio::test]
async fn size_type_and_performance_are_changed_in_one_call_and_a_second_change_says_when_the_first_was()
 {
    let world = World::new();
    let backend = world.open();
    let mut volume = made(&backend, volume("pgdata")).await;
    volume.changed_from = Some(volume.spec.backend.clone());
    let BackendSpec::Ebs(spec) = &mut volume.spec.backend else { panic!() };
    (spec.iops, spec.throughput) = (Some(4000), Some(200));

    for _ in 0..2 {
        backend.grow(&volume, Bytes::gib(10)).await.unwrap();
    }
    assert_eq!(world.fake.count("ModifyVolume"), 1);
    let seen = world.fake.volume(id(&volume)).unwrap();
    assert_eq!((seen.size, seen.iops, seen.throughput), (10, Some(4000), Some(200)));

    let error = backend.grow(&volume, Bytes::gib(20)).await.unwrap_err().to_string();
    assert!(error.contains("the last change was begun at 2"), "{error}");
    backend.grow(&volume, Bytes::gib(5)).await.unwrap();
    assert_eq!(world.fake.volume(id(&volume)).unwrap().size, 10);
}

/// What EC2 made of a volume is recorded beside what was stated for it.
#[tokio::test]
async fn a_grow_takes_back_nothing_that_an_operator_changed() {
    let world = World::new();
    let me = world.fake.first_instance();
    let (instance_id, zone) = (Some(me.id), Some(me.zone));
    let config = EbsConfig { instance_id, zone, ..world.config() };
    let backend = Ebs::open_at(config, fast());
    let mut volume = made(&backend, volume("pgdata")).await;
    let later = || world.fake.advance(Duration::from_secs(7 * 60 * 60));
    let has = |volume: &VolumeRef| {
        let seen = world.fake.volume(id(volume)).unwrap();
        (seen.size, seen.volume_type, seen.iops, seen.throughput)
    };
    let change = api::Change {
        gib: Some(20),
        iops: Some(6000),
        throughput: Some(500),
        ..Default::default()
    };
    backend.inner.api.modify_volume(id(&volume), &change).await.unwrap();
    later();

    backend.grow(&volume, Bytes::gib(30)).await.unwrap();
    assert_eq!(has(&volume), (30, "gp3".into(), Some(6000), Some(500)));

    later();
    let recorded = volume.spec.backend.clone();
    volume.changed_from = Some(recorded.clone());
    let BackendSpec::Ebs(spec) = &mut volume.spec.backend else { panic!() };
    spec.throughput = Some(250);
    backend.grow(&volume, Bytes::gib(30)).await.unwrap();
    assert_eq!(has(&volume), (30, "gp3".into(), Some(6000), Some(250)), "as it was asked for");

    // With another type what there is is sent, since EC2 would choose otherwise.
    later();
    volume.changed_from = Some(volume.spec.backend.clone());
    let BackendSpec::Ebs(spec) = &mut volume.spec.backend else { panic!() };
    (spec.volume_type, spec.throughput) = (EbsType::Io2, None);
    backend.grow(&volume, Bytes::gib(30)).await.unwrap();
    assert_eq!((has(&volume).1, has(&volume).2), ("io2".into(), Some(6000)));

    // The type, too.
    later();
    volume.spec.backend = recorded;
    volume.changed_from = None;
    backend.grow(&volume, Bytes::gib(40)).await.unwrap();
    assert_eq!((has(&volume).0, has(&volume).1), (40, "io2".into()));
}

#[tokio::test]
async fn a_lost_answer_to_modify_volume_is_no_second_change() {
    let world = World::with(|config| config.delays.modify = Duration::from_millis(100));
    let backend = world.open();
    let volume = made(&backend, volume("pgdata")).await;
    world.fake.lose_response("ModifyVolume", 1);
    backend.grow(&volume, Bytes::gib(2)).await.unwrap();
    assert_eq!(world.fake.volume(id(&volume)).unwrap().size, 2);
}

/// k8s #76079: a throttled kind of call slowed every other.
#[tokio::test]
async fn throttling_of_one_kind_of_call_does_not_slow_another() {
    let world = World::new();
    let backend = world.open();
    let ready = made(&backend, volume("ready")).await;
    world.fake.throttle("CreateVolume", Throttle::Next(4));
    let creating = tokio::spawn({
        let backend = backend.clone();
        async move { made(&backend, volume("slow")).await }
    });
    while world.fake.count("CreateVolume") < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let begun = std::time::Instant::now();
    attach(&backend, &ready).await.unwrap();
    backend.detach(&ready).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    creating.await.unwrap();
}

#[tokio::test]
async fn snapshots_are_listed_by_cluster_and_only_ours_are_deleted() {
    let world = World::new();
    let config = EbsConfig { tags: [("cost".into(), "7".into())].into(), ..world.config() };
    let backend = Ebs::open_at(config, fast());
    let snapshots = backend.snapshots().unwrap();
    let volume = made(&backend, volume("pgdata")).await;
    let made = snapshots.create(&volume, "before the upgrade").await.unwrap();
    assert_eq!((made.volume, &*made.name, made.size), (volume.id, "pgdata", Bytes::gib(1)));
    assert_eq!(world.fake.snapshots()[0].tags["cost"], "7");

    for of in [None, Some(volume.id)] {
        assert_eq!(
            snapshots.list(of).await.unwrap().iter().map(|s| &s.id).collect::<Vec<_>>(),
            [&made.id]
        );
    }
    assert_eq!(snapshots.list(Some(VolumeId::random())).await.unwrap(), []);
    let other = Ebs::open_at(EbsConfig { cluster: "other".into(), ..world.config() }, fast());
    let error = other.snapshots().unwrap().remove(&made.id).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Foreign, "{error}");
    // A snapshot that is still being written is refused by the fake for a moment.
    while world.fake.snapshots().iter().any(|s| s.state != "completed") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let copy = super::made(
        &backend,
        volume_of("copy", EbsSpec { snapshot: Some(made.id.clone()), ..ebs() }),
    )
    .await;
    assert_eq!(world.fake.volume(id(&copy)).unwrap().snapshot, Some(made.id.clone()));
    for _ in 0..2 {
        snapshots.remove(&made.id).await.unwrap();
    }
}

/// The list is looked at while all volumes are in use: their devices are not touched for it.
#[tokio::test]
async fn a_list_of_imports_claims_no_device_and_is_not_spoilt_by_one() {
    let world = World::new();
    let backend = world.open();
    let (neighbour, other) = world.neighbour("us-east-1a");
    let imports = backend.imports().unwrap();
    let (here, elsewhere) = (made(&backend, volume("a")).await, made(&backend, volume("b")).await);
    let held = hold(&attach(&backend, &here).await.unwrap());
    attach(&neighbour, &elsewhere).await.unwrap();

    let users: Vec<_> =
        imports.candidates().await.unwrap().into_iter().map(|found| found.in_use_by).collect();

    assert_eq!(users[0], None, "the one that is chosen is looked at");
    assert!(users[1].as_ref().is_some_and(|user| user.contains(&other)), "{users:?}");
    let chosen = imports.candidate(here.handle.as_ref().unwrap()).await.unwrap();
    assert!(chosen.in_use_by.is_some_and(|user| user.contains("this node")));
    let play = world.fake.play_dir(&world.fake.first_instance().id);
    fs::rename(play.join("sys/block"), play.join("sys/away")).unwrap();
    assert_eq!(imports.candidates().await.unwrap().len(), 2);
    fs::rename(play.join("sys/away"), play.join("sys/block")).unwrap();
    drop(held);
}

#[tokio::test]
async fn volumes_of_others_are_found_and_adopted_and_another_clusters_are_not() {
    let world = World::new();
    let backend = world.open();
    let imports = backend.imports().unwrap();
    let rexray = world.fake.add_volume(&[("Name", "prod/pgdata")], 1, b"").unwrap();
    let other =
        world.fake.add_volume(&[("hawser:cluster", "other"), ("Name", "x")], 1, b"").unwrap();

    let found = imports.candidates().await.unwrap();
    assert_eq!(found.iter().map(|c| c.handle.as_str()).collect::<Vec<_>>(), [&rexray]);
    assert_eq!((&*found[0].name, &*found[0].data_dir), ("pgdata", "data"));

    let mut volume = volume("pgdata");
    volume.handle = Some(crate::volume::Handle::from(other));
    assert_eq!(imports.adopt(&volume).await.unwrap_err().kind, ErrorKind::Foreign);
    volume.handle = Some(found[0].handle.clone());
    imports.adopt(&volume).await.unwrap();
    imports.adopt(&volume).await.unwrap();
    volume.handle = None;
    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Detached, "known by its tag");
    let known = imports.candidate(&found[0].handle).await.unwrap().known;
    assert_eq!(known, Some((volume.id, volume.spec.clone())), "a lost record could be rebuilt");
    let stranger =
        VolumeRef { id: VolumeId::random(), handle: Some(found[0].handle.clone()), ..volume };
    assert_eq!(imports.adopt(&stranger).await.unwrap_err().kind, ErrorKind::InUse);
}
