//! Names that are there after a crash, and locks that are gone with their owner.

use std::{fs::File, io, path::Path};

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
