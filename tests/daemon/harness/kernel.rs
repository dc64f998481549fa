//! What the kernel and the disk have of a world: mounts, loop devices, images, directories.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    fs::{IFlags, ioctl_getflags, ioctl_setflags},
    mount::{UnmountFlags, unmount},
    process::{Pid, Signal, kill_process},
};

use super::World;

impl World {
    /// Mount points under the root directory, the root itself excepted.
    pub(crate) fn mounts(&self) -> Vec<PathBuf> {
        let root = self.path("mnt");
        mount_points(&root).into_iter().filter(|path| *path != root).collect()
    }

    /// Unmounts all volumes and frees all devices, as a power cut does.
    pub(crate) fn undo_mounts(&self) {
        undo_mounts(&self.dir);
    }

    /// Loop devices on images of this world, deleted images included.
    pub(crate) fn loops(&self) -> Vec<PathBuf> {
        loops_on(&self.path("images"))
    }

    /// The image files, drafts included.
    pub(crate) fn images(&self) -> Vec<PathBuf> {
        let mut images = entries(&self.path("images"));
        images.retain(|path| !path.ends_with("lost+found"));
        images
    }

    /// Everything that a world without volumes must not have.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let mut left = self.mounts();
        left.extend(self.loops());
        left.extend(self.images());
        left.extend(entries(&self.path("mnt/stage")));
        left.extend(entries(&self.path("mnt/volumes")));
        if let Some(fake) = &self.cloud {
            left.extend(fake.volumes().into_iter().map(|volume| PathBuf::from(volume.id)));
        }
        left
    }
}

/// True when something is mounted exactly there.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    mount_points(path).iter().any(|mount| mount == path)
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The mount points at and below a path, of this thread's namespace, in the order of mounting.
fn mount_points(below: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let points = table.lines().map(|line| PathBuf::from(line.split(' ').nth(4).unwrap()));
    points.filter(|path| path.starts_with(below)).collect()
}

fn loops_on(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/block").unwrap() {
        let entry = entry.unwrap();
        // Unbound meanwhile: not there, or empty.
        let file = fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
        if Path::new(&file).starts_with(dir) {
            found.push(Path::new("/dev").join(entry.file_name()));
        }
    }
    found
}

fn undo_mounts(dir: &Path) {
    for mount in mount_points(dir).iter().rev() {
        let _ = unmount(mount, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        let loops = loops_on(dir);
        if loops.is_empty() {
            break;
        }
        for device in loops {
            let _ = std::process::Command::new("losetup").arg("-d").arg(device).output();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Unmounts, detaches and deletes all there is under the directory.
pub(super) fn undo_everything(dir: &Path) {
    end_sharing(dir);
    undo_mounts(dir);
    for published in entries(&dir.join("mnt/volumes")) {
        if let Ok(handle) = File::open(&published)
            && let Ok(flags) = ioctl_getflags(&handle)
        {
            let _ = ioctl_setflags(&handle, flags - IFlags::IMMUTABLE);
        }
    }
    let deleted = fs::remove_dir_all(dir);
    let loops = loops_on(dir);
    assert!(
        std::thread::panicking() || deleted.is_ok() && loops.is_empty(),
        "left behind: {deleted:?} {loops:?}"
    );
}

/// Ends what outlives a daemon that shared volumes: its tunnel, its NFS servers.
fn end_sharing(dir: &Path) {
    let mut pids: Vec<_> = entries(&dir.join("share"))
        .iter()
        .filter_map(|server| fs::read_to_string(server.join("pid")).ok()?.trim().parse().ok())
        .collect();
    pids.extend(tunnel_pid(dir));
    for pid in pids.into_iter().filter_map(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
        // Of a zombie there is none either.
        let program = format!("/proc/{}/exe", pid.as_raw_pid());
        super::until("what shared volumes has ended", || fs::read_link(&program).is_err());
    }
}

fn tunnel_pid(dir: &Path) -> Option<i32> {
    let mut socket = UnixStream::connect(dir.join("tunnel.sock")).ok()?;
    socket.write_all(b"GET /status HTTP/1.1\r\nHost: hawser\r\nConnection: close\r\n\r\n").ok()?;
    let answer = io::read_to_string(socket).ok()?;
    let (_, status) = answer.split_once("\r\n\r\n")?;
    let status: serde_json::Value = serde_json::from_str(status).ok()?;
    status["pid"].as_i64()?.try_into().ok()
}

impl World {
    /// Makes that directory a file system of its own, of so many MiB.
    pub(crate) fn small_disk(&self, name: &str, mib: u64) {
        let (image, dir) = (self.path("disk.img"), self.path(name));
        let file = File::options().write(true).create_new(true).open(&image).unwrap();
        file.set_len(mib << 20).unwrap();
        fs::create_dir(&dir).unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        super::run("mkfs.ext4", ["-q", "-m", "0", &text(&image)]);
        super::run("mount", ["-o", "loop", &text(&image), &text(&dir)]);
    }
}
