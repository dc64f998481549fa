//! What a node takes back of a creation, and what it leaves to others.

use jiff::SignedDuration;
use tempfile::TempDir;

use super::*;
use crate::volume::{Lease, testing::used_record};

fn owner(node: &str) -> Owner {
    Owner { node: node.parse().unwrap(), machine: None }
}

/// A record that a node is about to store.
fn record_of(node: &str) -> Record {
    Record { lease: Lease::first(owner(node)), ..used_record() }
}

fn opened(dir: &TempDir, name: &str) -> Embedded {
    let dir = dir.path().join(name);
    std::fs::create_dir(&dir).unwrap();
    Embedded::open(&dir).unwrap().0
}

/// A node and the store that it shares with others.
fn node(dir: &TempDir, store: &Embedded) -> (Keeper, Embedded) {
    let copy = opened(dir, "copy");
    let file = |name: &str| dir.path().join(name);
    let shared = Arc::new(store.clone());
    let keeper =
        Keeper::clustered(shared, copy.clone(), owner("a"), file("drained"), file("joining"));
    (keeper, copy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_whose_answer_was_lost_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(&dir, "store");
    let (keeper, copy) = node(&dir, &store);
    let mine = record_of("a");
    store.create(&mine, Urgency::NewWork).await.unwrap();
    keeper.mirror(&mine, Urgency::NewWork).await.unwrap();

    keeper.discard(&mine).await.unwrap();

    assert_eq!(store.read(mine.id).await.unwrap(), None);
    assert_eq!(Store::read(&copy, mine.id).await.unwrap(), None);
}

/// Two nodes import the same storage, under its id: the one that was not stored takes nothing back.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_node_stored_under_the_same_id_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(&dir, "store");
    let (keeper, _copy) = node(&dir, &store);
    let mine = record_of("a");
    let theirs = record_of("b");
    let later = mine.created_at + SignedDuration::from_millis(1);
    let also_theirs = Record { created_at: later, ..mine.clone() };
    for stored in [theirs, also_theirs] {
        store.create(&stored, Urgency::NewWork).await.unwrap();
        keeper.discard(&mine).await.unwrap();
        let found = store.read(mine.id).await.unwrap().unwrap();
        assert_eq!((found.shared().lease, found.created_at), (stored.lease, stored.created_at));
        Store::delete(&store, &found).await.unwrap();
    }
}

/// Its name may be what keeps it from being told again.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_store_lost_is_given_another_name_here_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(&dir, "store");
    let (keeper, copy) = node(&dir, &store);
    let lost = Record { untold: true, ..record_of("a") };
    keeper.mirror(&lost, Urgency::NewWork).await.unwrap();

    let renamed = Record { name: "other".parse().unwrap(), ..lost.clone() };
    let stored = keeper.put(&lost, &renamed, Urgency::NewWork).await.unwrap();
    let released = Record { lease: lost.lease.released(), ..renamed };
    let refused = keeper.put(&stored, &released, Urgency::NewWork).await;

    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    let kept = Store::read(&copy, lost.id).await.unwrap().unwrap();
    assert_eq!((kept.name.as_str(), kept.untold), ("other", true));
    let introduced = keeper.introduce(&Record { untold: false, ..stored }).await.unwrap();
    let kept = Store::read(&copy, lost.id).await.unwrap().unwrap();
    assert_eq!((kept.untold, kept.revision), (false, introduced.revision));
}

/// A daemon that was just started without its store has heard of no node at all.
#[test]
fn a_node_that_nobody_has_told_of_yet_is_not_taken_for_dead() {
    let of = |nodes: &Nodes, store| session(nodes, store, &"b".parse().unwrap());
    let nobody = Nodes::default();
    assert_eq!(of(&nobody, StoreReach::Away), Session::Lives);
    assert_eq!(of(&nobody, StoreReach::Answers), Session::Over, "it was forgotten");

    let info =
        r#"{"name":"b","machine_id":"b","version":"0.1.0","started_at":"2026-01-02T03:04:05Z"}"#;
    let info = serde_json::from_str(info).unwrap();
    let state = crate::cluster::NodeState { info, session: Session::Over };
    let known: Nodes = Arc::new([("b".parse().unwrap(), state)].into());
    assert_eq!(of(&known, StoreReach::Away), Session::Over, "as it was last known");
}
