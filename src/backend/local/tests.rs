//! The local backend: the contract, and what is its own.

use std::os::unix::fs::MetadataExt;

use super::*;
use crate::{
    backend::conformance::{self, Subject},
    spec::{LocalSpec, Spec},
    sys::testing::World,
    volume::{Record, testing},
};

fn open(world: &World) -> Local {
    let dir = world.dir("images");
    Local::open(LocalConfig {
        dir,
        overcommit: 1.0,
        margin: Bytes::mib(16),
        users: Users::ThisNode,
    })
    .unwrap()
}

fn volume(provision: Provision) -> VolumeRef {
    let backend = BackendSpec::Local(LocalSpec { provision });
    let spec = Spec { size: Bytes::mib(16), backend, ..testing::spec() };
    VolumeRef::from(&Record::new(VolumeId::random(), "v".parse().unwrap(), spec, testing::START))
}

async fn attach(backend: &Local, volume: &VolumeRef) -> Result<Device, BackendError> {
    backend.attach(volume, &CancellationToken::new()).await
}

#[tokio::test]
async fn thick_and_thin_volumes_keep_the_contract() {
    let world = World::alone();
    for provision in [Provision::Thick, Provision::Thin] {
        conformance::run(&Subject {
            make: || open(&world),
            spec: BackendSpec::Local(LocalSpec { provision }),
            size: Bytes::mib(16),
            too_large: Bytes::gib(1 << 20),
        })
        .await;
    }
    assert_eq!(std::fs::read_dir(world.dir("images")).unwrap().count(), 0, "nothing is left");
}

#[tokio::test]
async fn a_thick_image_has_all_its_blocks_and_a_thin_one_none() {
    let world = World::alone();
    let backend = open(&world);
    for (provision, blocks) in [(Provision::Thick, 16 << 11), (Provision::Thin, 0)] {
        let volume = volume(provision);
        backend.create(&volume).await.unwrap();
        let image = backend.images.path(volume.id).metadata().unwrap();
        assert_eq!((image.len(), image.blocks()), (16 << 20, blocks), "{provision:?}");
        assert_eq!(image.mode() & 0o777, 0o600);
        backend.remove(&volume).await.unwrap();
    }
}

#[tokio::test]
async fn a_draft_of_a_killed_daemon_is_made_anew_and_deleted_with_its_volume() {
    let world = World::alone();
    let backend = open(&world);
    let volume = volume(Provision::Thin);
    let draft = world.dir("images").join(format!("{}.img.new", volume.id));
    std::fs::File::create(&draft).unwrap().set_len(7).unwrap();

    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Absent);
    backend.create(&volume).await.unwrap();
    assert!(!draft.exists());
    assert_eq!(backend.images.path(volume.id).metadata().unwrap().len(), 16 << 20);

    std::fs::File::create(&draft).unwrap();
    backend.remove(&volume).await.unwrap();
    assert_eq!(std::fs::read_dir(world.dir("images")).unwrap().count(), 0);
}

#[test]
fn drafts_of_a_killed_daemon_are_deleted_at_the_start_and_foreign_files_are_not() {
    let world = World::alone();
    let dir = world.dir("images");
    let (draft, foreign) = (format!("{}.img.new", VolumeId::random()), "notes.img.new");
    for name in [&draft, foreign] {
        std::fs::File::create(dir.join(name)).unwrap();
    }

    open(&world);

    assert!(!dir.join(draft).exists());
    assert!(dir.join(foreign).exists());
}

#[tokio::test]
async fn an_image_that_another_process_has_locked_is_not_attached() {
    let world = World::alone();
    let backend = open(&world);
    let volume = volume(Provision::Thin);
    backend.create(&volume).await.unwrap();
    let other = std::fs::File::open(backend.images.path(volume.id)).unwrap();
    assert!(crate::sys::durable::lock_exclusive(&other).unwrap());

    let error = attach(&backend, &volume).await.unwrap_err();

    assert_eq!(error.kind, ErrorKind::InUse, "{error}");
    assert_eq!(backend.inspect(&volume).await.unwrap(), Inspection::Detached);
    drop(other);
    attach(&backend, &volume).await.unwrap();
    backend.detach(&volume).await.unwrap();
    backend.remove(&volume).await.unwrap();
}

#[tokio::test]
async fn a_thin_volume_takes_discards_on_a_device_that_a_thick_one_had() {
    let world = World::alone();
    let backend = open(&world);
    let discards = |device: &Device| {
        let queue = format!("/sys/dev/block/{}:{}/queue", device.number.0, device.number.1);
        let limit = std::fs::read_to_string(format!("{queue}/discard_max_bytes")).unwrap();
        limit.trim().parse::<u64>().unwrap()
    };
    let (thick, thin) = (volume(Provision::Thick), volume(Provision::Thin));
    for volume in [&thick, &thin] {
        backend.create(volume).await.unwrap();
    }

    let device = attach(&backend, &thick).await.unwrap();
    assert_eq!(discards(&device), 0);
    backend.detach(&thick).await.unwrap();
    let device = attach(&backend, &thin).await.unwrap();
    assert!(discards(&device) > 0);

    backend.detach(&thin).await.unwrap();
    for volume in [&thick, &thin] {
        backend.remove(volume).await.unwrap();
    }
}

/// Udev, or a backup, holds the device open for longer than a detach waits.
#[tokio::test]
async fn a_device_that_went_to_another_volume_is_not_taken_for_the_first_ones() {
    let world = World::alone();
    let backend = open(&world);
    let (one, two) = (volume(Provision::Thin), volume(Provision::Thin));
    for volume in [&one, &two] {
        backend.create(volume).await.unwrap();
    }
    // The kernel gives the lowest free device, and other tests take and free devices, too.
    let first = loop {
        let first = attach(&backend, &one).await.unwrap();
        let holder = std::fs::File::open(&first.path).unwrap();
        let error = backend.detach(&one).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InUse, "{error}");
        drop(holder);

        // Freed behind the backend's back, and taken for another image.
        crate::sys::testing::run("losetup", ["-d", first.path.to_str().unwrap()]);
        if attach(&backend, &two).await.unwrap() == first {
            break first;
        }
        for volume in [&one, &two] {
            backend.detach(volume).await.unwrap();
        }
    };

    assert_eq!(backend.inspect(&one).await.unwrap(), Inspection::Detached);
    backend.detach(&one).await.unwrap();
    assert_eq!(backend.inspect(&two).await.unwrap(), Inspection::Attached(first.clone()));
    assert_ne!(attach(&backend, &one).await.unwrap(), first);
    for volume in [&one, &two] {
        backend.detach(volume).await.unwrap();
        backend.remove(volume).await.unwrap();
    }
}

#[tokio::test]
async fn a_loop_device_that_somebody_else_made_is_not_adopted() {
    let world = World::alone();
    let backend = open(&world);
    let volume = volume(Provision::Thin);
    backend.create(&volume).await.unwrap();
    let path = backend.images.path(volume.id);
    crate::sys::testing::run("losetup", ["--find", "--read-only", path.to_str().unwrap()]);
    let image = std::fs::File::open(&path).unwrap();
    let device = loopdev::list_of(&image).unwrap().pop().unwrap().device.path;
    let device = device.to_str().unwrap();

    for error in [
        attach(&backend, &volume).await.unwrap_err(),
        backend.inspect(&volume).await.unwrap_err(),
        backend.detach(&volume).await.unwrap_err(),
        backend.remove(&volume).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, ErrorKind::InUse, "{error}");
        assert!(error.to_string().contains(device), "{error}");
    }

    crate::sys::testing::run("losetup", ["-d", device]);
    attach(&backend, &volume).await.unwrap();
    backend.detach(&volume).await.unwrap();
    backend.remove(&volume).await.unwrap();
}
