//! Out of one store and into another.

use std::{path::Path, thread};

use super::*;
use crate::{
    cluster::Embedded,
    volume::{
        Holder, Purge,
        testing::{at, dockerd, id, new_record, removed_record, used_record},
    },
};

fn records() -> Vec<Record> {
    let with = |n: u128, record: Record| Record {
        id: uuid::Uuid::from_u128(n).to_string().parse().unwrap(),
        name: format!("volume-{n}").parse().unwrap(),
        ..record
    };
    vec![with(1, new_record()), with(2, removed_record(Purge::Never)), with(3, used_record())]
}

/// A stopped store with these records.
fn state(records: &[Record]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    embedded::write_all(dir.path(), records).unwrap();
    dir
}

fn forge(dir: &Path, id: u128, json: &[u8]) {
    let database = redb::Database::open(dir.join("records.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let table = redb::TableDefinition::<u128, &[u8]>::new("volumes");
    transaction.open_table(table).unwrap().insert(id, json).unwrap();
    transaction.commit().unwrap();
}

fn of_format(format: u64) -> Export {
    Export { format, volumes: records(), unreadable: Vec::new() }
}

#[test]
fn what_is_exported_and_imported_is_the_same() {
    let (from, to) = (state(&records()), tempfile::tempdir().unwrap());
    let text = serde_json::to_string_pretty(&export(from.path()).unwrap()).unwrap();

    let imported = import(to.path(), &serde_json::from_str(&text).unwrap()).unwrap();

    assert_eq!(imported, Imported { records: 3, retained: 1 });
    assert_eq!(export(to.path()).unwrap().volumes, records());
    assert_eq!(Embedded::open(to.path()).unwrap().1, records());
}

/// The export may be old: the volume was undeleted since, or its file system finished, or the engine
/// that held it ended.
#[test]
fn an_import_never_makes_hawser_delete_or_hold_anything() {
    let due = removed_record(Purge::At(at(1)));
    let half_made = Record {
        id: records()[0].id,
        contents: Contents::Formatting,
        holders: vec![Holder::new(id("container"), dockerd(1), at(0))],
        ..used_record()
    };
    let to = tempfile::tempdir().unwrap();
    let volumes = vec![due, half_made];
    let export = Export { format: FORMAT, volumes, unreadable: Vec::new() };

    import(to.path(), &export).unwrap();

    let imported = self::export(to.path()).unwrap().volumes;
    for record in imported {
        assert!(!record.is_held(), "{record:?}");
        assert_ne!(record.contents, Contents::Formatting);
        match record.phase {
            Phase::Removed { purge, .. } => assert_eq!(purge, Purge::Never),
            Phase::Creating | Phase::Ready => assert_eq!(record.contents, Contents::Blank),
        }
    }
}

#[test]
fn an_import_into_a_store_with_records_is_refused() {
    let to = state(&records()[..1]);
    let error = import(to.path(), &of_format(FORMAT)).unwrap_err();
    assert!(matches!(error, ImportError::NotEmpty(1)), "{error}");
    assert_eq!(export(to.path()).unwrap().volumes, records()[..1]);
}

#[test]
fn an_export_of_another_format_is_refused() {
    let to = tempfile::tempdir().unwrap();
    let error = import(to.path(), &of_format(FORMAT + 1)).unwrap_err();
    assert_eq!(error.to_string(), "the export has format 2 and this hawser reads format 1");
    assert!(!to.path().join("records.redb").exists());
}

/// As [`Embedded::open`] would refuse them: an import must not make a store that does not open.
#[test]
fn an_export_with_one_id_or_one_name_twice_is_refused() {
    for twice in [
        vec![used_record(), Record { name: "other".parse().unwrap(), ..used_record() }],
        vec![used_record(), Record { id: crate::volume::VolumeId::random(), ..used_record() }],
    ] {
        let to = tempfile::tempdir().unwrap();
        let export = Export { format: FORMAT, volumes: twice, unreadable: Vec::new() };
        let error = import(to.path(), &export).unwrap_err();
        assert!(matches!(error, ImportError::Twice(_)), "{error}");
    }
    // A name is free again once its volume is removed.
    let removed = Record { id: records()[0].id, ..removed_record(Purge::Never) };
    let export =
        Export { format: FORMAT, volumes: vec![used_record(), removed], unreadable: Vec::new() };
    assert_eq!(import(tempfile::tempdir().unwrap().path(), &export).unwrap().records, 2);
}

#[test]
fn a_record_that_cannot_be_read_is_exported_as_text_and_must_be_mended_before_an_import() {
    let from = state(&records());
    forge(from.path(), 9, b"{\"id\":\xff");

    let export = export(from.path()).unwrap();

    assert_eq!(export.volumes, records());
    let [unreadable] = export.unreadable.as_slice() else { panic!("{:?}", export.unreadable) };
    assert_eq!(unreadable.id, uuid::Uuid::from_u128(9));
    assert_eq!(unreadable.text, "{\"id\":\u{fffd}");
    let to = tempfile::tempdir().unwrap();
    let error = import(to.path(), &export).unwrap_err();
    assert!(matches!(error, ImportError::Unreadable(1)), "{error}");
}

/// `Embedded::open` refuses it, so the rescue must show it.
#[test]
fn a_record_under_another_volumes_id_is_exported_as_unreadable() {
    let from = state(&records());
    forge(from.path(), 9, &serde_json::to_vec(&used_record()).unwrap());

    let export = export(from.path()).unwrap();

    assert_eq!((export.volumes.len(), export.unreadable.len()), (3, 1));
    assert!(export.unreadable[0].reason.contains("it is the record of volume 6ba7b810"));
}

#[test]
fn the_store_of_a_running_daemon_is_neither_exported_nor_imported() {
    let dir = state(&[]);
    let (store, _) = Embedded::open(dir.path()).unwrap();
    assert!(matches!(export(dir.path()), Err(StoreError::Locked { .. })));
    let error = import(dir.path(), &of_format(FORMAT)).unwrap_err();
    assert!(matches!(error, ImportError::Store(StoreError::Locked { .. })), "{error}");
    drop(store);
    while matches!(export(dir.path()), Err(StoreError::Locked { .. })) {
        thread::yield_now();
    }
}

/// A rescue changes nothing, least of all by making a store in a directory that was mistyped.
#[test]
fn an_export_of_a_directory_without_a_store_fails_and_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    let error = export(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn unknown_fields_of_an_export_are_refused() {
    let error = serde_json::from_str::<Export>(r#"{"format":1,"volumes":[],"volume":[]}"#);
    assert!(error.unwrap_err().to_string().contains("unknown field `volume`"));
}
