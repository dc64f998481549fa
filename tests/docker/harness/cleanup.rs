//! What a test directory holds on to outside itself: processes, mounts, loop devices.
//!
//! Everything is found by the directory's own name, `hwt-<pid>-<n>`, which no other program uses.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process,
};

use rustix::{
    mount::{UnmountFlags, unmount},
    process::{Pid, Signal, kill_process},
};

use super::{PATIENCE, eventually, run};

/// Where the directories are: on a disk, and short, since a socket's path has at most 107 bytes.
const PARENT: &str = "/var/tmp";
/// Where Docker looks for plugin sockets.
pub(crate) const PLUGINS: &str = "/run/docker/plugins";

/// The directory of test number `n` of this process.
pub(crate) fn directory(n: usize) -> PathBuf {
    Path::new(PARENT).join(format!("hwt-{}-{n}", process::id()))
}

/// Clears the directories and sockets of test processes that are no more.
pub(crate) fn clear_stale() {
    for path in entries(Path::new(PARENT)).filter(|path| is_stale(path)) {
        clear(&path);
    }
    for path in entries(Path::new(PLUGINS)).filter(|path| is_stale(path)) {
        let _ = fs::remove_file(path);
    }
}

fn is_stale(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let pid = name.strip_prefix("hwt-").and_then(|rest| rest.split('-').next());
    pid.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists())
}

/// Ends, unmounts, detaches and deletes all that belongs to the directory.
pub(crate) fn clear(dir: &Path) {
    end_processes(dir);
    unmount_below(dir);
    for (device, _) in loops_below(dir) {
        let _ = run(Path::new("losetup"), &["-d", &device], &[]);
    }
    // A managed plugin's socket lies outside, in a directory named after the plugin's id.
    for plugin in entries(&dir.join("docker/data/plugins")) {
        let id = plugin.file_name().unwrap_or_default();
        if id.len() == 64 {
            let _ = fs::remove_dir_all(Path::new(PLUGINS).join(id));
        }
    }
    // hawser makes its unmounted publish directories immutable.
    let _ = run(Path::new("chattr"), &["-R", "-f", "-i", dir.to_str().unwrap()], &[]);
    let _ = fs::remove_dir_all(dir);
}

/// Kills what was started for this directory: its arguments or its root file system name it.
pub(crate) fn end_processes(dir: &Path) {
    eventually("the test's processes end", PATIENCE, || {
        let pids = processes_of(dir);
        for pid in &pids {
            let _ = kill_process(*pid, Signal::KILL);
        }
        pids.is_empty()
    });
}

fn processes_of(dir: &Path) -> Vec<Pid> {
    // Without the parent: where /var/tmp is a file system of its own, mountinfo leaves that out.
    let name = format!("/{}/", dir.strip_prefix(PARENT).expect("a test's directory").display());
    assert!(name.starts_with("/hwt-"), "{name} is not a test's own");
    let is_ours = |proc: &Path| {
        let arguments = fs::read(proc.join("cmdline")).unwrap_or_default();
        let mounts = fs::read_to_string(proc.join("mountinfo")).unwrap_or_default();
        let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/"));
        String::from_utf8_lossy(&arguments).contains(&name)
            || root.is_some_and(|line| line.contains(&name))
    };
    entries(Path::new("/proc"))
        .filter(|proc| is_ours(proc))
        .filter_map(|proc| proc.file_name()?.to_str()?.parse().ok())
        .filter(|pid: &i32| pid.unsigned_abs() != process::id())
        .filter_map(Pid::from_raw)
        .collect()
}

/// The mount points strictly below a directory, in the order in which they were mounted.
pub(crate) fn mounts_below(dir: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo is readable");
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    points.map(PathBuf::from).filter(|point| point.starts_with(dir) && point != dir).collect()
}

fn unmount_below(dir: &Path) {
    for point in mounts_below(dir).iter().rev() {
        let _ = unmount(point, UnmountFlags::DETACH);
    }
    while unmount(dir, UnmountFlags::DETACH).is_ok() {}
}

/// Loop devices whose file lies (or lay) below the directory, with that file.
///
/// Known by the inode, too: once its mount namespace is gone the kernel shows a shorter path.
pub(crate) fn loops_below(dir: &Path) -> Vec<(String, String)> {
    let inodes: Vec<u64> =
        files_below(dir).iter().filter_map(|f| Some(f.metadata().ok()?.ino())).collect();
    let args = ["--list", "--noheadings", "--raw", "--output", "NAME,BACK-INO,BACK-FILE"];
    let table = run(Path::new("losetup"), &args, &[]);
    let rows = table.stdout.lines().map(|row| row.splitn(3, ' ').collect::<Vec<_>>());
    rows.filter(|row| row.len() == 3)
        .filter(|row| {
            let known = row[1].parse().is_ok_and(|inode| inodes.contains(&inode));
            known || Path::new(row[2]).starts_with(dir)
        })
        .map(|row| (row[0].to_owned(), row[2].to_owned()))
        .collect()
}

/// All regular files below a directory; other file systems mounted there are not entered.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let Ok(top) = dir.metadata() else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for path in entries(dir) {
        match path.symlink_metadata() {
            Ok(meta) if meta.is_dir() && meta.dev() == top.dev() => {
                files.extend(files_below(&path))
            }
            Ok(meta) if meta.is_file() => files.push(path),
            Ok(_) | Err(_) => {}
        }
    }
    files
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}
