//! Who else, in other mount namespaces, holds a file system.
//!
//! A namespace is cloned with all its mounts; one that does not receive our unmounts keeps a file
//! system alive after it is gone here. This module names the holders, for people and for "parked".
//! A copy that lies on a peer or slave of what ours lies on goes away with ours, and holds nothing:
//! so it is with the host's namespace, seen from a managed plugin, and with every service that
//! systemd gave a namespace of its own. (While such a copy is in use, our own unmount is refused as
//! busy.) A container's volume lies on the container's own root directory, and holds.
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
    let reached = reached_groups(
        parents(&before, devices).chain(parents(&after, devices)),
        &held.iter().flat_map(|(_, table)| parents(table, devices)).collect::<Vec<_>>(),
    );

    let mut holders: HashMap<_, Vec<OutsideHolder>> = HashMap::new();
    let mut reported = HashSet::new();
    for (view, table) in &held {
        let is_foreign = |id: u32| view.namespace.is_some() || !ours.contains(&id);
        // A mount belongs to one namespace, so its id stands for one that cannot be named.
        let lowest = table.iter().map(|mount| mount.id).min();
        let namespace = view.namespace.as_ref().ok_or(lowest);
        let follows = |mount: &Mount| {
            table.by_id(mount.parent).is_some_and(|parent| receives(parent, &reached))
        };
        let of_devices = table.iter().filter(|mount| devices.contains(&mount.device));
        for mount in of_devices.filter(|mount| is_foreign(mount.id) && !follows(mount)) {
            if reported.insert((namespace, mount.device)) {
                let holder = OutsideHolder { pid: view.pid, command: command_of(view.pid) };
                holders.entry(mount.device).or_default().push(holder);
            }
        }
    }
    Ok(holders)
}

/// What the devices' mounts are mounted on. An unmount propagates along the peers and slaves of
/// *that*, not along those of the mount itself: a container's volume is a slave of ours and stays,
/// since the container's root directory, which it is mounted on, is none.
fn parents<'a>(
    table: &'a MountTable,
    devices: &'a HashSet<(u32, u32)>,
) -> impl Iterator<Item = &'a Mount> {
    table
        .iter()
        .filter(|mount| devices.contains(&mount.device))
        .filter_map(|mount| table.by_id(mount.parent))
}

/// The peer groups that our unmounts reach: those that ours are mounted on, those of their slaves,
/// and so on.
fn reached_groups<'a>(ours: impl Iterator<Item = &'a Mount>, foreign: &[&Mount]) -> HashSet<u32> {
    let mut groups: HashSet<u32> = ours.filter_map(|mount| mount.peer_group).collect();
    loop {
        let more: Vec<u32> = foreign
            .iter()
            .filter(|mount| receives(mount, &groups))
            .filter_map(|mount| mount.peer_group)
            .filter(|group| !groups.contains(group))
            .collect();
        if more.is_empty() {
            return groups;
        }
        groups.extend(more);
    }
}

/// Whether what happens on a mount of one of the groups happens on this one, too.
fn receives(mount: &Mount, groups: &HashSet<u32>) -> bool {
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

    /// As a container runtime does it: everything a slave of ours, then a bind of the volume on a
    /// root directory of its own.
    #[tokio::test]
    async fn a_bind_on_a_container_s_own_root_holds_although_it_is_a_slave_of_ours() {
        let world = testing::World::alone();
        let disk = world.formatted(FsType::Ext4, 64).await;
        let root = world.dir("root");
        let _root = testing::Unmount(root.clone());
        mount::ensure_shared_root(&root, mount::RootKind::Bind).unwrap();
        let stage = root.join("stage");
        std::fs::create_dir(&stage).unwrap();
        mount::mount_fs(disk.path(), &stage, FsType::Ext4, &[]).unwrap();

        let (container, ready) = (world.dir("container"), world.dir("ready"));
        let script = format!(
            "mount -t tmpfs none {c} && mkdir {c}/data && mount --rbind {s} {c}/data && \
             rmdir {r} && exec sleep 1000",
            c = container.display(),
            s = stage.display(),
            r = ready.display(),
        );
        let args = ["-m", "--propagation", "slave", "sh", "-c", &script];
        let child = testing::Background::start("unshare", args);
        testing::until("the container has its volume", || !ready.exists());

        assert_eq!(outside_holders(disk.device.device).unwrap().len(), 1);
        mount::unmount(&stage).await.unwrap();
        assert_eq!(outside_holders(disk.device.device).unwrap().len(), 1);
        assert!(blockdev::ensure_unused(disk.path()).is_err());

        drop(child);
        testing::until("the device is free", || blockdev::ensure_unused(disk.path()).is_ok());
    }

    #[test]
    fn a_scan_is_fast() {
        let start = std::time::Instant::now();
        outside_holders_of_many(&HashSet::from([(7, 4095)])).unwrap();
        assert!(start.elapsed() < std::time::Duration::from_secs(1));
    }
}
