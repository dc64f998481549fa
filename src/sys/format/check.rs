//! Checking and repairing an unmounted file system.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    spec::FsType,
    sys::{
        blockdev::{self, InUse},
        process::{Output, Tool, ToolError},
    },
};

const E2FSCK: Tool = Tool::new("e2fsck");
const XFS_REPAIR: Tool = Tool::new("xfs_repair");

/// A check of a large, full file system takes hours; a bound all the same.
const CHECK_LIMIT: Duration = Duration::from_secs(12 * 3600);

/// Exit codes of e2fsck(8): a sum of bits.
const E2FSCK_CORRECTED: i32 = 1 | 2;
const E2FSCK_UNCORRECTED: i32 = 4;

/// Exit codes of xfs_repair(8).
const XFS_CORRUPT: i32 = 1;
const XFS_DIRTY_LOG: i32 = 2;

/// Whether a check may change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Look only.
    No,
    /// Repair what can be repaired without losing data that a person might want to decide about.
    Yes,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// Consistent now: as found, or after the repair.
    pub clean: bool,
    /// The tool's words.
    pub output: String,
}

/// A check that gave no result.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It is mounted or claimed.
    #[error("check")]
    InUse(#[from] InUse),
    /// The xfs log holds changes that are not in place yet: mount and unmount it once. Never thrown
    /// away here (`xfs_repair -L` loses them).
    #[error("check {}: the log must be replayed first, by mounting it once", .device.display())]
    DirtyLog {
        /// The device.
        device: PathBuf,
    },
    /// The tool failed.
    #[error("check {}", .device.display())]
    Tool {
        /// The device.
        device: PathBuf,
        /// How.
        source: ToolError,
    },
}

/// Checks a file system that is not mounted anywhere. With `Repair::No`, one that was not cleanly
/// unmounted is usually reported as not clean: its journal is not replayed.
///
/// # Errors
/// See [`CheckError`].
pub async fn check(device: &Path, fs: FsType, repair: Repair) -> Result<CheckReport, CheckError> {
    blockdev::ensure_unused(device)?;
    // -f: look even if it is marked clean. -p: repair what is safe, without questions.
    let (tool, flags): (Tool, &[&str]) = match (fs, repair) {
        (FsType::Ext4, Repair::No) => (E2FSCK, &["-n", "-f"]),
        (FsType::Ext4, Repair::Yes) => (E2FSCK, &["-p", "-f"]),
        (FsType::Xfs, Repair::No) => (XFS_REPAIR, &["-n"]),
        (FsType::Xfs, Repair::Yes) => (XFS_REPAIR, &[]),
    };
    let args = flags.iter().map(AsRef::as_ref).chain([device.as_os_str()]);
    let output = tool
        .run_any(args, CHECK_LIMIT)
        .await
        .map_err(|source| CheckError::Tool { device: device.to_owned(), source })?;
    let clean = match fs {
        FsType::Ext4 => judge_e2fsck(output.code),
        FsType::Xfs if output.code == XFS_DIRTY_LOG => {
            return Err(CheckError::DirtyLog { device: device.to_owned() });
        }
        FsType::Xfs => judge_xfs_repair(output.code, repair),
    };
    match clean {
        Some(clean) => Ok(CheckReport { clean, output: output.stdout + &output.stderr }),
        None => Err(failed(device, tool, flags, output)),
    }
}

/// `None`: it could not do its work (8 operational error, 16 usage, 32 cancelled, 128 library).
fn judge_e2fsck(code: i32) -> Option<bool> {
    if code & !(E2FSCK_CORRECTED | E2FSCK_UNCORRECTED) != 0 {
        return None;
    }
    Some(code & E2FSCK_UNCORRECTED == 0)
}

/// After a repair, 1 is a failure of the program; without, it is the finding.
fn judge_xfs_repair(code: i32, repair: Repair) -> Option<bool> {
    match (code, repair) {
        (0, _) => Some(true),
        (XFS_CORRUPT, Repair::No) => Some(false),
        _ => None,
    }
}

fn failed(device: &Path, tool: Tool, flags: &[&str], output: Output) -> CheckError {
    let argv = format!("{} {} {}", tool.name(), flags.join(" "), device.display());
    // e2fsck complains on stdout.
    let stderr = output.stdout + &output.stderr;
    let source = ToolError::Failed { argv, code: output.code, stderr };
    CheckError::Tool { device: device.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing;

    #[tokio::test]
    async fn a_fresh_file_system_is_clean_and_a_mounted_one_is_not_checked() {
        let world = testing::World::alone();
        for fs in FsType::ALL {
            let disk = world.formatted(fs, 320).await;
            for repair in [Repair::No, Repair::Yes] {
                assert!(check(disk.path(), fs, repair).await.unwrap().clean, "{fs}");
            }
            let _mounted = world.mount(&disk, fs, &[]);
            let error = check(disk.path(), fs, Repair::No).await.unwrap_err();
            assert!(matches!(error, CheckError::InUse(_)), "{error:?}");
        }
    }

    #[tokio::test]
    async fn damage_is_found_and_then_repaired() {
        let world = testing::World::alone();
        // ext4: the block bitmap of the first group, wrong; xfs: an inode count.
        for (fs, script) in [
            (FsType::Ext4, "debugfs -w -R 'freeb 200 20' "),
            (FsType::Xfs, "xfs_db -x -c 'agi 0' -c 'write count 999' "),
        ] {
            let disk = world.formatted(fs, 320).await;
            testing::run("sh", ["-c", &format!("{script}{}", disk.path().display())]);

            assert!(!check(disk.path(), fs, Repair::No).await.unwrap().clean, "{fs}");
            assert!(check(disk.path(), fs, Repair::Yes).await.unwrap().clean, "{fs}");
            assert!(check(disk.path(), fs, Repair::No).await.unwrap().clean, "{fs}");
        }
    }

    #[tokio::test]
    async fn a_device_without_a_file_system_is_an_error() {
        let world = testing::World::alone();
        let disk = world.disk(64);

        let error = check(disk.path(), FsType::Ext4, Repair::No).await.unwrap_err();

        assert!(matches!(error, CheckError::Tool { .. }), "{error:?}");
    }

    #[test]
    fn exit_codes_are_judged_as_documented() {
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(judge_e2fsck),
            [true, true, true, true, false, false].map(Some)
        );
        assert_eq!([8, 12, 16, 32, 128, 137].map(judge_e2fsck), [None; 6]);
        assert_eq!(judge_xfs_repair(1, Repair::Yes), None);
        assert_eq!(judge_xfs_repair(137, Repair::No), None);
    }
}
