//! A machine that serves `/export/apps` by the kernel's NFS server: every version, locks included.

use super::Machine;

impl Machine {
    /// Formats the disk where it is blank, and exports a directory on it.
    #[track_caller]
    pub(crate) fn serve_nfs(&self, device: &str) {
        self.run(&["/lab/serve-nfs", device]).ok();
    }
}
