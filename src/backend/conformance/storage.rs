//! Storage that is made, grown and deleted.

use std::{fs::File, io::Read};

use super::{Backend, Bytes, ErrorKind, Inspection, Subject, attach, clear, create, size_of};

pub(super) async fn create_is_idempotent_blank_and_large_enough<B: Backend, F: Fn() -> B>(
    subject: &Subject<F>,
) {
    let backend = (subject.make)();
    let mut volume = subject.volume("create");
    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Absent);

    // As after a crash before the answer was stored, and as after one behind it.
    let first = backend.create(&volume).await.unwrap();
    assert_eq!(backend.create(&volume).await.unwrap(), first);
    create(&backend, &mut volume).await.unwrap();
    assert_eq!(backend.create(&volume).await.unwrap(), first);

    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Detached);
    assert!(!backend.attached().await.unwrap().contains(&volume.id));
    let device = attach(&backend, &volume).await.unwrap();
    assert!(size_of(&device) >= volume.spec.size);
    let mut file = File::open(&device.path).unwrap();
    let mut block = vec![1; 1 << 20];
    loop {
        let read = file.read(&mut block).unwrap();
        if read == 0 {
            break;
        }
        assert!(block[..read].iter().all(|byte| *byte == 0), "it reads as zeroes");
    }
    drop(file);
    // Also while it is attached, and never over what is there.
    super::write_marker(&device, b"precious precise");
    create(&backend, &mut volume).await.unwrap();
    assert_eq!(&super::read_marker(&device), b"precious precise");
    clear(&backend, &volume).await;
}

pub(super) async fn create_without_room_leaves_nothing<B: Backend, F: Fn() -> B>(
    subject: &Subject<F>,
) {
    let backend = (subject.make)();
    let mut volume = subject.volume("too-large");
    volume.spec.size = subject.too_large;

    let error = backend.create(&volume).await.unwrap_err();

    assert_eq!(error.kind, ErrorKind::Exhausted, "{error}");
    assert_eq!(error.op, "create");
    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Absent);
    volume.spec.size = subject.size;
    create(&backend, &mut volume).await.unwrap();
    clear(&backend, &volume).await;
}

pub(super) async fn grow_is_idempotent_and_never_shrinks<B: Backend, F: Fn() -> B>(
    subject: &Subject<F>,
) {
    let backend = (subject.make)();
    let mut volume = subject.volume("grow");
    create(&backend, &mut volume).await.unwrap();
    let double = Bytes::new(subject.size.get() * 2);
    let triple = Bytes::new(subject.size.get() * 3);

    backend.grow(&volume, double).await.unwrap();
    backend.grow(&volume, double).await.unwrap();
    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Detached);
    let device = attach(&backend, &volume).await.unwrap();
    assert!(size_of(&device) >= double);
    super::write_marker(&device, b"precious precise");

    backend.grow(&volume, triple).await.unwrap();
    assert!(size_of(&device) >= triple, "the attached device grows along");
    for smaller in [double, subject.size] {
        backend.grow(&volume, smaller).await.unwrap();
        assert!(size_of(&device) >= triple, "never smaller");
    }
    assert_eq!(&super::read_marker(&device), b"precious precise");
    clear(&backend, &volume).await;
    let error = backend.grow(&volume, triple).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
}

pub(super) async fn grow_without_room_keeps_the_old_size<B: Backend, F: Fn() -> B>(
    subject: &Subject<F>,
) {
    let backend = (subject.make)();
    let (volume, device) = subject.attached(&backend, "grow-too-far").await;
    let before = size_of(&device);

    let error = backend.grow(&volume, subject.too_large).await.unwrap_err();

    assert_eq!(error.kind, ErrorKind::Exhausted, "{error}");
    assert_eq!(size_of(&device), before);
    backend.detach(&volume).await.unwrap();
    let device = attach(&backend, &volume).await.unwrap();
    assert_eq!(size_of(&device), before, "also when it is attached anew");
    clear(&backend, &volume).await;
}

pub(super) async fn removal_is_idempotent_and_refused_while_attached<B: Backend, F: Fn() -> B>(
    subject: &Subject<F>,
) {
    let backend = (subject.make)();
    let (volume, device) = subject.attached(&backend, "remove").await;
    super::write_marker(&device, b"precious precise");

    // Another instance has to find out by itself.
    for backend in [&backend, &(subject.make)()] {
        let error = backend.remove(&volume).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InUse, "{error}");
        assert_eq!(&super::read_marker(&device), b"precious precise");
    }

    backend.detach(&volume).await.unwrap();
    backend.remove(&volume).await.unwrap();
    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Absent);
    backend.remove(&volume).await.unwrap();
    backend.detach(&volume).await.unwrap();
}
