//! What is on a device.
//!
//! `Blank` is a proof, because mkfs follows it: blkid found nothing, *and* our own reads of the
//! places where signatures and their spare copies lie succeeded and are all zero. blkid alone
//! proves nothing: its exit code 2 means "nothing found" as well as "could not be read". A read
//! error is an error, never `Blank`.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{fs::OFlags, io::Errno};

use super::{
    blockdev, errno,
    process::{Output, Tool, ToolError},
};

const BLKID: Tool = Tool::new("blkid");
const BLKID_LIMIT: Duration = Duration::from_secs(30);

/// Exit codes of `blkid -p`, see blkid(8).
const FOUND: i32 = 0;
const NOTHING: i32 = 2;
const AMBIVALENT: i32 = 8;

/// Every file system, RAID, LVM and LUKS keeps its first signature in the first 2 MiB, or its last
/// one (md 0.90 and 1.0, ZFS, GPT's copy) in the last MiB.
const HEAD: u64 = 2 << 20;
const TAIL: u64 = 1 << 20;

/// Where spare superblocks lie when the head was wiped: ext4 with blocks of 1, 2 and 4 KiB, btrfs.
const WITNESSES: [u64; 4] = [8 << 20, 32 << 20, 64 << 20, 128 << 20];
const BLOCK: usize = 4096;
const CHUNK: usize = 256 << 10;

/// What a device holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing: proven.
    Blank,
    /// A file system.
    FileSystem {
        /// As blkid names it: `ext4`, `xfs`, …
        fs: String,
        /// Its UUID.
        uuid: Option<String>,
        /// Its label, for people: blkid shows what is not ASCII in caret notation.
        label: Option<String>,
    },
    /// Anything else, which is somebody's data.
    Other {
        /// In words, for the operator.
        what: String,
    },
}

/// It is not known what the device holds.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// blkid gave no answer.
    #[error("probe {}", .device.display())]
    Blkid {
        /// The device.
        device: PathBuf,
        /// Why.
        source: ToolError,
    },
    /// The device cannot be read, or only in part.
    #[error("probe {}: cannot be read at offset {offset}, so it is not known to be blank", .device.display())]
    Unreadable {
        /// The device.
        device: PathBuf,
        /// Where.
        offset: u64,
        /// Why.
        source: io::Error,
    },
}

/// Finds out what a device holds. Reads only.
///
/// # Errors
/// See [`ProbeError`]: whenever it is not certain.
pub async fn probe(device: &Path) -> Result<Content, ProbeError> {
    let args = ["-p", "-o", "export"].map(AsRef::as_ref);
    let output = BLKID
        .run_any(args.into_iter().chain([device.as_os_str()]), BLKID_LIMIT)
        .await
        .map_err(|source| ProbeError::Blkid { device: device.to_owned(), source })?;
    match output.code {
        FOUND => Ok(parse(&output.stdout)),
        AMBIVALENT => Ok(Content::Other { what: "signatures of more than one kind".to_owned() }),
        NOTHING if output.stdout.trim().is_empty() => verify_blank(device).await,
        _ => Err(failed(device, output)),
    }
}

fn failed(device: &Path, output: Output) -> ProbeError {
    let argv = format!("blkid -p -o export {}", device.display());
    let source = ToolError::Failed { argv, code: output.code, stderr: output.stderr };
    ProbeError::Blkid { device: device.to_owned(), source }
}

async fn verify_blank(device: &Path) -> Result<Content, ProbeError> {
    let path = device.to_owned();
    let read = tokio::task::spawn_blocking(move || first_data(&path)).await;
    let unreadable =
        |(offset, source)| ProbeError::Unreadable { device: device.to_owned(), offset, source };
    match read.map_err(|error| unreadable((0, io::Error::other(error))))?.map_err(unreadable)? {
        None => Ok(Content::Blank),
        Some(offset) => Ok(Content::Other { what: format!("unknown data (at offset {offset})") }),
    }
}

/// The offset of the first block that is not zero, of those that are looked at.
fn first_data(path: &Path) -> Result<Option<u64>, (u64, io::Error)> {
    let at = |offset| move |error| (offset, error);
    let size = blockdev::size(path).map_err(at(0))?.get();
    if size == 0 {
        // Not "blank": there is nothing that could be proven, or formatted.
        return Err((0, errno::on("read", path)(Errno::NODATA)));
    }
    // Past the page cache: blkid has just read through it, this asks the medium.
    let device = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::DIRECT.bits().cast_signed())
        .open(path)
        .map_err(errno::on("open", path))
        .map_err(at(0))?;
    let mut buffer = AlignedBuffer::new();
    for (start, end) in ranges(size) {
        let mut offset = start;
        while offset < end {
            let wanted = usize::try_from(end - offset).map_or(CHUNK, |rest| rest.min(CHUNK));
            let read = read_some(&device, buffer.get(wanted), offset)
                .map_err(errno::on("read", path))
                .map_err(at(offset))?;
            if read.iter().any(|byte| *byte != 0) {
                return Ok(Some(offset));
            }
            offset += read.len() as u64;
        }
    }
    Ok(None)
}

fn read_some<'a>(device: &File, buffer: &'a mut [u8], offset: u64) -> io::Result<&'a [u8]> {
    match device.read_at(buffer, offset)? {
        // The end before the end: the device is shorter than it says.
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => Ok(&buffer[..count]),
    }
}

/// What is looked at, as `start..end` in whole blocks (the last one may be cut by the end).
fn ranges(size: u64) -> Vec<(u64, u64)> {
    let block = BLOCK as u64;
    let align = |offset: u64| offset / block * block;
    let spot = |offset: u64| (align(offset), (align(offset) + block).min(size));
    let mut ranges = vec![(0, HEAD.min(size)), (align(size.saturating_sub(TAIL)), size)];
    // xfs keeps a superblock at the start of each allocation group, of which mkfs makes four.
    let quarters = [size.div_ceil(4), size / 2, size / 4 * 3];
    ranges.extend(WITNESSES.into_iter().chain(quarters).filter(|at| *at < size).map(spot));
    ranges
}

/// O_DIRECT wants memory that is aligned to the device's blocks.
struct AlignedBuffer {
    memory: Vec<u8>,
    start: usize,
}

impl AlignedBuffer {
    fn new() -> Self {
        let memory = vec![0; CHUNK + BLOCK];
        let start = memory.as_ptr().align_offset(BLOCK);
        Self { memory, start }
    }

    /// At least `wanted` bytes, in whole blocks: the read is cut by the device's end.
    fn get(&mut self, wanted: usize) -> &mut [u8] {
        let length = wanted.next_multiple_of(BLOCK).min(CHUNK);
        &mut self.memory[self.start..self.start + length]
    }
}

/// `KEY=value` lines, the values escaped for a shell.
fn parse(export: &str) -> Content {
    let value = |key: &str| {
        let line = export.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(unescape(line))
    };
    match (value("TYPE"), value("USAGE").as_deref()) {
        (Some(fs), Some("filesystem")) => {
            Content::FileSystem { fs, uuid: value("UUID"), label: value("LABEL") }
        }
        (Some(what), _) => Content::Other { what },
        (None, _) => Content::Other {
            what: value("PTTYPE").map_or_else(
                || "something that blkid does not name".to_owned(),
                |kind| format!("a partition table ({kind})"),
            ),
        },
    }
}

fn unescape(value: &str) -> String {
    let mut chars = value.chars();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}

#[cfg(test)]
mod tests;
