//! Describes: batched, and not spoilt by one id.

use super::*;

/// REX-Ray #959, #1292, #1331: a call per volume and look.
#[tokio::test]
async fn two_hundred_who_look_at_once_share_two_calls() {
    let world = World::new();
    let ids: Vec<_> = (0..200).map(|_| world.fake.add_volume(&[], 1, b"").unwrap()).collect();
    let backend =
        Ebs::open_at(world.config(), Pace { window: Duration::from_millis(500), ..fast() });
    let look = || async {
        let mut tasks = tokio::task::JoinSet::new();
        for id in ids.clone() {
            let describer = backend.inner.describer.clone();
            tasks.spawn(async move { describer.fresh(&id).await.unwrap().unwrap().id == id });
        }
        assert!(tasks.join_all().await.into_iter().all(|same| same));
    };

    look().await;
    assert!(world.fake.count("DescribeVolumes") <= 2);
    world.fake.reset_calls();
    look().await;
    assert!(world.fake.count("DescribeVolumes") <= 2);
}

#[tokio::test]
async fn one_id_that_is_gone_fails_no_other_and_is_asked_alone_from_then_on() {
    let world = World::new();
    let good: Vec<_> = (0..5).map(|_| world.fake.add_volume(&[], 1, b"").unwrap()).collect();
    let backend = world.open();
    let poison = ["vol-0123456789abcdef0", "vol-00000000", "not an id", "vol-XYZ"];
    for round in 0..2 {
        world.fake.reset_calls();
        let mut tasks = tokio::task::JoinSet::new();
        for id in good.iter().map(String::as_str).chain(poison) {
            let (describer, id) = (backend.inner.describer.clone(), id.to_owned());
            tasks.spawn(async move {
                describer.fresh(&id).await.unwrap().is_some() != poison.contains(&&*id)
            });
        }
        assert!(tasks.join_all().await.into_iter().all(|right| right));
        let failed = |call: &&ec2_fake::Call| matches!(call.outcome, CallOutcome::Refused(_));
        let together = |call: &&ec2_fake::Call| call.params.contains_key("VolumeId.2");
        let calls = world.fake.calls();
        let spoilt = calls.iter().filter(failed).filter(together).count();
        assert!(spoilt <= 1 - round, "round {round}: {spoilt} calls were spoilt");
    }
}

#[tokio::test]
async fn a_plain_look_is_remembered_for_a_moment_and_not_over_a_change() {
    let world = World::new();
    let backend = Ebs::open_at(world.config(), Pace { cached: Duration::from_secs(60), ..fast() });
    let volume = made(&backend, volume("pgdata")).await;
    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Detached);
    world.fake.reset_calls();
    for _ in 0..10 {
        assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Detached);
    }
    assert_eq!(world.fake.calls(), []);
    let device = attach(&backend, &volume).await.unwrap();
    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Attached(device));
}

#[tokio::test]
async fn while_ec2_is_away_nothing_is_known_and_nothing_is_said_to_be_absent() {
    let world = World::new();
    let backend = world.open();
    let volume = made(&backend, volume("pgdata")).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    world.fake.fail_next("*", "UnauthorizedOperation", "You are not authorized", 2);
    let error = backend.inspect(&volume).await.unwrap_err();
    assert!(error.to_string().contains("You are not authorized"), "{error}");
    assert!(error.to_string().contains(id(&volume)), "{error}");
    assert!(backend.attached().await.is_err());
    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Detached);
}

/// REX-Ray #1173: lists beyond one page.
#[tokio::test]
async fn more_attached_volumes_than_a_page_are_all_seen() {
    let world = World::new();
    let backend = world.open();
    for n in 0..600 {
        world.fake.add_volume(&[("Name", &format!("v{n}"))], 1, b"").unwrap();
    }
    assert_eq!(backend.imports().unwrap().candidates().await.unwrap().len(), 600);
    assert_eq!(world.fake.count("DescribeVolumes"), 2);
}
