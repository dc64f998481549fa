//! Trees deleted: as many calls at once as there are connections, and little memory.
//!
//! ```text
//! stack of jobs ──▶ running, one per connection ──▶ what a job found: more jobs, on top of the stack
//!   Scan a page of a directory, Delete some of its files, RemoveDirectory once nothing of it is left
//! ```
//! The rest of a directory is pushed before what its page held, so the stack is as long as the tree is
//! deep, times a page. Handles stand for what was found and not for paths: a link that takes a
//! directory's place meanwhile leads nowhere.

use std::collections::HashMap;

use nfs3_client::nfs3_types::nfs3::{REMOVE3args, RMDIR3args, nfs_fh3, nfsstat3};
use tokio::task::JoinSet;

use super::{NfsV3, failure::Failure, pages::Cursor, walk::in_directory};
use crate::backend::nfs::path::parent_and_name;
use crate::backend::nfs::tree::{Cause, Removed};

/// Files of one job: they are deleted one after the other.
const BATCH: usize = 16;

/// How often a directory that was emptied may be found not to be empty.
const ROUNDS: u32 = 5;

type Id = u64;

enum Job {
    Scan { id: Id, handle: nfs_fh3, cursor: Cursor },
    Delete { id: Id, handle: nfs_fh3, names: Vec<Vec<u8>> },
    RemoveDirectory { id: Id, parent: nfs_fh3, name: Vec<u8> },
}

enum Done {
    Scanned(Scanned),
    Deleted { id: Id, files: u64 },
    RemovedDirectory { id: Id },
    NotEmpty { id: Id },
}

struct Scanned {
    id: Id,
    files: Vec<Vec<u8>>,
    directories: Vec<(Vec<u8>, nfs_fh3)>,
    next: Option<Cursor>,
    /// Not the end was reached, but a place that is no place any more.
    lost: bool,
}

/// A directory that is being deleted.
struct Directory {
    handle: nfs_fh3,
    parent: nfs_fh3,
    parent_id: Option<Id>,
    name: Vec<u8>,
    /// Jobs and directories below that are not done.
    pending: usize,
    /// Since it was last begun: whether anything was deleted, and whether its end was not reached.
    progress: bool,
    lost: bool,
    rounds: u32,
}

impl NfsV3 {
    pub(super) async fn do_remove_tree(&self, path: &str) -> Result<Removed, Cause> {
        let (parent, name) = parent_and_name(path)?;
        let Some(parent) = self.find(&parent).await? else { return Ok(Removed::default()) };
        if !parent.is_directory() {
            return Err(Cause::NotADirectory("its parent".into()));
        }
        let Some(top) = self.lookup(&parent.handle, name.as_bytes()).await? else {
            return Ok(Removed::default());
        };
        if !top.is_directory() {
            let files = self.delete(&parent.handle, &[name.into()]).await?;
            return Ok(Removed { files, directories: 0 });
        }
        let mut removal = Removal::default();
        removal.enter(None, parent.handle, name.into(), top.handle);
        self.carry_out(removal, top.attributes.fsid).await
    }

    async fn carry_out(&self, mut removal: Removal, file_system: u64) -> Result<Removed, Cause> {
        let width = self.pool.server().connections.max(1);
        let mut running = JoinSet::new();
        loop {
            while running.len() < width
                && let Some(job) = removal.jobs.pop()
            {
                let this = self.clone();
                running.spawn(async move { this.removal_job(job, file_system).await });
            }
            match running.join_next().await {
                None => return Ok(removal.removed),
                Some(Ok(done)) => removal.absorb(done?)?,
                Some(Err(error)) => {
                    return Err(Cause::Protocol(format!("in a way that hawser fails on: {error}")));
                }
            }
        }
    }

    async fn removal_job(&self, job: Job, file_system: u64) -> Result<Done, Cause> {
        match job {
            Job::Scan { id, handle, cursor } => {
                self.scan(id, &handle, cursor, file_system).await.map(Done::Scanned)
            }
            Job::Delete { id, handle, names } => {
                let files = self.delete(&handle, &names).await?;
                Ok(Done::Deleted { id, files })
            }
            Job::RemoveDirectory { id, parent, name } => {
                let object = in_directory(&parent, &name);
                match self.pool.call(&RMDIR3args { object }).await {
                    Ok(_) | Err(Failure::Status(nfsstat3::NFS3ERR_NOENT)) => {
                        Ok(Done::RemovedDirectory { id })
                    }
                    Err(Failure::Status(nfsstat3::NFS3ERR_NOTEMPTY | nfsstat3::NFS3ERR_EXIST)) => {
                        Ok(Done::NotEmpty { id })
                    }
                    Err(failure) => Err(failure.into()),
                }
            }
        }
    }

    async fn scan(
        &self,
        id: Id,
        handle: &nfs_fh3,
        cursor: Cursor,
        file_system: u64,
    ) -> Result<Scanned, Cause> {
        let (files, directories) = (Vec::new(), Vec::new());
        let mut scanned = Scanned { id, files, directories, next: None, lost: false };
        let page = match self.page(handle, cursor).await {
            Ok(page) => page,
            // What was deleted took the place in the directory along: it is begun anew.
            Err(Failure::Status(nfsstat3::NFS3ERR_BAD_COOKIE)) => {
                scanned.lost = true;
                return Ok(scanned);
            }
            // Somebody else deleted it.
            Err(Failure::Status(nfsstat3::NFS3ERR_STALE | nfsstat3::NFS3ERR_NOENT)) => {
                return Ok(scanned);
            }
            Err(failure) => return Err(failure.into()),
        };
        scanned.next = page.next;
        for found in page.found {
            let name = found.name.clone();
            let Some(node) = self.known(handle, found).await? else { continue };
            if node.attributes.fsid != file_system {
                let name = String::from_utf8_lossy(&name);
                return Err(Cause::Refused(format!(
                    "another file system is mounted below it, at {name:?}: unmount it on the server"
                )));
            }
            if node.is_directory() {
                scanned.directories.push((name, node.handle));
            } else {
                scanned.files.push(name);
            }
        }
        Ok(scanned)
    }

    /// Deletes files; what is gone is as good, and what became a directory is found by the next look.
    async fn delete(&self, directory: &nfs_fh3, names: &[Vec<u8>]) -> Result<u64, Cause> {
        let mut deleted = 0;
        for name in names {
            let object = in_directory(directory, name);
            match self.pool.call(&REMOVE3args { object }).await {
                Ok(_) | Err(Failure::Status(nfsstat3::NFS3ERR_NOENT)) => deleted += 1,
                Err(Failure::Status(nfsstat3::NFS3ERR_ISDIR)) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        Ok(deleted)
    }
}

/// What is left to do. It makes no calls.
#[derive(Default)]
struct Removal {
    jobs: Vec<Job>,
    directories: HashMap<Id, Directory>,
    last_id: Id,
    removed: Removed,
}

impl Removal {
    fn enter(&mut self, parent_id: Option<Id>, parent: nfs_fh3, name: Vec<u8>, handle: nfs_fh3) {
        self.last_id += 1;
        let id = self.last_id;
        self.jobs.push(Job::Scan { id, handle: handle.clone(), cursor: Cursor::default() });
        let directory = Directory {
            handle,
            parent,
            parent_id,
            name,
            pending: 1,
            progress: false,
            lost: false,
            rounds: 0,
        };
        self.directories.insert(id, directory);
    }

    fn absorb(&mut self, done: Done) -> Result<(), Cause> {
        match done {
            Done::Scanned(scanned) => self.scanned(scanned),
            Done::Deleted { id, files } => {
                self.removed.files += files;
                self.finished(id, files > 0);
            }
            Done::RemovedDirectory { id } => {
                self.removed.directories += 1;
                if let Some(Directory { parent_id: Some(parent), .. }) =
                    self.directories.remove(&id)
                {
                    self.finished(parent, true);
                }
            }
            Done::NotEmpty { id } => self.again(id)?,
        }
        Ok(())
    }

    fn scanned(&mut self, scanned: Scanned) {
        let id = scanned.id;
        let Some(directory) = self.directories.get_mut(&id) else { return };
        let handle = directory.handle.clone();
        directory.lost |= scanned.lost;
        if let Some(cursor) = scanned.next {
            directory.pending += 1;
            self.jobs.push(Job::Scan { id, handle: handle.clone(), cursor });
        }
        directory.pending += scanned.directories.len();
        for names in scanned.files.chunks(BATCH) {
            directory.pending += 1;
            self.jobs.push(Job::Delete { id, handle: handle.clone(), names: names.to_vec() });
        }
        for (name, below) in scanned.directories {
            self.enter(Some(id), handle.clone(), name, below);
        }
        self.finished(id, false);
    }

    /// One job of a directory is done; after the last, the directory itself is deleted.
    fn finished(&mut self, id: Id, progress: bool) {
        let Some(directory) = self.directories.get_mut(&id) else { return };
        directory.progress |= progress;
        directory.pending -= 1;
        if directory.pending == 0 {
            let (parent, name) = (directory.parent.clone(), directory.name.clone());
            self.jobs.push(Job::RemoveDirectory { id, parent, name });
        }
    }

    /// Something was made in the directory meanwhile, or its place was lost: it is read again.
    fn again(&mut self, id: Id) -> Result<(), Cause> {
        let Some(directory) = self.directories.get_mut(&id) else { return Ok(()) };
        if !(directory.lost && directory.progress) {
            directory.rounds += 1;
        }
        if directory.rounds > ROUNDS {
            let name = String::from_utf8_lossy(&directory.name);
            return Err(Cause::Refused(format!(
                "files appear in {name:?} while it is deleted: see who still uses it"
            )));
        }
        (directory.pending, directory.lost, directory.progress) = (1, false, false);
        let handle = directory.handle.clone();
        self.jobs.push(Job::Scan { id, handle, cursor: Cursor::default() });
        Ok(())
    }
}
