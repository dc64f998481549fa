//! Durable or refused: what a store does with changes, damage, and a full disk.

mod full;
mod golden;

use std::{future::Future, io::Write};

use tempfile::TempDir;

use super::*;
use crate::volume::testing::{new_record, used_record};

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
    fn open(&self) -> (Store, Vec<Record>) {
        Store::open(self.path()).unwrap()
    }

    #[track_caller]
    fn error(&self) -> StoreError {
        Store::open(self.path()).map(|(_, records)| records).unwrap_err()
    }

    #[track_caller]
    fn stop(&self, store: Store) {
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

#[tokio::test]
async fn a_damaged_file_is_refused_and_left_as_it_is() {
    let whole = fs::read(State::with(&used_record()).await.file()).unwrap();
    let mut no_magic = whole.clone();
    no_magic[..64].fill(0x5a);
    for (what, bytes) in [
        ("empty", Vec::new()),
        ("text", b"not a database\n".repeat(1000)),
        ("truncated to a page", whole[..4096].to_vec()),
        ("truncated to the half", whole[..whole.len() / 2].to_vec()),
        ("without its header", no_magic),
    ] {
        let state = State::empty();
        fs::File::create(state.file()).unwrap().write_all(&bytes).unwrap();

        let error = state.error();

        assert!(matches!(&error, StoreError::Open { .. }), "{what}: {error:?}");
        let shown = error.to_string();
        assert!(shown.contains(&state.file().display().to_string()), "{what}: {shown}");
        assert!(fs::read(state.file()).unwrap() == bytes, "{what}: the file was changed");
        let names: Vec<_> =
            fs::read_dir(state.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [FILE], "{what}");
    }
}

#[tokio::test]
async fn a_draft_that_a_crash_left_behind_is_no_obstacle() {
    let state = State::empty();
    let draft = state.file().with_extension("new");
    fs::File::create(&draft).unwrap().write_all(b"half a database").unwrap();

    assert_eq!(state.open().1, []);
    assert!(!draft.exists());
}

#[tokio::test]
async fn a_store_of_another_format_is_refused() {
    let state = State::with(&used_record()).await;
    let database = Database::open(state.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("format", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);

    let error = state.error();

    assert!(matches!(error, StoreError::Format { found: 2, .. }), "{error:?}");
    assert!(error.to_string().contains("has store format 2"), "{error}");
}

#[tokio::test]
async fn an_unreadable_record_is_named_and_nothing_is_opened() {
    let id = uuid::Uuid::from_u128(7);
    let of_another = serde_json::to_vec(&used_record()).unwrap();
    let unknown_field = String::from_utf8(of_another.clone()).unwrap().replace("phase", "phaze");
    for (json, why) in [
        (b"{".to_vec(), "EOF"),
        (b"\xff\xfe".to_vec(), "expected value"),
        (unknown_field.into_bytes(), "unknown field `phaze`"),
        (of_another, "it is the record of volume 6ba7b810"),
    ] {
        let state = State::with(&numbered(1)).await;
        state.forge(id, &json);

        let error = state.error();

        let names_it = matches!(&error, StoreError::Damaged { id: named, .. } if *named == id);
        assert!(names_it, "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
        state.unlocked();
    }
}
