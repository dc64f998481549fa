//! File systems on a device: make, check, grow, measure, trim.
//!
//! [`format()`] is the only place that destroys anything, and it refuses by itself unless it has just
//! proven the device blank and free. Force flags are never passed on, not even on request: mkfs's
//! own second look is the last guard. mkfs claims the device with O_EXCL, so one that a killed
//! daemon left running and the next daemon's cannot meet.

mod check;
mod grow;
mod options;
mod superblock;
mod trim;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::sync::OnceCell;
use uuid::Uuid;

pub use self::{
    check::{CheckError, CheckReport, Repair, check},
    grow::{GrowError, Grown, grow_offline, grow_online},
    options::OptionError,
    superblock::{file_system_size, file_system_uuid},
    trim::trim,
};
use super::{
    blockdev::{self, InUse},
    probe::{self, Content, ProbeError},
    process::{Tool, ToolError},
};
use crate::spec::FsType;

const MKE2FS: Tool = Tool::new("mke2fs");
const MKFS_EXT4: Tool = Tool::new("mkfs.ext4");
const MKFS_XFS: Tool = Tool::new("mkfs.xfs");

/// Measured: 16 ms for 100 GiB. The bound is for a slow device: an EBS volume at its base rate
/// writes xfs's largest log (2 GiB) in 16 s.
const FORMAT_LIMIT: Duration = Duration::from_secs(600);
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// What a label may have at most, in bytes.
const EXT4_LABEL: usize = 16;
const XFS_LABEL: usize = 12;

/// Why a device was not formatted. Except for `Mkfs`, nothing was written to it.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// There is something on it.
    #[error("refuse to format {}: it holds {found}", .device.display())]
    NotBlank {
        /// The device.
        device: PathBuf,
        /// What was found.
        found: String,
    },
    /// It is not known what is on it.
    #[error("refuse to format")]
    Unproven(#[from] ProbeError),
    /// Somebody uses it.
    #[error("refuse to format")]
    InUse(#[from] InUse),
    /// An option that is not passed on.
    #[error("refuse to format {}", .device.display())]
    Option {
        /// The device.
        device: PathBuf,
        /// Which one, and why.
        source: OptionError,
    },
    /// mkfs failed; what it wrote until then is on the device.
    #[error("format {}", .device.display())]
    Mkfs {
        /// The device.
        device: PathBuf,
        /// How.
        source: ToolError,
    },
}

/// Makes a file system on a device that is blank. `options` are mkfs's own, as separate words
/// (`["-i", "65536"]`); they win over hawser's. A label that is too long is cut (ext4: 16 bytes,
/// xfs: 12): it is for people, the UUID is the identity.
///
/// # Errors
/// See [`FormatError`].
///
/// # Cancellation
/// Kills mkfs, which leaves a device that is neither blank nor a file system: do not.
pub async fn format(
    device: &Path,
    fs: FsType,
    options: &[String],
    label: &str,
    uuid: &Uuid,
) -> Result<(), FormatError> {
    let user = options::parse(fs, options)
        .map_err(|source| FormatError::Option { device: device.to_owned(), source })?;
    let (tool, mut args) = match fs {
        FsType::Ext4 => (MKFS_EXT4, ext4_args(user, label, uuid, prezeroed_option().await)),
        FsType::Xfs => (MKFS_XFS, xfs_args(user, label, uuid)),
    };
    args.push(device.into());
    refuse_unless_blank(device).await?;
    let made = tool.run(args, FORMAT_LIMIT).await;
    made.map(|_| ()).map_err(|source| FormatError::Mkfs { device: device.to_owned(), source })
}

async fn refuse_unless_blank(device: &Path) -> Result<(), FormatError> {
    blockdev::ensure_unused(device)?;
    let found = match probe::probe(device).await? {
        Content::Blank => return Ok(()),
        Content::FileSystem { fs, uuid, .. } => {
            format!("a file system ({fs}, UUID {})", uuid.as_deref().unwrap_or("none"))
        }
        Content::Other { what } => what,
    };
    Err(FormatError::NotBlank { device: device.to_owned(), found })
}

/// - `nodiscard`: a discard punches holes into a preallocated image and so gives its reservation
///   back (measured: 10 GiB became 69 MiB); on EBS there is nothing to discard.
/// - `assume_storage_prezeroed`: the kernel's background zeroing of the inode tables, the default,
///   punches holes as well (measured: 160 MiB of 10 GiB lost their reservation, and a full host disk
///   would then be an I/O error in the volume), and on EBS it writes 16 MiB per GiB while the first
///   task starts. The storage *is* zero: an image that we made, or a new EBS volume. Should a used
///   device ever get past the probe, stale tables are not read: unused inodes are known from the
///   group descriptors, and everything carries a checksum seeded by the new UUID.
/// - `-b 4096`: mke2fs takes 1 KiB for a small volume, which stays slow after it has grown.
/// - `-m 0`: blocks reserved for root are lost to a volume.
/// - `-e remount-ro`: the default carries on after an error, over the only copy of the data.
fn ext4_args(mut user: options::Parsed, label: &str, uuid: &Uuid, zeroed: &str) -> Vec<OsString> {
    // mke2fs takes the last -E only: one list, ours first.
    let extended = match user.take('E') {
        Some(theirs) => format!("nodiscard,{zeroed},{theirs}"),
        None => format!("nodiscard,{zeroed}"),
    };
    user.default('b', "4096");
    user.default('m', "0");
    user.default('e', "remount-ro");
    let label = cut(label, EXT4_LABEL).to_owned();
    let mut args = vec!["-q".into(), "-E".into(), extended, "-U".into(), uuid.to_string()];
    args.extend(["-L".into(), label]);
    args.extend(user.into_args());
    args.into_iter().map(Into::into).collect()
}

/// - `-K`: no discard, as for ext4.
/// - `-s size=4096`: the default is the device's block size, and a file system with sectors of 512
///   bytes cannot be mounted from an image that was moved to a disk with 4 KiB sectors. O_DIRECT
///   still works in 512 bytes where the device has them.
/// - Lazy counters are on by default; the log (64 MiB and up) is zeroed by one fallocate.
fn xfs_args(mut user: options::Parsed, label: &str, uuid: &Uuid) -> Vec<OsString> {
    user.default('s', "size=4096");
    let mut args = vec!["-q".into(), "-K".into(), "-m".into(), format!("uuid={uuid}")];
    let label = cut(label, XFS_LABEL);
    if !label.is_empty() {
        args.extend(["-L".into(), label.to_owned()]);
    }
    args.extend(user.into_args());
    args.into_iter().map(Into::into).collect()
}

/// What keeps the inode tables as they are. mke2fs knows `assume_storage_prezeroed` since 1.47; an
/// older one writes them now rather than let the kernel punch holes later.
async fn prezeroed_option() -> &'static str {
    /// Asked once: each time is 2 to 4 ms.
    static KNOWN: OnceCell<bool> = OnceCell::const_new();
    let ask = || async {
        // `mke2fs -V` writes to stderr: "mke2fs 1.47.0 (5-Feb-2023)".
        let output = MKE2FS.run_any(["-V"], VERSION_LIMIT).await.map_err(|_| ())?;
        Ok::<_, ()>(e2fsprogs_version(&output.stderr).is_some_and(|version| version >= (1, 47)))
    };
    match KNOWN.get_or_try_init(ask).await {
        Ok(true) => "assume_storage_prezeroed=1",
        // No answer is not remembered, and taken for an old one.
        Ok(false) | Err(()) => "lazy_itable_init=0",
    }
}

fn e2fsprogs_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(1)?.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The longest prefix of whole characters that fits.
fn cut(label: &str, limit: usize) -> &str {
    let fits = |end: &usize| *end <= limit && label.is_char_boundary(*end);
    &label[..(0..=label.len()).rev().find(fits).unwrap_or(0)]
}

#[cfg(test)]
mod tests;
