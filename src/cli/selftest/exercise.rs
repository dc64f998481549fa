//! The test itself, on the backend's trait: what the daemon does with a volume, step by step.
//!
//! ```text
//! create ─ tags ─ attach ─ format, write, read ─ grow ─ snapshot ─ detach ─┐
//!                             delete ◀─ detach ◀─ data still there ◀─ attach ┘
//! ```
//! Whatever it made is deleted at the end, also after a failure. No step is cut off: one that began
//! ends within the backend's own limits.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow, bail, ensure};
use jiff::Timestamp;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    pattern,
    report::{Failed, Report},
};
use crate::{
    backend::{Backend, Inspection, VolumeRef, ebs::Ebs},
    spec::{Bytes, FsType, Spec, VolumeName},
    sys::{
        format::{self, GrowError},
        mount,
    },
    volume::{Device, Record, Transit, VolumeId},
};

const FS: FsType = FsType::Ext4;

/// A volume of the test's own.
pub(super) struct Exercise {
    ebs: Arc<Ebs>,
    sys_dir: PathBuf,
    volume: VolumeRef,
    /// Where it is mounted.
    dir: PathBuf,
    interrupted: CancellationToken,
}

impl Exercise {
    pub(super) fn new(
        ebs: Arc<Ebs>,
        sys_dir: PathBuf,
        name: VolumeName,
        spec: Spec,
        interrupted: CancellationToken,
    ) -> Self {
        let record = Record::new(VolumeId::random(), name, spec, Timestamp::now());
        let dir = std::env::temp_dir().join(format!("hawser-selftest-{}", record.id));
        Self { ebs, sys_dir, volume: VolumeRef::from(&record), dir, interrupted }
    }

    /// All steps, and the end of all that they made.
    pub(super) async fn run(mut self, report: &mut Report) {
        // The report has the reason.
        let _ = self.steps(report).await;
        self.clean_up(report).await;
    }

    /// Until one fails.
    async fn steps(&mut self, report: &mut Report) -> Result<(), Failed> {
        report.node = Some(report.step("identity", identity(&self.ebs)).await?);
        let created = report.step("create", self.create()).await?;
        self.volume.handle = created.handle;
        self.volume.spec.backend = created.backend;
        report.step("tags", self.check_tags()).await?;
        let device = report.step("attach", self.attach()).await?;
        report.step("mkfs, write, read back", self.fill(&device)).await?;
        let size = report.step("grow", self.grow(&device)).await?;
        self.volume.spec.size = size;
        report.step("snapshot", self.snapshot()).await?;
        report.step("detach", self.detach()).await?;
        let device = report.step("attach again", self.attach()).await?;
        report.step("data is still there", self.check_data(&device)).await?;
        report.step("detach again", self.detach()).await?;
        report.step("delete", self.delete()).await
    }

    async fn create(&self) -> anyhow::Result<(crate::backend::Created, String)> {
        let created = self.ebs.create(&self.volume).await?;
        let id = created.handle.as_ref().map(ToString::to_string).unwrap_or_default();
        let detail = format!("{id}, {} of {}", self.volume.spec.size, described(&created)?);
        Ok((created, detail))
    }

    /// The tags are what finds a volume again: read them back, and the spec in them.
    async fn check_tags(&self) -> anyhow::Result<((), String)> {
        let imports = self.ebs.imports().context("the backend does not read tags")?;
        let handle = self.volume.handle.as_ref().context("it has no id")?;
        let found = imports.candidate(handle).await?;
        let (id, spec) = found.known.ok_or_else(|| anyhow!("they do not tell what it is"))?;
        ensure!(id == self.volume.id, "they say that it is volume {id}, not {}", self.volume.id);
        ensure!(spec.size == self.volume.spec.size, "they say that it has {}", spec.size);
        ensure!(found.name == self.volume.name.as_str(), "they call it {}", found.name);
        Ok(((), format!("hawser:id={id}")))
    }

    async fn attach(&self) -> anyhow::Result<(Device, String)> {
        let device = self.ebs.attach(&self.volume, &self.interrupted).await?;
        let detail = format!("{}, {}", device.path.display(), self.found_how(&device));
        Ok((device, detail))
    }

    /// By what the device was known: the backend has verified it, this only tells.
    fn found_how(&self, device: &Device) -> String {
        let name = device.path.file_name().unwrap_or_default();
        let serial = self.sys_dir.join("block").join(name).join("device/serial");
        match fs::read_to_string(serial) {
            Ok(serial) => format!("found by its NVMe serial number {}", serial.trim()),
            Err(_) => "found by its name and size (it has no serial number)".to_owned(),
        }
    }

    async fn fill(&self, device: &Device) -> anyhow::Result<((), String)> {
        let uuid = *self.volume.id.uuid();
        format::format(&device.path, FS, &[], "selftest", &uuid).await?;
        self.on_mounted(device, move |dir| pattern::write(dir, uuid)).await?;
        // Unmounted meanwhile: what is read comes from the device.
        self.on_mounted(device, move |dir| pattern::verify(dir, uuid)).await?;
        Ok(((), format!("{FS}, {} MiB", pattern::MIB)))
    }

    async fn grow(&self, device: &Device) -> anyhow::Result<(Bytes, String)> {
        let to = Bytes::new(self.volume.spec.size.get() + Bytes::gib(1).get());
        self.ebs.grow(&self.volume, to).await?;
        self.mount(device).await?;
        let grown = format::grow_online(&device.path, &self.dir, FS).await;
        mount::unmount(&self.dir).await?;
        let when = match grown {
            Ok(_) => "while it was mounted",
            // As in the managed plugin: hawser grows such a file system at its next mount.
            Err(GrowError::NeedsCapability { .. }) => {
                format::grow_offline(&device.path, FS).await?;
                "while it was not mounted (this process lacks CAP_SYS_RESOURCE)"
            }
            Err(error) => return Err(error.into()),
        };
        Ok((to, format!("to {to}, the file system too, {when}")))
    }

    async fn snapshot(&self) -> anyhow::Result<((), String)> {
        let snapshots = self.ebs.snapshots().context("the backend has no snapshots")?;
        let made = snapshots.create(&self.volume, "hawser selftest").await?;
        snapshots.remove(&made.id).await?;
        Ok(((), format!("{} made and deleted", made.id)))
    }

    async fn check_data(&self, device: &Device) -> anyhow::Result<((), String)> {
        let uuid: Uuid = *self.volume.id.uuid();
        self.on_mounted(device, move |dir| pattern::verify(dir, uuid)).await?;
        Ok(((), format!("all {} MiB", pattern::MIB)))
    }

    async fn detach(&self) -> anyhow::Result<((), String)> {
        self.ebs.detach(&self.volume).await?;
        match self.ebs.inspect(&self.volume).await? {
            Inspection::Detached | Inspection::SetAside | Inspection::Absent => {
                Ok(((), "gone from this node".to_owned()))
            }
            other @ (Inspection::InTransit(_) | Inspection::Attached(_)) => {
                bail!("it is said to be done, and yet it is {other:?}")
            }
        }
    }

    async fn delete(&self) -> anyhow::Result<((), String)> {
        self.ebs.remove(&self.volume).await?;
        let left = self.ebs.inspect(&self.volume).await?;
        ensure!(left == Inspection::Absent, "it is said to be done, and yet it is {left:?}");
        Ok(((), "gone".to_owned()))
    }

    /// Does something in the volume's file system.
    async fn on_mounted(
        &self,
        device: &Device,
        work: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
    ) -> anyhow::Result<()> {
        self.mount(device).await?;
        let dir = self.dir.clone();
        let result = spawn_blocking(move || work(&dir)).await?;
        mount::unmount(&self.dir).await?;
        Ok(result?)
    }

    async fn mount(&self, device: &Device) -> anyhow::Result<()> {
        let (device, dir) = (device.path.clone(), self.dir.clone());
        let mounted = spawn_blocking(move || {
            fs::create_dir_all(&dir)?;
            mount::mount_fs(&device, &dir, FS, &[])
        });
        mounted.await?.with_context(|| format!("cannot mount it on {}", self.dir.display()))
    }

    /// Whatever there is now, by looking: a call that failed may have been carried out.
    async fn clean_up(&mut self, report: &mut Report) {
        let unmounted = mount::unmount(&self.dir).await;
        if let Err(error) = unmounted {
            report.left(format!("the mount on {}: {error}", self.dir.display()));
        }
        // Nothing but an empty directory, where it could not be deleted.
        let _ = fs::remove_dir(&self.dir);
        // Where nothing was ever asked of EC2, it is not asked now.
        if report.node.is_none() {
            return;
        }
        if let Err(error) = self.delete_snapshots(report).await {
            report.left(format!("{}: {error:#}", self.mark("snapshots")));
        }
        if let Err(error) = self.delete_storage(report).await {
            report.left(format!("{}: {error:#}", self.mark("the volume")));
        }
    }

    /// What to look for in the console.
    fn mark(&self, what: &str) -> String {
        let id = self.volume.handle.as_ref().map(|handle| format!(" {handle}")).unwrap_or_default();
        format!("{what}{id} with the tag hawser:id={}", self.volume.id)
    }

    async fn delete_snapshots(&self, report: &mut Report) -> anyhow::Result<()> {
        let Some(snapshots) = self.ebs.snapshots() else { return Ok(()) };
        for left in snapshots.list(Some(self.volume.id)).await? {
            let delete = async {
                snapshots.remove(&left.id).await?;
                Ok(((), left.id.clone()))
            };
            let deleted = report.last_step("clean up: delete the snapshot", delete).await;
            deleted.map_err(|Failed| anyhow!("{} could not be deleted", left.id))?;
        }
        Ok(())
    }

    async fn delete_storage(&self, report: &mut Report) -> anyhow::Result<()> {
        let attached = match self.ebs.inspect(&self.volume).await? {
            Inspection::Absent => return Ok(()),
            Inspection::Detached | Inspection::SetAside => false,
            Inspection::Attached(_)
            | Inspection::InTransit(Transit::Attaching | Transit::Detaching) => true,
        };
        if attached {
            let detached = report.last_step("clean up: detach", self.detach()).await;
            detached.map_err(|Failed| anyhow!("it could not be detached"))?;
        }
        let deleted = report.last_step("clean up: delete", self.delete()).await;
        deleted.map_err(|Failed| anyhow!("it could not be deleted"))
    }
}

async fn identity(ebs: &Ebs) -> anyhow::Result<(crate::backend::ebs::NodeFacts, String)> {
    let facts = ebs.node_facts().await?;
    let slots = match facts.slots {
        Some(slots) => format!("{} of {slots} slots taken", facts.slots_taken),
        None => {
            format!("{} volumes attached, of a number that EC2 does not tell", facts.slots_taken)
        }
    };
    let detail = format!(
        "{}, {}, in {} ({}), {slots}",
        facts.instance, facts.instance_type, facts.zone, facts.region
    );
    Ok((facts, detail))
}

fn described(created: &crate::backend::Created) -> anyhow::Result<String> {
    use crate::spec::BackendSpec;
    match &created.backend {
        BackendSpec::Ebs(ebs) => {
            let encrypted = if ebs.encrypted == Some(true) { ", encrypted" } else { "" };
            Ok(format!("{}{encrypted}", ebs.volume_type))
        }
        BackendSpec::Local(_) | BackendSpec::Nfs(_) => bail!("it is not on EBS"),
    }
}
