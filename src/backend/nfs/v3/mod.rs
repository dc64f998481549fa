//! Directories on a filer through NFSv3, in user space: no mount, and no process that hangs.
//!
//! ```text
//! NfsV3: Tree ─▶ names, files, pages, remove, measure      a file per kind of operation
//!                     └─▶ walk ─▶ service                  paths to handles; MOUNT, portmapper, NULL
//!                           └─▶ pool ─▶ retry, connect     calls, on connections that are dropped
//!                                  └─▶ stream              after any error
//! ```
//! The wire format is the crate's, `nfs3_client`. What it leaves out is here: deadlines, connections
//! that come and go, several calls at once, names, IPv6.

mod config;
mod connect;
mod failure;
mod files;
mod measure;
mod names;
mod outage;
mod pages;
mod pool;
mod procedure;
mod remove;
mod retry;
mod service;
mod stream;
mod walk;

#[cfg(test)]
mod tests;

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use nfs3_client::nfs3_types::nfs3::{FSSTAT3args, nfs_fh3};
use tokio::{sync::Mutex, time::timeout};

use self::pool::Pool;
pub(crate) use self::{
    config::ServerConfig,
    service::{NfsVersion, null, null_v3},
};
use super::{
    path::components,
    tree::{Cause, Entry, Kind, Made, Owner, Pace, Removed, Space, Tree, TreeError, Usage},
};

/// Operations of a few calls may take as long as so many of the slowest.
const SLOW_CALLS: u32 = 3;

/// An export, reached by NFSv3. Clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct NfsV3 {
    pool: Arc<Pool>,
    /// The handle of the export's directory, once it is known. Held while it is asked for, so that
    /// fifty operations at the start ask once.
    root: Arc<Mutex<Option<nfs_fh3>>>,
}

impl NfsV3 {
    /// Nothing is asked yet.
    pub(crate) fn new(server: ServerConfig) -> Self {
        Self { pool: Arc::new(Pool::new(server)), root: Arc::default() }
    }

    /// Runs an operation, once more from the root where a handle was stale.
    async fn run<T, F>(
        &self,
        op: &'static str,
        path: &str,
        operation: impl Fn() -> F + Send,
    ) -> Result<T, TreeError>
    where
        F: Future<Output = Result<T, Cause>> + Send,
    {
        let mut result = operation().await;
        if matches!(result, Err(Cause::Stale)) {
            self.forget_root().await;
            result = operation().await;
        }
        result.map_err(|cause| self.error(op, path, cause))
    }

    /// The same for an operation of a few calls, which has a deadline as a whole.
    async fn run_few<T, F>(
        &self,
        op: &'static str,
        path: &str,
        operation: impl Fn() -> F + Send,
    ) -> Result<T, TreeError>
    where
        F: Future<Output = Result<T, Cause>> + Send,
    {
        let limit: Duration = self.pool.server().call_timeout * SLOW_CALLS;
        match timeout(limit, self.run(op, path, operation)).await {
            Ok(result) => result,
            Err(_) => {
                let cause = Cause::Unreachable(format!("it is too slow: not done in {limit:?}"));
                Err(self.error(op, path, cause))
            }
        }
    }

    fn error(&self, op: &'static str, path: &str, cause: Cause) -> TreeError {
        let ServerConfig { host, export, .. } = self.pool.server();
        let slash = if path.is_empty() || export.ends_with('/') { "" } else { "/" };
        TreeError { op, place: format!("{host}:{export}{slash}{path}"), cause }
    }

    async fn do_probe(&self) -> Result<(), Cause> {
        let root = self.pool.mount_export().await?;
        let attributes = self.attributes(&root).await?;
        *self.root.lock().await = Some(root);
        match walk::kind_of(&attributes) {
            Kind::Directory => Ok(()),
            Kind::File | Kind::Other => Err(Cause::NotADirectory("the export".into())),
        }
    }

    async fn do_space(&self) -> Result<Space, Cause> {
        let fsroot = self.root().await?;
        let done = self.pool.call(&FSSTAT3args { fsroot }).await?;
        Ok(Space { total: done.tbytes, free: done.abytes })
    }

    async fn do_kind(&self, path: &str) -> Result<Option<Kind>, Cause> {
        Ok(self.find(&components(path)?).await?.map(|node| node.kind()))
    }
}

#[async_trait]
impl Tree for NfsV3 {
    async fn probe(&self) -> Result<(), TreeError> {
        self.run_few("reach the export", "", || self.do_probe()).await
    }

    async fn space(&self) -> Result<Space, TreeError> {
        self.run_few("look at the room of", "", || self.do_space()).await
    }

    async fn kind(&self, path: &str) -> Result<Option<Kind>, TreeError> {
        self.run_few("look at", path, || self.do_kind(path)).await
    }

    async fn make_dir(&self, path: &str, mode: u32) -> Result<Made, TreeError> {
        self.run_few("make the directory", path, || self.do_make_dir(path, mode)).await
    }

    async fn set_owner(&self, path: &str, owner: Owner) -> Result<(), TreeError> {
        self.run_few("set the owner of", path, || self.do_set_owner(path, owner)).await
    }

    async fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, TreeError> {
        self.run_few("read", path, || self.do_read(path, limit)).await
    }

    async fn write(&self, path: &str, bytes: &[u8]) -> Result<(), TreeError> {
        self.run_few("write", path, || self.do_write(path, bytes)).await
    }

    async fn list(&self, path: &str) -> Result<Vec<Entry>, TreeError> {
        self.run("list", path, || self.do_list(path)).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), TreeError> {
        let path = format!("{from} to {to}");
        self.run_few("rename", &path, || self.do_rename(from, to)).await
    }

    async fn remove_tree(&self, path: &str) -> Result<Removed, TreeError> {
        self.run("delete", path, || self.do_remove_tree(path)).await
    }

    async fn measure(&self, path: &str, pace: Pace) -> Result<Usage, TreeError> {
        self.run("measure", path, || self.do_measure(path, pace)).await
    }
}
