//! Who else, in other mount namespaces, holds a file system.
//!
//! A namespace is cloned with all its mounts; one that does not receive our unmounts keeps a file
//! system alive after it is gone here. This module names the holders, for people and for "parked".
//! A copy that is our mount's peer or slave goes away with ours, and holds nothing: so it is with
//! the host's namespace, seen from a managed plugin, and with every service that systemd gave a
//! namespace of its own. (While such a copy is in use, our own unmount is refused as busy.)
//!
//! That it finds nobody is *not* a proof: a namespace can be kept by a bind of its file or by a
//! descriptor, without any process, or be that of a single thread, or of a process outside our pid
//! namespace. The proof that a device is free is [`super::blockdev::ensure_unused`].

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

use super::{
    errno,
    mountinfo::{Mount, MountTable},
};

/// A process whose mount namespace holds a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideHolder {
    /// One process of that namespace: the first one found.
    pub pid: i32,
    /// Its command name, at most 15 bytes.
    pub command: String,
}

/// The holders of one device, one per mount namespace other than ours.
///
/// # Errors
/// When /proc cannot be read, or the mounts of a process that is still there: then nothing is known,
/// which is not "nobody".
pub fn outside_holders(device: (u32, u32)) -> io::Result<Vec<OutsideHolder>> {
    let found = outside_holders_of_many(&HashSet::from([device]))?;
    Ok(found.into_values().next().unwrap_or_default())
}

/// The holders of many devices, in one scan of /proc. A device without holders is not in the map.
///
/// # Errors
/// As for [`outside_holders`].
pub fn outside_holders_of_many(
    devices: &HashSet<(u32, u32)>,
) -> io::Result<HashMap<(u32, u32), Vec<OutsideHolder>>> {
    let before = MountTable::read()?;
    let mut held = Vec::new();
    for view in foreign_views()? {
        // Gone in the meantime: what it held alone is free, and what it shared is seen through
        // another view only if that has another root directory. O_EXCL has the last word.
        let Some(table) = unless_gone(MountTable::of_process(view.pid))? else {
            continue;
        };
        held.push((view, table));
    }
    // Before and after: what was mounted here meanwhile is ours as well.
    let after = MountTable::read()?;
    let ours: HashSet<u32> = before.iter().chain(after.iter()).map(|mount| mount.id).collect();
    let of_devices = |mount: &&Mount| devices.contains(&mount.device);
    let our_groups = before.iter().chain(after.iter()).filter(of_devices);
    let following = followers(
        our_groups.filter_map(|mount| mount.peer_group).collect(),
        &held.iter().flat_map(|(_, table)| table.iter()).filter(of_devices).collect::<Vec<_>>(),
    );

    let mut holders: HashMap<_, Vec<OutsideHolder>> = HashMap::new();
    let mut reported = HashSet::new();
    for (view, table) in &held {
        let is_foreign = |id: u32| view.namespace.is_some() || !ours.contains(&id);
        // A mount belongs to one namespace, so its id stands for one that cannot be named.
        let lowest = table.iter().map(|mount| mount.id).min();
        let namespace = view.namespace.as_ref().ok_or(lowest);
        let keeps = |mount: &&Mount| !follows(mount, &following) && is_foreign(mount.id);
        for mount in table.iter().filter(of_devices).filter(keeps) {
            if reported.insert((namespace, mount.device)) {
                let holder = OutsideHolder { pid: view.pid, command: command_of(view.pid) };
                holders.entry(mount.device).or_default().push(holder);
            }
        }
    }
    Ok(holders)
}

/// The peer groups that our unmounts reach: ours, those of their slaves, and so on.
fn followers(mut groups: HashSet<u32>, mounts: &[&Mount]) -> HashSet<u32> {
    loop {
        let reached: Vec<u32> = mounts
            .iter()
            .filter(|mount| follows(mount, &groups))
            .filter_map(|mount| mount.peer_group)
            .filter(|group| !groups.contains(group))
            .collect();
        if reached.is_empty() {
            return groups;
        }
        groups.extend(reached);
    }
}

/// Whether the mount goes away when one of the groups is unmounted.
fn follows(mount: &Mount, groups: &HashSet<u32>) -> bool {
    let reached = |group: Option<u32>| group.is_some_and(|group| groups.contains(&group));
    reached(mount.peer_group) || reached(mount.master)
}

/// A mount namespace as one process sees it.
struct View {
    /// `None`: we lack the right to ask which one it is (`CAP_SYS_PTRACE`, or a process with more
    /// capabilities than ours). Its mounts are readable all the same, and their ids tell whether it
    /// is our own.
    namespace: Option<PathBuf>,
    pid: i32,
}

/// One process per (namespace, root directory), and every process that cannot be told. The root
/// belongs to it, since mountinfo leaves out what lies outside of the process's root (a chroot).
/// Two readlink(2) per process, both answered from memory, so that thousands of processes take
/// milliseconds and a dead NFS server does not matter.
fn foreign_views() -> io::Result<Vec<View>> {
    let ours = namespace_of(Path::new("/proc/self"))?;
    let mut seen = HashSet::new();
    let mut views = Vec::new();
    for entry in fs::read_dir("/proc").map_err(errno::on("list", Path::new("/proc")))? {
        let entry = entry.map_err(errno::on("list", Path::new("/proc")))?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        match unless_gone(identify(&entry.path())) {
            Ok(None) => {}
            Ok(Some((namespace, _))) if namespace == ours => {}
            Ok(Some(identity)) => {
                if seen.insert(identity.clone()) {
                    views.push(View { namespace: Some(identity.0), pid });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                views.push(View { namespace: None, pid });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(views)
}

fn identify(process: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let root = process.join("root");
    let root = fs::read_link(&root).map_err(errno::on("read", &root))?;
    Ok((namespace_of(process)?, root))
}

/// `mnt:[4026531841]`.
fn namespace_of(process: &Path) -> io::Result<PathBuf> {
    let link = process.join("ns/mnt");
    fs::read_link(&link).map_err(errno::on("read", &link))
}

/// A process that ended while we looked: no entry, no such process, or (a zombie) no namespace.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match errno::of(&error) {
            Some(Errno::NOENT | Errno::SRCH | Errno::INVAL) => Ok(None),
            Some(_) | None => Err(error),
        },
    }
}

fn command_of(pid: i32) -> String {
    let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&comm).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        spec::FsType,
        sys::{blockdev, mount, testing},
    };

    #[tokio::test]
    async fn a_mount_copied_into_another_namespace_is_seen_after_it_is_gone_here() {
        let world = testing::World::alone();
        let disk = world.formatted(FsType::Ext4, 64).await;
        let mounted = world.mount(&disk, FsType::Ext4, &[]);
        let device = disk.device.device;
        assert_eq!(outside_holders(device).unwrap(), []);

        let child = testing::Background::start("unshare", ["-m", "sleep", "1000"]);
        testing::until("the child has its own namespace", || {
            !outside_holders(device).unwrap().is_empty()
        });
        mount::unmount(mounted.path()).await.unwrap();

        testing::until("unshare became sleep", || {
            outside_holders(device).unwrap()
                == [OutsideHolder { pid: child.pid(), command: "sleep".to_owned() }]
        });
        assert!(matches!(blockdev::ensure_unused(disk.path()), Err(blockdev::InUse::Busy { .. })));
        let other = outside_holders_of_many(&HashSet::from([device, (7, 4095)])).unwrap();
        assert_eq!(other.len(), 1);

        drop(child);
        testing::until("the device is free", || blockdev::ensure_unused(disk.path()).is_ok());
        assert_eq!(outside_holders(device).unwrap(), []);
    }

    #[tokio::test]
    async fn a_copy_that_goes_away_with_ours_holds_nothing() {
        use mount::RootKind::{Bind, Tmpfs};
        for (propagation, root_kind, holds) in [
            ("private", Bind, true),
            ("slave", Bind, false),
            ("slave", Tmpfs, false),
            ("shared", Bind, false),
        ] {
            let world = testing::World::alone();
            let disk = world.formatted(FsType::Ext4, 64).await;
            let root = world.dir("root");
            let _root = testing::Unmount(root.clone());
            mount::ensure_shared_root(&root, root_kind).unwrap();
            let stage = root.join("stage");
            std::fs::create_dir(&stage).unwrap();
            mount::mount_fs(disk.path(), &stage, FsType::Ext4, &[]).unwrap();

            let ready = world.dir("ready");
            let script = format!("rmdir {} && exec sleep 1000", ready.display());
            let _child = testing::Background::start(
                "unshare",
                ["-m", "--propagation", propagation, "sh", "-c", &script],
            );
            testing::until("the child has its namespace", || !ready.exists());

            let held = !outside_holders(disk.device.device).unwrap().is_empty();
            assert_eq!(held, holds, "{propagation}");
            mount::unmount(&stage).await.unwrap();
            let free = blockdev::ensure_unused(disk.path()).is_ok();
            assert_eq!(free, !holds, "{propagation}");
        }
    }

    #[test]
    fn a_scan_is_fast() {
        let start = std::time::Instant::now();
        outside_holders_of_many(&HashSet::from([(7, 4095)])).unwrap();
        assert!(start.elapsed() < std::time::Duration::from_secs(1));
    }
}
