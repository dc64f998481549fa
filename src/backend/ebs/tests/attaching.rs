//! Attaching: names, slots, stuck attachments, and the right device.

use ec2_fake::{Throttle, Transition};

use super::*;

/// The names that AttachVolume was called with.
fn attachment_names(world: &World) -> Vec<String> {
    let calls = world.fake.calls().into_iter();
    let attaches = calls.filter(|call| call.action == "AttachVolume");
    attaches.map(|call| call.params["Device"].clone()).collect()
}

#[tokio::test]
async fn a_first_attachment_is_one_call_and_a_second_none() {
    let world = World::new();
    let backend = world.open();
    let volume = made(&backend, volume("pgdata")).await;
    world.fake.reset_calls();

    let device = attach(&backend, &volume).await.unwrap();

    let actions = ["AttachVolume", "DescribeVolumes", "DescribeInstances", "DescribeInstanceTypes"];
    let counts = world.counts(&actions);
    assert_eq!((counts[0], &counts[2..]), (1, &[1, 1][..]));
    assert!((2..=4).contains(&counts[1]), "{counts:?}");
    world.fake.reset_calls();
    assert_eq!(attach(&backend, &volume).await.unwrap(), device);
    assert_eq!(world.counts(&actions)[0], 0);

    let held = hold(&device);
    world.fake.reset_calls();
    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Attached(device));
    assert_eq!(world.fake.calls(), [], "a device in use needs no question");
    drop(held);
}

/// REX-Ray's c (#1284): of parallel first mounts all but one failed.
#[tokio::test]
async fn a_lost_answer_to_attach_volume_is_adopted() {
    let world = World::new();
    let backend = world.open();
    let volume = made(&backend, volume("pgdata")).await;
    world.fake.lose_response("AttachVolume", 1);

    let device = attach(&backend, &volume).await.unwrap();

    assert_eq!(world.fake.attach_path(id(&volume)), Some(device.path));
}

#[tokio::test]
async fn an_attachment_under_way_from_before_a_crash_is_waited_for() {
    let world = World::with(|config| config.delays.attach = Duration::from_millis(200));
    let volume = made(&world.open(), volume("pgdata")).await;
    let cancel = CancellationToken::new();
    let first = world.open();
    let begun = tokio::spawn({
        let (volume, cancel) = (volume.clone(), cancel.clone());
        async move { first.attach(&volume, &cancel).await }
    });
    while world.fake.count("AttachVolume") == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    cancel.cancel();
    assert_eq!(begun.await.unwrap().unwrap_err().kind, ErrorKind::Cancelled);
    let restarted = world.open();
    assert_eq!(
        restarted.inspect(&volume).await.unwrap(),
        Inspection::InTransit(crate::volume::Transit::Attaching)
    );

    attach(&restarted, &volume).await.unwrap();

    assert_eq!(world.fake.count("AttachVolume"), 1);
}

/// REX-Ray #427, #410; EBS CSI #2833; k8s #31891, #32630.
#[tokio::test]
async fn a_stuck_attachment_is_taken_back_and_tried_again_under_another_name() {
    let world = World::new();
    let backend = world.open();
    let volume = made(&backend, volume("pgdata")).await;
    world.fake.stick(id(&volume), Transition::Attach);
    let controls = world.fake.controls();
    let stuck = id(&volume).to_owned();
    let helper = tokio::spawn(async move {
        while controls.count("DetachVolume") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        controls.unstick(&stuck);
    });

    attach(&backend, &volume).await.unwrap();

    helper.await.unwrap();
    assert_eq!(attachment_names(&world), ["/dev/xvdaa", "/dev/xvdab"]);
    let forced = world.fake.calls().iter().any(|call| call.params.contains_key("Force"));
    assert!(!forced, "nothing is forced here");
}

#[tokio::test]
async fn a_volume_that_never_attaches_ends_with_an_error_and_is_left_available() {
    let world = World::new();
    let config = EbsConfig { attach_timeout: Duration::from_millis(300), ..world.config() };
    let backend = Ebs::open_at(config, fast());
    let volume = made(&backend, volume("pgdata")).await;
    world.fake.stick(id(&volume), Transition::Attach);

    let error = attach(&backend, &volume).await.unwrap_err();

    assert_eq!(error.kind, ErrorKind::Failed, "{error}");
    assert!(error.to_string().contains(id(&volume)), "{error}");
    for name in ["xvdaa", "xvdab"] {
        assert!(error.to_string().contains(name), "{error}");
    }
    assert_eq!(world.fake.count("AttachVolume"), 2);
    assert_eq!(world.fake.volume(id(&volume)).unwrap().state, "available");
}

/// What was slow may be attached for long: only a look tells.
#[tokio::test]
async fn an_attachment_that_nobody_could_look_at_is_not_taken_back() {
    let world = World::with(|config| config.delays.attach = Duration::from_millis(150));
    let config = EbsConfig { attach_timeout: Duration::from_millis(400), ..world.config() };
    let backend = Ebs::open_at(config, fast());
    let volume = made(&backend, volume("pgdata")).await;
    let controls = world.fake.controls();
    let helper = tokio::spawn(async move {
        while controls.count("AttachVolume") == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        controls.throttle("DescribeVolumes", Throttle::Percent(100));
    });

    let error = attach(&backend, &volume).await.unwrap_err();

    helper.await.unwrap();
    assert_eq!(error.kind, ErrorKind::Failed, "{error}");
    assert!(error.to_string().contains("is not known"), "{error}");
    assert_eq!(world.fake.count("DetachVolume"), 0);
    world.fake.clear_wire_faults();
    attach(&world.open(), &volume).await.unwrap();
    assert_eq!(world.fake.count("AttachVolume"), 1);
}

#[tokio::test]
async fn an_attachment_that_ec2_does_not_show_is_not_taken_back_from_who_has_its_device() {
    let world = World::new();
    let config = EbsConfig { attach_timeout: Duration::from_millis(500), ..world.config() };
    let backend = Ebs::open_at(config, fast());
    let volume = made(&backend, volume("pgdata")).await;
    world.fake.hide_new_volumes(Duration::from_secs(60));
    let controls = world.fake.controls();
    let vol = id(&volume).to_owned();
    let holder = tokio::spawn(async move {
        loop {
            if let Some(path) = controls.attach_path(&vol)
                && let Ok(held) = try_hold(&path)
            {
                return held;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });

    let error = attach(&backend, &volume).await.unwrap_err();

    assert_eq!(error.kind, ErrorKind::Failed, "{error}");
    assert_eq!(world.fake.count("DetachVolume"), 0, "{error}");
    drop(holder.await.unwrap());
}

/// EC2 says "attached", and the instance never saw the device.
#[tokio::test]
async fn an_attachment_without_a_device_is_under_way_and_is_made_again_under_another_name() {
    let world = World::new();
    let backend = world.open();
    let volume = made(&backend, volume("pgdata")).await;
    world.take_device_away(&attach(&backend, &volume).await.unwrap());

    let transit = Inspection::InTransit(crate::volume::Transit::Attaching);
    assert_eq!(backend.inspect(&volume).await.unwrap(), transit);
    let device = attach(&backend, &volume).await.unwrap();

    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Attached(device.clone()));
    assert_eq!(world.counts(&["AttachVolume", "DetachVolume"]), [2, 1]);
    assert_eq!(attachment_names(&world), ["/dev/xvdaa", "/dev/xvdab"]);

    world.take_device_away(&device);
    backend.detach(&volume).await.unwrap();
    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Detached);
}

#[tokio::test]
async fn a_volume_of_another_node_is_in_use_and_the_node_is_named() {
    let world = World::new();
    let (neighbour, other) = world.neighbour("us-east-1a");
    let backend = world.open();
    let volume = made(&backend, volume("pgdata")).await;
    attach(&neighbour, &volume).await.unwrap();

    let error = attach(&backend, &volume).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InUse, "{error}");
    assert!(error.to_string().contains(&other), "{error}");
    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Detached);
    assert_eq!(backend.attached().await.unwrap(), HashSet::new());
    backend.detach(&volume).await.unwrap();
    assert_eq!(world.fake.count("DetachVolume"), 0, "another's attachment is never taken away");
    assert_eq!(Backend::remove(&backend, &volume).await.unwrap_err().kind, ErrorKind::InUse);
}

/// REX-Ray #1351; EBS CSI #1163, #2174.
#[tokio::test]
async fn at_the_limit_there_is_no_slot_until_one_is_free() {
    // The root volume and a second network interface take one each.
    let world = World::with(|config| {
        config.instance.max_attachments = 4;
        config.instance.network_interfaces = 2;
    });
    let backend = world.open();
    let one = made(&backend, volume("one")).await;
    let two = made(&backend, volume("two")).await;
    let three = made(&backend, volume("three")).await;
    attach(&backend, &one).await.unwrap();
    attach(&backend, &two).await.unwrap();

    let error = attach(&backend, &three).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoSlot, "{error}");
    assert_eq!(world.fake.count("AttachVolume"), 2, "known before the call");
    backend.detach(&one).await.unwrap();
    attach(&backend, &three).await.unwrap();

    // EC2's own word, where the limit is not known.
    let config = EbsConfig { attach_limit: Some(99), ..world.config() };
    let error = attach(&Ebs::open_at(config, fast()), &one).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoSlot, "{error}");
}

#[tokio::test]
async fn a_device_that_says_it_is_another_volumes_is_refused() {
    let world = World::new();
    let backend = world.open();
    let bystander = made(&backend, volume("bystander")).await;
    let device = attach(&backend, &bystander).await.unwrap();
    let volume = made(&backend, volume("pgdata")).await;
    world.fake.wrong_serial(id(&volume));

    let error = attach(&backend, &volume).await.unwrap_err().to_string();

    let other = id(&bystander).replace('-', "");
    assert!(error.contains(&other) && error.contains(id(&volume)), "{error}");
    assert_eq!(attach(&backend, &bystander).await.unwrap(), device);
    backend.detach(&volume).await.unwrap();
}

#[tokio::test]
async fn many_attach_at_once_under_different_names_and_describes_do_not_multiply() {
    let world = World::with(|config| config.delays.attach = Duration::from_millis(50));
    let config = world.config();
    let backend = Ebs::open_at(config, Pace { window: Duration::from_millis(200), ..fast() });
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..20 {
        let backend = backend.clone();
        tasks.spawn(async move {
            let volume = made(&backend, volume(&format!("v{n}"))).await;
            attach(&backend, &volume).await.unwrap()
        });
    }
    let devices = tasks.join_all().await;
    let distinct: HashSet<_> = devices.iter().map(|device| device.number).collect();
    assert_eq!(distinct.len(), 20);
    let counts =
        world.counts(&["CreateVolume", "AttachVolume", "DescribeInstances", "DescribeVolumes"]);
    assert_eq!(counts[..3], [20, 20, 1]);
    assert!(counts[3] <= 20, "{counts:?}");
}

/// ebs-csi #2005: EC2 shows for a moment what was before.
#[tokio::test]
async fn an_attachment_that_was_called_off_before_ec2_showed_it_is_not_forgotten() {
    let world = World::new();
    let backend = world.open();
    let volume = made(&backend, volume("pgdata")).await;
    world.fake.hide_new_volumes(Duration::from_millis(400));
    let cancel = CancellationToken::new();
    let attaching = tokio::spawn({
        let (backend, volume, cancel) = (backend.clone(), volume.clone(), cancel.clone());
        async move { backend.attach(&volume, &cancel).await }
    });
    while world.fake.count("AttachVolume") == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    cancel.cancel();
    assert_eq!(attaching.await.unwrap().unwrap_err().kind, ErrorKind::Cancelled);

    let seen = backend.inspect(&volume).await.unwrap();
    assert_ne!(seen, Inspection::Detached);
    backend.detach(&volume).await.unwrap();
    assert_eq!(world.fake.volume(id(&volume)).unwrap().attachment, None);
}

#[tokio::test]
async fn a_name_that_something_else_has_or_ec2_does_not_take_is_passed_over() {
    let world = World::new();
    let backend = world.open();
    let volume = made(&backend, volume("pgdata")).await;
    let text =
        "Invalid value '/dev/xvdaa' for unixDevice. Attachment point /dev/xvdaa is already in use";
    world.fake.fail_next("AttachVolume", "InvalidParameterValue", text, 1);
    let text = "Value (/dev/xvdab) for parameter device is invalid. /dev/xvdab is not a valid EBS \
                device name.";
    world.fake.fail_next("AttachVolume", "InvalidParameterValue", text, 1);

    attach(&backend, &volume).await.unwrap();

    let attachment = world.fake.volume(id(&volume)).unwrap().attachment.unwrap();
    assert_eq!(attachment.device, "/dev/xvdac");
}

/// Connections are taken, and nobody answers.
fn silence() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test]
async fn who_waits_for_a_silent_metadata_service_waits_once_for_all_and_can_be_called_off() {
    let world = World::new();
    let volume = made(&world.open(), volume("pgdata")).await;
    let (_listener, url) = silence();
    let config = EbsConfig { metadata_endpoint: Some(url), ..world.config() };
    let backend = Ebs::open_at(config, fast());
    let begun = std::time::Instant::now();
    let cancel = CancellationToken::new();
    let called_off = tokio::spawn({
        let (backend, volume, cancel) = (backend.clone(), volume.clone(), cancel.clone());
        async move { backend.attach(&volume, &cancel).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    cancel.cancel();
    assert_eq!(called_off.await.unwrap().unwrap_err().kind, ErrorKind::Cancelled);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());

    let all: tokio::task::JoinSet<_> = (0..5)
        .map(|_| {
            let (backend, volume) = (backend.clone(), volume.clone());
            async move { attach(&backend, &volume).await.unwrap_err().to_string() }
        })
        .collect();
    for error in all.join_all().await {
        assert!(error.contains("backends.ebs.instance_id"), "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_instance_types_limit_is_not_waited_for_long() {
    let world = World::new();
    let backend = world.open();
    let volume = made(&backend, volume("pgdata")).await;
    world.fake.throttle("DescribeInstanceTypes", Throttle::Percent(100));
    let begun = std::time::Instant::now();

    attach(&backend, &volume).await.unwrap();

    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

/// io1 and io2 volumes can be attached to several instances: two would write to one file system.
#[tokio::test]
async fn a_volume_that_several_instances_can_have_is_refused() {
    let world = World::new();
    let backend = world.open();
    let inner = &backend.inner;
    let volume = made(&backend, volume("shared")).await;
    attach(&backend, &volume).await.unwrap();
    let me = world.fake.first_instance().id;
    let mut seen = inner.describer.fresh(id(&volume)).await.unwrap().unwrap();
    attach::refuse_shared(&seen).unwrap();
    import::candidate("prod", &seen).unwrap();
    assert_eq!(inner.in_use_by(&seen).await.unwrap(), None);

    seen.multi_attach = true;
    let error = attach::refuse_shared(&seen).unwrap_err().to_string();
    assert!(error.contains("Multi-Attach"), "{error}");
    let error = import::candidate("prod", &seen).unwrap_err().to_string();
    assert!(error.contains("Multi-Attach"), "{error}");

    let elsewhere = api::Attachment { instance: "i-other".into(), ..seen.attachments[0].clone() };
    seen.attachments.push(elsewhere);
    assert!(matches!(attach::place(&seen, &me), attach::Place::Elsewhere(_)));
    assert!(inner.in_use_by(&seen).await.unwrap().is_some_and(|user| user.contains("i-other")));
    // An attach says who has it, and a release takes this node's attachment away.
    let transit = Inspection::InTransit(crate::volume::Transit::Attaching);
    assert_eq!(inner.inspect_seen(&seen).await.unwrap(), transit);
}

#[tokio::test]
async fn neither_of_two_devices_with_its_serial_number_is_given_to_anybody() {
    let world = World::new();
    let backend = world.open();
    let (volume, other) =
        (made(&backend, volume("pgdata")).await, made(&backend, volume("other")).await);
    attach(&backend, &volume).await.unwrap();
    let stale = attach(&backend, &other).await.unwrap();
    world.pretend(&stale, id(&volume));

    let error = attach(&backend, &volume).await.unwrap_err().to_string();
    assert!(error.contains("all have its serial number"), "{error}");
    assert!(error.contains("or reboot it"), "{error}");
    assert_eq!(world.fake.volume(id(&volume)).unwrap().attachment, None, "it is free for others");

    // The only device with its serial number is not its own now, and no second one is made.
    world.fake.reset_calls();
    let error = attach(&backend, &volume).await.unwrap_err().to_string();
    assert!(error.contains("is still there") && error.contains("or reboot it"), "{error}");
    assert_eq!(world.fake.count("AttachVolume"), 0);
    world.pretend(&stale, id(&other));
    assert_ne!(attach(&backend, &volume).await.unwrap(), stale);
}

/// An operator took the tags off, and another cluster has it now, or will have it.
#[tokio::test]
async fn what_lost_the_clusters_tags_is_neither_used_nor_changed() {
    let world = World::new();
    let backend = world.open();
    let (moved, untagged) =
        (made(&backend, volume("pgdata")).await, made(&backend, volume("bare")).await);
    let of_other = api::Tags::from([("hawser:cluster".into(), "other".into())]);
    backend.inner.api.create_tags(id(&moved), &of_other).await.unwrap();
    let bare = world.fake.add_volume(&[("Name", "bare")], 1, b"").unwrap();
    let untagged = VolumeRef { handle: Some(crate::volume::Handle::from(bare)), ..untagged };
    world.fake.reset_calls();
    for (volume, why) in [(&moved, "is other, not prod"), (&untagged, "is missing, not prod")] {
        let snapshots = backend.snapshots().unwrap();
        let outcomes = [
            attach(&backend, volume).await.map(drop),
            backend.grow(volume, Bytes::gib(2)).await,
            backend.describe(volume).await,
            snapshots.create(volume, "").await.map(drop),
        ];
        for outcome in outcomes {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Foreign, "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
    }
    let changes = ["AttachVolume", "ModifyVolume", "CreateTags", "CreateSnapshot"];
    assert_eq!(world.counts(&changes), [0; 4]);
}
