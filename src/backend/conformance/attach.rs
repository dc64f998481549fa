//! Storage that becomes a device, and stops being one.

use std::{collections::HashSet, future::Future};

use super::{
    Backend, ErrorKind, Inspection, Subject, attach, clear, create, open_exclusive, read_marker,
    write_marker,
};

pub(super) async fn the_device_is_the_volumes_own<B: Backend, F: Fn() -> B>(subject: &Subject<F>) {
    let backend = (subject.make)();
    let (one, first) = subject.attached(&backend, "one").await;
    let (two, second) = subject.attached(&backend, "two").await;
    assert_ne!(first, second, "two volumes, two devices");
    assert_ne!(first.number, second.number);

    assert_eq!(attach(&backend, &one).await.unwrap(), first, "attaching again is the same device");
    assert_eq!(backend.inspect(&one).await.unwrap(), Inspection::Attached(first.clone()));
    backend.confirm(&one, &first).await.unwrap();
    backend.confirm(&two, &second).await.unwrap();
    for (volume, others) in [(&one, &second), (&two, &first)] {
        let error = backend.confirm(volume, others).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    }
    write_marker(&first, b"the first volume");
    write_marker(&second, b"the other volume");
    let both = HashSet::from([one.id, two.id]);
    assert!(backend.attached().await.unwrap().is_superset(&both));

    // Detached both and attached in the other order, each still has its own data.
    for volume in [&one, &two] {
        backend.detach(volume).await.unwrap();
        backend.detach(volume).await.unwrap();
        assert_eq!(backend.inspect(volume).await.unwrap(), Inspection::Detached);
    }
    assert!(backend.confirm(&one, &first).await.is_err(), "it was detached");
    assert!(backend.attached().await.unwrap().is_disjoint(&both));
    let second = attach(&backend, &two).await.unwrap();
    let first = attach(&backend, &one).await.unwrap();
    assert_eq!(&read_marker(&first), b"the first volume");
    assert_eq!(&read_marker(&second), b"the other volume");
    clear(&backend, &one).await;
    clear(&backend, &two).await;
}

pub(super) async fn attach_without_storage_is_not_found<B: Backend, F: Fn() -> B>(
    subject: &Subject<F>,
) {
    let backend = (subject.make)();
    let volume = subject.volume("absent");

    let error = attach(&backend, &volume).await.unwrap_err();

    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    backend.detach(&volume).await.unwrap();
    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Absent);
}

pub(super) async fn detach_is_refused_while_the_device_is_in_use<B: Backend, F: Fn() -> B>(
    subject: &Subject<F>,
) {
    let backend = (subject.make)();
    let (volume, device) = subject.attached(&backend, "in-use").await;
    write_marker(&device, b"precious precise");
    let user = open_exclusive(&device.path);

    for backend in [&backend, &(subject.make)()] {
        let error = backend.detach(&volume).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InUse, "{error}");
        let seen = backend.inspect(&volume).await.unwrap();
        assert_eq!(seen, Inspection::Attached(device.clone()), "nothing was changed");
        assert_eq!(&read_marker(&device), b"precious precise");
    }

    drop(user);
    clear(&backend, &volume).await;
}

pub(super) async fn a_restarted_backend_finds_what_is_attached<B: Backend, F: Fn() -> B>(
    subject: &Subject<F>,
) {
    let (attached, device) = subject.attached(&(subject.make)(), "attached").await;
    let mut detached = subject.volume("detached");
    create(&(subject.make)(), &mut detached).await.unwrap();
    write_marker(&device, b"precious precise");

    let listed = (subject.make)().attached().await.unwrap();
    assert!(listed.contains(&attached.id) && !listed.contains(&detached.id));
    let seen = (subject.make)().inspect(&attached).await.unwrap();
    assert_eq!(seen, Inspection::Attached(device.clone()));
    assert_eq!((subject.make)().inspect(&detached).await.unwrap(), Inspection::Detached);
    let again = attach(&(subject.make)(), &attached).await.unwrap();
    assert_eq!(again, device, "it is not attached a second time");
    assert_eq!(&read_marker(&again), b"precious precise");
    let grown = crate::spec::Bytes::new(subject.size.get() * 2);
    (subject.make)().grow(&attached, grown).await.unwrap();
    assert!(super::size_of(&device) >= grown, "a device that was attached before grows along");
    (subject.make)().detach(&attached).await.unwrap();

    clear(&(subject.make)(), &attached).await;
    clear(&(subject.make)(), &detached).await;
}

pub(super) async fn volumes_are_handled_in_parallel<B: Backend, F: Fn() -> B>(
    subject: &Subject<F>,
) {
    let backend = (subject.make)();
    let mut volumes: Vec<_> = (0..8).map(|n| subject.volume(&format!("parallel-{n}"))).collect();

    let devices = all(volumes.iter_mut().map(|volume| async {
        create(&backend, volume).await.unwrap();
        let device = attach(&backend, volume).await.unwrap();
        write_marker(&device, volume.id.uuid().as_bytes());
        device
    }))
    .await;

    let distinct: HashSet<_> = devices.iter().map(|device| device.number).collect();
    assert_eq!(distinct.len(), volumes.len());
    for (volume, device) in volumes.iter().zip(&devices) {
        assert_eq!(&read_marker(device), volume.id.uuid().as_bytes());
    }
    all(volumes.iter().map(|volume| clear(&backend, volume))).await;
}

/// Drives all of them at once.
async fn all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (future, result) in &mut waiting {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *result = Some(value),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    waiting.into_iter().map(|(_, result)| result.expect("all are ready")).collect()
}
