//! Directories made and things renamed: calls that a server may carry out twice, when the answer to
//! the first got lost. What exists afterwards tells what has happened.

use nfs3_client::nfs3_types::nfs3::{
    MKDIR3args, Nfs3Option, RENAME3args, SETATTR3args, fattr3, nfsstat3, sattr3,
};

use super::{
    NfsV3,
    failure::Failure,
    walk::{Node, in_directory},
};
use crate::backend::nfs::path::{components, parent_and_name};
use crate::backend::nfs::tree::{Cause, Kind, Made, Owner};

/// The bits that chmod sets.
const MODE: u32 = 0o7777;

impl NfsV3 {
    pub(super) async fn do_make_dir(&self, path: &str, mode: u32) -> Result<Made, Cause> {
        let (parent, name) = parent_and_name(path)?;
        let parent = self.directory(&parent).await?;
        let attributes = sattr3 { mode: Nfs3Option::Some(mode & MODE), ..sattr3::default() };
        let where_ = in_directory(&parent.handle, name.as_bytes());
        match self.pool.call(&MKDIR3args { where_, attributes }).await {
            Ok(_) => Ok(Made::New),
            Err(Failure::Status(nfsstat3::NFS3ERR_EXIST)) => {
                match self.lookup(&parent.handle, name.as_bytes()).await? {
                    Some(node) if node.is_directory() => Ok(Made::Present),
                    Some(_) => Err(Cause::Exists),
                    None => Err(Cause::NotFound),
                }
            }
            // Some servers say first that nothing may be made, and look then.
            Err(failure @ Failure::Status(nfsstat3::NFS3ERR_ROFS | nfsstat3::NFS3ERR_ACCES)) => {
                match self.lookup(&parent.handle, name.as_bytes()).await? {
                    Some(node) if node.is_directory() => Ok(Made::Present),
                    _ => Err(failure.into()),
                }
            }
            Err(failure) => Err(failure.into()),
        }
    }

    pub(super) async fn do_set_owner(&self, path: &str, owner: Owner) -> Result<(), Cause> {
        let node = self.find(&components(path)?).await?.ok_or(Cause::NotFound)?;
        if node.kind() == Kind::Other {
            return Err(Cause::Refused("it is neither a directory nor a file".into()));
        }
        if is_as_wanted(&node.attributes, owner).is_ok() {
            return Ok(());
        }
        let option = |value: Option<u32>| value.map_or(Nfs3Option::None, Nfs3Option::Some);
        let new_attributes = sattr3 {
            mode: option(owner.mode.map(|mode| mode & MODE)),
            uid: option(owner.uid),
            gid: option(owner.gid),
            ..sattr3::default()
        };
        let object = node.handle.clone();
        let guard = Nfs3Option::None;
        self.pool.call(&SETATTR3args { object, new_attributes, guard }).await?;
        is_as_wanted(&self.attributes(&node.handle).await?, owner)
    }

    pub(super) async fn do_rename(&self, from: &str, to: &str) -> Result<(), Cause> {
        let (from_parent, from_name) = parent_and_name(from)?;
        let (to_parent, to_name) = parent_and_name(to)?;
        let from_parent = self.directory(&from_parent).await?;
        let to_parent = self.directory(&to_parent).await?;
        let moved = self.lookup(&from_parent.handle, from_name.as_bytes()).await?;
        let present = self.lookup(&to_parent.handle, to_name.as_bytes()).await?;
        let moved = match (moved, present) {
            (None, _) => return Err(Cause::NotFound),
            (Some(_), Some(_)) => return Err(Cause::Exists),
            (Some(moved), None) => moved,
        };
        let call = RENAME3args {
            from: in_directory(&from_parent.handle, from_name.as_bytes()),
            to: in_directory(&to_parent.handle, to_name.as_bytes()),
        };
        self.rename_known(&call, &moved).await
    }

    /// Renames what is known, so that a rename whose answer got lost is recognised by its result.
    pub(super) async fn rename_known(
        &self,
        call: &RENAME3args<'_, '_>,
        moved: &Node,
    ) -> Result<(), Cause> {
        match self.pool.call(call).await {
            Ok(_) => Ok(()),
            Err(Failure::Status(nfsstat3::NFS3ERR_NOENT)) => {
                match self.lookup(&call.to.dir, call.to.name.as_ref()).await? {
                    Some(node) if is_same(&node.attributes, &moved.attributes) => Ok(()),
                    _ => Err(Cause::NotFound),
                }
            }
            Err(failure) => Err(failure.into()),
        }
    }
}

fn is_same(one: &fattr3, other: &fattr3) -> bool {
    (one.fsid, one.fileid) == (other.fsid, other.fileid)
}

fn is_as_wanted(is: &fattr3, wanted: Owner) -> Result<(), Cause> {
    let differ = |is: u32, wanted: Option<u32>| wanted.is_some_and(|wanted| wanted != is);
    if differ(is.uid, wanted.uid) || differ(is.gid, wanted.gid) {
        return Err(Cause::Denied(format!(
            "it took the change of owner without an error, and the owner is still {}:{} (it \
             squashes root)",
            is.uid, is.gid
        )));
    }
    if differ(is.mode & MODE, wanted.mode.map(|mode| mode & MODE)) {
        return Err(Cause::Denied(format!(
            "it took the change of mode without an error, and the mode is still {:04o}",
            is.mode & MODE
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_was_not_made_is_an_error_though_the_server_said_yes() {
        let is = fattr3 { uid: 65534, gid: 5, mode: 0o755, ..nothing() };
        let wanted = |uid, gid, mode| Owner { uid, gid, mode };
        assert!(is_as_wanted(&is, wanted(None, None, None)).is_ok());
        assert!(is_as_wanted(&is, wanted(Some(65534), Some(5), Some(0o100_755))).is_ok());
        for wanted in [
            wanted(Some(0), None, None),
            wanted(None, Some(0), None),
            wanted(None, None, Some(0o2755)),
        ] {
            let cause = is_as_wanted(&is, wanted).unwrap_err();
            assert!(matches!(cause, Cause::Denied(_)), "{cause}");
        }
    }

    fn nothing() -> fattr3 {
        use nfs3_client::nfs3_types::nfs3::{ftype3, nfstime3, specdata3};
        fattr3 {
            type_: ftype3::NF3DIR,
            mode: 0,
            nlink: 2,
            uid: 0,
            gid: 0,
            size: 0,
            used: 0,
            rdev: specdata3::default(),
            fsid: 1,
            fileid: 1,
            atime: nfstime3::default(),
            mtime: nfstime3::default(),
            ctime: nfstime3::default(),
        }
    }
}
