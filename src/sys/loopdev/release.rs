//! How a loop device is given up, or kept after all.
//!
//! LOOP_CLR_FD on a device that somebody has open only marks it (autoclear): it unbinds at the last
//! close, whenever that is. Nothing here leaves it so.

use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt, time::Instant};

use rustix::{fs::OFlags, io::Errno};

use super::{
    ImageId, LoopDevice, UNBIND_LIMIT, UNBIND_PAUSE, image_of, inspect, ioctls, node::open_node,
};
use crate::sys::errno;

/// Unbinds a loop device from this image and waits, for about a second, until it really is unbound.
/// One that is not bound is success.
///
/// # Errors
/// `EBUSY` and nothing changed while it is mounted, in any namespace, or when somebody keeps it
/// open; `ESTALE` and nothing changed if it is bound to another image.
pub fn detach(device: &LoopDevice, backing: ImageId) -> io::Result<()> {
    match bound_to(device)? {
        None => return Ok(()),
        Some(bound) if bound == backing => {}
        Some(_) => return Err(errno::on("detach", &device.path)(Errno::STALE)),
    }
    if !clear(device, backing)? {
        return Ok(());
    }
    let deadline = Instant::now() + UNBIND_LIMIT;
    while bound_to(device)? == Some(backing) {
        if Instant::now() < deadline {
            std::thread::sleep(UNBIND_PAUSE);
        // Left marked it would go some time, perhaps between the next attach and its mount, and its
        // number to another image.
        } else if keep(device, backing)? {
            return Err(errno::on("detach", &device.path)(Errno::BUSY));
        }
    }
    Ok(())
}

/// Marks it to be unbound at the last close; `false` if it is not bound any more.
pub(super) fn clear(device: &LoopDevice, backing: ImageId) -> io::Result<bool> {
    let failed = || errno::on("detach", &device.path);
    // With O_EXCL: LOOP_CLR_FD on a mounted device reports success and only marks it. As long as it
    // is open here it cannot be bound to anything else: what it is bound to is asked, then cleared.
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OFlags::EXCL.bits().cast_signed());
    let node = open_node(device, &options)?;
    match ioctls::status(&node).map(|status| image_of(&status)) {
        Ok(bound) if bound == backing => {}
        Ok(_) => return Err(failed()(Errno::STALE)),
        Err(Errno::NXIO) => return Ok(false),
        Err(error) => return Err(failed()(error)),
    }
    match ioctls::clear(&node) {
        Ok(()) => Ok(true),
        Err(Errno::NXIO) => Ok(false),
        Err(error) => Err(failed()(error)),
    }
}

/// Takes the mark back that lets a device unbind itself at the last close; `false` if it has gone.
pub(super) fn keep(device: &LoopDevice, backing: ImageId) -> io::Result<bool> {
    let gone = |error: &io::Error| matches!(errno::of(error), Some(Errno::NXIO | Errno::NOENT));
    let node = match open_node(device, OpenOptions::new().read(true).write(true)) {
        Ok(node) => node,
        Err(error) if gone(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    let kept = ioctls::status(&node).and_then(|status| {
        if image_of(&status) != backing {
            return Ok(false);
        }
        ioctls::set_flags(&node, status, status.lo_flags & !ioctls::LO_FLAGS_AUTOCLEAR)?;
        Ok(ioctls::status(&node)?.lo_flags & ioctls::LO_FLAGS_AUTOCLEAR == 0)
    });
    match kept {
        Ok(kept) => Ok(kept),
        Err(Errno::NXIO) => Ok(false),
        Err(error) => Err(errno::on("keep", &device.path)(error)),
    }
}

/// What a device is bound to at this moment.
fn bound_to(device: &LoopDevice) -> io::Result<Option<ImageId>> {
    Ok(inspect(device.number)?.map(|info| info.backing))
}
