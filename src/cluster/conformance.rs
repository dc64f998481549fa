//! The contract of [`Store`] as a suite: every store passes it.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{Store, StoreError, StoreHealth, Urgency};
use crate::{
    spec::VolumeName,
    volume::{
        Epoch, Owner, Phase, Purge, Record, VolumeId,
        testing::{START, used_record},
    },
};

const NEW: Urgency = Urgency::NewWork;

/// Runs all of it. The store need not be empty, and is used further by other volumes of its own.
pub(super) async fn run(store: Arc<dyn Store>) {
    answers(&*store).await;
    a_record_is_read_as_it_was_created(&*store).await;
    an_id_is_created_once(&*store).await;
    a_name_is_one_volumes(&*store).await;
    a_change_of_an_old_state_is_refused(&*store).await;
    a_renamed_volume_has_its_new_name_alone(&*store).await;
    a_removed_volume_gives_its_name_free(&*store).await;
    a_deleted_record_is_gone_with_its_name(&*store).await;
    of_many_who_change_one_state_exactly_one_wins(Arc::clone(&store)).await;
    of_many_who_create_under_one_name_exactly_one_wins(Arc::clone(&store)).await;
    a_name_is_undeleted_or_created_and_never_both(Arc::clone(&store)).await;
    many_writers_lose_nothing(Arc::clone(&store)).await;
}

/// Waits for a store that has just been opened.
pub(super) async fn answers(store: &dyn Store) {
    let mut health = store.health();
    let answered = health.wait_for(|health| *health == StoreHealth::Answers);
    tokio::time::timeout(Duration::from_secs(30), answered).await.unwrap().unwrap();
}

/// A volume of a name that nobody else has.
pub(super) fn volume() -> Record {
    let id = VolumeId::random();
    Record { id, name: format!("volume-{id}").parse().unwrap(), ..used_record() }
}

/// The record as the store made it.
pub(super) async fn created(store: &dyn Store, record: &Record) -> Record {
    let revision = store.create(record, NEW).await.unwrap();
    Record { revision, ..record.clone() }
}

/// Its next state, with another owner.
pub(super) fn owned(record: &Record, by: &str) -> Record {
    let owner = Owner { node: by.parse().unwrap(), machine: None };
    Record { lease: record.lease.claimed_by(owner), ..record.clone() }
}

fn removed(record: &Record) -> Record {
    let phase = Phase::Removed { at: START, purge: Purge::Never };
    Record { phase, ..record.clone() }
}

fn renamed(record: &Record, name: &VolumeName) -> Record {
    Record { name: name.clone(), ..record.clone() }
}

async fn a_record_is_read_as_it_was_created(store: &dyn Store) {
    let record = volume();
    assert_eq!(store.read(record.id).await.unwrap(), None);
    assert_eq!(store.named(&record.name).await.unwrap(), None);

    let record = created(store, &record).await;
    assert_eq!(record.revision.get(), 1);
    assert_eq!(store.named(&record.name).await.unwrap(), Some(record.id));
    let read = store.read(record.id).await.unwrap().unwrap();
    assert_eq!((read.shared(), read.revision), (record.shared(), record.revision));
}

async fn an_id_is_created_once(store: &dyn Store) {
    let record = created(store, &volume()).await;
    let again = renamed(&record, &volume().name);
    let error = store.create(&again, NEW).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(id) if id == record.id), "{error}");
    assert_eq!(store.named(&again.name).await.unwrap(), None, "nothing of it was made");
}

async fn a_name_is_one_volumes(store: &dyn Store) {
    let (first, second) = (created(store, &volume()).await, created(store, &volume()).await);
    let third = renamed(&volume(), &first.name);
    let taken = |error: &StoreError| matches!(error, StoreError::NameTaken { name, by } if *name == first.name && *by == first.id);

    let error = store.create(&third, NEW).await.unwrap_err();
    assert!(taken(&error), "{error}");
    assert_eq!(store.read(third.id).await.unwrap(), None);
    let error = store.replace(&second, &renamed(&second, &first.name), NEW).await.unwrap_err();
    assert!(taken(&error), "{error}");
    assert_eq!(store.read(second.id).await.unwrap().unwrap().name, second.name);
}

async fn a_change_of_an_old_state_is_refused(store: &dyn Store) {
    let first = created(store, &volume()).await;
    let next = owned(&first, "a");
    assert_eq!(store.replace(&first, &next, NEW).await.unwrap().get(), 2);

    let late = owned(&first, "b");
    for error in [
        store.replace(&first, &late, NEW).await.unwrap_err(),
        store.delete(&first).await.unwrap_err(),
        store.replace(&volume(), &volume(), NEW).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    }
    let read = store.read(first.id).await.unwrap().unwrap();
    assert_eq!((read.lease, read.revision.get()), (next.lease, 2));
}

async fn a_renamed_volume_has_its_new_name_alone(store: &dyn Store) {
    let before = created(store, &volume()).await;
    let next = renamed(&before, &volume().name);
    store.replace(&before, &next, NEW).await.unwrap();
    assert_eq!(store.named(&before.name).await.unwrap(), None);
    assert_eq!(store.named(&next.name).await.unwrap(), Some(before.id));
}

async fn a_removed_volume_gives_its_name_free(store: &dyn Store) {
    let before = created(store, &volume()).await;
    let tombstone = removed(&before);
    let revision = store.replace(&before, &tombstone, Urgency::Release).await.unwrap();
    let tombstone = Record { revision, ..tombstone };
    assert_eq!(store.named(&before.name).await.unwrap(), None);

    let other = created(store, &renamed(&volume(), &before.name)).await;
    assert_eq!(store.named(&before.name).await.unwrap(), Some(other.id));
    let back = Record { phase: Phase::Ready, ..tombstone.clone() };
    let error = store.replace(&tombstone, &back, NEW).await.unwrap_err();
    assert!(matches!(error, StoreError::NameTaken { by, .. } if by == other.id), "{error}");

    let back = renamed(&back, &volume().name);
    store.replace(&tombstone, &back, NEW).await.unwrap();
    assert_eq!(store.named(&back.name).await.unwrap(), Some(before.id));
}

async fn a_deleted_record_is_gone_with_its_name(store: &dyn Store) {
    let record = created(store, &volume()).await;
    store.delete(&record).await.unwrap();
    store.delete(&record).await.unwrap();
    assert_eq!(store.read(record.id).await.unwrap(), None);
    assert_eq!(store.named(&record.name).await.unwrap(), None);
    let error = store.replace(&record, &owned(&record, "a"), NEW).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");

    // A tombstone's name is another volume's by now.
    let before = created(store, &volume()).await;
    let revision = store.replace(&before, &removed(&before), Urgency::Release).await.unwrap();
    let other = created(store, &renamed(&volume(), &before.name)).await;
    store.delete(&Record { revision, ..removed(&before) }).await.unwrap();
    assert_eq!(store.named(&other.name).await.unwrap(), Some(other.id));
}

/// With the same content, too: who lost is told so.
async fn of_many_who_change_one_state_exactly_one_wins(store: Arc<dyn Store>) {
    for owners in [["a", "b", "c", "d"], ["same"; 4]] {
        let before = created(&*store, &volume()).await;
        let mut writers = JoinSet::new();
        for owner in owners {
            let (store, before, next) = (Arc::clone(&store), before.clone(), owned(&before, owner));
            writers.spawn(async move { (store.replace(&before, &next, NEW).await, next) });
        }
        let results = writers.join_all().await;
        let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(|(r, _)| r.is_ok());
        assert_eq!((won.len(), lost.len()), (1, 3));
        assert!(lost.iter().all(|(r, _)| matches!(r, Err(StoreError::Conflict(_)))), "{lost:?}");
        let read = store.read(before.id).await.unwrap().unwrap();
        assert_eq!(read.lease, won[0].1.lease);
    }
}

async fn of_many_who_create_under_one_name_exactly_one_wins(store: Arc<dyn Store>) {
    let name = volume().name;
    let mut writers = JoinSet::new();
    for _ in 0..4 {
        let (store, record) = (Arc::clone(&store), renamed(&volume(), &name));
        writers.spawn(async move { (store.create(&record, NEW).await, record.id) });
    }
    let results = writers.join_all().await;
    let winner = store.named(&name).await.unwrap().unwrap();
    for (result, id) in results {
        let found = store.read(id).await.unwrap();
        match result {
            Ok(_) => assert!(id == winner && found.is_some()),
            Err(error) => {
                let taken = matches!(error, StoreError::NameTaken { by, .. } if by == winner);
                assert!(taken && id != winner && found.is_none(), "{error}");
            }
        }
    }
}

async fn a_name_is_undeleted_or_created_and_never_both(store: Arc<dyn Store>) {
    for _ in 0..5 {
        let before = created(&*store, &volume()).await;
        let revision = store.replace(&before, &removed(&before), NEW).await.unwrap();
        let tombstone = Record { revision, ..removed(&before) };
        let back = Record { phase: Phase::Ready, ..tombstone.clone() };
        let other = renamed(&volume(), &before.name);
        let (undeleted, created) =
            tokio::join!(store.replace(&tombstone, &back, NEW), store.create(&other, NEW));
        let winner = store.named(&before.name).await.unwrap().unwrap();
        match (undeleted, created) {
            (Ok(_), Err(StoreError::NameTaken { by, .. })) => {
                assert!(by == winner && by == back.id)
            }
            (Err(StoreError::NameTaken { by, .. }), Ok(_)) => {
                assert!(by == winner && by == other.id)
            }
            both => panic!("{both:?}"),
        }
    }
}

/// Each writer counts one record up, against the others: as many steps as there were successes.
async fn many_writers_lose_nothing(store: Arc<dyn Store>) {
    let first = created(&*store, &volume()).await;
    let mut writers = JoinSet::new();
    for writer in 0..6 {
        let (store, id) = (Arc::clone(&store), first.id);
        writers.spawn(async move {
            let mut made = 0_u64;
            while made < 10 {
                let before = store.read(id).await.unwrap().unwrap();
                let next = owned(&before, &format!("node-{writer}"));
                match store.replace(&before, &next, NEW).await {
                    Ok(_) => made += 1,
                    Err(StoreError::Conflict(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            made
        });
    }
    let made: u64 = writers.join_all().await.into_iter().sum();
    let last = store.read(first.id).await.unwrap().unwrap();
    assert_eq!((made, last.revision.get()), (60, 61));
    assert_eq!(last.lease.epoch, (0..60).fold(Epoch::FIRST, |epoch, _| epoch.next()));
}
