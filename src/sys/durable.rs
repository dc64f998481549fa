//! Names that are there after a crash, and locks that are gone with their owner.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
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

/// Replaces a small file that root alone may read. It is durable when this returns; after a crash there
/// is the old one or the new one.
///
/// # Errors
/// When it cannot be written: the old one is there then.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(errno::on("remove", &draft)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(errno::on("make", &draft))?;
    file.write_all(bytes).map_err(errno::on("write", &draft))?;
    file.sync_all().map_err(errno::on("sync", &draft))?;
    fs::rename(&draft, path).map_err(errno::on("replace", path))?;
    sync_dir(path.parent().unwrap_or(Path::new("/")))
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
    use super::*;

    #[test]
    fn a_private_file_is_replaced_and_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write_private(&path, b"first").unwrap();
        // What a crash has left is in nobody's way.
        File::create(dir.path().join("secret.new")).unwrap();
        write_private(&path, b"second").unwrap();

        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
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
