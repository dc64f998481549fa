//! Loop devices: an image file as a block device.
//!
//! An image is known by its (`st_dev`, `st_ino`), never by its path: the kernel remembers the path
//! of the attach only, and images are renamed and bound elsewhere. A device is known by nothing but
//! what it is bound to *now*: its number goes to another image as soon as it is free. An image gets
//! one loop device, since two of them would let one file system be mounted twice; between the look
//! and the attach only the caller's lock on the image protects it.

mod ioctls;
mod node;
mod release;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    fs::{OFlags, fcntl_getfl, major, makedev, minor},
    io::Errno,
};

pub use self::release::detach;
use self::{
    node::{device, open_node},
    release::keep,
};
use super::{blockdev, errno};
use crate::spec::Bytes;

const CONTROL: &str = "/dev/loop-control";

/// Others take free devices, too; each lost race is one attempt.
const ATTACH_ATTEMPTS: u32 = 32;

/// The kernel unbinds when the last descriptor is closed: udev and others look into new devices.
const UNBIND_LIMIT: Duration = Duration::from_secs(1);
const UNBIND_PAUSE: Duration = Duration::from_millis(10);

/// Logical block size for a direct loop on storage with 4 KiB sectors.
const LARGE_BLOCK: usize = 4096;
const SMALL_BLOCK: usize = 512;

/// A loop device, bound or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoopDevice {
    /// `/dev/loopN`.
    pub path: PathBuf,
    /// N.
    pub number: u32,
    /// Major and minor number. The minor number is not always N (`max_part`).
    pub device: (u32, u32),
}

/// An image's `st_dev` and `st_ino`.
pub type ImageId = (u64, u64);

/// A loop device that is bound to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopInfo {
    /// The device.
    pub device: LoopDevice,
    /// What it is bound to.
    pub backing: ImageId,
    /// Whether it bypasses the page cache of the file system that the image lies on.
    pub direct_io: bool,
    /// The device's size: that of the image at the time of the attach or the last refresh.
    pub size: Bytes,
    /// Whether it takes no writes.
    pub read_only: bool,
    /// Where in the image it begins.
    pub offset: Bytes,
    /// How much of the image it shows at most; 0 is all.
    pub size_limit: Bytes,
    /// Whether it unbinds itself at the last close (`LO_FLAGS_AUTOCLEAR`): somebody detached it
    /// while it was open.
    pub leaving: bool,
}

/// Whether a new loop device takes discards. Each one punches a hole into the image, and with it
/// gives away space that was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discards {
    /// It takes them: the kernel keeps what [`forbid_discard`] set from one image to the next, and
    /// cannot be told to forget it (6.18: `EINVAL`), so that such a device is replaced by a new one.
    Wanted,
    /// As the device comes.
    AsTheyAre,
}

/// Why an image has no loop device that can be used.
#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    /// A call failed, or not everything could be looked at.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It has one that somebody else made in another way.
    #[error(
        "{} was attached to the image by something else, {how}: free it (`losetup -d {}`)",
        .device.display(),
        .device.display()
    )]
    Foreign {
        /// The device.
        device: PathBuf,
        /// What is wrong with it.
        how: &'static str,
    },
    /// It has more than one: which one is right is not known.
    #[error(
        "the image has more than one loop device ({0}): free all but the right one (`losetup -d`)"
    )]
    Several(String),
}

impl LoopInfo {
    /// Why it must not be taken for the image: it is not the whole of it, or not to be written.
    fn flaw(&self) -> Option<&'static str> {
        if self.read_only {
            Some("read-only")
        } else if self.offset != Bytes::ZERO {
            Some("with an offset")
        } else if self.size_limit != Bytes::ZERO {
            Some("with a size limit")
        } else {
            None
        }
    }
}

/// What an image is known by.
///
/// # Errors
/// Those of fstat(2).
pub fn identity(image: &File) -> io::Result<ImageId> {
    let meta = image.metadata()?;
    Ok((meta.dev(), meta.ino()))
}

/// All bound loop devices of the machine, ours or not.
///
/// # Errors
/// When /sys or a bound device cannot be read.
pub fn list() -> io::Result<Vec<LoopInfo>> {
    let sys = Path::new("/sys/block");
    let mut found = Vec::new();
    for entry in fs::read_dir(sys).map_err(errno::on("list", sys))? {
        let entry = entry.map_err(errno::on("list", sys))?;
        let number =
            entry.file_name().to_str().and_then(|name| name.strip_prefix("loop")?.parse().ok());
        // The directory `loop` is there exactly as long as an image is bound.
        let Some(number) = number.filter(|_| entry.path().join("loop").exists()) else {
            continue;
        };
        found.extend(inspect(number)?);
    }
    Ok(found)
}

/// Every loop device that is bound to an image, in whatever way.
///
/// # Errors
/// As for [`list`]: when one cannot be read, it is not known that there is none.
pub fn list_of(image: &File) -> io::Result<Vec<LoopInfo>> {
    let backing = identity(image)?;
    Ok(list()?.into_iter().filter(|info| info.backing == backing).collect())
}

/// The loop device that is bound to an image, if there is one. One that was detached while it was
/// open, and would go at the last close, is kept.
///
/// # Errors
/// See [`LoopError`]: one that shows anything but the whole image, to be written, is no answer, and
/// nor are two.
pub fn find(image: &File) -> Result<Option<LoopInfo>, LoopError> {
    let deadline = Instant::now() + UNBIND_LIMIT;
    loop {
        let Some(mut info) = sole(list_of(image)?)? else { return Ok(None) };
        if !info.leaving {
            return Ok(Some(info));
        }
        if keep(&info.device, info.backing)? {
            info.leaving = false;
            return Ok(Some(info));
        }
        // It is going in this moment.
        if Instant::now() >= deadline {
            return Err(errno::on("keep", &info.device.path)(Errno::BUSY).into());
        }
        std::thread::sleep(UNBIND_PAUSE);
    }
}

fn sole(mut found: Vec<LoopInfo>) -> Result<Option<LoopInfo>, LoopError> {
    if found.len() > 1 {
        let paths: Vec<_> = found.iter().map(|info| info.device.path.to_string_lossy()).collect();
        return Err(LoopError::Several(paths.join(", ")));
    }
    let Some(info) = found.pop() else { return Ok(None) };
    match info.flaw() {
        None => Ok(Some(info)),
        Some(how) => Err(LoopError::Foreign { device: info.device.path, how }),
    }
}

/// What a loop device that was found earlier is now, if it is still bound to the same image, in the
/// way that [`find`] wants it: else look again.
///
/// # Errors
/// When it cannot be read.
pub fn find_again(info: &LoopInfo) -> io::Result<Option<LoopInfo>> {
    let now = inspect(info.device.number)?;
    Ok(now.filter(|now| now.backing == info.backing && !now.leaving && now.flaw().is_none()))
}

/// The image's loop device: the one that [`find`] knows, or a free one that is bound to it,
/// read-write, with direct I/O where the storage can do it (else `direct_io` is false in the result,
/// and the caller warns), until it is detached. `path` is what people see in `losetup`.
///
/// # Errors
/// As for [`find`]; `EBADF` if the image is not open for writing.
pub fn attach(image: &File, path: &Path, discards: Discards) -> Result<LoopInfo, LoopError> {
    let flags = fcntl_getfl(image).map_err(errno::on("attach", path))?;
    if !flags.contains(OFlags::RDWR) {
        return Err(errno::on("attach", path)(Errno::BADF).into());
    }
    match find(image)? {
        Some(info) => Ok(info),
        None => Ok(attach_free(image, path, discards)?),
    }
}

fn attach_free(image: &File, path: &Path, discards: Discards) -> io::Result<LoopInfo> {
    let control = open(Path::new(CONTROL)).map_err(|error| {
        let missing = error.kind() == io::ErrorKind::NotFound;
        let advice = if missing { "; load the kernel's module: `modprobe loop`" } else { "" };
        io::Error::new(error.kind(), format!("{error}{advice}"))
    })?;
    for _ in 0..ATTACH_ATTEMPTS {
        let number = ioctls::get_free(&control)
            .map_err(errno::on("get a free device from", Path::new(CONTROL)))?;
        // Best effort: somebody may take it in this moment, and then it is busy below.
        if discards == Discards::Wanted && has_forbidden_discard(number) {
            let _ = ioctls::renew(&control, number);
        }
        let (device, node) = match open_free(number) {
            Ok(opened) => opened,
            // Renewed by somebody else in this moment.
            Err(error) if matches!(errno::of(&error), Some(Errno::NXIO | Errno::NOENT)) => continue,
            Err(error) => return Err(error),
        };
        match bind(&node, image, path) {
            Ok(()) => return complete(&device, &node, image),
            // Somebody else was faster.
            Err(Errno::BUSY) => {}
            Err(error) => return Err(errno::on("attach", path)(error)),
        }
    }
    Err(errno::on("attach", path)(Errno::BUSY))
}

/// Tells a loop device that its image has grown.
///
/// # Errors
/// `ENXIO` if it is not bound, `ESTALE` if it is bound to another image.
pub fn refresh_capacity(device: &LoopDevice, backing: ImageId) -> io::Result<()> {
    let node = open_node(device, OpenOptions::new().read(true).write(true))?;
    ioctls::status(&node)
        .and_then(|status| if image_of(&status) == backing { Ok(()) } else { Err(Errno::STALE) })
        .and_then(|()| ioctls::set_capacity(&node))
        .map_err(errno::on("refresh the capacity of", &device.path))
}

/// Makes a loop device take no discards: each would punch a hole into the image, and with it give
/// away space that was reserved.
///
/// # Errors
/// When the kernel does not let the queue be changed.
pub fn forbid_discard(device: &LoopDevice) -> io::Result<()> {
    let limit = sys_dir(device.number).join("queue/discard_max_bytes");
    // Each write freezes the queue, for 9 to 19 ms, and a device that was used before has the 0.
    if fs::read_to_string(&limit).is_ok_and(|text| text.trim() == "0") {
        return Ok(());
    }
    let mut file =
        OpenOptions::new().write(true).open(&limit).map_err(errno::on("open", &limit))?;
    file.write_all(b"0").map_err(errno::on("write", &limit))
}

fn open_free(number: u32) -> io::Result<(LoopDevice, File)> {
    let device = device(number)?;
    let node = open_node(&device, OpenOptions::new().read(true).write(true))?;
    Ok((device, node))
}

fn has_forbidden_discard(number: u32) -> bool {
    let limit = |name: &str| {
        let text = fs::read_to_string(sys_dir(number).join("queue").join(name)).unwrap_or_default();
        text.trim().parse::<u64>().unwrap_or_default()
    };
    limit("discard_max_bytes") == 0 && limit("discard_max_hw_bytes") > 0
}

fn bind(node: &File, image: &File, path: &Path) -> rustix::io::Result<()> {
    match ioctls::configure(node, image, path) {
        // Kernels before 5.8 have no LOOP_CONFIGURE, and gVisor-like ones neither. EINVAL is also
        // said of an image that cannot be bound; then the old calls say so once more.
        Err(Errno::INVAL | Errno::NOTTY) => ioctls::set_fd_and_name(node, image, path),
        result => result,
    }
}

/// What remains once the device is bound; whatever fails, the device is given back.
fn complete(device: &LoopDevice, node: &File, image: &File) -> io::Result<LoopInfo> {
    let checked = ensure_direct_io(node)
        .map_err(errno::on("configure", &device.path))
        .and_then(|()| verify(device, node, image));
    if checked.is_err() {
        // The error says what went wrong; an unused device left behind would be found by `list`.
        let _ = ioctls::clear(node);
    }
    checked
}

fn verify(device: &LoopDevice, node: &File, image: &File) -> io::Result<LoopInfo> {
    let image = identity(image)?;
    let info = describe(device.clone(), node)?;
    if info.backing != image {
        return Err(io::Error::other(format!(
            "{} is bound to {:?}, not to the image {image:?}",
            device.path.display(),
            info.backing,
        )));
    }
    if info.read_only {
        return Err(errno::on("attach read-write", &device.path)(Errno::ROFS));
    }
    Ok(info)
}

/// Direct I/O with the block size that the kernel chose (512 wherever the storage allows: programs
/// that write 512 bytes with O_DIRECT work), else with 4096, else not at all. Measured: a buffered
/// loop caches everything twice, and a flush through it is not what O_DIRECT promises.
fn ensure_direct_io(node: &File) -> rustix::io::Result<()> {
    let is_direct = || -> rustix::io::Result<bool> {
        Ok(ioctls::status(node)?.lo_flags & ioctls::LO_FLAGS_DIRECT_IO != 0)
    };
    if is_direct()? || ioctls::set_direct_io(node).is_ok() {
        return Ok(());
    }
    if ioctls::set_block_size(node, LARGE_BLOCK).is_ok() && ioctls::set_direct_io(node).is_err() {
        // No gain, then no cost either.
        return ioctls::set_block_size(node, SMALL_BLOCK);
    }
    Ok(())
}

/// The bound device with this number; `None` if it is not bound.
fn inspect(number: u32) -> io::Result<Option<LoopInfo>> {
    if !sys_dir(number).join("loop").exists() {
        return Ok(None);
    }
    let attempt = device(number).and_then(|device| {
        let node = open_node(&device, OpenOptions::new().read(true))?;
        describe(device, &node)
    });
    match attempt {
        Ok(info) => Ok(Some(info)),
        // Unbound, or removed, between the look and the open.
        Err(error) if matches!(errno::of(&error), Some(Errno::NXIO | Errno::NOENT)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn describe(device: LoopDevice, node: &File) -> io::Result<LoopInfo> {
    let status = ioctls::status(node).map_err(errno::on("inspect", &device.path))?;
    let size = blockdev::size_of(node).map_err(errno::on("get the size of", &device.path))?;
    let has = |flag| status.lo_flags & flag != 0;
    Ok(LoopInfo {
        backing: image_of(&status),
        direct_io: has(ioctls::LO_FLAGS_DIRECT_IO),
        size,
        read_only: has(ioctls::LO_FLAGS_READ_ONLY),
        offset: Bytes::new(status.lo_offset),
        size_limit: Bytes::new(status.lo_sizelimit),
        leaving: has(ioctls::LO_FLAGS_AUTOCLEAR),
        device,
    })
}

/// The kernel's encoding (`huge_encode_dev`) and `st_dev`'s agree up to major 4095; taking it apart
/// and together again does not depend on that.
fn image_of(status: &ioctls::Status) -> ImageId {
    (makedev(major(status.lo_device), minor(status.lo_device)), status.lo_inode)
}

fn sys_dir(number: u32) -> PathBuf {
    PathBuf::from(format!("/sys/block/loop{number}"))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path).map_err(errno::on("open", path))
}

#[cfg(test)]
mod tests;
