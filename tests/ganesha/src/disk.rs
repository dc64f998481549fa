//! What the exported directory lies on.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use crate::process;

/// What the exported directory lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filesystem {
    /// A new ext4 of so many MiB, mounted on it: Ganesha needs a file system with handles, which the
    /// overlay of a container is not.
    Ext4(u64),
    /// What it lies on already.
    AsItIs,
}

impl Default for Filesystem {
    fn default() -> Self {
        Self::Ext4(256)
    }
}

/// A file system that is mounted as long as this lives.
#[derive(Debug)]
pub(crate) struct Disk {
    mountpoint: PathBuf,
}

impl Disk {
    /// A small tmpfs on a new directory.
    #[track_caller]
    pub(crate) fn mount_tmpfs(mountpoint: PathBuf) -> Self {
        if let Err(error) = fs::create_dir_all(&mountpoint) {
            panic!("{} cannot be made: {error}", mountpoint.display());
        }
        let target = mountpoint.display().to_string();
        process::run("mount", "mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs", &target]);
        Self { mountpoint }
    }

    /// A new ext4, in an image.
    #[track_caller]
    pub(crate) fn mount_ext4(mebibytes: u64, private: &Path, mountpoint: &Path) -> Self {
        let image = private.join("disk.img");
        let made = File::create(&image).and_then(|file| file.set_len(mebibytes << 20));
        if let Err(error) = made {
            panic!("the image of the exported file system cannot be made: {error}");
        }
        let image = image.display().to_string();
        process::run("mkfs.ext4", "e2fsprogs", &["-q", "-m", "0", &image]);
        let target = mountpoint.display().to_string();
        process::run("mount", "mount", &["-o", "loop", &image, &target]);
        // In its place the export would differ from an empty directory.
        let _ = fs::remove_dir(mountpoint.join("lost+found"));
        Self { mountpoint: mountpoint.to_owned() }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let target = self.mountpoint.display().to_string();
        // The server was killed a moment ago: its files close in their own time.
        for _ in 0..50 {
            if process::succeeds("umount", &[&target]) {
                return;
            }
            sleep(Duration::from_millis(100));
        }
        eprintln!("ganesha: {target} cannot be unmounted: something still uses it");
    }
}
