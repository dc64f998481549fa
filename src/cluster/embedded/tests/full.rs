//! The full disk: new work is refused in time, what releases something is stored, and a store that
//! met ENOSPC serves again when there is room. On a small tmpfs: these tests need root.

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::*;
use crate::{
    cluster::{Store, conformance},
    volume::Revision,
};

/// A file system of its own for the state directory.
struct SmallDisk(TempDir);

impl SmallDisk {
    #[track_caller]
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), c"size=64m")
            .expect("this test needs root: it mounts");
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn open(&self) -> Embedded {
        Embedded::open(self.path()).unwrap().0
    }

    /// Takes space until only so much is left.
    fn fill(&self, leave: Bytes) {
        let take = usage::of(self.path()).unwrap().available.saturating_sub(leave);
        let file = fs::File::create(self.path().join("ballast")).unwrap();
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, take.get()).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }

    /// What is stored, once the store's thread has let go of the file.
    fn stored(&self, store: Embedded) -> Vec<Record> {
        drop(store);
        loop {
            match Embedded::open(self.path()) {
                Ok((_, records)) => return records,
                Err(StoreError::Locked { .. }) => thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(self.path(), UnmountFlags::DETACH).unwrap();
    }
}

/// Needs new pages in the file.
fn large(record: Record) -> Record {
    let mut record = record;
    record.spec.labels = [("text".to_owned(), "x".repeat(8 << 20))].into();
    record
}

#[tokio::test]
async fn on_a_nearly_full_disk_new_work_is_refused_and_a_release_is_stored() {
    let disk = SmallDisk::new();
    let store = disk.open();
    store.put(&used_record(), Urgency::NewWork).await.unwrap();
    disk.fill(Bytes::mib(15));

    let error = store.put(&numbered(1), Urgency::NewWork).await.unwrap_err();
    assert!(matches!(&error, StoreError::Full { path, .. } if path == disk.path()), "{error:?}");
    assert!(error.to_string().contains("has only 15MiB left, and 16MiB are kept"), "{error}");
    store.put(&numbered(2), Urgency::Release).await.unwrap();
    store.delete(used_record().id).await.unwrap();

    disk.free();
    store.put(&numbered(3), Urgency::NewWork).await.unwrap();
    let names: Vec<_> = disk.stored(store).iter().map(|r| r.name.to_string()).collect();
    assert!(names.len() == 2 && names.iter().all(|name| name != "volume-1"), "{names:?}");
}

#[tokio::test]
async fn a_store_that_ran_out_of_space_serves_again_when_there_is_room() {
    let disk = SmallDisk::new();
    let store = disk.open();
    store.put(&used_record(), Urgency::NewWork).await.unwrap();
    disk.fill(Bytes::ZERO);

    let new = large(numbered(1));
    let error = store.put(&new, Urgency::Release).await.unwrap_err();
    assert!(matches!(error, StoreError::Write { .. }), "{error:?}");
    store.put(&new, Urgency::Release).await.unwrap_err();

    disk.free();
    store.put(&new, Urgency::Release).await.unwrap();
    let stored = disk.stored(store);
    assert_eq!(stored.len(), 2);
    assert!(stored.contains(&new) && stored.contains(&used_record()));
}

#[tokio::test]
async fn a_change_that_failed_leaves_the_stored_record_as_it_was() {
    let disk = SmallDisk::new();
    let store = disk.open();
    store.put(&used_record(), Urgency::NewWork).await.unwrap();
    disk.fill(Bytes::ZERO);
    store.put(&large(used_record()), Urgency::Release).await.unwrap_err();
    disk.free();

    assert_eq!(disk.stored(store), [used_record()]);
}

/// As a commit would leave it whose error came after its bytes.
#[tokio::test]
async fn a_change_that_failed_and_is_there_all_the_same_is_made_from_the_same_state_again() {
    let disk = SmallDisk::new();
    let store = disk.open();
    let before = conformance::created(&store, &used_record()).await;
    disk.fill(Bytes::ZERO);
    let failed = large(conformance::owned(&before, "a"));
    store.replace(&before, &failed, Urgency::Release).await.unwrap_err();
    store.create(&large(numbered(1)), Urgency::Release).await.unwrap_err();
    disk.free();
    let ghost = Record { revision: before.revision.next(), ..failed };
    write_all(disk.path(), &[ghost, numbered(1)]).unwrap();

    assert_eq!(store.read(before.id).await.unwrap(), Some(before.clone()));
    let other = Record { id: VolumeId::random(), ..numbered(1) };
    let other = conformance::created(&store, &other).await;
    let next = conformance::owned(&before, "b");
    let revision = store.replace(&before, &next, Urgency::NewWork).await.unwrap();
    let mut stored = disk.stored(store);
    stored.sort_by_key(|record| record.revision);
    // A lone node's numbers are not stored.
    let other = Record { revision: Revision::default(), ..other };
    assert_eq!(stored, [other, Record { revision, ..next }]);
}

/// Made anew, it would have this one record and none of the others.
#[tokio::test]
async fn a_store_whose_file_is_gone_when_it_is_opened_again_is_not_made_anew() {
    let disk = SmallDisk::new();
    let store = disk.open();
    store.put(&used_record(), Urgency::NewWork).await.unwrap();
    disk.fill(Bytes::ZERO);
    store.put(&large(numbered(1)), Urgency::Release).await.unwrap_err();
    disk.free();
    let (file, away) = (disk.path().join(FILE), disk.path().join("away"));
    fs::rename(&file, &away).unwrap();

    store.put(&numbered(2), Urgency::NewWork).await.unwrap_err();
    assert!(!file.exists());

    fs::rename(&away, &file).unwrap();
    store.put(&numbered(2), Urgency::NewWork).await.unwrap();
    assert_eq!(disk.stored(store).len(), 2);
}
