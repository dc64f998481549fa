//! Volumes that are directories on a server: what can be checked of them without mounting one.

use std::path::Path;

use super::{
    Backend, BackendError, BackendSpec, Bytes, ErrorKind, Inspection, Record, Spec, Timestamp,
    VolumeId, VolumeRef, create, testing,
};

/// What a backend with directories brings to the suite.
pub(in crate::backend) struct DirectorySubject<F> {
    /// Opens the backend.
    pub(in crate::backend) make: F,
    /// How the volume of a name is asked for.
    pub(in crate::backend) spec: fn(&str) -> BackendSpec,
    /// A size that it has room for.
    pub(in crate::backend) size: Bytes,
    /// A size that it has no room for.
    pub(in crate::backend) too_large: Bytes,
}

/// Runs the suite.
pub(in crate::backend) async fn run<B: Backend, F: Fn() -> B>(subject: &DirectorySubject<F>) {
    create_is_idempotent_and_found_by_another_instance(subject).await;
    create_without_room_leaves_nothing(subject).await;
    grow_is_idempotent_and_keeps_within_the_room(subject).await;
    removal_is_idempotent(subject).await;
    what_is_aside_makes_room_and_comes_back(subject).await;
    it_is_measured_and_has_no_device(subject).await;
    volumes_are_handled_in_parallel(subject).await;
}

impl<B: Backend, F: Fn() -> B> DirectorySubject<F> {
    fn volume(&self, name: &str) -> VolumeRef {
        let spec = Spec { size: self.size, backend: (self.spec)(name), ..testing::spec() };
        let record = Record::new(VolumeId::random(), name.parse().unwrap(), spec, Timestamp::now());
        VolumeRef::from(&record)
    }

    async fn created(&self, backend: &B, name: &str) -> VolumeRef {
        let mut volume = self.volume(name);
        create(backend, &mut volume).await.unwrap();
        volume
    }
}

async fn create_is_idempotent_and_found_by_another_instance<B: Backend, F: Fn() -> B>(
    subject: &DirectorySubject<F>,
) {
    let backend = (subject.make)();
    let mut volume = subject.volume("create");
    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Absent);
    let first = backend.create(&volume).await.unwrap();
    assert_eq!(backend.create(&volume).await.unwrap(), first);
    create(&backend, &mut volume).await.unwrap();
    assert!(volume.handle.is_some(), "it is called something");
    assert_eq!((subject.make)().create(&volume).await.unwrap(), first);
    assert_eq!((subject.make)().inspect(&volume).await.unwrap(), Inspection::Detached);
    clear(&backend, &volume).await;
}

async fn create_without_room_leaves_nothing<B: Backend, F: Fn() -> B>(
    subject: &DirectorySubject<F>,
) {
    let backend = (subject.make)();
    let mut volume = subject.volume("too-large");
    volume.spec.size = subject.too_large;
    assert_kind(backend.create(&volume).await, ErrorKind::Exhausted);
    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Absent);
    volume.spec.size = subject.size;
    create(&backend, &mut volume).await.unwrap();
    clear(&backend, &volume).await;
}

async fn grow_is_idempotent_and_keeps_within_the_room<B: Backend, F: Fn() -> B>(
    subject: &DirectorySubject<F>,
) {
    let backend = (subject.make)();
    let volume = subject.created(&backend, "grow").await;
    let double = Bytes::new(subject.size.get() * 2);
    backend.grow(&volume, double).await.unwrap();
    backend.grow(&volume, double).await.unwrap();
    backend.grow(&volume, subject.size).await.unwrap();
    assert_kind(backend.grow(&volume, subject.too_large).await, ErrorKind::Exhausted);
    clear(&backend, &volume).await;
    assert_kind(backend.grow(&volume, double).await, ErrorKind::NotFound);
}

async fn removal_is_idempotent<B: Backend, F: Fn() -> B>(subject: &DirectorySubject<F>) {
    let backend = (subject.make)();
    let volume = subject.created(&backend, "remove").await;
    clear(&backend, &volume).await;
    backend.remove(&volume).await.unwrap();
    backend.detach(&volume).await.unwrap();
    let again = subject.created(&backend, "remove").await;
    backend.remove(&volume).await.unwrap();
    assert_eq!(backend.inspect(&again).await.unwrap(), Inspection::Detached, "another volume");
    clear(&backend, &again).await;
}

async fn what_is_aside_makes_room_and_comes_back<B: Backend, F: Fn() -> B>(
    subject: &DirectorySubject<F>,
) {
    let backend = (subject.make)();
    let directories = backend.directories().unwrap();
    let first = subject.created(&backend, "aside").await;
    for _ in 0..2 {
        directories.set_aside(&first).await.unwrap();
        assert_eq!((subject.make)().inspect(&first).await.unwrap(), Inspection::SetAside);
    }
    let second = subject.created(&backend, "aside").await;
    assert_kind(backend.create(&first).await, ErrorKind::InUse);
    assert_eq!(backend.inspect(&first).await.unwrap(), Inspection::SetAside, "still there");

    clear(&backend, &second).await;
    backend.create(&first).await.unwrap();
    assert_eq!(backend.inspect(&first).await.unwrap(), Inspection::Detached, "it is back");
    directories.set_aside(&first).await.unwrap();
    clear(&backend, &first).await;
}

async fn it_is_measured_and_has_no_device<B: Backend, F: Fn() -> B>(subject: &DirectorySubject<F>) {
    let backend = (subject.make)();
    let directories = backend.directories().unwrap();
    let volume = subject.created(&backend, "measure").await;
    assert!(directories.measure(&volume).await.unwrap() < Bytes::mib(1), "it is empty");
    directories.answers(&volume).await.unwrap();
    assert!(super::attach(&backend, &volume).await.is_err());
    clear(&backend, &volume).await;
    assert_kind(directories.measure(&volume).await, ErrorKind::NotFound);
    let nowhere = Path::new("/nonexistent/stage");
    assert_kind(directories.mount(&volume, nowhere).await, ErrorKind::NotFound);
}

async fn volumes_are_handled_in_parallel<B: Backend, F: Fn() -> B>(subject: &DirectorySubject<F>) {
    let backend = &(subject.make)();
    let one = |n: u32| async move {
        let volume = subject.created(backend, &format!("parallel-{n}")).await;
        backend.grow(&volume, Bytes::new(subject.size.get() + 4096)).await.unwrap();
        clear(backend, &volume).await;
    };
    let (a, b, c, d) = (one(0), one(1), one(2), one(3));
    tokio::join!(a, b, c, d);
}

async fn clear(backend: &impl Backend, volume: &VolumeRef) {
    backend.remove(volume).await.unwrap();
    assert_eq!(backend.inspect(volume).await.unwrap(), Inspection::Absent);
}

fn assert_kind<T: std::fmt::Debug>(result: Result<T, BackendError>, kind: ErrorKind) {
    let error = result.unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
}
