//! A machine that serves `/export/apps`; on it, the directory is `/disk/apps`.

use super::Machine;

impl Machine {
    /// Formats the disk where it is blank, and exports a directory on it by the kernel's server: every
    /// version of NFS, locks included.
    #[track_caller]
    pub(crate) fn serve_nfs(&self, device: &str) {
        self.run(&["/lab/serve-nfs.sh", device]).ok();
    }

    /// The same by NFS-Ganesha, without the lock manager that locks with NFSv3 need.
    #[track_caller]
    pub(crate) fn serve_nfs_without_locks(&self, device: &str) {
        self.run(&["/lab/serve-ganesha.sh", device]).ok();
    }
}
