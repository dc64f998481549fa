//! The export's mount: made when it is first needed, made anew when it was lost, taken away.
//!
//! It is a soft mount with short waits, so that a call to a dead server ends in seconds. It lies in a
//! directory that only root sees, and holds nothing but what hawser is about to do: no task's data
//! goes through it.

use std::{os::unix::fs::DirBuilderExt, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::Mutex;

use super::{
    blocking,
    cause::{of_io, of_mount},
    root::Root,
};
use crate::{
    backend::nfs::{
        ExportSettings,
        mounting::{as_mount, reachable},
        tree::Cause,
    },
    sys::{
        mountinfo::MountTable,
        nfs::{self, Hardness, Helper, Locks, NfsMount, Server, Unmounted},
    },
};

/// A call waits this long, and once more.
const TIMEO: Duration = Duration::from_secs(3);
const RETRANS: u32 = 1;
/// What mounting may take.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Keeper {
    settings: ExportSettings,
    target: PathBuf,
    helper: Helper,
    /// Held while it is mounted: many who need it wait for one mount.
    current: Mutex<Option<Arc<Root>>>,
}

impl Keeper {
    pub(super) fn new(settings: ExportSettings, target: PathBuf, helper: Helper) -> Self {
        Self { settings, target, helper, current: Mutex::new(None) }
    }

    /// The export as tasks would get it, but for what hawser's own mount is different in.
    async fn wanted(&self) -> Result<NfsMount, Cause> {
        let address = reachable(&self.settings).await;
        let address = address.map_err(|error| Cause::Unreachable(error.to_string()))?;
        let mount = as_mount(&self.settings, address, "", &[]);
        Ok(NfsMount {
            hardness: Hardness::Soft,
            timeo: TIMEO,
            retrans: RETRANS,
            nconnect: None,
            // Nothing is locked here.
            locks: Locks::Local,
            options: options(&mount.options),
            ..mount
        })
    }

    /// The export's directory.
    pub(super) async fn root(&self) -> Result<Arc<Root>, Cause> {
        let mut current = self.current.lock().await;
        if let Some(root) = &*current {
            return Ok(Arc::clone(root));
        }
        let root = Arc::new(self.make().await?);
        *current = Some(Arc::clone(&root));
        Ok(root)
    }

    async fn make(&self) -> Result<Root, Cause> {
        // A hawser that was killed may have left one, and its server may be dead: then everybody waits who
        // looks at the directory.
        self.clear().await?;
        let target = self.target.clone();
        blocking(move || {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&target);
            made.map_err(|error| Cause::Refused(format!("make {}: {error}", target.display())))
        })
        .await?;
        self.wanted()
            .await?
            .mount(&self.target, &self.helper, LIMIT)
            .await
            .map_err(|e| of_mount(&e))?;
        let target = self.target.clone();
        blocking(move || {
            let root = Root::open(&target)?;
            // Or else it would be the directory beneath that files are made in.
            let table = MountTable::read().map_err(|error| of_io(&error))?;
            let mounted = table.at(&target).filter(|mount| mount.fs_type.starts_with("nfs"));
            let numbers = |device| (rustix::fs::major(device), rustix::fs::minor(device));
            match mounted {
                Some(mount) if mount.device == numbers(root.device()?) => Ok(root),
                _ => Err(Cause::Refused(format!("{} was unmounted", target.display()))),
            }
        })
        .await
    }

    /// Takes a mount that does not answer, or has gone stale, away: the next who needs it makes it
    /// anew. Not if somebody else has done so.
    pub(super) async fn give_up(&self, root: Arc<Root>) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &root)) {
            *current = None;
            // Or else it would be busy by our own descriptor.
            drop(root);
            // What fails is tried again before the next mount.
            let _ = self.clear().await;
        }
    }

    async fn clear(&self) -> Result<(), Cause> {
        match nfs::unmount(&self.target, Server::Silent, &self.helper).await {
            Ok(Unmounted::Clean | Unmounted::Forced | Unmounted::Lazy) => Ok(()),
            Err(error) => Err(Cause::Refused(error.to_string())),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if self.current.get_mut().take().is_none() {
            return;
        }
        // Outside a runtime the process is about to end; the next one clears it away.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (target, helper) = (self.target.clone(), self.helper);
            runtime.spawn(async move {
                if let Err(error) = nfs::unmount(&target, Server::Silent, &helper).await {
                    tracing::warn!("{error}; it is taken away when it is needed again");
                }
            });
        }
    }
}

/// What another node has changed must be seen: who looks whether somebody has joined a volume would
/// otherwise be told what was so a minute ago.
const UNCACHED: [&str; 2] = ["noac", "lookupcache=none"];

/// Of the operator's options those without which the server would not talk to us; and none that
/// would make calls wait for ever.
fn options(theirs: &[String]) -> Vec<String> {
    let all = theirs.iter().flat_map(|list| list.split(','));
    let needed = all.filter(|option| option.starts_with("sec=") || option.starts_with("xprtsec="));
    needed
        .map(str::to_owned)
        .chain(["nosuid", "nodev", "noexec"].into_iter().chain(UNCACHED).map(str::to_owned))
        .collect()
}
