//! Whether this kernel has an NFS client.

use std::{fs, time::Duration};

use crate::sys::process::Tool;

const MODPROBE: Tool = Tool::new("modprobe");
/// A module loads in milliseconds.
const LIMIT: Duration = Duration::from_secs(10);

/// What the kernel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// It is there.
    Present,
    /// Its module is installed; the first mount loads it.
    Loadable,
    /// Neither; also where this container sees no modules although its host has them.
    Absent,
}

/// Looks, and changes nothing.
pub async fn look() -> Client {
    if is_present() {
        return Client::Present;
    }
    match MODPROBE.run(["--dry-run", "--quiet", "nfs"], LIMIT).await {
        Ok(_) => Client::Loadable,
        Err(_) => Client::Absent,
    }
}

/// Loads the modules if need be. Whether that worked only mount(2) knows: it loads them by itself
/// where the kernel can call the host's modprobe, also from a container that has none.
pub(super) async fn load() {
    if is_present() {
        return;
    }
    for module in ["nfs", "nfsv4"] {
        if let Err(error) = MODPROBE.run(["--quiet", module], LIMIT).await {
            tracing::debug!(module, "cannot load it: {error}");
            return;
        }
    }
}

fn is_present() -> bool {
    fs::read_to_string("/proc/filesystems").is_ok_and(|known| lists_nfs(&known))
}

/// `nfs` has all versions; without the word, `nfs4` alone is of no use.
pub(super) fn lists_nfs(filesystems: &str) -> bool {
    filesystems.lines().any(|line| line.split_whitespace().last() == Some("nfs"))
}
