//! What is mounted where: `/proc/<pid>/mountinfo`, see proc_pid_mountinfo(5).
//!
//! Own parser, because the `procfs` crate (0.18) hands out paths with their octal escapes (`\040`),
//! fails as a whole when one mount point anywhere is not UTF-8, and folds repeated options. A line
//! that cannot be read is skipped here: another container's odd mount must not stop ours.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use super::errno;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The mount's id, unique while it exists.
    pub id: u32,
    /// The id of the mount that it is mounted on.
    pub parent: u32,
    /// Major and minor number: the `st_dev` of what lies on it.
    pub device: (u32, u32),
    /// The directory of the file system that is seen at the mount point; `/` unless it is a bind.
    pub root: PathBuf,
    /// Where it is mounted, as seen from the process's root directory.
    pub mount_point: PathBuf,
    /// The options of this mount, such as `rw` and `nodev`.
    pub options: Vec<String>,
    /// The group of mounts that propagate to each other; `None` if it is not shared.
    pub peer_group: Option<u32>,
    /// The group whose mounts and unmounts it receives; `None` if it is no slave.
    pub master: Option<u32>,
    /// Whether mounts below it appear in its peers and slaves, too.
    pub shared: bool,
    /// The file system, such as `ext4`.
    pub fs_type: String,
    /// What was mounted: a device, `host:/path`, or any word.
    pub source: String,
    /// The options of the file system itself, the same for every mount of it.
    pub super_options: Vec<String>,
}

/// The mounts of one mount namespace, in the kernel's order: a mount comes after what it covers.
#[derive(Debug, Clone, Default)]
pub struct MountTable(Vec<Mount>);

impl MountTable {
    /// Our own mounts.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn read() -> io::Result<Self> {
        Self::read_from(Path::new("/proc/self/mountinfo"))
    }

    /// The mounts of a process's namespace that are reachable from that process's root directory.
    ///
    /// # Errors
    /// When /proc cannot be read: `ENOENT` or `ESRCH` if the process is gone, `EINVAL` if it is
    /// about to be (a zombie has no namespace).
    pub fn of_process(pid: i32) -> io::Result<Self> {
        Self::read_from(Path::new(&format!("/proc/{pid}/mountinfo")))
    }

    /// Kernels before 5.8 ("proc/mounts: add cursor") can leave out an entry while another one is
    /// unmounted, hence: until it reads the same twice.
    fn read_from(path: &Path) -> io::Result<Self> {
        let read = || fs::read(path).map_err(errno::on("read", path));
        let mut last = read()?;
        for _ in 0..3 {
            let again = read()?;
            if again == last {
                break;
            }
            last = again;
        }
        Ok(Self::parse(&last))
    }

    pub(crate) fn parse(text: &[u8]) -> Self {
        Self(text.split(|byte| *byte == b'\n').filter_map(parse_line).collect())
    }

    /// The mount that is seen at this mount point: the topmost one.
    #[must_use]
    pub fn at(&self, mount_point: &Path) -> Option<&Mount> {
        self.0.iter().rev().find(|mount| mount.mount_point == mount_point)
    }

    /// Every mount of a device: of the whole file system, or of a directory in it.
    pub fn of_device(&self, device: (u32, u32)) -> impl Iterator<Item = &Mount> {
        self.0.iter().filter(move |mount| mount.device == device)
    }

    /// Every mount.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.0.iter()
    }

    /// The mount with this id.
    #[must_use]
    pub fn by_id(&self, id: u32) -> Option<&Mount> {
        self.0.iter().find(|mount| mount.id == id)
    }
}

/// `36 35 98:0 /root /mount/point rw,noatime shared:1 master:2 - ext4 /dev/root rw,errors=continue`
fn parse_line(line: &[u8]) -> Option<Mount> {
    // Not by white space: an empty source leaves an empty field.
    let mut fields = line.split(|byte| *byte == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let device = device(fields.next()?)?;
    let root = path(fields.next()?);
    let mount_point = path(fields.next()?);
    let options = words(fields.next()?);
    let mut peer_group = None;
    let mut master = None;
    loop {
        match fields.next()? {
            b"-" => break,
            field => {
                if let Some(group) = field.strip_prefix(b"shared:") {
                    peer_group = number(group);
                } else if let Some(group) = field.strip_prefix(b"master:") {
                    master = number(group);
                }
            }
        }
    }
    Some(Mount {
        id,
        parent,
        device,
        root,
        mount_point,
        options,
        shared: peer_group.is_some(),
        peer_group,
        master,
        fs_type: text(fields.next()?),
        source: text(fields.next()?),
        super_options: words(fields.next()?),
    })
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn device(field: &[u8]) -> Option<(u32, u32)> {
    let (major, minor) = std::str::from_utf8(field).ok()?.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn path(field: &[u8]) -> PathBuf {
    OsString::from_vec(unescape(field)).into()
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(&unescape(field)).into_owned()
}

fn words(field: &[u8]) -> Vec<String> {
    text(field).split(',').map(str::to_owned).collect()
}

/// Undoes the kernel's `\ooo` (three octal digits) for blank, tab, line feed, backslash and `#`.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        match (byte, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => {
                plain.push(*byte);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use proptest::prelude::*;

    use super::*;

    const LINE: &[u8] = b"36 35 98:12 /a\\040dir /mnt/x\\134\\011y rw,noatime master:7 shared:1 \
        unbindable - ext4 /dev/ro\\043ot rw,errors=remount-ro";

    #[test]
    fn a_line_is_read_with_its_escapes_undone() {
        let mount = parse_line(LINE).unwrap();

        assert_eq!((mount.id, mount.parent, mount.device), (36, 35, (98, 12)));
        assert_eq!(mount.root, Path::new("/a dir"));
        assert_eq!(mount.mount_point, Path::new("/mnt/x\\\ty"));
        assert_eq!(mount.options, ["rw", "noatime"]);
        assert_eq!((mount.shared, mount.peer_group), (true, Some(1)));
        assert_eq!((mount.fs_type.as_str(), mount.source.as_str()), ("ext4", "/dev/ro#ot"));
        assert_eq!(mount.super_options, ["rw", "errors=remount-ro"]);
    }

    #[test]
    fn a_bad_line_or_one_that_is_not_utf8_hides_no_other() {
        let text = [b"nonsense\n1 2 3\n", LINE, b"\n9 8 0:1 / /\xff rw - tmpfs  rw\n"].concat();

        let table = MountTable::parse(&text);

        assert_eq!(table.iter().count(), 2);
        let odd = table.by_id(9).unwrap();
        assert_eq!(odd.mount_point.as_os_str().as_bytes(), b"/\xff");
        assert_eq!((odd.source.as_str(), odd.shared), ("", false));
    }

    #[test]
    fn the_topmost_mount_is_the_one_that_is_seen() {
        let table = MountTable::parse(
            b"1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /m rw - ext4 b rw\n3 2 8:3 / /m rw - xfs c rw",
        );

        assert_eq!(table.at(Path::new("/m")).map(|mount| mount.id), Some(3));
        assert_eq!(table.at(Path::new("/m/x")), None);
        assert_eq!(table.of_device((8, 2)).count(), 1);
    }

    #[test]
    fn our_own_table_has_a_root() {
        assert!(MountTable::read().unwrap().at(Path::new("/")).is_some());
        let gone = MountTable::of_process(i32::MAX).unwrap_err();
        assert_eq!(errno::of(&gone), Some(rustix::io::Errno::NOENT));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(text: Vec<u8>) {
            MountTable::parse(&text);
        }

        #[test]
        fn what_the_kernel_escapes_comes_back(name: Vec<u8>) {
            let escaped: Vec<u8> = name
                .iter()
                .flat_map(|byte| match byte {
                    b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}").into_bytes(),
                    plain => vec![*plain],
                })
                .collect();
            prop_assert_eq!(unescape(&escaped), name);
        }
    }
}
