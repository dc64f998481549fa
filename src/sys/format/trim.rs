//! Giving free space back to what lies beneath.

use std::{fs::File, io, path::Path};

use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

use crate::{spec::Bytes, sys::errno};

const FITRIM: Opcode = opcode::read_write::<Range>(b'X', 121);

/// `struct fstrim_range`.
#[repr(C)]
struct Range {
    start: u64,
    len: u64,
    minlen: u64,
}

/// Discards every free block of a mounted file system, and says how much that was. On an image
/// file this punches holes: the space is the host's again, and a preallocated image has lost its
/// reservation.
///
/// # Errors
/// `EOPNOTSUPP` if the device cannot discard.
pub fn trim(mount_point: &Path) -> io::Result<Bytes> {
    let root = File::open(mount_point).map_err(errno::on("open", mount_point))?;
    let mut range = Range { start: 0, len: u64::MAX, minlen: 0 };
    #[expect(unsafe_code, reason = "ioctl")]
    // SAFETY: FITRIM reads and writes one `fstrim_range`, which `Range` mirrors.
    unsafe { ioctl(&root, Updater::<FITRIM, Range>::new(&mut range)) }
        .map_err(errno::on("trim", mount_point))?;
    Ok(Bytes::new(range.len))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::{spec::FsType, sys::testing};

    #[tokio::test]
    async fn deleted_data_is_given_back_to_the_host() {
        let world = testing::World::alone();
        for fs in FsType::ALL {
            let disk = world.formatted(fs, 320).await;
            let mounted = world.mount(&disk, fs, &[]);
            let big = mounted.path().join("big");
            testing::run("fallocate", ["-l", "1", big.to_str().unwrap()]);
            testing::write_at(&big, 0, &vec![1; 64 << 20]).unwrap();
            let before = disk.file.metadata().unwrap().blocks();
            std::fs::remove_file(&big).unwrap();
            testing::run("sync", ["-f", mounted.path().to_str().unwrap()]);

            assert!(trim(mounted.path()).unwrap() >= Bytes::mib(64), "{fs}");

            // xfs frees what was deleted in the background.
            testing::until("the host has its space back", || {
                trim(mounted.path()).unwrap();
                disk.file.metadata().unwrap().blocks() + (60 << 11) < before
            });
        }
    }
}
