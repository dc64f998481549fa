//! What a tree uses, measured at a pace.
//!
//! Memory grows with the depth of the tree and with the number of files that have several names,
//! which are remembered to be counted once.

use std::{
    collections::HashSet,
    ffi::OsString,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    fs::{AtFlags, FileType, statat},
    io::Errno,
};

use super::{
    Worker,
    cause::of_errno,
    reading::{Names, START, buffer},
    root::{Root, file_type, open_dir},
};
use crate::backend::nfs::{
    path::split,
    tree::{Cause, Kind, Pace, Usage},
};

/// Names of one step: with a pace of a hundred calls a second a step is under a second.
const BATCH: u32 = 64;
/// What st_blocks counts.
const BLOCK: u64 = 512;

/// A directory on the stack: where reading goes on, and what was found and not yet begun.
struct Directory {
    path: PathBuf,
    place: Option<u64>,
    below: Vec<OsString>,
}

/// What one step found.
#[derive(Default)]
struct Step {
    bytes: u64,
    /// Files with one name.
    files: u64,
    /// Files with several: device is one, so their inodes; and their bytes.
    linked: Vec<(u64, u64)>,
    below: Vec<OsString>,
    /// Where to go on; `None` at the end.
    place: Option<u64>,
    calls: u32,
}

pub(super) async fn measure(worker: &Worker, path: &str, pace: Pace) -> Result<Usage, Cause> {
    let top = path.to_owned();
    let (kind, bytes) = worker.run(move |root| of_one(root, &top)).await?;
    let mut usage = Usage { bytes, files: 0, directories: 0 };
    if kind != Kind::Directory {
        return Ok(Usage { files: 1, ..usage });
    }
    let mut seen = HashSet::new();
    let mut stack = vec![Directory::new(path.into())];
    while let Some(directory) = stack.last_mut() {
        if let Some(name) = directory.below.pop() {
            let below = directory.path.join(name);
            stack.push(Directory::new(below));
            continue;
        }
        let Some(place) = directory.place else {
            usage.directories += 1;
            stack.pop();
            continue;
        };
        let start = Instant::now();
        let path = directory.path.clone();
        let Some(step) = worker.run(move |root| one_step(root, &path, place)).await? else {
            stack.pop();
            continue;
        };
        usage.bytes += step.bytes;
        usage.files += step.files;
        for (inode, bytes) in step.linked {
            if seen.insert(inode) {
                usage.bytes += bytes;
                usage.files += 1;
            }
        }
        directory.place = step.place;
        directory.below = step.below;
        let due = Duration::from_secs(step.calls.into()) / pace.calls_per_second.get();
        tokio::time::sleep(due.saturating_sub(start.elapsed())).await;
    }
    Ok(usage)
}

/// What the path itself is, and what it uses.
fn of_one(root: &Root, path: &str) -> Result<(Kind, u64), Cause> {
    let stat = if path.is_empty() {
        statat(root.descend(Path::new(""))?, "", AtFlags::EMPTY_PATH)
    } else {
        let (parent, name) = (root.parent(path)?.0, split(path)?.1);
        statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
    };
    let stat = stat.map_err(of_errno)?;
    let is_directory = file_type(&stat) == FileType::Directory;
    Ok((if is_directory { Kind::Directory } else { Kind::Other }, used(stat.st_blocks)))
}

/// `None` where the directory has vanished, or lies on another file system.
fn one_step(root: &Root, path: &Path, place: u64) -> Result<Option<Step>, Cause> {
    let opened = match root.descend(path) {
        Err(Cause::NotFound | Cause::NotADirectory(_)) => return Ok(None),
        opened => open_dir(&opened?)?,
    };
    let device = root.device()?;
    let mut step = Step { calls: 1, ..Step::default() };
    let mut buffer = buffer();
    let mut names = Names::from(&opened, place, &mut buffer)?;
    while let Some(found) = names.next()? {
        step.calls += 1;
        match statat(&opened, &found.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(of_errno(errno)),
            Ok(stat) if stat.st_dev != device => {}
            Ok(stat) if file_type(&stat) == FileType::Directory => {
                step.bytes += used(stat.st_blocks);
                step.below.push(found.name);
            }
            Ok(stat) if stat.st_nlink > 1 => step.linked.push((stat.st_ino, used(stat.st_blocks))),
            Ok(stat) => {
                step.bytes += used(stat.st_blocks);
                step.files += 1;
            }
        }
        if step.calls > BATCH {
            step.place = Some(found.next);
            break;
        }
    }
    Ok(Some(step))
}

fn used(blocks: i64) -> u64 {
    u64::try_from(blocks).unwrap_or(0).saturating_mul(BLOCK)
}

impl Directory {
    fn new(path: PathBuf) -> Self {
        Self { path, place: Some(START), below: Vec::new() }
    }
}
