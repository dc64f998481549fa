//! Small files, read and replaced as a whole.

use nfs3_client::nfs3_types::{
    nfs3::{
        COMMIT3args, CREATE3args, Nfs3Option, READ3args, REMOVE3args, RENAME3args, WRITE3args,
        createhow3, nfs_fh3, nfsstat3, sattr3, stable_how, writeverf3,
    },
    xdr_codec::Opaque,
};
use uuid::Uuid;

use super::{
    NfsV3,
    failure::Failure,
    walk::{Node, in_directory},
};
use crate::backend::nfs::path::{components, parent_and_name};
use crate::backend::nfs::tree::{Cause, Kind};

/// Every server takes that much in a call.
const PIECE: usize = 32 << 10;

const MODE: u32 = 0o600;

/// How often contents are sent again to a server that restarts between WRITE and COMMIT.
const ROUNDS: usize = 3;

impl NfsV3 {
    pub(super) async fn do_read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, Cause> {
        let Some(node) = self.find(&components(path)?).await? else {
            return Ok(None);
        };
        if node.kind() != Kind::File {
            return Err(Cause::Refused("it is not a file (links are not followed)".into()));
        }
        let mut bytes = Vec::new();
        loop {
            let call = READ3args {
                file: node.handle.clone(),
                offset: bytes.len() as u64,
                count: u32::try_from(PIECE).unwrap_or(u32::MAX),
            };
            let done = self.pool.call(&call).await?;
            bytes.extend_from_slice(&done.data);
            if bytes.len() > limit {
                return Err(Cause::Refused(format!("it is larger than {limit} bytes")));
            }
            // A server may answer with nothing for the end instead of saying so.
            if done.eof || done.data.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }

    pub(super) async fn do_write(&self, path: &str, bytes: &[u8]) -> Result<(), Cause> {
        let (parent, name) = parent_and_name(path)?;
        let parent = self.directory(&parent).await?;
        let present = self.lookup(&parent.handle, name.as_bytes()).await?;
        if present.is_some_and(|node| node.is_directory()) {
            return Err(Cause::Refused("it is a directory".into()));
        }
        let temporary = format!(".{name}.hawser-{}", Uuid::new_v4().simple());
        let replaced = self.write_beside(&parent.handle, &temporary, name, bytes).await;
        if replaced.is_err() {
            // Not to be waited for twice, and not worth an error of its own: its name tells what it is.
            let object = in_directory(&parent.handle, temporary.as_bytes());
            let _ = self.pool.call(&REMOVE3args { object }).await;
        }
        replaced
    }

    async fn write_beside(
        &self,
        directory: &nfs_fh3,
        temporary: &str,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), Cause> {
        let file = self.create(directory, temporary).await?;
        self.fill(&file.handle, bytes).await?;
        let call = RENAME3args {
            from: in_directory(directory, temporary.as_bytes()),
            to: in_directory(directory, name.as_bytes()),
        };
        self.rename_known(&call, &file).await?;
        // The protocol wants the new name on stable storage by now; Ganesha leaves it in the page
        // cache. Its COMMIT is an fsync of the file, which takes the name along on ext4 and xfs.
        self.commit(&file.handle).await?;
        Ok(())
    }

    async fn create(&self, directory: &nfs_fh3, name: &str) -> Result<Node, Cause> {
        let attributes = sattr3 { mode: Nfs3Option::Some(MODE), ..sattr3::default() };
        let call = CREATE3args {
            where_: in_directory(directory, name.as_bytes()),
            how: createhow3::GUARDED(attributes),
        };
        match self.pool.call(&call).await {
            // Nobody else has this name: it was made by a call whose answer got lost.
            Ok(_) | Err(Failure::Status(nfsstat3::NFS3ERR_EXIST)) => {}
            Err(failure) => return Err(failure.into()),
        }
        self.lookup(directory, name.as_bytes()).await?.ok_or(Cause::NotFound)
    }

    /// Writes the contents, on stable storage.
    async fn fill(&self, file: &nfs_fh3, bytes: &[u8]) -> Result<(), Cause> {
        for _ in 0..ROUNDS {
            let written = self.write_pieces(file, bytes).await?;
            let Some(verifier) = written else { return Ok(()) };
            // The server keeps it in memory, and has lost it if it is another server by now.
            if self.commit(file).await? == verifier {
                return Ok(());
            }
        }
        Err(Cause::Unreachable("it restarts again and again while a file is written".into()))
    }

    /// Sends the contents; with a verifier where the server has not stored them yet.
    async fn write_pieces(
        &self,
        file: &nfs_fh3,
        bytes: &[u8],
    ) -> Result<Option<writeverf3>, Cause> {
        let mut sent = 0;
        let mut unstable = None;
        while sent < bytes.len() {
            let piece = &bytes[sent..bytes.len().min(sent + PIECE)];
            let call = WRITE3args {
                file: file.clone(),
                offset: sent as u64,
                count: u32::try_from(piece.len()).unwrap_or(u32::MAX),
                stable: stable_how::FILE_SYNC,
                data: Opaque::borrowed(piece),
            };
            let done = self.pool.call(&call).await?;
            let count = done.count as usize;
            if count == 0 || count > piece.len() {
                return Err(Cause::Protocol(format!("that it wrote {count} bytes of a file")));
            }
            if done.committed != stable_how::FILE_SYNC {
                // The first: an older one than COMMIT's means that something was lost.
                unstable.get_or_insert(done.verf);
            }
            sent += count;
        }
        Ok(unstable)
    }

    async fn commit(&self, file: &nfs_fh3) -> Result<writeverf3, Failure> {
        let call = COMMIT3args { file: file.clone(), offset: 0, count: 0 };
        Ok(self.pool.call(&call).await?.verf)
    }
}
