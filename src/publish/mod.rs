//! Volumes that stay mounted on this node though no container asked for them: for tasks that speak to no
//! volume driver and get a directory of the host by its path, such as a pod's `hostPath`.
//!
//! ```text
//! volumes.publish (settings)  ──┐                     not held? mount it
//!                               ├──▶ wanted ──round──▶
//! published.json (commands)   ──┘                     held and not wanted? let go of it
//! ```
//!
//! The path is the one of every mount of the volume, `ROOT/volumes/NAME`, so that nothing is mounted a second time.
//! Each is a holder of its own, `published`: a reboot forgets holders, and the first round mounts anew. A command
//! mounts first and is written down then: what a crash leaves between the two is let go of by the next round.

mod list;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    engine::{Engine, EngineError, View},
    spec::{Request, Stated, VolumeName},
    volume::{CallerEpoch, MountId, PUBLISHED},
};
use list::List;

/// How soon what failed is tried again, at most.
const RETRY: Duration = Duration::from_secs(5);

/// Why a volume is not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The volume's own trouble.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A group has no path.
    #[error(
        "publish {0}: it is a group, and a path is of one volume: publish one of its members, such as {0}_001"
    )]
    Group(VolumeName),
    /// It is not this list's to change.
    #[error(
        "unpublish {0}: the setting volumes.publish names it: take it out there, and restart hawser"
    )]
    Configured(VolumeName),
    /// There is nothing to take back.
    #[error("unpublish {0}: it is not published on this node")]
    NotPublished(VolumeName),
    /// The list cannot be kept.
    #[error("the list of published volumes {path}: {source}")]
    List {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Who wants a volume published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The setting `volumes.publish`.
    Configuration,
    /// `hawser volume publish`.
    Command,
}

/// A published volume, or one that is to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublishedVolume {
    /// Its name.
    pub name: String,
    /// Where it is, while it is mounted.
    pub path: Option<PathBuf>,
    /// Who wants it.
    pub by: By,
    /// Why it is not mounted.
    pub failure: Option<String>,
}

/// The published volumes of this node; clones share them.
#[derive(Debug, Clone)]
pub struct Published {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    me: CallerEpoch,
    configured: Vec<Request>,
    /// Names alone: a volume that is lost is not made again, empty, by an old command.
    commanded: Mutex<List>,
    /// Why the last try failed.
    failures: Mutex<BTreeMap<VolumeName, String>>,
    /// Held while one volume is mounted or let go of, and while that is decided and written down: a second mount would
    /// count twice, and a round must not let go of what a command has just mounted.
    turns: Mutex<HashMap<VolumeName, Arc<tokio::sync::Mutex<()>>>>,
    tried: CancellationToken,
}

impl Published {
    /// Reads what is to be published.
    ///
    /// # Errors
    ///
    /// A list that cannot be read.
    pub fn open(
        engine: Engine,
        configured: Vec<Request>,
        state_dir: &Path,
    ) -> Result<Self, PublishError> {
        let pid = i32::try_from(std::process::id()).unwrap_or_default();
        let me = engine.callers().epoch(pid);
        let inner = Inner {
            engine,
            me,
            configured,
            commanded: Mutex::new(List::open(state_dir)?),
            failures: Mutex::default(),
            turns: Mutex::default(),
            tried: CancellationToken::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Keeps them mounted until `stop`; a look at least every so often.
    pub async fn keep(self, every: Duration, stop: CancellationToken) {
        loop {
            let failed = tokio::select! {
                failed = self.round() => failed,
                () = stop.cancelled() => return,
            };
            self.inner.tried.cancel();
            let pause = if failed { every.min(RETRY) } else { every };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Waits until each was tried once, but not longer than `limit`: who starts after this daemon finds them.
    pub async fn first_tried(&self, limit: Duration) {
        if tokio::time::timeout(limit, self.inner.tried.cancelled()).await.is_err() {
            tracing::warn!(
                "some published volumes are not mounted yet: tasks that want them fail until they are"
            );
        }
    }

    /// Publishes a volume on this node, and says where it is. An inline spec that nobody created yet is created.
    ///
    /// # Errors
    ///
    /// Nothing is written down then.
    pub async fn publish(&self, request: &Request) -> Result<PathBuf, PublishError> {
        let name = &request.name;
        let _turn = self.turn(name).lock_owned().await;
        let path = self.stand(request).await?;
        if self.configured(name).is_some() {
            return Ok(path);
        }
        let noted = self.commanded().add(name.clone());
        if let Err(error) = noted {
            self.let_go(name).await?;
            return Err(error);
        }
        Ok(path)
    }

    /// Takes it back; tasks that have the directory keep it until they end.
    ///
    /// # Errors
    ///
    /// Nothing was changed then, unless the volume cannot answer: it is let go of later.
    pub async fn unpublish(&self, name: &VolumeName) -> Result<(), PublishError> {
        if self.configured(name).is_some() {
            return Err(PublishError::Configured(name.clone()));
        }
        // Before its turn, which a mount that is stuck may have for long: that is let go of when it ends.
        if !self.commanded().remove(name)? {
            return Err(PublishError::NotPublished(name.clone()));
        }
        self.failures().remove(name);
        let _turn = self.turn(name).lock_owned().await;
        if self.is_wanted(name) {
            return Ok(());
        }
        self.let_go(name).await.map_err(PublishError::from)
    }

    /// Every one of this node, by name.
    #[must_use]
    pub fn list(&self) -> Vec<PublishedVolume> {
        let failures = self.failures().clone();
        let of = |request: Request| {
            let view = self.inner.engine.get(&request.name).ok();
            let by = self.configured(&request.name).map_or(By::Command, |_| By::Configuration);
            PublishedVolume {
                path: view.filter(|view| self.is_held(view)).and_then(|view| view.path.clone()),
                by,
                failure: failures.get(&request.name).cloned(),
                name: request.name.to_string(),
            }
        };
        let mut all: Vec<_> = self.wanted().into_iter().map(of).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// One look at each; whether one failed. All at the same time: one that is slow delays no other.
    async fn round(&self) -> bool {
        if self.inner.engine.is_leaving() {
            // They were handed over, or are about to be.
            return false;
        }
        let mut tries = JoinSet::new();
        for view in self.inner.engine.list() {
            if count(&view) > 0 {
                let (all, name) = (self.clone(), view.record.name.clone());
                tries.spawn(async move { all.drop_unwanted(&name).await });
            }
        }
        for request in self.wanted() {
            let all = self.clone();
            tries.spawn(async move { all.attempt(&request).await });
        }
        tries.join_all().await.contains(&false)
    }

    async fn drop_unwanted(&self, name: &VolumeName) -> bool {
        let _turn = self.turn(name).lock_owned().await;
        if self.is_wanted(name) {
            return true;
        }
        let dropped = self.let_go(name).await;
        if let Err(error) = &dropped {
            tracing::warn!(volume = %name, %error, "a volume that is not published any more is not let go of yet");
        }
        dropped.is_ok()
    }

    async fn attempt(&self, request: &Request) -> bool {
        let name = &request.name;
        let _turn = self.turn(name).lock_owned().await;
        if !self.is_wanted(name) {
            return true;
        }
        match self.stand(request).await {
            Ok(_) => {
                self.failures().remove(name);
                true
            }
            Err(error) => {
                let why = error.to_string();
                let before = self.failures().insert(name.clone(), why.clone());
                if before.as_ref() != Some(&why) {
                    tracing::error!(volume = %name, error = %why, "a published volume is not mounted: tried again and again");
                }
                false
            }
        }
    }

    /// Mounts it, unless it is held already; its path. In its turn.
    async fn stand(&self, request: &Request) -> Result<PathBuf, PublishError> {
        let Request { name, stated } = request;
        let engine = &self.inner.engine;
        let known = engine.get(name).ok();
        if stated.scale().is_some() || known.as_ref().is_some_and(|view| view.record.is_group()) {
            return Err(PublishError::Group(name.clone()));
        }
        let counted = known.filter(|view| count(view) > 0);
        if let Some(view) = &counted
            && self.is_held(view)
            && let Some(path) = &view.path
        {
            let path = path.clone();
            engine.create(request).await?;
            return Ok(path);
        }
        // What the daemon before held stays, whatever is stated by now: that is told after it.
        let as_it_is = Request { name: name.clone(), stated: Stated::default() };
        let mounted = if counted.is_some() { &as_it_is } else { request };
        let path = engine.mount(mounted, holder(), self.inner.me.clone()).await?.keep();
        tracing::info!(volume = %name, path = %path.display(), "published");
        engine.create(request).await?;
        Ok(path)
    }

    /// In its turn. It may be counted more than once.
    async fn let_go(&self, name: &VolumeName) -> Result<(), EngineError> {
        tracing::info!(volume = %name, "not published any more");
        let engine = &self.inner.engine;
        let counted = engine.get(name).map_or(0, |view| count(&view));
        for _ in 0..counted.max(1) {
            engine.unmount(name, holder(), self.inner.me.clone()).await?;
        }
        Ok(())
    }

    /// Whether this daemon holds it: what the one before held is taken over by a mount.
    fn is_held(&self, view: &View) -> bool {
        let held = view.record.holder(&holder());
        held.is_some_and(|holder| holder.count > 0 && holder.epoch == self.inner.me)
    }

    fn wanted(&self) -> Vec<Request> {
        let commanded = self.commanded().names();
        let plain = |name| Request { name, stated: Stated::default() };
        let mut all = self.inner.configured.clone();
        all.extend(commanded.into_iter().filter(|name| self.configured(name).is_none()).map(plain));
        all
    }

    fn is_wanted(&self, name: &VolumeName) -> bool {
        self.configured(name).is_some() || self.commanded().names().contains(name)
    }

    fn configured(&self, name: &VolumeName) -> Option<&Request> {
        self.inner.configured.iter().find(|request| request.name == *name)
    }

    fn turn(&self, name: &VolumeName) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.inner.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(name.clone()).or_default())
    }

    fn commanded(&self) -> MutexGuard<'_, List> {
        self.inner.commanded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failures(&self) -> MutexGuard<'_, BTreeMap<VolumeName, String>> {
        self.inner.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn holder() -> MountId {
    MountId::from(PUBLISHED.to_owned())
}

/// How often it is held as published, by this daemon or by the one before.
fn count(view: &View) -> u32 {
    view.record.holder(&holder()).map_or(0, |holder| holder.count)
}
