//! Loop devices: an image file as a block device.
//!
//! An image is known by its (`st_dev`, `st_ino`), never by its path: the kernel remembers the path
//! of the attach only, and images are renamed and bound elsewhere. [`attach`] refuses an image that
//! already has a loop device, since two of them would let one file system be mounted twice; between
//! that look and the attach only the caller's lock on the image protects it.

mod ioctls;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    fs::{FileType, Mode, OFlags, fcntl_getfl, major, makedev, minor, mknodat},
    io::Errno,
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

/// A loop device that is bound to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopInfo {
    /// The device.
    pub device: LoopDevice,
    /// The image's `st_dev` and `st_ino`.
    pub backing: (u64, u64),
    /// Whether it bypasses the page cache of the file system that the image lies on.
    pub direct_io: bool,
    /// The device's size: that of the image at the time of the attach or the last refresh.
    pub size: Bytes,
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

/// The loop device that is bound to an image, if there is one.
///
/// # Errors
/// As for [`list`]: when one cannot be read, it is not known that there is none.
pub fn find(image: &File) -> io::Result<Option<LoopInfo>> {
    let meta = image.metadata()?;
    Ok(list()?.into_iter().find(|info| info.backing == (meta.dev(), meta.ino())))
}

/// Binds a free loop device to an image: read-write, with direct I/O where the storage can do it
/// (else `direct_io` is false in the result, and the caller warns), until it is detached. `path` is
/// what people see in `losetup`.
///
/// # Errors
/// `EEXIST` if the image already has a loop device; `EBADF` if it is not open for writing.
pub fn attach(image: &File, path: &Path) -> io::Result<LoopInfo> {
    attach_free(image, path, Discards::AsTheyAre)
}

/// [`attach`], to a device that takes discards: the kernel keeps what [`forbid_discard`] set from
/// one image to the next, and cannot be told to forget it (6.18: `EINVAL`), so that such a device
/// is replaced by a new one.
///
/// # Errors
/// As for [`attach`].
pub fn attach_with_discards(image: &File, path: &Path) -> io::Result<LoopInfo> {
    attach_free(image, path, Discards::Wanted)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Discards {
    Wanted,
    AsTheyAre,
}

fn attach_free(image: &File, path: &Path, discards: Discards) -> io::Result<LoopInfo> {
    let flags = fcntl_getfl(image).map_err(errno::on("attach", path))?;
    if !flags.contains(OFlags::RDWR) {
        return Err(errno::on("attach", path)(Errno::BADF));
    }
    if let Some(info) = find(image)? {
        return Err(errno::on("attach a second loop device beside", &info.device.path)(
            Errno::EXIST,
        ));
    }
    let control = open(Path::new(CONTROL))?;
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

/// Unbinds a loop device and waits, for about a second, until it really is unbound. One that is not
/// bound is success.
///
/// # Errors
/// `EBUSY` and nothing done while it is mounted, in any namespace; `EBUSY`, too, when somebody
/// keeps it open: then it unbinds at the last close.
pub fn detach(device: &LoopDevice) -> io::Result<()> {
    let Some(before) = inspect(device.number)? else {
        return Ok(());
    };
    {
        // With O_EXCL: LOOP_CLR_FD on a mounted device reports success and only marks it.
        let node = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::EXCL.bits().cast_signed())
            .open(&device.path)
            .map_err(errno::on("claim", &device.path))?;
        match ioctls::clear(&node) {
            Ok(()) | Err(Errno::NXIO) => {}
            Err(error) => return Err(errno::on("detach", &device.path)(error)),
        }
    }
    let deadline = Instant::now() + UNBIND_LIMIT;
    loop {
        match inspect(device.number)? {
            // Bound to another image by now: ours is gone.
            Some(info) if info.backing == before.backing => {}
            Some(_) | None => return Ok(()),
        }
        if Instant::now() >= deadline {
            return Err(errno::on("detach", &device.path)(Errno::BUSY));
        }
        std::thread::sleep(UNBIND_PAUSE);
    }
}

/// Tells a loop device that its image has grown.
///
/// # Errors
/// `ENXIO` if it is not bound.
pub fn refresh_capacity(device: &LoopDevice) -> io::Result<()> {
    let node = open(&device.path)?;
    ioctls::set_capacity(&node).map_err(errno::on("refresh the capacity of", &device.path))
}

/// Makes a loop device take no discards: each would punch a hole into the image, and with it give
/// away space that was reserved.
///
/// # Errors
/// When the kernel does not let the queue be changed.
pub fn forbid_discard(device: &LoopDevice) -> io::Result<()> {
    let limit = format!("/sys/block/loop{}/queue/discard_max_bytes", device.number);
    let limit = Path::new(&limit);
    let mut file = OpenOptions::new().write(true).open(limit).map_err(errno::on("open", limit))?;
    file.write_all(b"0").map_err(errno::on("write", limit))
}

fn open_free(number: u32) -> io::Result<(LoopDevice, File)> {
    let device = device(number)?;
    let node = open(&device.path)?;
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
    let meta = image.metadata()?;
    let info = describe(device.clone(), node)?;
    let status = ioctls::status(node).map_err(errno::on("inspect", &device.path))?;
    if info.backing != (meta.dev(), meta.ino()) {
        return Err(io::Error::other(format!(
            "{} is bound to {:?}, not to the image {:?}",
            device.path.display(),
            info.backing,
            (meta.dev(), meta.ino())
        )));
    }
    if status.lo_flags & ioctls::LO_FLAGS_READ_ONLY != 0 {
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
        let node = OpenOptions::new()
            .read(true)
            .open(&device.path)
            .map_err(errno::on("open", &device.path))?;
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
    Ok(LoopInfo {
        // The kernel's encoding (huge_encode_dev) and st_dev's agree up to major 4095; taking it
        // apart and together again does not depend on that.
        backing: (makedev(major(status.lo_device), minor(status.lo_device)), status.lo_inode),
        direct_io: status.lo_flags & ioctls::LO_FLAGS_DIRECT_IO != 0,
        size,
        device,
    })
}

/// The device with this number, its node made if udev has not (a container's /dev is not devtmpfs).
fn device(number: u32) -> io::Result<LoopDevice> {
    let path = PathBuf::from(format!("/dev/loop{number}"));
    let dev = sys_dir(number).join("dev");
    let text = fs::read_to_string(&dev).map_err(errno::on("read", &dev))?;
    let numbers = text
        .trim()
        .split_once(':')
        .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    let Some((major, minor)) = numbers else {
        return Err(errno::on("parse", &dev)(Errno::INVAL));
    };
    ensure_node(&path, makedev(major, minor))?;
    Ok(LoopDevice { path, number, device: (major, minor) })
}

fn ensure_node(path: &Path, dev: u64) -> io::Result<()> {
    let mode = Mode::from_raw_mode(0o660);
    match mknodat(rustix::fs::CWD, path, FileType::BlockDevice, mode, dev) {
        Ok(()) => return Ok(()),
        Err(Errno::EXIST) => {}
        // Not allowed to make it: it may be there all the same.
        Err(error) if !path.exists() => return Err(errno::on("create", path)(error)),
        Err(_) => {}
    }
    let meta = path.metadata().map_err(errno::on("stat", path))?;
    if meta.file_type().is_block_device() && meta.rdev() == dev {
        return Ok(());
    }
    // A left-over node of another device would be formatted in its stead.
    Err(errno::on("recognise the loop device", path)(Errno::NODEV))
}

fn sys_dir(number: u32) -> PathBuf {
    PathBuf::from(format!("/sys/block/loop{number}"))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path).map_err(errno::on("open", path))
}

#[cfg(test)]
mod tests;
