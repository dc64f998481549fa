//! Which block device of this node is a volume's: found, and proven.
//!
//! On Nitro, by the NVMe controller's serial number in sysfs, which is the volume's id (with NVMe
//! multipath it is the subsystem's, at the same relative path). No udev rule and no nvme-cli is
//! needed. A by-id link is only a hint: one that was left behind leads to another volume's device
//! (EBS CSI #1224), so that where it leads to is asked for its serial, too. On Xen, by the name
//! that it was attached as, since there is no serial: the size must agree.
//!
//! Names such as `nvme1n1` are used again and are never remembered.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::names::Name;
use crate::{spec::Bytes, sys::blockdev, volume::Device};

const SECTOR: u64 = 512;

/// A device's, major and minor.
type Number = (u32, u32);

/// This node's devices.
#[derive(Debug, Clone)]
pub(super) struct Devices {
    pub(super) dev: PathBuf,
    pub(super) sys: PathBuf,
}

/// A volume's device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) device: Device,
    pub(super) size: Bytes,
    pub(super) proof: Proof,
}

/// Why a device is believed to be the volume's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// It says so itself.
    Serial,
    /// EC2 says that the volume has this name, and the size agrees.
    Name,
}

/// A device that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum WrongDevice {
    #[error(
        "{} leads to {device}, whose serial number is {serial}: another volume's device is never used", .link.display()
    )]
    OtherSerial { link: PathBuf, device: String, serial: String },
    #[error("{} is device {node:?}, but sysfs says that it must be {sysfs:?}", .path.display())]
    OtherNumber { path: PathBuf, node: (u32, u32), sysfs: (u32, u32) },
    #[error("{} has {size}, but EC2 says that the volume has {expected}", .path.display())]
    OtherSize { path: PathBuf, size: Bytes, expected: Bytes },
    #[error("{0} all have its serial number, and which of them is the volume is not known")]
    Several(String),
    #[error("its device did not appear in {}", .0.display())]
    Missing(PathBuf),
    #[error("the kernel has it, and {} is not there: give hawser the host's /dev", .0.display())]
    NoNode(PathBuf),
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
}

impl Devices {
    /// The device with the volume's serial number. Of several none is believed.
    pub(super) fn by_serial(&self, volume: &str) -> Result<Option<Located>, WrongDevice> {
        match &self.with_serial(volume)?[..] {
            [] => Ok(None),
            [(name, number)] => self.locate(name, *number, Proof::Serial),
            several => {
                let names: Vec<_> = several.iter().map(|(name, _)| name.as_str()).collect();
                Err(WrongDevice::Several(names.join(", ")))
            }
        }
    }

    /// All devices with the volume's serial number: a guest may keep that of a detach that was forced,
    /// beside the one that it got since.
    pub(super) fn all_by_serial(&self, volume: &str) -> Result<Vec<Located>, WrongDevice> {
        let found = self.with_serial(volume)?.into_iter();
        let located = found.map(|(name, number)| self.locate(&name, number, Proof::Serial));
        located.filter_map(Result::transpose).collect()
    }

    /// The devices that are to be claimed before the volume is taken away. There are none only where the
    /// kernel has none: that a container's `/dev` lacks its node proves nothing.
    pub(super) fn own(
        &self,
        volume: &str,
        attached_as: Option<&str>,
    ) -> Result<Vec<Located>, WrongDevice> {
        let mut own = Vec::new();
        for (name, number) in self.with_serial(volume)? {
            match self.locate(&name, number, Proof::Serial)? {
                Some(located) => own.push(located),
                None if self.number(&name).is_some() => {
                    return Err(WrongDevice::NoNode(self.dev.join(name)));
                }
                // Gone since.
                None => {}
            }
        }
        if own.is_empty()
            && let Some(attached_as) = attached_as
        {
            own.extend(self.by_name(attached_as)?);
        }
        Ok(own)
    }

    /// The names and numbers of the devices with the volume's serial number.
    fn with_serial(&self, volume: &str) -> Result<Vec<(String, Number)>, WrongDevice> {
        let serial = serial_of(volume);
        let mut found = Vec::new();
        for name in self.names()? {
            // A path of a multipath device has no number: it cannot be opened.
            if self.serial(&name).is_some_and(|it| it == serial)
                && let Some(number) = self.number(&name)
            {
                found.push((name, number));
            }
        }
        Ok(found)
    }

    /// The device of a Xen instance that EC2 calls `attached_as`.
    pub(super) fn by_name(&self, attached_as: &str) -> Result<Option<Located>, WrongDevice> {
        // A node that shows serial numbers shows all of them.
        let serials = self.names()?.into_iter().filter_map(|name| self.serial(&name));
        if attached_as.is_empty() || serials.into_iter().any(|serial| serial.starts_with("vol")) {
            return Ok(None);
        }
        for name in Name::of(attached_as).in_linux() {
            if self.serial(&name).is_none()
                && let Some(number) = self.number(&name)
            {
                return self.locate(&name, number, Proof::Name);
            }
        }
        Ok(None)
    }

    /// The volume's device, or `None` where it is not there yet.
    pub(super) fn find(
        &self,
        volume: &str,
        attached_as: &str,
    ) -> Result<Option<Located>, WrongDevice> {
        if let Some(found) = self.by_serial(volume)? {
            return Ok(Some(found));
        }
        self.ask_link(volume)?;
        self.by_name(attached_as)
    }

    /// A by-id link of the volume, while no device has its serial number, is a link to another's.
    fn ask_link(&self, volume: &str) -> Result<(), WrongDevice> {
        let name = format!("nvme-Amazon_Elastic_Block_Store_{}", serial_of(volume));
        for link in [name.clone(), format!("{name}_1"), format!("{name}-ns-1")] {
            let link = self.dev.join("disk/by-id").join(link);
            let Ok(target) = link.canonicalize() else { continue };
            let device = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let serial = self.serial(&device);
            if serial.as_deref() != Some(&serial_of(volume)) {
                let serial = serial.unwrap_or_else(|| "not known".to_owned());
                return Err(WrongDevice::OtherSerial { link, device, serial });
            }
        }
        Ok(())
    }

    /// The device as it is now, with node and sysfs in agreement; `None` while there is no node.
    fn locate(
        &self,
        name: &str,
        sysfs: Number,
        proof: Proof,
    ) -> Result<Option<Located>, WrongDevice> {
        let path = self.dev.join(name);
        let node = match blockdev::device_number(&path) {
            Ok(node) => node,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(WrongDevice::Io { what: name.to_owned(), source }),
        };
        if node != sysfs {
            return Err(WrongDevice::OtherNumber { path, node, sysfs });
        }
        let Some(size) = self.read(name, "size").and_then(|size| size.parse::<u64>().ok()) else {
            // Gone since.
            return Ok(None);
        };
        let device = Device { path, number: sysfs };
        Ok(Some(Located { device, size: Bytes::new(size.saturating_mul(SECTOR)), proof }))
    }

    fn names(&self) -> Result<Vec<String>, WrongDevice> {
        let block = self.sys.join("block");
        let failed = |source| WrongDevice::Io { what: format!("list {}", block.display()), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&block).map_err(failed)? {
            if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn serial(&self, name: &str) -> Option<String> {
        self.read(name, "device/serial")
    }

    fn number(&self, name: &str) -> Option<Number> {
        let text = self.read(name, "dev")?;
        let (major, minor) = text.split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    }

    fn read(&self, name: &str, attribute: &str) -> Option<String> {
        let path: &Path = &self.sys.join("block").join(name).join(attribute);
        // NVMe pads with spaces.
        fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
    }
}

impl Located {
    /// Refuses a device whose size is not the volume's.
    pub(super) fn of_size(self, expected: Bytes) -> Result<Self, WrongDevice> {
        if self.size == expected {
            return Ok(self);
        }
        Err(WrongDevice::OtherSize { path: self.device.path, size: self.size, expected })
    }
}

/// A volume's id as NVMe shows it: there is no dash.
fn serial_of(volume: &str) -> String {
    volume.replacen('-', "", 1)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Nodes are links to devices that every Linux has: an unprivileged test cannot make any.
    struct Play(tempfile::TempDir);

    impl Play {
        fn new() -> Self {
            let play = Self(tempfile::tempdir().unwrap());
            for dir in ["dev/disk/by-id", "sys/block"] {
                fs::create_dir_all(play.0.path().join(dir)).unwrap();
            }
            play
        }

        fn devices(&self) -> Devices {
            Devices { dev: self.0.path().join("dev"), sys: self.0.path().join("sys") }
        }

        fn attribute(&self, name: &str, attribute: &str, value: &str) {
            let path = self.0.path().join("sys/block").join(name).join(attribute);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            io::Write::write_all(&mut fs::File::create(path).unwrap(), value.as_bytes()).unwrap();
        }

        fn link(&self, volume: &str, target: &str) {
            let by_id = self.0.path().join("dev/disk/by-id");
            let link = by_id.join(format!("nvme-Amazon_Elastic_Block_Store_{}", serial_of(volume)));
            fs::File::create(self.0.path().join("dev").join(target)).unwrap();
            symlink(Path::new("../..").join(target), link).unwrap();
        }
    }

    #[test]
    fn a_serial_is_read_without_its_padding_and_compared_whole() {
        let play = Play::new();
        play.attribute("nvme1n1", "device/serial", "vol0123456789abcdef0\n");
        assert_eq!(play.devices().serial("nvme1n1").unwrap(), serial_of("vol-0123456789abcdef0"));
        play.attribute("nvme1n1", "device/serial", "vol01234567         \n");
        assert_eq!(play.devices().serial("nvme1n1").unwrap(), serial_of("vol-01234567"));
        // Without a number it is a path of a multipath device.
        assert!(play.devices().by_serial("vol-01234567").unwrap().is_none());
    }

    #[test]
    fn a_device_without_a_node_is_not_taken_for_none() {
        let play = Play::new();
        play.attribute("nvme1n1", "device/serial", "vol0bbbbbbbbbbbbbbbb\n");
        play.attribute("nvme1n1", "dev", "259:1\n");
        play.attribute("nvme1n1", "size", "2097152\n");
        let error = play.devices().own("vol-0bbbbbbbbbbbbbbbb", Some("/dev/xvdaa")).unwrap_err();
        assert!(matches!(error, WrongDevice::NoNode(_)), "{error}");
        assert_eq!(play.devices().own("vol-0cccccccccccccccc", Some("/dev/xvdaa")).unwrap(), []);
    }

    /// EBS CSI #1224.
    #[test]
    fn a_stale_by_id_link_is_refused_with_the_names_of_both() {
        let play = Play::new();
        play.attribute("nvme1n1", "device/serial", "vol0bbbbbbbbbbbbbbbb\n");
        play.attribute("nvme1n1", "dev", "259:1\n");
        play.link("vol-0aaaaaaaaaaaaaaaa", "nvme1n1");

        let error = play.devices().find("vol-0aaaaaaaaaaaaaaaa", "/dev/xvdaa").unwrap_err();

        let text = error.to_string();
        assert!(
            text.contains("vol0bbbbbbbbbbbbbbbb") && text.contains("vol0aaaaaaaaaaaaaaaa"),
            "{text}"
        );
    }

    #[test]
    fn two_devices_with_one_serial_are_refused() {
        let play = Play::new();
        for (name, number) in [("nvme1n1", "259:1"), ("nvme2n1", "259:2")] {
            play.attribute(name, "device/serial", "vol0bbbbbbbbbbbbbbbb\n");
            play.attribute(name, "dev", number);
        }
        let error = play.devices().by_serial("vol-0bbbbbbbbbbbbbbbb").unwrap_err();
        assert!(matches!(error, WrongDevice::Several(_)), "{error}");
        // One without a node could not be claimed.
        let error = play.devices().own("vol-0bbbbbbbbbbbbbbbb", None).unwrap_err();
        assert!(matches!(error, WrongDevice::NoNode(_)), "{error}");
    }

    #[test]
    fn a_nitro_instance_has_no_devices_by_name() {
        let play = Play::new();
        play.attribute("nvme0n1", "device/serial", "vol0bbbbbbbbbbbbbbbb\n");
        play.attribute("sdaa", "dev", "8:0\n");
        assert_eq!(play.devices().find("vol-0aaaaaaaaaaaaaaaa", "/dev/sdaa").unwrap(), None);
    }
}
