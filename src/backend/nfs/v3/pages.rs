//! Directories read page by page (READDIRPLUS).

use nfs3_client::nfs3_types::nfs3::{
    Nfs3Option, READDIRPLUS3args, cookieverf3, entryplus3, fattr3, nfs_fh3, nfsstat3,
};

use super::{
    NfsV3,
    failure::Failure,
    walk::{Node, kind_of},
};
use crate::backend::nfs::path::components;
use crate::backend::nfs::tree::{Cause, Entry};

/// How much a page holds, in bytes of names, and in all: some 150 names. A server that has to read the
/// attributes of each from a slow disk must be done within the deadline of a call.
const NAMES: u32 = 8 << 10;
const PAGE: u32 = 32 << 10;

/// How often a list is begun anew because the directory changes.
const RESTARTS: usize = 5;

/// Where a page ended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    cookie: u64,
    verifier: cookieverf3,
}

/// A name in a directory, and what the server said of it along the way.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: Vec<u8>,
    handle: Option<nfs_fh3>,
    attributes: Option<fattr3>,
}

impl Found {
    /// Whether the server said all of it along with the name.
    pub(super) fn is_known(&self) -> bool {
        self.handle.is_some() && self.attributes.is_some()
    }
}

/// Some names, and where the next are.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) found: Vec<Found>,
    pub(super) next: Option<Cursor>,
}

impl NfsV3 {
    pub(super) async fn do_list(&self, path: &str) -> Result<Vec<Entry>, Cause> {
        let directory = self.directory(&components(path)?).await?;
        for _ in 0..RESTARTS {
            match self.list_once(&directory.handle).await {
                Err(Failure::Status(nfsstat3::NFS3ERR_BAD_COOKIE)) => {}
                other => return Ok(other?),
            }
        }
        Err(Failure::Status(nfsstat3::NFS3ERR_BAD_COOKIE).into())
    }

    async fn list_once(&self, directory: &nfs_fh3) -> Result<Vec<Entry>, Failure> {
        let mut entries = Vec::new();
        let mut next = Some(Cursor::default());
        while let Some(cursor) = next {
            let page = self.page(directory, cursor).await?;
            for found in page.found {
                let kind = match &found.attributes {
                    Some(attributes) => Some(kind_of(attributes)),
                    None => self.lookup(directory, &found.name).await?.map(|node| node.kind()),
                };
                if let Some(kind) = kind {
                    let name = String::from_utf8_lossy(&found.name).into_owned();
                    entries.push(Entry { name, kind });
                }
            }
            next = page.next;
        }
        Ok(entries)
    }

    /// The names after `cursor`, without `.` and `..`.
    pub(super) async fn page(&self, directory: &nfs_fh3, cursor: Cursor) -> Result<Page, Failure> {
        let call = READDIRPLUS3args {
            dir: directory.clone(),
            cookie: cursor.cookie,
            cookieverf: cursor.verifier,
            dircount: NAMES,
            maxcount: PAGE,
        };
        let done = self.pool.call(&call).await?;
        let verifier = done.cookieverf;
        let (entries, ended) = (done.reply.entries.0, done.reply.eof);
        let next = match entries.last() {
            _ if ended => None,
            Some(last) if last.cookie != cursor.cookie => {
                Some(Cursor { cookie: last.cookie, verifier })
            }
            // It would be asked for ever.
            _ => return Err(Cause::Protocol("with a directory that does not end".into()).into()),
        };
        let found = entries.into_iter().filter_map(found).collect();
        Ok(Page { found, next })
    }

    /// What was found, with what the server left out; `None` where it is gone.
    pub(super) async fn known(
        &self,
        directory: &nfs_fh3,
        found: Found,
    ) -> Result<Option<Node>, Failure> {
        match (found.handle, found.attributes) {
            (Some(handle), Some(attributes)) => Ok(Some(Node { handle, attributes })),
            _ => self.lookup(directory, &found.name).await,
        }
    }
}

fn found(entry: entryplus3<'static>) -> Option<Found> {
    let name = entry.name.0.into_owned();
    if matches!(name.as_slice(), b"." | b"..") {
        return None;
    }
    let handle = match entry.name_handle {
        Nfs3Option::Some(handle) => Some(handle),
        Nfs3Option::None => None,
    };
    let attributes = match entry.name_attributes {
        Nfs3Option::Some(attributes) => Some(attributes),
        Nfs3Option::None => None,
    };
    Some(Found { name, handle, attributes })
}
