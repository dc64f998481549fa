//! What an instance sees of its volumes, in a directory that stands for its `/`.
//!
//! ```text
//! Nitro  dev/nvme1n1  dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0…  ->  ../../nvme1n1
//!        sys/block/nvme1n1/{dev,size}  sys/block/nvme1n1/device/{serial,model}
//! Xen    dev/xvdba  sys/block/xvdba/{dev,size}
//! ```
//! A number that came free goes to the next volume, as with the real ones: whoever keeps a name
//! from before finds another volume there.

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::symlink,
    path::Path,
};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::loops;
use crate::{
    config::InstanceKind,
    state::{BindOrder, Shown},
};

const MODEL: &str = "Amazon Elastic Block Store";
const SECTOR: u64 = 512;
const MAX_DEVICES: u32 = 1000;

/// An instance's empty directory.
pub(super) fn make(play: &Path) -> io::Result<()> {
    fs::create_dir_all(play.join("dev/disk/by-id"))?;
    fs::create_dir_all(play.join("sys/block"))
}

/// Lets a volume appear.
pub(super) fn appear(play: &Path, order: &BindOrder, loop_device: &Path) -> io::Result<Shown> {
    let (name, link) = match order.kind {
        InstanceKind::Xen => (take_name(play, xen_name(&order.device))?, None),
        InstanceKind::Nitro => (take_number(play)?, Some(link_name(&order.volume))),
    };
    let shown = Shown { loop_device: loop_device.to_owned(), play: play.to_owned(), name, link };
    // In the order of a kernel with udev behind it: sysfs, the node, the link.
    match fill(&shown, order) {
        Ok(()) => Ok(shown),
        Err(error) => {
            let _ = disappear(&shown);
            Err(error)
        }
    }
}

fn fill(shown: &Shown, order: &BindOrder) -> io::Result<()> {
    let (major, minor) = loops::numbers(&shown.loop_device)?;
    let sys = shown.play.join("sys/block").join(&shown.name);
    put(&sys.join("dev"), &format!("{major}:{minor}\n"))?;
    resized(shown)?;
    if order.kind == InstanceKind::Nitro {
        fs::create_dir(sys.join("device"))?;
        // NVMe pads with spaces: 20 bytes of serial number, 40 of model.
        put(&sys.join("device/serial"), &format!("{:<20}\n", order.serial()))?;
        put(&sys.join("device/model"), &format!("{MODEL:<40}\n"))?;
    }
    let node = shown.play.join("dev").join(&shown.name);
    mknodat(CWD, &node, FileType::BlockDevice, Mode::from_raw_mode(0o660), makedev(major, minor))?;
    if let Some(link) = &shown.link {
        let target = order.wrong_serial.then(|| another(shown)).flatten();
        let target = target.unwrap_or_else(|| shown.name.clone());
        let link = shown.play.join("dev/disk/by-id").join(link);
        let _ = fs::remove_file(&link);
        symlink(Path::new("../..").join(target), link)?;
    }
    Ok(())
}

/// Another volume's device, if there is one.
fn another(shown: &Shown) -> Option<String> {
    let mut names: Vec<String> = fs::read_dir(shown.play.join("sys/block"))
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| *name != shown.name)
        .collect();
    names.sort();
    names.into_iter().next()
}

/// Takes away what [`appear`] has made, in the opposite order.
pub(super) fn disappear(shown: &Shown) -> io::Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    if let Some(link) = &shown.link {
        gone(fs::remove_file(shown.play.join("dev/disk/by-id").join(link)))?;
    }
    gone(fs::remove_file(shown.play.join("dev").join(&shown.name)))?;
    gone(fs::remove_dir_all(shown.play.join("sys/block").join(&shown.name)))
}

/// Writes the device's size as it is now.
pub(super) fn resized(shown: &Shown) -> io::Result<()> {
    let bytes = File::open(&shown.loop_device)?.seek(SeekFrom::End(0))?;
    let size = shown.play.join("sys/block").join(&shown.name).join("size");
    put(&size, &format!("{}\n", bytes / SECTOR))
}

/// The lowest number that is free. Number 0 is the root volume's.
fn take_number(play: &Path) -> io::Result<String> {
    for number in 1..MAX_DEVICES {
        match take_name(play, format!("nvme{number}n1")) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result,
        }
    }
    Err(io::Error::other("no free nvme number"))
}

/// Making the directory is what takes a name: of two, one fails.
fn take_name(play: &Path, name: String) -> io::Result<String> {
    fs::create_dir(play.join("sys/block").join(&name))?;
    Ok(name)
}

/// The Xen block driver calls `/dev/sdf` `xvdf`.
fn xen_name(device: &str) -> String {
    let name = device.trim_start_matches("/dev/");
    name.strip_prefix("sd").map_or_else(|| name.to_owned(), |rest| format!("xvd{rest}"))
}

fn link_name(volume: &str) -> String {
    format!("nvme-{}_{}", MODEL.replace(' ', "_"), volume.replace('-', ""))
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    File::create(path)?.write_all(text.as_bytes())
}
