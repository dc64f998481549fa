//! `hawser release`: at the host's shutdown, after Docker stopped, unmounts every volume and frees
//! every device. The records stay; what is in use is said, and stops nothing else.
//!
//! A volume that another mount namespace holds is skipped: a container would keep its own copy of the
//! mount, and lose what the host's is for (to be stopped in order, to be found again, to be grown).
//!
//! Volumes of a cloud are unmounted and stay attached: the network may be down already, and an
//! instance that stops lets go of its devices by itself.

use std::{collections::VecDeque, fmt, io, path::Path, sync::Arc, time::Duration};

use tokio::task::{JoinSet, spawn_blocking};

use super::{Exit, config::Source, serve::open_host};
use crate::{
    cluster::Embedded,
    config::Config,
    engine::{Host, StepError, Subject},
    share,
    spec::{BackendSpec, VolumeName},
    sys::{
        mountinfo::{Mount, MountTable},
        namespaces::{OutsideHolder, outside_holders},
        netns::Netns,
        nfs::{self, Helper, Unmounted},
    },
    volume::{
        Device, Observed, Record,
        effect::{self, Effect, Outcome},
        plan,
    },
};

/// A shutdown does not wait longer for one volume.
const LIMIT: Duration = Duration::from_secs(15);
/// What tasks wrote to other nodes' volumes is written back within this time.
const WRITE_BACK: Duration = Duration::from_secs(30);
/// So many at once: systemd's limit for all of them is 90 s.
const AT_ONCE: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also take the host's mounts away under containers that still use them
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    source: Source,
}

/// What happens to a volume that another mount namespace holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Skip,
    Release,
}

/// Why a volume is not released.
#[derive(Debug, thiserror::Error)]
enum ReleaseError {
    #[error(transparent)]
    Step(#[from] StepError),
    #[error("skipped, since {} in another mount namespace (--force releases it all the same)", Users(.0))]
    InUse(Vec<OutsideHolder>),
    #[error("skipped, since it cannot be seen who uses it: {0}")]
    Unknown(#[source] io::Error),
    #[error("not released within {} s", LIMIT.as_secs())]
    TooLong,
}

/// `process 123 (sleep) has it`.
struct Users<'a>(&'a [OutsideHolder]);

impl fmt::Display for Users<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let processes: Vec<_> =
            self.0.iter().map(|user| format!("process {} ({})", user.pid, user.command)).collect();
        let verb = if processes.len() == 1 { "has it" } else { "have it" };
        write!(f, "{} {verb}", processes.join(", "))
    }
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Exit> {
    let config: Config = args.source.read()?;
    if !config.state_dir.join("records.redb").exists() {
        println!("There are no records in {}: nothing to do.", config.state_dir.display());
        return Ok(Exit::Success);
    }
    let held = if args.force { Held::Release } else { Held::Skip };
    // Takes the store's lock: a daemon that still runs would mount everything again.
    let (_store, records) = Embedded::open(&config.state_dir)?;
    let host = Arc::new(open_host(&config)?);
    let mut waiting = VecDeque::from(records);
    let mut running = JoinSet::new();
    let mut exit = release_shared(&config.run_dir().join("share"), host.root(), held).await?;
    loop {
        while running.len() < AT_ONCE
            && let Some(record) = waiting.pop_front()
        {
            running.spawn(release_in_time(Arc::clone(&host), record, held));
        }
        let Some(ended) = running.join_next().await else { break };
        match ended? {
            (_, Ok(0)) => {}
            (name, Ok(_)) => println!("{name}: released"),
            (name, Err(error)) => {
                eprintln!("{name}: {error}");
                exit = Exit::Failure;
            }
        }
    }
    Ok(exit.worse(release_exports(host.root()).await?))
}

/// Unmounts the exports that are mounted as a whole, for images and for hawser's own work.
async fn release_exports(root: &Path) -> anyhow::Result<Exit> {
    let mounts = spawn_blocking(MountTable::read).await??;
    let mut exit = Exit::Success;
    for dir in ["exports", "control"] {
        let dir = root.join(dir);
        let below = mounts.iter().filter(|mount| mount.mount_point.parent() == Some(&dir));
        for mount in below {
            // Never by force: an image on it may be in use, and was said to be so before.
            exit = exit.worse(unmount_nfs(&mount.mount_point, nfs::Server::Answers).await);
        }
    }
    Ok(exit)
}

async fn unmount_nfs(path: &Path, server: nfs::Server) -> Exit {
    match nfs::unmount(path, server, &Helper::itself()).await {
        Ok(Unmounted::Clean) => println!("{}: unmounted", path.display()),
        Ok(Unmounted::Forced | Unmounted::Lazy) => {
            println!("{}: taken out of the tree, as its unmounting does not end", path.display());
        }
        Err(error) => {
            eprintln!("{error}");
            return Exit::Failure;
        }
    }
    Exit::Success
}

/// What is shared with other nodes: what is reached of theirs is unmounted while there is a network, and
/// what serves this node's volumes ends, so that they can be unmounted. Tasks elsewhere wait. All at once:
/// in a shutdown of a whole cluster many owners are gone already, and each of them is waited for.
async fn release_shared(run: &Path, root: &Path, held: Held) -> anyhow::Result<Exit> {
    let mounts = spawn_blocking(MountTable::read).await??;
    let mut running = JoinSet::new();
    let (reach, volumes) = (root.join("reach"), root.join("volumes"));
    for mount in mounts.iter().filter(|mount| mount.mount_point.parent() == Some(&reach)) {
        let shows = |other: &&Mount| {
            other.device == mount.device && other.mount_point.parent() == Some(&volumes)
        };
        let shown: Vec<_> = mounts.iter().filter(shows).cloned().collect();
        running.spawn(release_reached(mount.clone(), shown, held));
    }
    // Without the namespace there is no server.
    if let Ok(netns) = Netns::open(&run.join("netns")) {
        let netns = Arc::new(netns);
        for entry in std::fs::read_dir(run)? {
            let directory = entry?.path();
            let server = share::Server { directory, netns: Arc::clone(&netns), port: 0 };
            if server.directory.is_dir() {
                running.spawn(async move { said(server.stop(LIMIT).await) });
            }
        }
    }
    let mut exit = Exit::Success;
    while let Some(ended) = running.join_next().await {
        exit = exit.worse(ended?);
    }
    Ok(exit)
}

fn said(result: Result<(), impl fmt::Display>) -> Exit {
    match result {
        Ok(()) => Exit::Success,
        Err(error) => {
            eprintln!("{error}");
            Exit::Failure
        }
    }
}

/// Unmounts what is reached of another node, and where it is shown.
async fn release_reached(mount: Mount, shown: Vec<Mount>, held: Held) -> Exit {
    let at = mount.mount_point.display().to_string();
    let device = Device { path: mount.source.clone().into(), number: mount.device };
    if let (Held::Skip, Err(error)) = (held, refuse_used(&device).await) {
        eprintln!("{at}: {error}");
        return Exit::Failure;
    }
    let mut exit = Exit::Success;
    let written = nfs::write_back(&mount.mount_point, WRITE_BACK, &Helper::itself()).await;
    // Written or not, it goes: the network is next.
    let owner = if written.is_ok() { nfs::Server::Answers } else { nfs::Server::Silent };
    if let Err(error) = written {
        eprintln!(
            "{at}: what tasks wrote may not all be with its owner, which does not take it: {error}"
        );
        exit = Exit::Failure;
    }
    for mount in shown.iter().chain([&mount]) {
        exit = exit.worse(unmount_nfs(&mount.mount_point, owner).await);
    }
    exit
}

/// The volume's name, and how many steps it took to release it.
async fn release_in_time(
    host: Arc<Host>,
    record: Record,
    held: Held,
) -> (VolumeName, Result<usize, ReleaseError>) {
    let name = record.name.clone();
    let result = tokio::time::timeout(LIMIT, release(&host, record, held)).await;
    (name, result.unwrap_or(Err(ReleaseError::TooLong)))
}

/// An image on an export that this node has not mounted is not in use here; to look at it would mount it.
async fn is_on_an_export_that_is_not_mounted(host: &Host, record: &Record) -> io::Result<bool> {
    let BackendSpec::Nfs(nfs) = &record.spec.backend else { return Ok(false) };
    let at = host.export_path(&nfs.export);
    let mounts = spawn_blocking(MountTable::read).await.map_err(io::Error::other)??;
    Ok(!record.spec.backend.is_directory() && mounts.at(&at).is_none())
}

/// Takes the steps of the plan towards nothing being in the kernel; how many there were.
async fn release(host: &Host, record: Record, held: Held) -> Result<usize, ReleaseError> {
    if is_on_an_export_that_is_not_mounted(host, &record).await.map_err(ReleaseError::Unknown)? {
        return Ok(0);
    }
    let mut subject = Subject::new(record);
    let backend = &subject.record.spec.backend;
    // Their backend, or server, may be away by now: the mount table knows all that is needed.
    let elsewhere = backend.is_in_a_cloud() || backend.is_directory();
    let mut seen = if elsewhere {
        mounted(host, &subject.record).await.map_err(ReleaseError::Unknown)?
    } else if let Outcome::Observed(seen) = host.execute(Effect::Observe, &subject).await? {
        seen
    } else {
        return Ok(0);
    };
    if subject.record.frozen && seen.staged {
        host.execute(Effect::Thaw, &subject).await?;
    }
    if let (Held::Skip, Some(device)) = (held, &seen.device) {
        refuse_used(device).await?;
    }
    let mut steps = 0;
    let next = if elsewhere { plan::unmount } else { plan::release };
    while let Some(step) = next(&seen) {
        subject.device.clone_from(&seen.device);
        let outcome = host.execute(step, &subject).await?;
        (seen, _) = effect::absorb(seen, step, outcome);
        steps += 1;
    }
    debug_assert!(elsewhere || Observed::is_released(&seen), "the plan ends when nothing is left");
    Ok(steps)
}

/// What the mount table says of a volume: all that can be known without its backend.
async fn mounted(host: &Host, record: &Record) -> io::Result<Observed> {
    let mounts = spawn_blocking(MountTable::read).await.map_err(io::Error::other)??;
    let stage = mounts.at(&host.stage_path(record.id)).cloned();
    let device = stage
        .as_ref()
        .map(|mount| Device { path: mount.source.clone().into(), number: mount.device });
    // A removed volume's name may be another one's by now, and the path with it.
    let published = mounts.at(&host.published_path(&record.name));
    let published = published
        .is_some_and(|mount| stage.as_ref().is_some_and(|stage| stage.device == mount.device));
    Ok(Observed { staged: stage.is_some(), published, device, ..Observed::default() })
}

async fn refuse_used(device: &Device) -> Result<(), ReleaseError> {
    let number = device.number;
    let users = spawn_blocking(move || outside_holders(number)).await;
    let users = users.map_err(io::Error::other).flatten().map_err(ReleaseError::Unknown)?;
    if users.is_empty() { Ok(()) } else { Err(ReleaseError::InUse(users)) }
}
