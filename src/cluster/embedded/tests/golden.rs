//! Files that earlier versions wrote, which every later one must read.
//!
//! `tests/golden/store-v1.redb` was written by [`make`] with the first version of this layout. It
//! is never written again: a change of the layout gets a new number, and a new file beside it.

use jiff::Timestamp;

use super::*;
use crate::{
    spec::{OnRemove, Sticky},
    volume::{
        Contents, Holder, Phase, Purge,
        testing::{at, dockerd, id, removed_record},
    },
};

const STORE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/store-v1.redb");
const RECORD: &str = include_str!("../../../../tests/golden/record-v1.json");

/// Every field has a value somewhere, and every phase and every contents occurs.
fn golden() -> Vec<Record> {
    let mut full = used_record();
    full.spec.mount_options = vec!["noatime".into()];
    full.spec.mkfs_options = vec!["-i".into(), "65536".into()];
    full.spec.owner = serde_json::from_str(r#"{"uid":1000,"gid":100,"mode":"0750"}"#).unwrap();
    full.spec.on_remove = Some(OnRemove::Retain);
    full.spec.sticky = Sticky::Yes;
    full.spec.labels = [("team".to_owned(), "web".to_owned())].into();
    full.growing_to = Some(Bytes::gib(20));
    full.file_system_behind = true;
    let holder = |name, seconds| Holder::new(id(name), dockerd(4711), at(seconds));
    full.holders = vec![
        Holder { count: 2, ..holder("0123456789abcdef", 60) },
        Holder { count: 0, parked_since: Some(at(90)), ..holder("fedcba9876543210", 70) },
        Holder { orphaned_since: Some(at(99)), ..holder("", 80) },
    ];
    let with = |n: u128, name: &str, record: Record| Record {
        id: uuid::Uuid::from_u128(n).to_string().parse().unwrap(),
        name: name.parse().unwrap(),
        ..record
    };
    let formatting = Record { phase: Phase::Ready, contents: Contents::Formatting, ..new_record() };
    vec![
        with(1, "new", new_record()),
        with(2, "formatting", formatting),
        with(3, "removed", removed_record(Purge::At(Timestamp::UNIX_EPOCH))),
        with(4, "retained", removed_record(Purge::Never)),
        full,
    ]
}

/// `cargo test --lib golden::make -- --ignored`, once per layout.
#[test]
#[ignore = "writes the golden file"]
fn make() {
    assert!(!Path::new(STORE).exists(), "{STORE} is never written again");
    let state = State::empty();
    write_all(state.path(), &golden()).unwrap();
    fs::copy(state.file(), STORE).unwrap();
}

#[tokio::test]
async fn a_store_of_the_first_format_is_read_exactly() {
    let state = State::empty();
    fs::copy(STORE, state.file()).unwrap();

    let (store, records) = state.open();

    assert_eq!(records, golden());
    store.put(&numbered(1), Urgency::NewWork).await.unwrap();
}

#[test]
fn the_stored_form_of_a_record_does_not_change() {
    let full = golden().pop().unwrap();
    assert_eq!(serde_json::to_string_pretty(&full).unwrap(), RECORD.trim_end());
    assert_eq!(serde_json::from_str::<Record>(RECORD).unwrap(), full);
}
