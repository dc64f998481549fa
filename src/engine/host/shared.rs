//! What a file system needs so that other nodes can share it: from the first on, and at each mount.

use std::path::Path;

use super::paths::{PathError, path_error};
use crate::{
    share::{self, reserve},
    spec::FsType,
    volume::{Record, plan::Standing},
};

/// What its server keeps on the volume for its clients' reclaims: beside what tasks see.
pub(in crate::engine) const RECOVERY: &str = ".hawser";

/// The mount option with which what is created, renamed or deleted is on the disk before it is answered.
pub(in crate::engine) const fn names_are_durable(fs: FsType) -> &'static str {
    match fs {
        FsType::Ext4 => "dirsync",
        FsType::Xfs => "wsync",
    }
}

/// What mkfs is told: the user's options, and what they leave open.
pub(super) fn mkfs_options(record: &Record) -> Vec<String> {
    let spec = &record.spec;
    let mut options = spec.mkfs_options.clone();
    if record.is_served() {
        options.extend(reserve::mkfs_options(spec.fs, spec.size, &spec.mkfs_options));
    }
    options
}

/// What the stage is mounted with, beside the user's options.
pub(super) fn mount_options(record: &Record, standing: Standing) -> Vec<String> {
    let fs = record.spec.fs;
    if !record.is_served() || standing != Standing::Owner {
        return Vec::new();
    }
    // What tasks of other nodes were told is done must survive this node; a remount does not bring it
    // (docs/sharing-internals.md).
    let mut options = vec![names_are_durable(fs).to_owned()];
    // A file system that came with its own reserve, as root's, is left as its tasks know it.
    if record.file_system_uuid.is_none() {
        options.extend(reserve::mount_options(fs));
    }
    options
}

/// Made with the file system: on a full one there would be no room for it.
pub(super) fn make_recovery(record: &Record, stage: &Path) -> Result<(), PathError> {
    if !record.is_served() {
        return Ok(());
    }
    let recovery = stage.join(RECOVERY);
    share::make_recovery(&recovery).map_err(path_error("make", &recovery))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{spec::Sharing, volume::testing::used_record};

    #[test]
    fn what_is_shared_is_made_and_mounted_for_it_and_the_rest_as_ever() {
        let stage = tempfile::tempdir().unwrap();
        let own = used_record();
        assert!(mkfs_options(&own).is_empty());
        assert!(mount_options(&own, Standing::Owner).is_empty());
        make_recovery(&own, stage.path()).unwrap();
        assert!(!stage.path().join(RECOVERY).exists());

        let mut shared = own;
        shared.spec.sharing = Sharing::Shared;
        assert_eq!(mkfs_options(&shared), ["-m", "0.009765625"]);
        let options = mount_options(&shared, Standing::Owner);
        assert_eq!(options, ["dirsync", "resuid=1751218035", "resgid=1751218035"]);
        assert!(mount_options(&shared, Standing::Alone).is_empty(), "no other node knows it");
        make_recovery(&shared, stage.path()).unwrap();
        assert!(stage.path().join(RECOVERY).join("v4recov/node0").is_dir());

        // What came with a file system has root's reserve, which its tasks may have used already.
        shared.file_system_uuid = Some(uuid::Uuid::nil());
        assert_eq!(mount_options(&shared, Standing::Owner), ["dirsync"]);
    }
}
