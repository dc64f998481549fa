//! What cannot be read, or cannot be seen, is refused and left as it is.

use std::io::Write;

use super::*;

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

#[test]
fn a_store_that_cannot_be_seen_is_not_replaced_by_an_empty_one() {
    // On a disk that is not mounted now.
    let state = State::empty();
    std::os::unix::fs::symlink("/no/such/disk/records.redb", state.file()).unwrap();
    assert!(matches!(state.error(), StoreError::Open { .. }));
    assert!(state.file().is_symlink());

    // Not a directory: the stat fails, and not with "not found".
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Embedded::open(file.path()).map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::OutOfReach { .. }), "{error}");
}

#[test]
fn a_store_that_another_hawser_makes_meanwhile_is_not_replaced() {
    let state = State::empty();
    write_all(state.path(), &[used_record()]).unwrap();

    create_database(&state.file()).unwrap();

    assert_eq!(state.open().1, [used_record()]);
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
