//! [`Tree`] through a mount of the kernel's, for servers without NFSv3: Amazon EFS, and filers with
//! NFSv4 only.
//!
//! Every call is made on a blocking thread and waited for with a deadline. The mount is soft, so a
//! thread whose caller has given up comes back a little later; how many there may be at once is
//! limited, so that a dead server takes no threads from others.
//!
//! The server sees root, as from every mount: the user of the settings is that of NFSv3.

mod cause;
mod keeper;
mod measure;
mod reading;
mod remove;
mod root;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{sync::Semaphore, time::timeout};

use super::{
    ExportSettings,
    tree::{Cause, Entry, Kind, Made, Owner, Pace, Removed, Space, Tree, TreeError, Usage},
};
use crate::sys::nfs::Helper;
use keeper::Keeper;
use root::Root;

/// Calls at the same time.
const WIDTH: usize = 16;
/// What one call may take. The mount's own limit is shorter on paper; NFSv4 repeats a call that has
/// failed after it has looked at its session, and then took more than 12 s (measured, Linux 6.1).
const DEADLINE: Duration = Duration::from_secs(10);

/// The directories and files of an export, by a mount.
#[derive(Debug)]
pub(crate) struct Mounted {
    /// For messages: `SERVER:/EXPORT`.
    place: String,
    worker: Worker,
}

/// What makes the calls.
#[derive(Debug, Clone)]
struct Worker {
    origin: Arc<Origin>,
    room: Arc<Semaphore>,
}

/// Where the export's directory comes from.
#[derive(Debug)]
enum Origin {
    #[cfg(test)]
    Directory(Arc<Root>),
    Mount(Box<Keeper>),
}

impl Origin {
    async fn give_up(&self, root: Arc<Root>) {
        match self {
            #[cfg(test)]
            Self::Directory(_) => {}
            Self::Mount(keeper) => keeper.give_up(root).await,
        }
    }
}

impl Mounted {
    /// An export that is mounted at `target` when it is first needed, and is unmounted when this is
    /// dropped. Nobody else may use `target`.
    pub(crate) fn new(settings: ExportSettings, target: PathBuf, helper: Helper) -> Self {
        let place = settings.server.to_string();
        Self::of(place, Origin::Mount(Box::new(Keeper::new(settings, target, helper))))
    }

    /// A directory that is there already.
    #[cfg(test)]
    pub(crate) fn over(directory: &std::path::Path) -> Result<Self, TreeError> {
        let place = directory.display().to_string();
        match Root::open(directory) {
            Ok(root) => Ok(Self::of(place, Origin::Directory(Arc::new(root)))),
            Err(cause) => Err(TreeError { op: "open", place, cause }),
        }
    }

    fn of(place: String, origin: Origin) -> Self {
        let room = Arc::new(Semaphore::new(WIDTH));
        Self { place, worker: Worker { origin: Arc::new(origin), room } }
    }

    fn named<'a>(
        &'a self,
        op: &'static str,
        path: &'a str,
    ) -> impl FnOnce(Cause) -> TreeError + use<'a> {
        move |cause| {
            let place = match path {
                "" => self.place.clone(),
                path => format!("{}/{path}", self.place),
            };
            TreeError { op, place, cause }
        }
    }

    async fn call<T: Send + 'static>(
        &self,
        op: &'static str,
        path: &str,
        work: impl Fn(&Root, &str) -> Result<T, Cause> + Send + Sync + 'static,
    ) -> Result<T, TreeError> {
        let of = path.to_owned();
        self.worker.run(move |root| work(root, &of)).await.map_err(self.named(op, path))
    }
}

impl Worker {
    /// Makes a call; once more, on a new mount, if the old one has gone stale.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Fn(&Root) -> Result<T, Cause> + Send + Sync + 'static,
    ) -> Result<T, Cause> {
        let work = Arc::new(work);
        match self.once(&work).await {
            Err(Cause::Stale) if matches!(*self.origin, Origin::Mount(_)) => self.once(&work).await,
            result => result,
        }
    }

    async fn once<T, F>(&self, work: &Arc<F>) -> Result<T, Cause>
    where
        T: Send + 'static,
        F: Fn(&Root) -> Result<T, Cause> + Send + Sync + 'static,
    {
        let room = timeout(DEADLINE, Arc::clone(&self.room).acquire_owned()).await;
        let Ok(Ok(room)) = room else {
            return Err(Cause::Unreachable(format!("{WIDTH} calls wait for it already")));
        };
        let root = match &*self.origin {
            #[cfg(test)]
            Origin::Directory(root) => Arc::clone(root),
            Origin::Mount(keeper) => match timeout(DEADLINE, keeper.root()).await {
                Ok(root) => root?,
                Err(_) => return Err(Cause::Unreachable("it is being mounted".into())),
            },
        };
        let (of, work) = (Arc::clone(&root), Arc::clone(work));
        let result = blocking(move || {
            // Given back when the thread is, which may be after the deadline.
            let _room = room;
            of.ensure_exists()?;
            work(&of)
        })
        .await;
        let origin = Arc::clone(&self.origin);
        match result {
            // Waited for, so that the repetition finds another mount: the server answers.
            Err(Cause::Stale) => origin.give_up(root).await,
            // It does not: whoever needs the mount next waits.
            Err(Cause::Unreachable(_)) => {
                tokio::spawn(async move { origin.give_up(root).await });
            }
            Ok(_) | Err(_) => {}
        }
        result
    }
}

/// Does it on a thread of its own, and waits for a while.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Cause> + Send + 'static,
) -> Result<T, Cause> {
    match timeout(DEADLINE, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(Cause::Refused(format!("hawser failed: {error}"))),
        Err(_) => Err(Cause::Unreachable(format!("no answer for {DEADLINE:?}"))),
    }
}

#[async_trait]
impl Tree for Mounted {
    async fn probe(&self) -> Result<(), TreeError> {
        // A call that is never answered from a cache.
        self.call("reach", "", |root, _| root.space()).await.map(|_| ())
    }

    async fn space(&self) -> Result<Space, TreeError> {
        self.call("ask for the room on", "", |root, _| root.space()).await
    }

    async fn kind(&self, path: &str) -> Result<Option<Kind>, TreeError> {
        self.call("look at", path, Root::kind).await
    }

    async fn make_dir(&self, path: &str, mode: u32) -> Result<Made, TreeError> {
        self.call("make directory", path, move |root, path| root.make_dir(path, mode)).await
    }

    async fn set_owner(&self, path: &str, owner: Owner) -> Result<(), TreeError> {
        self.call("set the owner of", path, move |root, path| root.set_owner(path, owner)).await
    }

    async fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, TreeError> {
        self.call("read", path, move |root, path| root.read(path, limit)).await
    }

    async fn write(&self, path: &str, bytes: &[u8]) -> Result<(), TreeError> {
        let bytes = bytes.to_owned();
        self.call("write", path, move |root, path| root.write(path, &bytes)).await
    }

    async fn list(&self, path: &str) -> Result<Vec<Entry>, TreeError> {
        self.call("list", path, Root::list).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), TreeError> {
        let to = to.to_owned();
        self.call("rename", from, move |root, from| root.rename(from, &to)).await
    }

    async fn remove_tree(&self, path: &str) -> Result<Removed, TreeError> {
        remove::remove_tree(&self.worker, path).await.map_err(self.named("delete", path))
    }

    async fn measure(&self, path: &str, pace: Pace) -> Result<Usage, TreeError> {
        measure::measure(&self.worker, path, pace).await.map_err(self.named("measure", path))
    }
}

#[cfg(test)]
mod tests;
