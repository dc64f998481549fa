//! How full a file system is.

use std::{io, path::Path};

use super::errno;
use crate::spec::Bytes;

/// What statvfs(3) says, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The size for data: without the file system's own tables.
    pub total: Bytes,
    /// Taken by data.
    pub used: Bytes,
    /// What an unprivileged writer can still take: without blocks that are reserved for root.
    pub available: Bytes,
}

/// The usage of the file system that `path` lies on.
///
/// # Errors
/// When the file system does not answer.
pub fn of(path: &Path) -> io::Result<Usage> {
    let stat = rustix::fs::statvfs(path).map_err(errno::on("statvfs", path))?;
    let bytes = |blocks: u64| Bytes::new(blocks.saturating_mul(stat.f_frsize));
    Ok(Usage {
        total: bytes(stat.f_blocks),
        used: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
        available: bytes(stat.f_bavail),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_adds_up() {
        let usage = of(Path::new("/tmp")).unwrap();

        assert!(usage.total > Bytes::ZERO);
        assert!(usage.used.saturating_add(usage.available) <= usage.total);
        assert!(of(Path::new("/no/such")).unwrap_err().to_string().contains("/no/such"));
    }
}
