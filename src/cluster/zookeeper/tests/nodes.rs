//! Who lives, and under which name.

use std::time::{Duration, Instant};

use zookeeper::Link;

use super::super::{
    layout::Subject,
    testing::*,
    wire::{ANY, Op},
};
use crate::{
    cluster::{NodeInfo, Store, StoreError, StoreHealth, conformance::answers},
    volume::{NodeName, lease::Session},
};

#[tokio::test(flavor = "multi_thread")]
async fn nodes_appear_live_and_vanish_and_are_forgotten() {
    let world = World::new();
    let a = world.join("a").await;
    assert_eq!(session(&a, "a"), Some(Session::Lives), "it knows itself from the beginning");
    assert_eq!(session(&a, "b"), None);
    let b = world.join("b").await;
    assert_eq!(session(&b, "a"), Some(Session::Lives));
    eventually("a sees b", async || session(&a, "b") == Some(Session::Lives)).await;

    let name = "b".parse().unwrap();
    let error = a.forget_node(&name).await.unwrap_err();
    assert!(matches!(error, StoreError::NodeLives(_)), "{error}");
    let begun = Instant::now();
    drop(b);
    eventually("b is over", async || session(&a, "b") == Some(Session::Over)).await;
    let took = begun.elapsed();
    assert!(took > SESSION / 2 && took < SESSION * 2, "its session is over after {took:?}");
    a.forget_node(&name).await.unwrap();
    a.forget_node(&name).await.unwrap();
    eventually("b is forgotten", async || session(&a, "b").is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_announces_is_known_to_the_others() {
    let world = World::new();
    let (a, b) = (world.join("a").await, world.join("b").await);
    b.announce(&NodeInfo { drained: true, ..node("b", "b") }).await.unwrap();
    let name = "b".parse().unwrap();
    let drained = |store: &super::super::ZooKeeper| {
        store.nodes().borrow().get(&name).is_some_and(|state| state.info.drained)
    };
    eventually("a knows", async || drained(&a) && drained(&b)).await;
}

/// One that came back just when it was forgotten would be dead to everybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_forgotten_and_lives_is_known_again_when_it_next_says_something() {
    let world = World::new();
    let (a, b) = (world.join("a").await, world.join("b").await);
    eventually("a sees b", async || session(&a, "b") == Some(Session::Lives)).await;
    let name: NodeName = "b".parse().unwrap();
    let delete = || {
        let path = a.shared.layout.node(&name);
        [Op::Delete { path, version: ANY }, a.shared.change(&Subject::Node(name.clone()))]
    };
    a.connection().unwrap().multi(&delete()).await.unwrap().unwrap();
    eventually("a forgot b", async || session(&a, "b").is_none()).await;

    b.announce(&NodeInfo { drained: true, ..node("b", "b") }).await.unwrap();

    eventually("a sees b again", async || session(&a, "b") == Some(Session::Lives)).await;
    let error = a.forget_node(&name).await.unwrap_err();
    assert!(matches!(error, StoreError::NodeLives(_)), "{error}");
    assert_eq!(session(&a, "b"), Some(Session::Lives));
}

/// The znode is set, so that nobody sees a node that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_says_something_new_is_at_no_moment_unknown_and_the_last_word_holds() {
    let world = World::new();
    let (a, b) = (world.join("a").await, world.join("b").await);
    eventually("a sees b", async || session(&a, "b") == Some(Session::Lives)).await;
    let said = |free| NodeInfo { free_slots: Some(free), zone: Some("z".into()), ..node("b", "b") };
    let mut nodes = a.nodes();
    let name = "b".parse().unwrap();
    let watching = tokio::spawn(async move {
        loop {
            let seen = nodes.borrow_and_update().get(&name).cloned();
            let seen = seen.expect("it is known all the time");
            assert_eq!(seen.session, Session::Lives);
            if seen.info.free_slots == Some(0) {
                return seen.info;
            }
            nodes.changed().await.unwrap();
        }
    });
    for free in (0..10).rev() {
        b.announce(&said(free)).await.unwrap();
    }
    assert_eq!(watching.await.unwrap(), said(0));

    let connection = a.shared.current.borrow().clone().unwrap();
    let path = b.shared.layout.node(&"b".parse().unwrap());
    let (data, stat) = connection.get_newest(&path).await.unwrap().unwrap();
    assert_eq!(serde_json::from_slice::<NodeInfo>(&data).unwrap(), said(0));
    assert_eq!(stat.version, 10, "it was made once, and set ten times");
}

/// An upgrade, or a daemon that was killed: the same session goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_within_the_time_out_is_no_death() {
    let world = World::new();
    let (a, b) = (world.join("a").await, world.join("b").await);
    eventually("a sees b", async || session(&a, "b") == Some(Session::Lives)).await;
    let kept =
        |name: &str| std::fs::read(world.config(name).state_dir.join("zookeeper-session")).unwrap();
    let first = kept("b");
    let mut nodes = a.nodes();
    nodes.mark_unchanged();

    b.close().await;
    assert!(matches!(
        b.read(crate::volume::VolumeId::random()).await,
        Err(StoreError::Away { .. })
    ));
    drop(b);
    let b = world.join("b").await;
    drop(b);
    let _b = world.join("b").await;
    // Long enough for a session that nobody went on with to end.
    tokio::time::sleep(SESSION * 2).await;

    assert_eq!(kept("b"), first, "it is the same session");
    assert_eq!(session(&a, "b"), Some(Session::Lives));
    assert!(!nodes.has_changed().unwrap(), "and nobody saw anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lost_its_session_file_waits_for_its_former_session() {
    let world = World::new();
    let b = world.join("b").await;
    drop(b);
    std::fs::remove_file(world.config("b").state_dir.join("zookeeper-session")).unwrap();
    let begun = Instant::now();
    let b = world.join("b").await;
    let took = begun.elapsed();
    assert!(took > SESSION / 2 && took < SESSION * 3, "{took:?}");
    assert_eq!(session(&b, "b"), Some(Session::Lives));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_machine_under_the_same_name_does_not_come_in() {
    let world = World::new();
    let first = world.join("a").await;
    let second = super::super::ZooKeeper::open(world.config("other"), node("a", "another-machine"));
    tokio::time::sleep(SESSION * 2).await;

    assert!(matches!(*second.health().borrow(), StoreHealth::Away { .. }));
    let error = second.read(crate::volume::VolumeId::random()).await.unwrap_err();
    assert!(error.to_string().contains("another machine is in the cluster as a"), "{error}");
    assert_eq!(*first.health().borrow(), StoreHealth::Answers);
    // The first one goes for good.
    drop(first);
    answers(&second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_cut_off_for_longer_than_its_session_comes_back_with_a_new_one() {
    let world = World::new();
    let link = Link::to(&world.server.address());
    let a = world.join("a").await;
    let b = world.open_at("b", &link.address());
    answers(&*b).await;
    eventually("a sees b", async || session(&a, "b") == Some(Session::Lives)).await;

    let cut = Instant::now();
    link.cut();
    eventually("b is over", async || session(&a, "b") == Some(Session::Over)).await;
    let StoreHealth::Away { since } = *b.health().borrow() else { panic!("b knows it before") };
    assert!(since < cut + Duration::from_secs(1), "it counts from the last answer");

    link.heal();
    answers(&*b).await;
    eventually("a sees b again", async || session(&a, "b") == Some(Session::Lives)).await;
}
