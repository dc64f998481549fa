//! The contract of [`Backend`] as a suite: every backend runs [`run`] in a test of its own, on real
//! storage (or a fake of its cloud), and passes all of it.
//!
//! `make` opens the backend on the same storage each time, as a daemon does that was restarted;
//! what the one before it attached is still attached then.

mod attach;
pub(super) mod directories;
mod storage;

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Backend, BackendError, ErrorKind, Inspection, VolumeRef};
use crate::{
    spec::{BackendSpec, Bytes, Spec},
    volume::{Device, Record, VolumeId, testing},
};

/// What a backend brings to the suite.
pub(super) struct Subject<F> {
    /// Opens the backend.
    pub(super) make: F,
    /// How volumes are asked for.
    pub(super) spec: BackendSpec,
    /// The smallest size that it can make, or a larger one.
    pub(super) size: Bytes,
    /// A size that it has no room for.
    pub(super) too_large: Bytes,
}

/// Runs the suite.
pub(super) async fn run<B: Backend, F: Fn() -> B>(subject: &Subject<F>) {
    storage::create_is_idempotent_blank_and_large_enough(subject).await;
    storage::create_without_room_leaves_nothing(subject).await;
    storage::grow_is_idempotent_and_never_shrinks(subject).await;
    storage::grow_without_room_keeps_the_old_size(subject).await;
    storage::removal_is_idempotent_and_refused_while_attached(subject).await;
    attach::the_device_is_the_volumes_own(subject).await;
    attach::attach_without_storage_is_not_found(subject).await;
    attach::detach_is_refused_while_the_device_is_in_use(subject).await;
    attach::a_restarted_backend_finds_what_is_attached(subject).await;
    attach::volumes_are_handled_in_parallel(subject).await;
}

impl<B: Backend, F: Fn() -> B> Subject<F> {
    fn volume(&self, name: &str) -> VolumeRef {
        let spec = Spec { size: self.size, backend: self.spec.clone(), ..testing::spec() };
        let record = Record::new(VolumeId::random(), name.parse().unwrap(), spec, Timestamp::now());
        VolumeRef::from(&record)
    }

    /// A volume that exists and is attached.
    async fn attached(&self, backend: &B, name: &str) -> (VolumeRef, Device) {
        let mut volume = self.volume(name);
        create(backend, &mut volume).await.unwrap();
        let device = attach(backend, &volume).await.unwrap();
        (volume, device)
    }
}

/// Creates, and keeps what the engine keeps of it.
async fn create(backend: &impl Backend, volume: &mut VolumeRef) -> Result<(), BackendError> {
    let created = backend.create(volume).await?;
    volume.handle = created.handle;
    volume.spec.backend = created.backend;
    Ok(())
}

async fn attach(backend: &impl Backend, volume: &VolumeRef) -> Result<Device, BackendError> {
    backend.attach(volume, &CancellationToken::new()).await
}

/// Detaches and removes: every case ends without a trace.
async fn clear(backend: &impl Backend, volume: &VolumeRef) {
    backend.detach(volume).await.unwrap();
    backend.remove(volume).await.unwrap();
    assert_eq!(backend.inspect(volume).await.unwrap(), Inspection::Absent);
    assert!(!backend.attached().await.unwrap().contains(&volume.id));
}

fn size_of(device: &Device) -> Bytes {
    crate::sys::blockdev::size(&device.path).unwrap()
}

fn write_marker(device: &Device, marker: &[u8; 16]) {
    let file = OpenOptions::new().write(true).open(&device.path).unwrap();
    file.write_all_at(marker, 0).unwrap();
    file.sync_all().unwrap();
}

fn read_marker(device: &Device) -> [u8; 16] {
    let mut marker = [0; 16];
    File::open(&device.path).unwrap().read_exact_at(&mut marker, 0).unwrap();
    marker
}

/// As a mount in any namespace holds a device.
fn open_exclusive(path: &Path) -> File {
    let flags = rustix::fs::OFlags::EXCL.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path).unwrap()
}
