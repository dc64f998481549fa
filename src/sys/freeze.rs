//! Holding a mounted file system still for a moment, so that a snapshot of the device beneath it is
//! as after a clean unmount.

use std::{fs::File, io, path::Path};

use rustix::{
    io::Errno,
    ioctl::{IntegerSetter, Opcode, ioctl, opcode},
};

use super::errno;

const FIFREEZE: Opcode = opcode::read_write::<i32>(b'X', 119);
const FITHAW: Opcode = opcode::read_write::<i32>(b'X', 120);

/// Writes everything out that was written until now.
///
/// # Errors
///
/// What the kernel says.
pub fn sync(mount_point: &Path) -> io::Result<()> {
    let root = File::open(mount_point).map_err(errno::on("open", mount_point))?;
    rustix::fs::syncfs(&root).map_err(errno::on("sync", mount_point))
}

/// Writes everything out, and holds all writers until [`thaw`]. Takes as long as the writing does.
///
/// # Errors
///
/// `EBUSY` where it is frozen already.
pub fn freeze(mount_point: &Path) -> io::Result<()> {
    control::<FIFREEZE>(mount_point).map_err(errno::on("freeze", mount_point))
}

/// Lets the writers go on. One that is not frozen is left as it is.
///
/// # Errors
///
/// What the kernel says.
pub fn thaw(mount_point: &Path) -> io::Result<()> {
    match control::<FITHAW>(mount_point) {
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
        other => other.map_err(errno::on("thaw", mount_point)),
    }
}

fn control<const OPCODE: Opcode>(mount_point: &Path) -> io::Result<()> {
    let root = File::open(mount_point)?;
    #[expect(unsafe_code, reason = "ioctl")]
    // SAFETY: FIFREEZE and FITHAW ignore their argument.
    unsafe { ioctl(&root, IntegerSetter::<OPCODE>::new_usize(0)) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;
    use crate::{spec::FsType, sys::testing};

    #[tokio::test]
    async fn a_frozen_file_system_holds_its_writers_until_it_is_thawed() {
        let world = testing::World::alone();
        for fs in FsType::ALL {
            let disk = world.formatted(fs, 320).await;
            let mounted = world.mount(&disk, fs, &[]);
            let file = mounted.path().join("written");

            freeze(mounted.path()).unwrap();
            assert!(freeze(mounted.path()).is_err(), "{fs}: it is frozen once");
            let (done, written) = mpsc::channel();
            let writer = thread::spawn(move || done.send(std::fs::File::create(file).is_ok()));
            let early = written.recv_timeout(Duration::from_millis(300));
            assert!(early.is_err(), "{fs}: the writer went on");
            thaw(mounted.path()).unwrap();

            assert!(written.recv_timeout(Duration::from_secs(10)).unwrap(), "{fs}");
            writer.join().unwrap().unwrap();
            thaw(mounted.path()).unwrap();
        }
    }
}
