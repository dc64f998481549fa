//! What the store refuses, and how a call ends when it does not answer.

use std::time::{Duration, Instant};

use zookeeper::Link;

use super::super::{ZooKeeper, ZooKeeperConfig, testing::*};
use crate::cluster::{
    Store, StoreError, StoreHealth, Urgency,
    conformance::{answers, created, owned, volume},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_fails_at_once_while_the_store_is_known_to_be_away_and_else_within_seconds() {
    let world = World::new();
    let link = Link::to(&world.server.address());
    let a = world.open_at("a", &link.address());
    answers(&*a).await;
    let record = created(&*a, &volume()).await;

    link.cut();
    let begun = Instant::now();
    let error = a.replace(&record, &owned(&record, "a"), Urgency::NewWork).await.unwrap_err();
    assert!(matches!(error, StoreError::Away { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());

    let begun = Instant::now();
    let error = a.read(record.id).await.unwrap_err();
    assert!(matches!(error, StoreError::Away { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
    assert!(matches!(*a.health().borrow(), StoreHealth::Away { .. }));
    // What went into the void is not made when the wire is whole again.
    link.heal();
    answers(&*a).await;
    assert_eq!(a.read(record.id).await.unwrap().unwrap().revision, record.revision);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_never_there_is_away_and_is_found_when_it_comes() {
    let mut world = World::new();
    world.server.kill();
    let a = world.open("a");
    let error = a.read(volume().id).await.unwrap_err();
    assert!(matches!(error, StoreError::Away { .. }), "{error}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let error = a.read(volume().id).await.unwrap_err();
    assert!(error.to_string().contains("Connection refused"), "{error}");

    world.server.restart();
    answers(&*a).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dead_server_of_an_ensemble_does_not_matter() {
    let world = World::new();
    let dead = Link::to("127.0.0.1:1");
    dead.refuse();
    for n in 0..4 {
        let ensemble = format!("{},{}", dead.address(), world.server.address());
        let begun = Instant::now();
        let store = world.open_at(&format!("n{n}"), &ensemble);
        answers(&*store).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_format_is_refused_with_what_to_do() {
    let world = World::new();
    let config = ZooKeeperConfig { chroot: "/other".into(), ..world.config("a") };
    let a = ZooKeeper::open(config, node("a", "a"));
    answers(&a).await;
    let connection = a.connection().unwrap();
    connection.delete("/other/format").await.unwrap();
    let persistent = super::super::wire::Life::Persistent;
    connection.create("/other/format", b"2", persistent).await.unwrap();

    let config = ZooKeeperConfig { chroot: "/other".into(), ..world.config("b") };
    let b = ZooKeeper::open(config, node("b", "b"));
    let says = async || {
        let error = b.read(volume().id).await.unwrap_err().to_string();
        error.contains("format 2 and this hawser reads format 1")
    };
    eventually("b says so", says).await;
    assert!(matches!(*b.health().borrow(), StoreHealth::Away { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_with_a_digest_is_for_nobody_without_it() {
    let world = World::new();
    let with = |name: &str, digest: Option<&str>| {
        let config = ZooKeeperConfig { digest: digest.map(str::to_owned), ..world.config(name) };
        assert!(!format!("{config:?}").contains("secret"));
        ZooKeeper::open(config, node(name, name))
    };
    let a = with("a", Some("hawser:secret"));
    answers(&a).await;
    let record = created(&a, &volume()).await;
    let friend = with("friend", Some("hawser:secret"));
    answers(&friend).await;
    assert!(friend.read(record.id).await.unwrap().is_some());

    for (name, digest) in [("stranger", None), ("guesser", Some("hawser:guess"))] {
        let stranger = with(name, digest);
        let says = async || {
            let error = stranger.read(record.id).await.unwrap_err().to_string();
            error.contains("not authorized")
        };
        eventually("it is refused", says).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_zookeeper_would_not_take_is_refused_before_it_is_sent() {
    let world = World::new();
    let a = world.join("a").await;
    let mut record = volume();
    record.spec.labels = [("text".to_owned(), "x".repeat(1 << 20))].into();
    let error = a.create(&record, Urgency::NewWork).await.unwrap_err();
    assert!(error.to_string().contains("ZooKeeper takes no more than"), "{error}");
    assert_eq!(*a.health().borrow(), StoreHealth::Answers);
}

/// Else every node would forget its volumes.
#[tokio::test(flavor = "multi_thread")]
async fn an_ensemble_that_lost_its_data_is_another_cluster_until_an_operator_says_otherwise() {
    let mut world = World::new();
    let a = world.join("a").await;
    let lost = created(&*a, &volume()).await;
    world.lose_the_data();
    eventually("it is away", async || *a.health().borrow() != StoreHealth::Answers).await;
    let mut reason = String::new();
    for _ in 0..600 {
        let error = a.create(&volume(), Urgency::NewWork).await.unwrap_err();
        reason = error.to_string();
        if reason.contains("the store of another cluster") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let file = world.config("a").state_dir.join("cluster-id");
    assert!(reason.contains(&file.display().to_string()), "{reason}");

    std::fs::remove_file(file).unwrap();
    answers(&*a).await;
    assert_eq!(a.read(lost.id).await.unwrap(), None);
    created(&*a, &volume()).await;
}
