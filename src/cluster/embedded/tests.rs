//! Durable or refused: what a store does with changes, damage, and a full disk.

mod contract;
mod damage;
mod full;
mod golden;

use std::{fs, future::Future, thread};

use redb::Database;
use tempfile::TempDir;

use super::{
    file::{META, VOLUMES, create_database},
    *,
};
use crate::{
    spec::Bytes,
    sys::usage,
    volume::testing::{new_record, used_record},
};

/// A state directory of its own.
struct State(TempDir);

impl State {
    fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With one record, and stopped.
    async fn with(record: &Record) -> Self {
        let state = Self::empty();
        let (store, _) = state.open();
        store.put(record, Urgency::NewWork).await.unwrap();
        state.stop(store);
        state
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self) -> PathBuf {
        self.path().join(FILE)
    }

    #[track_caller]
    fn open(&self) -> (Embedded, Vec<Record>) {
        Embedded::open(self.path()).unwrap()
    }

    #[track_caller]
    fn error(&self) -> StoreError {
        Embedded::open(self.path()).map(|(_, records)| records).unwrap_err()
    }

    #[track_caller]
    fn stop(&self, store: Embedded) {
        drop(store);
        self.unlocked();
    }

    /// Waits until the store's thread has let go of the file.
    #[track_caller]
    fn unlocked(&self) {
        for _ in 0..1000 {
            if !matches!(Database::open(self.file()), Err(redb::DatabaseError::DatabaseAlreadyOpen))
            {
                return;
            }
            thread::sleep(std::time::Duration::from_millis(2));
        }
        panic!("the store does not let go");
    }

    /// Writes what no hawser writes.
    fn forge(&self, id: uuid::Uuid, json: &[u8]) {
        let database = Database::open(self.file()).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(VOLUMES).unwrap().insert(id.as_u128(), json).unwrap();
        transaction.commit().unwrap();
    }
}

/// Another volume than [`used_record`], with that number.
fn numbered(n: u32) -> Record {
    let name = format!("volume-{n}").parse().unwrap();
    Record { id: VolumeId::random(), name, ..used_record() }
}

#[tokio::test]
async fn what_was_put_is_there_after_a_restart_and_what_was_deleted_is_not() {
    let state = State::empty();
    let (store, records) = state.open();
    assert_eq!(records, []);
    let (kept, gone) = (used_record(), numbered(1));
    store.put(&new_record(), Urgency::NewWork).await.unwrap();
    store.put(&kept, Urgency::NewWork).await.unwrap();
    store.put(&gone, Urgency::Release).await.unwrap();
    store.delete(gone.id).await.unwrap();
    store.delete(gone.id).await.unwrap();
    state.stop(store);

    assert_eq!(state.open().1, [kept]);
}

/// The copy is what a power cut would have left at the moment of the answer.
#[tokio::test]
async fn a_change_is_in_the_file_when_its_call_returns() {
    let (state, copy) = (State::empty(), State::empty());
    let (store, _) = state.open();
    store.put(&used_record(), Urgency::NewWork).await.unwrap();
    fs::copy(state.file(), copy.file()).unwrap();

    assert_eq!(copy.open().1, [used_record()]);
    drop(store);
}

#[tokio::test]
async fn many_changes_at_once_are_all_stored() {
    let state = State::empty();
    let (store, _) = state.open();
    let records: Vec<_> = (0..300).map(numbered).collect();
    let puts: Vec<_> = records
        .iter()
        .cloned()
        .map(|record| {
            let store = store.clone();
            tokio::spawn(async move { store.put(&record, Urgency::NewWork).await })
        })
        .collect();
    for put in puts {
        put.await.unwrap().unwrap();
    }
    state.stop(store);

    let mut stored = state.open().1;
    stored.sort_by_key(|record| record.id);
    let mut expected = records;
    expected.sort_by_key(|record| record.id);
    assert_eq!(stored, expected);
}

#[tokio::test]
async fn what_nobody_waits_for_is_stored_before_what_comes_after_it() {
    let (state, copy) = (State::empty(), State::empty());
    let (store, _) = state.open();
    let (early, late) = (numbered(1), numbered(2));
    store.put_soon(&early);
    store.put_soon(&Record { name: "renamed".parse().unwrap(), ..early.clone() });
    store.put(&late, Urgency::NewWork).await.unwrap();
    fs::copy(state.file(), copy.file()).unwrap();

    let mut names: Vec<_> =
        copy.open().1.into_iter().map(|record| record.name.to_string()).collect();
    names.sort();
    assert_eq!(names, ["renamed", "volume-2"]);
}

#[tokio::test]
async fn what_nobody_waits_for_is_stored_by_a_flush_and_by_the_end() {
    let (state, copy) = (State::empty(), State::empty());
    let (store, _) = state.open();
    let (flushed, left) = (numbered(1), numbered(2));
    store.put_soon(&flushed);
    store.flush().await;
    fs::copy(state.file(), copy.file()).unwrap();
    assert_eq!(copy.open().1, [flushed]);

    store.put_soon(&left);
    state.stop(store);
    assert_eq!(state.open().1.len(), 2);
}

#[tokio::test]
async fn what_nobody_waits_for_is_stored_within_seconds_by_itself() {
    let state = State::empty();
    let (store, _) = state.open();
    store.put_soon(&used_record());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    // A copy that is taken in the middle of a commit may not open.
    let stored = || {
        let copy = State::empty();
        fs::copy(state.file(), copy.file()).unwrap();
        Embedded::open(copy.path()).is_ok_and(|(_, records)| records == [used_record()])
    };
    while !stored() {
        assert!(std::time::Instant::now() < deadline, "it is not stored");
        thread::sleep(std::time::Duration::from_millis(100));
    }
    drop(store);
}

#[tokio::test]
async fn changes_of_one_record_are_made_in_the_order_of_the_calls() {
    let state = State::empty();
    let (store, _) = state.open();
    let versions: Vec<_> = (0..50)
        .map(|n| Record { name: format!("v{n}").parse().unwrap(), ..used_record() })
        .collect();
    let puts = versions.iter().map(|record| store.put(record, Urgency::NewWork));
    let mut puts: Vec<_> = puts.map(Box::pin).collect();
    // Each is sent at its first poll; none is waited for.
    for put in &mut puts {
        let _ = std::future::poll_fn(|context| {
            let _ = put.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
    }
    // A caller that gave up changes nothing about what is stored.
    drop(puts);
    state.stop(store);

    assert_eq!(state.open().1, [versions.last().unwrap().clone()]);
}

#[tokio::test]
async fn a_second_hawser_on_the_same_directory_is_refused() {
    let state = State::with(&used_record()).await;
    let (store, _) = state.open();
    let error = state.error();
    assert!(matches!(&error, StoreError::Locked { path } if *path == state.file()), "{error}");
    assert!(error.to_string().contains("in use by another hawser"), "{error}");
    // And the first one goes on.
    store.put(&numbered(1), Urgency::NewWork).await.unwrap();
}
