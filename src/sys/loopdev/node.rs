//! The nodes of loop devices in /dev.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::PathBuf,
};

use rustix::{
    fs::{FileType, Mode, makedev, mknodat},
    io::Errno,
};

use super::{LoopDevice, sys_dir};
use crate::sys::errno;

/// The device with this number.
pub(super) fn device(number: u32) -> io::Result<LoopDevice> {
    let path = PathBuf::from(format!("/dev/loop{number}"));
    let dev = sys_dir(number).join("dev");
    let text = fs::read_to_string(&dev).map_err(errno::on("read", &dev))?;
    let numbers = text
        .trim()
        .split_once(':')
        .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    let Some(numbers) = numbers else {
        return Err(errno::on("parse", &dev)(Errno::INVAL));
    };
    Ok(LoopDevice { path, number, device: numbers })
}

/// Opens a device, its node made if udev has not (a container's /dev is not devtmpfs). What is
/// opened is this device: a left-over node of another one would be formatted in its stead.
pub(super) fn open_node(device: &LoopDevice, options: &OpenOptions) -> io::Result<File> {
    let LoopDevice { path, device: (major, minor), .. } = device;
    let dev = makedev(*major, *minor);
    let node = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mode = Mode::from_raw_mode(0o660);
            match mknodat(rustix::fs::CWD, path, FileType::BlockDevice, mode, dev) {
                // Udev may be faster.
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(errno::on("create", path)(error)),
            }
            options.open(path)
        }
        opened => opened,
    };
    let node = node.map_err(errno::on("open", path))?;
    let meta = node.metadata().map_err(errno::on("stat", path))?;
    if meta.file_type().is_block_device() && meta.rdev() == dev {
        return Ok(node);
    }
    Err(errno::on("recognise the loop device", path)(Errno::NODEV))
}
