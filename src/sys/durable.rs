//! Files that are there, whole, after a crash. The one function that replaces a file lives here.
//!
//! Order: write a temporary file in the same directory, fsync it, rename it over the old one, fsync
//! the directory. Without the first fsync the new name can point at an empty file after a power
//! cut; without the second the old file can come back after success was reported.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::errno;

/// Replaces `path` by a file with exactly these contents and this mode (the umask does not apply).
///
/// A reader sees the old file or the new one, never a mixture. A crash can leave a temporary file
/// named `.<name>.<pid>-<n>.tmp` behind, which nothing reads.
///
/// # Errors
/// The old file is untouched, except when only the last step (the directory's fsync) failed: then
/// either may be found after a power cut.
pub fn write_file(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let temporary = temporary_beside(path)?;
    let written = write_new(&temporary, contents, mode)
        .and_then(|()| std::fs::rename(&temporary, path).map_err(errno::on("replace", path)));
    if let Err(error) = written {
        // Best effort: the error that matters is the first one.
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    sync_dir(parent(path))
}

/// Makes the names in a directory durable: what was created, renamed or removed in it.
///
/// # Errors
/// When the directory cannot be opened or synced.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    let dir = File::open(path).map_err(errno::on("open", path))?;
    dir.sync_all().map_err(errno::on("sync", path))
}

/// Takes the exclusive flock(2) of an open file without waiting; `false` if another open file
/// description has it. It is released when the last descriptor of this description is closed.
///
/// # Errors
/// Anything other than the lock being taken.
pub fn lock_exclusive(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn write_new(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    // 0600 until it is complete: a secret is never readable by others, not even for a moment.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(errno::on("create", path))?;
    file.write_all(contents).map_err(errno::on("write", path))?;
    file.set_permissions(Permissions::from_mode(mode)).map_err(errno::on("chmod", path))?;
    file.sync_all().map_err(errno::on("sync", path))
}

fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let Some(name) = path.file_name() else {
        return Err(errno::on("replace", path)(Errno::INVAL));
    };
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    Ok(parent(path).join(temporary))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_with_the_mode_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");

        write_file(&path, b"old and longer", 0o644).unwrap();
        write_file(&path, b"new", 0o666).unwrap();

        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o666);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind_and_names_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let occupied = dir.path().join("occupied");
        std::fs::create_dir_all(occupied.join("inside")).unwrap();

        let error = write_file(&occupied, b"x", 0o600).unwrap_err();

        assert!(error.to_string().contains("occupied"), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_one_open_file_gets_the_lock() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let first = file.reopen().unwrap();
        let second = file.reopen().unwrap();

        assert!(lock_exclusive(&first).unwrap());
        assert!(!lock_exclusive(&second).unwrap());
        drop(first);
        assert!(lock_exclusive(&second).unwrap());
    }
}
