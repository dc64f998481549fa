//! A directory below another, opened without following anything that leads out of it.
//!
//! What lies on a volume was written by tasks, or came with a snapshot: a link there may name the
//! host's root. `openat2` would do it in one call, and is not there before Linux 5.6.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, fstat, open, openat},
    io::Errno,
};

use super::errno;

/// A directory that is held open, so that its path cannot come to mean another one.
#[derive(Debug)]
pub struct Beneath {
    directory: File,
}

const FLAGS: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Beneath {
    /// Opens `below` of `top`, which must be a directory on the same file system, by no link.
    ///
    /// # Errors
    /// `ENOENT` or `ENOTDIR` where it is not such a directory, `EXDEV` where a mount lies in
    /// between, `EINVAL` where `below` leads out of `top`.
    pub fn open(top: &Path, below: &Path) -> io::Result<Self> {
        let open = || {
            let directory = File::from(open(top, FLAGS, Mode::empty())?);
            Self { directory }.walk(below)
        };
        open().map_err(errno::on("open", &top.join(below)))
    }

    /// Opens `below` of this directory, under the same conditions.
    ///
    /// # Errors
    /// As [`Beneath::open`].
    pub fn descend(&self, below: &Path) -> io::Result<Self> {
        self.walk(below).map_err(errno::on("open", below))
    }

    fn walk(&self, below: &Path) -> Result<Self, Errno> {
        let device = fstat(&self.directory)?.st_dev;
        let mut directory = rustix::io::fcntl_dupfd_cloexec(&self.directory, 0)?;
        for component in below.components() {
            let name = match component {
                Component::Normal(name) => name,
                Component::CurDir => continue,
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(Errno::INVAL);
                }
            };
            directory = openat(directory.as_fd(), name, FLAGS, Mode::empty())?;
            if fstat(&directory)?.st_dev != device {
                return Err(Errno::XDEV);
            }
        }
        Ok(Self { directory: File::from(directory) })
    }

    /// A path that means this directory for as long as it is held.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.directory.as_raw_fd()))
    }
}

impl AsFd for Beneath {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn only_what_really_lies_below_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        fs::create_dir_all(top.join("data/deep")).unwrap();
        fs::File::create(top.join("file")).unwrap();
        fs::create_dir(dir.path().join("secret")).unwrap();
        symlink("../secret", top.join("out")).unwrap();
        symlink("/", top.join("root")).unwrap();
        symlink("data", top.join("inside")).unwrap();
        symlink("/", top.join("data/root")).unwrap();

        for good in ["data", "data/deep", "", ".", "./data"] {
            let opened = Beneath::open(&top, Path::new(good)).unwrap();
            assert_eq!(
                fs::canonicalize(opened.path()).unwrap(),
                top.join(good).canonicalize().unwrap()
            );
        }
        for bad in [
            "out",
            "root",
            "inside",
            "data/root",
            "data/root/etc",
            "..",
            "../secret",
            "/",
            "/etc",
            "file",
            "none",
        ] {
            assert!(Beneath::open(&top, Path::new(bad)).is_err(), "{bad}");
        }
        assert!(Beneath::open(Path::new("/"), Path::new("proc")).is_err(), "another file system");
    }
}
