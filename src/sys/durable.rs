//! Files and names that are there after a crash, and locks that are gone with their owner.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::errno;

/// Makes the names in a directory durable: what was created, renamed or removed in it.
///
/// # Errors
/// When the directory cannot be opened or synced.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    let dir = File::open(path).map_err(errno::on("open", path))?;
    dir.sync_all().map_err(errno::on("sync", path))
}

/// Writes a file that must not be there yet, whole or not at all, with that mode from its first moment.
///
/// # Errors
/// `AlreadyExists` when it is there, which is left alone.
pub fn create(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let draft = write_draft(path, contents, mode)?;
    // A link and not a rename, which would replace what is there.
    let linked = fs::hard_link(&draft, path);
    let removed = fs::remove_file(&draft);
    linked.and(removed).and_then(|()| sync_dir(parent(path)))
}

/// Writes a file in the place of the one that is there, if any: a reader finds the one or the other.
///
/// # Errors
/// When it cannot be written; what was there is left alone.
pub fn replace(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let draft = write_draft(path, contents, mode)?;
    fs::rename(&draft, path)?;
    sync_dir(parent(path))
}

fn write_draft(path: &Path, contents: &[u8], mode: u32) -> io::Result<PathBuf> {
    let mut name = OsString::from(".");
    name.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(".draft");
    let draft = parent(path).join(name);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // One that a crash left has another's mode and contents.
        Ok(()) | Err(_) => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(mode).open(&draft)?;
    file.write_all(contents)?;
    file.sync_all()?;
    Ok(draft)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_created_with_its_mode_and_never_over_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");

        create(&path, b"one", 0o600).unwrap();
        let error = create(&path, b"two", 0o600).unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        replace(&path, b"three", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a draft is left");
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
