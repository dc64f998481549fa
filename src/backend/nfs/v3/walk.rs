//! From a path to what is there, a LOOKUP for each component, and never through a link.
//!
//! Handles live as long as one operation; only the export's own is kept. A server that says that a
//! handle is stale is asked once more from the root, which is asked of MOUNT anew: an export may have
//! been made again under the same name.

use nfs3_client::nfs3_types::nfs3::{
    GETATTR3args, LOOKUP3args, Nfs3Option, diropargs3, fattr3, filename3, ftype3, nfs_fh3, nfsstat3,
};
use tokio::time::Instant;

use super::{NfsV3, failure::Failure};
use crate::backend::nfs::tree::{Cause, Kind};

/// Something that exists, or did a moment ago.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) handle: nfs_fh3,
    pub(super) attributes: fattr3,
}

impl Node {
    pub(super) fn kind(&self) -> Kind {
        kind_of(&self.attributes)
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind() == Kind::Directory
    }
}

pub(super) fn kind_of(attributes: &fattr3) -> Kind {
    match attributes.type_ {
        ftype3::NF3DIR => Kind::Directory,
        ftype3::NF3REG => Kind::File,
        ftype3::NF3LNK | ftype3::NF3BLK | ftype3::NF3CHR | ftype3::NF3SOCK | ftype3::NF3FIFO => {
            Kind::Other
        }
    }
}

/// A name in a directory, as calls want it.
pub(super) fn in_directory<'a>(directory: &nfs_fh3, name: &'a [u8]) -> diropargs3<'a> {
    diropargs3 { dir: directory.clone(), name: filename3::from(name) }
}

impl NfsV3 {
    /// The handle of the export's directory.
    pub(super) async fn root(&self) -> Result<nfs_fh3, Cause> {
        let asked = Instant::now();
        let mut kept = self.root.lock().await;
        if let Some(root) = &*kept {
            return Ok(root.clone());
        }
        self.pool.outage().none_since(asked)?;
        let root = self.pool.mount_export().await?;
        *kept = Some(root.clone());
        Ok(root)
    }

    /// Has the export mounted anew by the next who needs its root.
    pub(super) async fn forget_root(&self) {
        *self.root.lock().await = None;
    }

    /// What is at the end of a path; `None` where it or a parent is not there.
    pub(super) async fn find(&self, path: &[&str]) -> Result<Option<Node>, Cause> {
        let root = self.root().await?;
        let attributes = self.attributes(&root).await?;
        let mut node = Node { handle: root, attributes };
        let mut place = "the export";
        for name in path {
            if !node.is_directory() {
                return Err(Cause::NotADirectory(place.into()));
            }
            match self.lookup(&node.handle, name.as_bytes()).await? {
                Some(found) => node = found,
                None => return Ok(None),
            }
            place = name;
        }
        Ok(Some(node))
    }

    /// The directory at the end of a path.
    pub(super) async fn directory(&self, path: &[&str]) -> Result<Node, Cause> {
        match self.find(path).await? {
            Some(node) if node.is_directory() => Ok(node),
            Some(_) => Err(Cause::NotADirectory((*path.last().unwrap_or(&"the export")).into())),
            None => Err(Cause::NotFound),
        }
    }

    /// What a name in a directory stands for.
    pub(super) async fn lookup(
        &self,
        directory: &nfs_fh3,
        name: &[u8],
    ) -> Result<Option<Node>, Failure> {
        let what = in_directory(directory, name);
        let found = match self.pool.call(&LOOKUP3args { what }).await {
            Ok(found) => found,
            Err(Failure::Status(nfsstat3::NFS3ERR_NOENT)) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let attributes = match found.obj_attributes {
            Nfs3Option::Some(attributes) => attributes,
            Nfs3Option::None => match self.attributes(&found.object).await {
                Ok(attributes) => attributes,
                // Deleted between the two calls.
                Err(Failure::Status(nfsstat3::NFS3ERR_STALE | nfsstat3::NFS3ERR_NOENT)) => {
                    return Ok(None);
                }
                Err(failure) => return Err(failure),
            },
        };
        Ok(Some(Node { handle: found.object, attributes }))
    }

    pub(super) async fn attributes(&self, handle: &nfs_fh3) -> Result<fattr3, Failure> {
        let done = self.pool.call(&GETATTR3args { object: handle.clone() }).await?;
        Ok(done.obj_attributes)
    }
}
