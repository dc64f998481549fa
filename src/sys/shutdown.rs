//! Ending a mounted file system without its device: for a node whose volume is another node's now.

use std::{fs::File, io, path::Path};

use rustix::{
    io::Errno,
    ioctl::{Opcode, Setter, ioctl, opcode},
};

use super::errno;

/// `FS_IOC_SHUTDOWN` (ext4, xfs, f2fs): `_IOR('X', 125, __u32)`.
const SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);
/// "No log flush": nothing more is written, not even what is in the journal's buffers.
const NO_LOG_FLUSH: u32 = 2;

/// Ends the file system that is mounted there: nothing that was not yet written will be, and who uses
/// it gets I/O errors. One that has ended already is left as it is.
///
/// # Errors
///
/// What the kernel says.
pub fn shut_down(mount_point: &Path) -> io::Result<()> {
    // A file system that was shut down cannot even be opened.
    let over = |error: &io::Error| {
        let over = [Errno::IO, Errno::SHUTDOWN].map(|errno| Some(errno.raw_os_error()));
        over.contains(&error.raw_os_error())
    };
    let root = match File::open(mount_point) {
        Err(error) if over(&error) => return Ok(()),
        opened => opened.map_err(errno::on("open", mount_point))?,
    };
    #[expect(unsafe_code, reason = "ioctl")]
    // SAFETY: FS_IOC_SHUTDOWN reads one u32.
    let ended = unsafe { ioctl(&root, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH)) };
    match ended.map_err(io::Error::from) {
        Err(error) if over(&error) => Ok(()),
        ended => ended.map_err(errno::on("shut down", mount_point)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::{spec::FsType, sys::testing};

    #[tokio::test]
    async fn what_is_written_after_a_shutdown_fails_and_a_second_one_changes_nothing() {
        let world = testing::World::alone();
        for fs in FsType::ALL {
            let disk = world.formatted(fs, 320).await;
            let mounted = world.mount(&disk, fs, &[]);
            let mut file = File::create(mounted.path().join("file")).unwrap();

            shut_down(mounted.path()).unwrap();

            let written = file.write_all(b"late").and_then(|()| file.sync_all());
            let error = written.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()), "{fs}: {error}");
            shut_down(mounted.path()).unwrap();
        }
    }
}
