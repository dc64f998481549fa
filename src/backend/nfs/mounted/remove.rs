//! Trees deleted: several directories at once, in little memory.
//!
//! Within one directory the kernel makes one call after the other (it locks the directory), so only
//! different directories are worth doing at the same time.
//!
//! A task has a stack of directories, the deepest one on top; it empties the top one in steps: a
//! step deletes files for a while, or finds directories, which come first. While there is room for
//! another task, a directory that was found gets one. Directories are opened by their path from the
//! root each time: a tree may be deeper than there are descriptors, or stack for a recursion. What
//! lies very deep is first moved up to the top, which is going to be deleted itself: with paths as
//! long as a task cared to make them, the time would grow with the square of the depth.

use std::{
    ffi::OsString,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::{
    fs::{AtFlags, FileType, renameat, statat, unlinkat},
    io::Errno,
};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    Worker,
    cause::of_errno,
    reading::{Found, Names, START, buffer},
    root::{Root, file_type, open_dir},
};
use crate::backend::nfs::{
    path::split,
    tree::{Cause, Kind, Removed},
};

/// Tasks at the same time.
const WIDTH: usize = 8;
/// Names of directories that one step collects.
const BATCH: usize = 256;
/// What one step may take while the server answers.
const SLICE: Duration = Duration::from_secs(2);
/// Directories below this depth are moved up.
const DEEP: usize = 64;
/// How often a directory that was read to its end may be found not to be empty.
const ROUNDS: u32 = 20;
/// How many steps one directory may take: about an hour.
const STEPS: u32 = 1800;

/// One removal.
struct Job {
    worker: Worker,
    top: PathBuf,
    room: Arc<Semaphore>,
    files: AtomicU64,
    directories: AtomicU64,
}

/// A directory on the stack.
struct Directory {
    path: PathBuf,
    /// Directories in it that were found and not yet begun.
    below: Vec<OsString>,
    /// Directories in it that other tasks have.
    tasks: JoinSet<Result<(), Cause>>,
    steps: u32,
    rounds: u32,
}

/// What a step came to.
enum Step {
    /// The directory is gone.
    Gone,
    /// These come first.
    Below(Vec<OsString>),
    /// Its time was up.
    Unfinished,
    /// Nothing was left, and yet it was not empty: somebody makes files.
    NotEmpty,
}

pub(super) async fn remove_tree(worker: &Worker, path: &str) -> Result<Removed, Cause> {
    split(path)?;
    let top = path.to_owned();
    let kind = {
        let path = top.clone();
        worker.run(move |root| root.kind(&path)).await?
    };
    match kind {
        None => return Ok(Removed::default()),
        Some(Kind::Directory) => {}
        Some(Kind::File | Kind::Other) => {
            let files = worker.run(move |root| remove_file(root, &top)).await?;
            return Ok(Removed { files, directories: 0 });
        }
    }
    let job = Arc::new(Job {
        worker: worker.clone(),
        top: top.clone().into(),
        room: Arc::new(Semaphore::new(WIDTH - 1)),
        files: AtomicU64::new(0),
        directories: AtomicU64::new(0),
    });
    Arc::clone(&job).empty(top.into()).await?;
    Ok(Removed {
        files: job.files.load(Ordering::Relaxed),
        directories: job.directories.load(Ordering::Relaxed),
    })
}

fn remove_file(root: &Root, path: &str) -> Result<u64, Cause> {
    let (parent, name) = root.parent(path)?;
    match unlinkat(&parent, name, AtFlags::empty()) {
        Ok(()) => Ok(1),
        Err(Errno::NOENT) => Ok(0),
        Err(errno) => Err(of_errno(errno)),
    }
}

impl Job {
    /// Boxed, since it starts itself for what lies below.
    fn empty(
        self: Arc<Self>,
        top: PathBuf,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Cause>> + Send>> {
        Box::pin(async move {
            let mut stack = vec![Directory::new(top)];
            while let Some(directory) = stack.last_mut() {
                if let Some(name) = directory.below.pop() {
                    let below = directory.path.join(name);
                    if self.is_deep(&below) {
                        self.move_up(below).await?;
                        continue;
                    }
                    match Arc::clone(&self.room).try_acquire_owned() {
                        Ok(room) => {
                            let job = Arc::clone(&self);
                            directory.tasks.spawn(async move {
                                let _room = room;
                                job.empty(below).await
                            });
                        }
                        Err(_) => stack.push(Directory::new(below)),
                    }
                    continue;
                }
                while let Some(ended) = directory.tasks.join_next().await {
                    ended.map_err(|error| Cause::Refused(format!("hawser failed: {error}")))??;
                }
                if self.step(directory).await? {
                    stack.pop();
                }
            }
            Ok(())
        })
    }

    fn is_deep(&self, path: &Path) -> bool {
        path.components().count() > self.top.components().count() + DEEP
    }

    /// To the top, which finds it when it is read again.
    async fn move_up(&self, from: PathBuf) -> Result<(), Cause> {
        let (top, name) = (self.top.clone(), uuid::Uuid::new_v4().simple().to_string());
        let to = format!(".hawser-deep-{name}");
        self.worker
            .run(move |root| {
                let (Some(parent), Some(name)) = (from.parent(), from.file_name()) else {
                    return Ok(());
                };
                match renameat(root.descend(parent)?, name, root.descend(&top)?, &to) {
                    Ok(()) | Err(Errno::NOENT) => Ok(()),
                    Err(errno) => Err(of_errno(errno)),
                }
            })
            .await
    }

    /// Whether the directory is gone.
    async fn step(self: &Arc<Self>, directory: &mut Directory) -> Result<bool, Cause> {
        let (job, path) = (Arc::clone(self), directory.path.clone());
        directory.steps += 1;
        match self.worker.run(move |root| job.one_step(root, &path)).await? {
            Step::Gone => return Ok(true),
            Step::Below(names) => directory.below = names,
            Step::Unfinished => {}
            Step::NotEmpty => directory.rounds += 1,
        }
        if directory.rounds > ROUNDS || directory.steps > STEPS {
            return Err(Cause::Refused(format!(
                "files are made in {:?} as fast as they are deleted: stop what writes there",
                directory.path
            )));
        }
        Ok(false)
    }

    fn one_step(&self, root: &Root, path: &Path) -> Result<Step, Cause> {
        let opened = match root.descend(path) {
            // Somebody else deleted it, or put something else there: the parent is read again.
            Err(Cause::NotFound | Cause::NotADirectory(_)) => return Ok(Step::Gone),
            opened => open_dir(&opened?)?,
        };
        let start = Instant::now();
        let mut below = Vec::new();
        let mut buffer = buffer();
        let mut names = Names::from(&opened, START, &mut buffer)?;
        while let Some(found) = names.next()? {
            if self.is_directory(&opened, &found)? {
                below.push(found.name);
            }
            if below.len() >= BATCH {
                break;
            }
            if start.elapsed() > SLICE {
                return Ok(if below.is_empty() { Step::Unfinished } else { Step::Below(below) });
            }
        }
        if below.is_empty() { self.remove_empty(root, path) } else { Ok(Step::Below(below)) }
    }

    /// Deletes it unless it is a directory.
    fn is_directory(&self, parent: &OwnedFd, found: &Found) -> Result<bool, Cause> {
        if found.file_type == FileType::Directory {
            return Ok(true);
        }
        match unlinkat(parent, &found.name, AtFlags::empty()) {
            Ok(()) => {
                self.files.fetch_add(1, Ordering::Relaxed);
                Ok(false)
            }
            Err(Errno::NOENT) => Ok(false),
            // What Linux says of a directory, and what POSIX wants.
            Err(errno @ (Errno::ISDIR | Errno::PERM)) => {
                match statat(parent, &found.name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) if file_type(&stat) == FileType::Directory => Ok(true),
                    Ok(_) => Err(of_errno(errno)),
                    Err(Errno::NOENT) => Ok(false),
                    Err(errno) => Err(of_errno(errno)),
                }
            }
            Err(errno) => Err(of_errno(errno)),
        }
    }

    fn remove_empty(&self, root: &Root, path: &Path) -> Result<Step, Cause> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Cause::Refused("this is the export itself".into()));
        };
        let parent = match root.descend(parent) {
            Err(Cause::NotFound | Cause::NotADirectory(_)) => return Ok(Step::Gone),
            parent => parent?,
        };
        match unlinkat(&parent, name, AtFlags::REMOVEDIR) {
            Ok(()) => {
                self.directories.fetch_add(1, Ordering::Relaxed);
                Ok(Step::Gone)
            }
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(Step::Gone),
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(Step::NotEmpty),
            Err(errno) => Err(of_errno(errno)),
        }
    }
}

impl Directory {
    fn new(path: PathBuf) -> Self {
        Self { path, below: Vec::new(), tasks: JoinSet::new(), steps: 0, rounds: 0 }
    }
}
