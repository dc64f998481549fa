//! The file system itself: made, mounted at the stage as this volume's and no other's, grown, shut down, and
//! unmounted.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tokio::task::spawn_blocking;

use super::{
    Host, Subject, data_dir,
    paths::{PathError, ensure_dir, path_error, remove_dir},
    shared,
};
use crate::{
    engine::error::Cause,
    fault,
    spec::{FsType, Mode, Ownership},
    sys::{
        beneath::Beneath,
        format::{self, GrowError},
        mount::{self, UnmountError},
        mountinfo::MountTable,
        shutdown,
    },
    volume::{DATA, Device, Record, effect::Outcome, plan::Standing},
};

impl Host {
    pub(super) async fn format(&self, subject: &Subject, device: &Device) -> Result<(), Cause> {
        let record = &subject.record;
        let spec = &record.spec;
        // File systems allow 12 (xfs) or 16 (ext4) bytes of label: enough to recognise it by.
        let label: String = record.name.as_str().chars().take(12).collect();
        let options = shared::mkfs_options(record);
        format::format(&device.path, spec.fs, &options, &label, record.id.uuid()).await?;
        fault::point("format.made");
        let stage = self.mount_stage(subject, device).await?;
        let record = record.clone();
        let make = move || {
            shared::make_recovery(&record, &stage)?;
            make_data_directory(&stage, &record.spec.owner)
        };
        spawn_blocking(make).await??;
        Ok(())
    }

    pub(super) async fn stage(&self, subject: &Subject, device: &Device) -> Result<(), Cause> {
        let record = &subject.record;
        refuse_other_volume(record, device).await?;
        let stage = self.mount_stage(subject, device).await?;
        let (top, data) = (stage.clone(), data_dir(record));
        match spawn_blocking(move || Beneath::open(&top, &data)).await? {
            Ok(_) => Ok(()),
            Err(source) => {
                self.unstage(&Subject::new(record.clone())).await?;
                let (device, data) = (device.path.clone(), data_dir(record));
                Err(PathError::NoData { device, data, source }.into())
            }
        }
    }

    async fn mount_stage(&self, subject: &Subject, device: &Device) -> Result<PathBuf, Cause> {
        let record = &subject.record;
        let stage = self.stage_path(record.id);
        let (target, source) = (stage.clone(), device.path.clone());
        let (fs, mut options) = (record.spec.fs, record.spec.mount_options.clone());
        if fs == FsType::Xfs && record.file_system_uuid.is_some() {
            // The volume that the snapshot was made of may be mounted here, too.
            options.push("nouuid".to_owned());
        }
        options.extend(shared::mount_options(record, subject.standing));
        spawn_blocking(move || {
            ensure_dir(&target, 0o711)?;
            mount::mount_fs(&source, &target, fs, &options)
                .map_err(path_error("mount the file system at", &target))
        })
        .await??;
        Ok(stage)
    }

    pub(super) async fn unstage(&self, subject: &Subject) -> Result<(), Cause> {
        let stage = self.stage_path(subject.record.id);
        self.unmount(&stage, subject).await?;
        fault::point("unstage.unmounted");
        spawn_blocking(move || remove_dir(&stage)).await??;
        Ok(())
    }

    /// Unmounts. What is another node's goes also from under its tasks: it was shut down, and the way
    /// to it must not stay open to the next ones.
    pub(super) async fn unmount(&self, target: &Path, subject: &Subject) -> Result<(), Cause> {
        let Subject { record, standing, reached, shut_out, .. } = subject;
        let needs_owner = !record.spec.backend.is_directory() && !reached;
        let lost = *standing == Standing::Other && needs_owner;
        match mount::unmount(target).await {
            Err(UnmountError::Busy { .. }) if lost => {
                // For certain: afterwards nobody could.
                self.shut_down(record).await?;
                Ok(mount::unmount_lazily(target).await?)
            }
            // What is behind it is cut off next (sharing's `cut_off`), and its users get errors.
            Err(UnmountError::Busy { .. }) if *shut_out => Ok(mount::unmount_lazily(target).await?),
            unmounted => Ok(unmounted?),
        }
    }

    /// What tasks still write goes nowhere, and they are told so: the storage is another node's.
    pub(super) async fn shut_down(&self, record: &Record) -> Result<(), Cause> {
        let stage = self.stage_path(record.id);
        let mounts = spawn_blocking(MountTable::read).await??;
        // A directory without a mount is the host's own file system.
        if mounts.at(&stage).is_none() {
            return Err(PathError::NotStaged(stage).into());
        }
        tracing::warn!(volume = %record.name, "shutting its file system down: tasks here get I/O errors");
        Ok(spawn_blocking(move || shutdown::shut_down(&stage)).await??)
    }

    pub(super) async fn grow_online(
        &self,
        record: &Record,
        device: &Device,
    ) -> Result<Outcome, Cause> {
        let stage = self.stage_path(record.id);
        match format::grow_online(&device.path, &stage, record.spec.fs).await {
            Ok(_) => Ok(Outcome::Done),
            Err(GrowError::NeedsCapability { .. }) => Ok(Outcome::Deferred),
            Err(error) => Err(error.into()),
        }
    }
}

/// The last look before a file system is given to tasks: that it is this volume's own. hawser makes
/// every file system with its volume's id as UUID; another's was recorded when it was first seen.
pub(super) async fn refuse_other_volume(record: &Record, device: &Device) -> Result<(), Cause> {
    let (path, fs) = (device.path.clone(), record.spec.fs);
    let look = move || format::file_system_uuid(&path, fs).map_err(path_error("look at", &path));
    let found = spawn_blocking(look).await??;
    if found == record.file_system_uuid.unwrap_or(*record.id.uuid()) {
        return Ok(());
    }
    Err(PathError::OtherVolume { device: device.path.clone(), found }.into())
}

/// Made once, at the first format, and never again: what tasks change later stays.
fn make_data_directory(stage: &Path, ownership: &Ownership) -> Result<(), PathError> {
    let data = stage.join(DATA);
    ensure_dir(&data, 0o755)?;
    let failed = |what| path_error(what, &data);
    std::os::unix::fs::chown(&data, ownership.uid, ownership.gid)
        .map_err(failed("set the owner of"))?;
    let mode = ownership.mode.map_or(0o755, Mode::bits);
    fs::set_permissions(&data, fs::Permissions::from_mode(mode))
        .map_err(failed("set the mode of"))?;
    let dir = fs::File::open(stage).map_err(failed("open"))?;
    rustix::fs::syncfs(&dir).map_err(|error| failed("sync")(error.into()))
}
