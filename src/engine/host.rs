//! Carries the steps out on this node: mounts, mkfs, directories, and calls to the backend.
//!
//! ```text
//! <root>/stage/<volume UUID>   the file system, mounted once
//! <root>/reach/<volume UUID>   the same of another node's, by way of that node
//! <root>/volumes/<name>        what tasks get: a bind of <stage>/data, so nobody sees lost+found, or
//!                              of what is reached
//! ```
//!
//! `<root>` has shared propagation: a namespace that copied it lets go of a volume with the host.
//! A published directory is immutable until something is mounted on it, so that a task that finds
//! it unmounted cannot write into the host's file system.

mod observe;
mod paths;
mod shared;

pub(super) use shared::{RECOVERY, names_are_durable};

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use observe::directories_of;
use paths::{PathError, ensure_dir, path_error, refuse_mount_point, remove_dir, remove_published};

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::error::{Cause, StepError};
use crate::{
    backend::{Accounting, Backend, Created, Directories, VolumeRef},
    fault,
    spec::{BackendKind, FsType, Mode, Ownership, VolumeName},
    sys::{
        beneath::Beneath,
        format::{self, GrowError},
        freeze, guard,
        mount::{self, UnmountError},
        mountinfo::MountTable,
        probe::{self, Content},
        shutdown,
    },
    volume::{
        DATA, Device, DeviceContent, Record, VolumeId,
        effect::{Effect, Outcome},
        plan::Standing,
    },
};

/// How long the data directory of a mounted directory may take to be opened.
const PUBLISH: Duration = Duration::from_secs(30);

/// This node's hands.
#[derive(Debug)]
pub struct Host {
    root: PathBuf,
    backends: HashMap<BackendKind, Arc<dyn Backend>>,
}

/// What a step needs to know of its volume.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The record as the step was decided on.
    pub record: Record,
    /// The device, where it is attached.
    pub device: Option<Device>,
    /// The mounts, where somebody just read them.
    pub mounts: Option<Arc<MountTable>>,
    /// Cancelled when nobody wants the step any more.
    pub cancel: CancellationToken,
    /// What the lease lets this node do.
    pub standing: Standing,
    /// It is used by way of its owner.
    pub reached: bool,
    /// It was, and another node's tasks write to it now.
    pub shut_out: bool,
}

impl Subject {
    /// Of a record alone.
    #[must_use]
    pub fn new(record: Record) -> Self {
        Self {
            record,
            device: None,
            mounts: None,
            cancel: CancellationToken::new(),
            standing: Standing::Alone,
            reached: false,
            shut_out: false,
        }
    }

    /// The mounts: as they were just read, or read now.
    pub(super) async fn mounts(&self) -> Result<Arc<MountTable>, Cause> {
        match &self.mounts {
            Some(mounts) => Ok(Arc::clone(mounts)),
            None => Ok(Arc::new(spawn_blocking(MountTable::read).await??)),
        }
    }
}

/// A directory that is to be published.
#[derive(Debug)]
struct Wanted {
    /// What the mount table says is mounted at the stage.
    device: (u32, u32),
    /// It was given up meanwhile: what was opened at last is published by nobody.
    late: Arc<AtomicBool>,
}

/// The directory that tasks see: below a mount, opened without following links.
#[derive(Debug)]
struct Data {
    top: PathBuf,
    below: PathBuf,
}

impl Wanted {
    fn still(&self, shown: u64) -> bool {
        let (major, minor) = self.device;
        rustix::fs::makedev(major, minor) == shown && !self.late.load(Ordering::SeqCst)
    }
}

impl Host {
    /// Changes nothing yet. The mount table holds resolved paths, so the root is resolved, too.
    #[must_use]
    pub fn new(root: PathBuf, backends: Vec<Arc<dyn Backend>>) -> Self {
        let root = fs::canonicalize(&root).unwrap_or(root);
        let backends = backends.into_iter().map(|backend| (backend.kind(), backend)).collect();
        Self { root, backends }
    }

    /// Makes the root directory a shared mount, with the directories in it.
    ///
    /// # Errors
    ///
    /// With what could not be made.
    pub fn prepare(&self, kind: mount::RootKind) -> io::Result<()> {
        mount::ensure_shared_root(&self.root, kind)?;
        for dir in ["stage", "reach", "volumes"] {
            // 0711: tasks reach their own volume by its path, and cannot list the others.
            fs::DirBuilder::new().recursive(true).mode(0o711).create(self.root.join(dir))?;
        }
        Ok(())
    }

    /// The root directory, resolved as the mount table has it.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a volume's file system is mounted.
    #[must_use]
    pub fn stage_path(&self, id: VolumeId) -> PathBuf {
        self.root.join("stage").join(id.to_string())
    }

    /// Where a volume of another node is mounted.
    #[must_use]
    pub fn reach_path(&self, id: VolumeId) -> PathBuf {
        self.root.join("reach").join(id.to_string())
    }

    pub(super) async fn make_reach(&self, id: VolumeId) -> Result<(), Cause> {
        let path = self.reach_path(id);
        Ok(spawn_blocking(move || ensure_dir(&path, 0o711)).await??)
    }

    pub(super) async fn remove_reach(&self, id: VolumeId) -> Result<(), Cause> {
        let path = self.reach_path(id);
        Ok(spawn_blocking(move || remove_dir(&path)).await??)
    }

    /// Where an NFS export is mounted as a whole, while there is need for it.
    #[must_use]
    pub fn export_path(&self, export: &str) -> PathBuf {
        self.root.join("exports").join(export)
    }

    /// The path that tasks get.
    #[must_use]
    pub fn published_path(&self, name: &VolumeName) -> PathBuf {
        self.root.join("volumes").join(name.as_str())
    }

    /// The backend of that kind.
    #[must_use]
    pub fn backend(&self, kind: BackendKind) -> Option<&Arc<dyn Backend>> {
        self.backends.get(&kind)
    }

    /// The backend that serves the volume as a directory, if it is one.
    #[must_use]
    pub fn server_of(&self, record: &Record) -> Option<Arc<dyn Backend>> {
        let backend = self.backend(record.spec.backend.kind())?;
        record.spec.backend.is_directory().then(|| Arc::clone(backend))
    }

    /// How the size of a directory is kept to.
    #[must_use]
    pub fn accounting(&self, record: &Record) -> Option<Accounting> {
        let server = self.server_of(record)?;
        Some(server.directories()?.accounting(&VolumeRef::from(record)))
    }

    /// Every backend of this node.
    pub fn backends(&self) -> impl Iterator<Item = &Arc<dyn Backend>> {
        self.backends.values()
    }

    /// Carries a step out.
    ///
    /// # Errors
    ///
    /// What exists afterwards is unknown: the caller observes again.
    pub async fn execute(&self, effect: Effect, subject: &Subject) -> Result<Outcome, StepError> {
        fault::point(&format!("{}.before", effect.name()));
        let result = self.dispatch(effect, subject).await;
        fault::point(&format!("{}.after", effect.name()));
        result.map_err(|source| StepError::Step { step: effect.name(), source })
    }

    async fn dispatch(&self, effect: Effect, subject: &Subject) -> Result<Outcome, Cause> {
        let Subject { record, .. } = subject;
        let volume = VolumeRef::from(record);
        let backend = self
            .backend(record.spec.backend.kind())
            .ok_or_else(|| PathError::NoBackend(record.spec.backend.kind()))?;
        if let Some(directories) = directories_of(record, backend.as_ref())?
            && let Some(done) = self.on_directory(effect, directories, record).await?
        {
            return Ok(done);
        }
        // What was attached some time ago may be gone, and its name be another's.
        if matches!(effect, Effect::Probe | Effect::Format | Effect::GrowOffline | Effect::Stage) {
            backend.confirm(&volume, device_of(subject)?).await?;
        }
        match effect {
            Effect::Observe => return self.observe(backend, subject).await.map(Outcome::Observed),
            Effect::Provision => {
                let Created { handle, backend } = backend.create(&volume).await?;
                return Ok(Outcome::Provisioned { handle, backend });
            }
            Effect::Attach => {
                return Ok(Outcome::Attached(backend.attach(&volume, &subject.cancel).await?));
            }
            Effect::Probe => return probe_device(device_of(subject)?).await,
            Effect::Format => self.format(subject, device_of(subject)?).await?,
            Effect::GrowStorage { to } => {
                backend.grow(&volume, to).await?;
                return Ok(Outcome::Grown { to, backend: volume.spec.backend });
            }
            Effect::GrowOffline => {
                refuse_other_volume(record, device_of(subject)?).await?;
                format::grow_offline(&device_of(subject)?.path, record.spec.fs).await?;
            }
            Effect::Stage => self.stage(subject, device_of(subject)?).await?,
            Effect::GrowOnline => return self.grow_online(record, device_of(subject)?).await,
            Effect::Thaw => {
                let stage = self.stage_path(record.id);
                spawn_blocking(move || freeze::thaw(&stage)).await??;
            }
            Effect::Publish if subject.reached => self.publish_reached(record).await?,
            Effect::Publish => self.publish(record, self.data_of(record), None).await?,
            Effect::Unpublish => self.unpublish(subject).await?,
            Effect::Unstage => self.unstage(subject).await?,
            Effect::Detach => backend.detach(&volume).await?,
            Effect::ShutDown => self.shut_down(record).await?,
            // The engine's own: it has the store and the other nodes.
            Effect::Own
            | Effect::Recall
            | Effect::Fence
            | Effect::Export
            | Effect::Unexport
            | Effect::Connect
            | Effect::Reach
            | Effect::Unreach => return Err(PathError::NotHere.into()),
            Effect::SetAside => return Err(PathError::NoDirectory.into()),
            Effect::Destroy => backend.remove(&volume).await?,
        }
        Ok(Outcome::Done)
    }

    /// The steps that are others for a directory; `None` for those that are the same.
    async fn on_directory(
        &self,
        effect: Effect,
        directories: &dyn Directories,
        record: &Record,
    ) -> Result<Option<Outcome>, Cause> {
        let (volume, stage) = (VolumeRef::from(record), self.stage_path(record.id));
        match effect {
            Effect::Stage => {
                let target = stage.clone();
                spawn_blocking(move || ensure_dir(&target, 0o711)).await??;
                if let Err(error) = directories.mount(&volume, &stage).await {
                    // Where something was mounted all the same, it stays.
                    let _ = spawn_blocking(move || remove_dir(&stage)).await?;
                    return Err(error.into());
                }
            }
            Effect::Unstage => {
                directories.unmount(&volume, &stage).await?;
                fault::point("unstage.unmounted");
                spawn_blocking(move || remove_dir(&stage)).await??;
            }
            Effect::Publish => {
                // Whoever opens what is on a server that is away waits for it.
                directories.answers(&volume).await?;
                self.publish_directory(directories, record).await?;
            }
            Effect::SetAside => directories.set_aside(&volume).await?,
            Effect::Attach
            | Effect::Probe
            | Effect::Format
            | Effect::GrowOffline
            | Effect::GrowOnline
            | Effect::Thaw
            | Effect::Export
            | Effect::Unexport
            | Effect::Connect
            | Effect::Reach
            | Effect::Unreach
            | Effect::Detach => return Err(PathError::NoDevice.into()),
            Effect::Observe
            | Effect::Own
            | Effect::Recall
            | Effect::Fence
            | Effect::ShutDown
            | Effect::Provision
            | Effect::GrowStorage { .. }
            | Effect::Unpublish
            | Effect::Destroy => return Ok(None),
        }
        Ok(Some(Outcome::Done))
    }

    async fn format(&self, subject: &Subject, device: &Device) -> Result<(), Cause> {
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

    async fn stage(&self, subject: &Subject, device: &Device) -> Result<(), Cause> {
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

    async fn unstage(&self, subject: &Subject) -> Result<(), Cause> {
        let stage = self.stage_path(subject.record.id);
        self.unmount(&stage, subject).await?;
        fault::point("unstage.unmounted");
        spawn_blocking(move || remove_dir(&stage)).await??;
        Ok(())
    }

    /// Unmounts. What is another node's goes also from under its tasks: it was shut down, and the way
    /// to it must not stay open to the next ones.
    async fn unmount(&self, target: &Path, subject: &Subject) -> Result<(), Cause> {
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
    async fn shut_down(&self, record: &Record) -> Result<(), Cause> {
        let stage = self.stage_path(record.id);
        let mounts = spawn_blocking(MountTable::read).await??;
        // A directory without a mount is the host's own file system.
        if mounts.at(&stage).is_none() {
            return Err(PathError::NotStaged(stage).into());
        }
        tracing::warn!(volume = %record.name, "shutting its file system down: tasks here get I/O errors");
        Ok(spawn_blocking(move || shutdown::shut_down(&stage)).await??)
    }

    /// As [`Self::publish`], of what the mount table says is the volume's, and with an end.
    async fn publish_directory(
        &self,
        directories: &dyn Directories,
        record: &Record,
    ) -> Result<(), Cause> {
        let (stage, volume) = (self.stage_path(record.id), VolumeRef::from(record));
        let mounts = spawn_blocking(MountTable::read).await??;
        let mount = mounts.at(&stage).filter(|mount| directories.shows(&volume, mount));
        let device = mount.ok_or(PathError::NotStaged(stage))?.device;
        self.publish_in_time(record, self.data_of(record), device).await
    }

    /// The same of what another node serves.
    async fn publish_reached(&self, record: &Record) -> Result<(), Cause> {
        let top = self.reach_path(record.id);
        let mounts = spawn_blocking(MountTable::read).await??;
        let mount = mounts.at(&top).ok_or_else(|| PathError::NotStaged(top.clone()))?;
        // What is served is what tasks see, and nothing around it.
        let data = Data { top, below: PathBuf::from(".") };
        self.publish_in_time(record, data, mount.device).await
    }

    async fn publish_in_time(
        &self,
        record: &Record,
        data: Data,
        device: (u32, u32),
    ) -> Result<(), Cause> {
        let late = Arc::new(AtomicBool::new(false));
        let wanted = Wanted { device, late: Arc::clone(&late) };
        let published =
            tokio::time::timeout(PUBLISH, self.publish(record, data, Some(wanted))).await;
        published.map_err(|_| {
            late.store(true, Ordering::SeqCst);
            PathError::Late { after: PUBLISH }
        })?
    }

    fn data_of(&self, record: &Record) -> Data {
        Data { top: self.stage_path(record.id), below: data_dir(record) }
    }

    /// `wanted` is for what may be on a server that is away.
    async fn publish(
        &self,
        record: &Record,
        data: Data,
        wanted: Option<Wanted>,
    ) -> Result<(), Cause> {
        let Data { top: stage, below: data } = data;
        let path = self.published_path(&record.name);
        spawn_blocking(move || {
            ensure_dir(&path, 0o700)?;
            refuse_mount_point(&path)?;
            guard::guard(&path).map_err(path_error("protect", &path))?;
            fault::point("publish.guarded");
            // Tasks write below the stage: what is bound is what was opened, and no link.
            let data =
                Beneath::open(&stage, &data).map_err(path_error("open the data of", &stage))?;
            let shown = fs::metadata(data.path()).map_err(path_error("look at", &stage))?.dev();
            if wanted.is_some_and(|wanted| !wanted.still(shown)) {
                return Err(PathError::NotStaged(stage));
            }
            mount::bind(&data.path(), &path).map_err(path_error("bind the volume to", &path))
        })
        .await??;
        Ok(())
    }

    async fn unpublish(&self, subject: &Subject) -> Result<(), Cause> {
        let path = self.published_path(&subject.record.name);
        self.unmount(&path, subject).await?;
        fault::point("unpublish.unmounted");
        spawn_blocking(move || remove_published(&path)).await??;
        Ok(())
    }

    async fn grow_online(&self, record: &Record, device: &Device) -> Result<Outcome, Cause> {
        let stage = self.stage_path(record.id);
        match format::grow_online(&device.path, &stage, record.spec.fs).await {
            Ok(_) => Ok(Outcome::Done),
            Err(GrowError::NeedsCapability { .. }) => Ok(Outcome::Deferred),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the directories that a crash or a reboot left behind: published paths and stages
    /// on which nothing is mounted. Only empty ones can be, and only empty ones are deleted.
    ///
    /// # Errors
    ///
    /// When a directory cannot be read.
    pub fn sweep_directories(&self, mounts: &MountTable) -> io::Result<()> {
        for (dir, remove) in [
            ("stage", remove_dir as fn(&Path) -> _),
            ("reach", remove_dir),
            ("volumes", remove_published),
        ] {
            for entry in fs::read_dir(self.root.join(dir))? {
                let path = entry?.path();
                if mounts.at(&path).is_none()
                    && let Err(error) = remove(&path)
                {
                    tracing::warn!("leave {} where it is: {error}", path.display());
                }
            }
        }
        Ok(())
    }
}

fn shows_device(path: &Path, device: &Device) -> bool {
    let (major, minor) = device.number;
    fs::metadata(path).is_ok_and(|metadata| metadata.dev() == rustix::fs::makedev(major, minor))
}

/// The last look before a file system is given to tasks: that it is this volume's own. hawser makes
/// every file system with its volume's id as UUID; another's was recorded when it was first seen.
async fn refuse_other_volume(record: &Record, device: &Device) -> Result<(), Cause> {
    let (path, fs) = (device.path.clone(), record.spec.fs);
    let look = move || format::file_system_uuid(&path, fs).map_err(path_error("look at", &path));
    let found = spawn_blocking(look).await??;
    if found == record.file_system_uuid.unwrap_or(*record.id.uuid()) {
        return Ok(());
    }
    Err(PathError::OtherVolume { device: device.path.clone(), found }.into())
}

/// The directory of the file system that tasks see.
pub(super) fn data_dir(record: &Record) -> PathBuf {
    PathBuf::from(record.data_dir.as_deref().unwrap_or(DATA))
}

fn device_of(subject: &Subject) -> Result<&Device, PathError> {
    subject.device.as_ref().ok_or(PathError::NotAttached)
}

async fn probe_device(device: &Device) -> Result<Outcome, Cause> {
    Ok(Outcome::Probed(match probe::probe(&device.path).await? {
        Content::Blank => DeviceContent::Blank,
        Content::FileSystem { fs, uuid, .. } => match (fs.parse(), uuid.map(|u| u.parse())) {
            (Ok(fs), Some(Ok(uuid))) => DeviceContent::FileSystem { fs, uuid },
            (Ok(_) | Err(_), _) => DeviceContent::Something,
        },
        Content::Other { .. } => DeviceContent::Something,
    }))
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
