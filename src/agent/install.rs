//! Installing hawser as a service of its host, upgrading it, and taking it away again.

use std::{fs, io, path::Path, time::Duration};

use tokio::{
    net::UnixStream,
    time::{Instant, sleep},
};

use super::{
    AgentError, Environment, File, Part, Place, Systemd,
    files::{UNITS, refuse_foreign_units, settings_and_units},
    stamp::Stamp,
};
use crate::{config::Config, sys::mountinfo::MountTable};

/// Its end releases what is still mounted.
const RELEASE: &str = "hawser-release.service";
/// How long a daemon that was started may take until it answers.
const READY: Duration = Duration::from_secs(60);
/// A linger that is longer is not waited for.
const LINGER: Duration = Duration::from_secs(60);
/// How long a volume's unmounting may take after the linger.
const SETTLED: Duration = Duration::from_secs(2);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// What the service did not run with, and does now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The files that were written.
    pub written: Vec<File>,
}

impl Changes {
    fn between(stamp: Option<&Stamp>, files: &[File]) -> Result<Self, AgentError> {
        let mut written = Vec::new();
        for file in files {
            // One that is there may have been written by an attempt that failed.
            if !stamp.is_some_and(|stamp| stamp.has(file)) || !file.is_there()? {
                written.push(file.clone());
            }
        }
        Ok(Self { written })
    }

    fn of(&self, part: Part) -> bool {
        self.written.iter().any(|file| file.part == part)
    }
}

/// Whether hawser can be a service of that host.
///
/// # Errors
/// Where the host has no systemd, or hawser by another hand.
pub fn check(place: &Place) -> Result<Systemd, AgentError> {
    let systemd = Systemd::of(place)?;
    refuse_foreign_units(place)?;
    Ok(systemd)
}

/// Installs this program as the service, or upgrades the one that is there, and starts it. Volumes stay
/// mounted. What is as it should be is left alone: a second time, nothing is restarted.
///
/// # Errors
/// Nothing was changed where [`check`] fails. After another error the next attempt goes on.
pub async fn install(
    place: &Place,
    program: Vec<u8>,
    environment: &Environment,
    config: &Config,
) -> Result<Changes, AgentError> {
    let systemd = check(place)?;
    let program =
        File { path: place.program(), contents: program, mode: 0o755, part: Part::Daemon };
    let mut files = settings_and_units(place, environment, config)?;
    files.insert(0, program);
    let stamp = Stamp::read(place)?;
    let changes = Changes::between(stamp.as_ref(), &files)?;
    let socket = place.path(&config.admin_socket.to_string_lossy());
    if let Err(error) = start(place, systemd, &changes, &socket).await {
        if stamp.is_none() {
            close(systemd).await;
        }
        return Err(error);
    }
    // Only now: what does not start is not to hold Docker up at each boot.
    systemd.enable(&UNITS.map(|(name, _)| name)).await?;
    // Where there is no Docker it does nothing, and says so to the journal.
    systemd.restart(&["hawser-docker.service"]).await?;
    Stamp::of(&files).write(place)?;
    Ok(changes)
}

async fn start(
    place: &Place,
    systemd: Systemd,
    changes: &Changes,
    socket: &Path,
) -> Result<(), AgentError> {
    let another_socket = changes.of(Part::Socket) && place.unit("hawser.socket").exists();
    // Before anything is stopped: what cannot be written is to cost nobody the service.
    for file in &changes.written {
        file.write()?;
    }
    if another_socket {
        // systemd takes no other path for a socket that is open. Stopped before the units are read again,
        // it removes the file at the path of before.
        systemd.stop(&["hawser.service", "hawser.socket"]).await?;
    }
    systemd.reload().await?;
    if changes.of(Part::Daemon) && !changes.of(Part::Socket) {
        systemd.restart(&["hawser.service"]).await?;
    }
    systemd.start(&["hawser-release.service", "hawser.socket", "hawser.service"]).await?;
    answers(socket, READY).await
}

/// After a first start that failed: Docker would wait behind a socket that nobody serves.
async fn close(systemd: Systemd) {
    if let Err(error) = systemd.stop(&["hawser.socket", "hawser.service"]).await {
        tracing::warn!(%error, "hawser.socket may be open still: Docker then waits for hawser");
    }
}

/// Waits until somebody listens there.
pub(super) async fn answers(socket: &Path, limit: Duration) -> Result<(), AgentError> {
    let deadline = Instant::now() + limit;
    loop {
        if UnixStream::connect(socket).await.is_ok() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(AgentError::Silent { socket: socket.to_owned(), seconds: limit.as_secs() });
        }
        sleep(PAUSE).await;
    }
}

/// Takes the service away: units, program and settings. Records and volumes stay.
///
/// # Errors
/// When volumes are mounted, and nothing was changed; or are not released, and the service was started again.
pub async fn uninstall(place: &Place, config: &Config) -> Result<(), AgentError> {
    let systemd = check(place)?;
    unused(place, config).await?;
    let names = UNITS.map(|(name, _)| name);
    let present: Vec<_> = names.into_iter().filter(|name| place.unit(name).exists()).collect();
    if !present.is_empty() {
        if let Err(error) = stop(systemd, &present).await {
            // What is still mounted is looked after again; and the next attempt's end of it releases it.
            if let Err(error) = systemd.start(&present).await {
                tracing::warn!(%error, "hawser is not started again");
            }
            return Err(error);
        }
        systemd.disable(&present).await?;
    }
    let files = [place.stamp(), place.environment(), place.program()];
    for path in present.iter().map(|name| place.unit(name)).chain(files) {
        remove(&path)?;
    }
    Ok(systemd.reload().await?)
}

async fn stop(systemd: Systemd, units: &[&str]) -> Result<(), AgentError> {
    // Docker's last request would start the daemon again.
    let (release, others): (Vec<_>, Vec<_>) =
        units.iter().copied().partition(|name| *name == RELEASE);
    systemd.stop(&others).await?;
    if release.is_empty() {
        return Ok(());
    }
    // Its end is what frees what is still attached. That this failed, systemctl does not say.
    systemd.stop(&release).await?;
    match systemd.state(RELEASE).await?.as_str() {
        "failed" => Err(AgentError::NotReleased),
        _ => Ok(()),
    }
}

/// Waits for volumes that no task has any more: for the linger they stay mounted all the same.
///
/// # Errors
/// When volumes are mounted for tasks.
pub async fn unused(place: &Place, config: &Config) -> Result<(), AgentError> {
    // The mount table has resolved paths.
    let root = place.path(&config.root.to_string_lossy());
    let root = fs::canonicalize(&root).unwrap_or(root);
    let deadline = Instant::now() + config.engine.linger.min(LINGER) + SETTLED;
    loop {
        let mounted = published(&root)?;
        if mounted.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(AgentError::InUse(mounted));
        }
        sleep(PAUSE).await;
    }
}

/// The volumes that are mounted for tasks.
fn published(root: &Path) -> Result<Vec<String>, AgentError> {
    let failed = |source| AgentError::File { path: "/proc/self/mountinfo".into(), source };
    let mounts = MountTable::read().map_err(failed)?;
    let volumes = root.join("volumes");
    let names = mounts.iter().filter_map(|mount| mount.mount_point.strip_prefix(&volumes).ok());
    Ok(names
        .filter(|name| !name.as_os_str().is_empty())
        .map(|name| name.display().to_string())
        .collect())
}

fn remove(path: &Path) -> Result<(), AgentError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(AgentError::File { path: path.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
