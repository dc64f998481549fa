//! Real loop devices, mounts and processes for the tests of this folder; all undone on drop.
//!
//! The tests need root and say so by failing. They run one at a time: one test's `unshare` copies
//! every mount of the others, and holds their devices. So does any other program on the machine that
//! clones a mount namespace meanwhile: where there are such, run them as `scripts/test.sh`.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    mount::UnmountFlags,
    process::{Pid, Signal, kill_process, kill_process_group},
};

use super::{format, loopdev, mount};
use crate::spec::FsType;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A temporary directory, and the right to mount.
pub(crate) struct World {
    dir: Option<tempfile::TempDir>,
    _turn: MutexGuard<'static, ()>,
}

impl World {
    /// Waits for the other tests.
    #[track_caller]
    pub(crate) fn alone() -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test needs root: it mounts");
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        Self { dir: Some(tempfile::tempdir().unwrap()), _turn: turn }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.as_ref().unwrap().path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// A sparse image of this many MiB.
    pub(crate) fn image(&self, name: &str, mib: u64) -> (PathBuf, File) {
        let path = self.path(name);
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(mib << 20).unwrap();
        (path, file)
    }

    /// A loop device on a new sparse image.
    pub(crate) fn disk(&self, mib: u64) -> Disk {
        let (image, file) = self.image(&uuid::Uuid::new_v4().to_string(), mib);
        let info = loopdev::attach(&file, &image, loopdev::Discards::Wanted).unwrap();
        Disk { device: info.device, image, file }
    }

    pub(crate) async fn formatted(&self, fs: FsType, mib: u64) -> Disk {
        let disk = self.disk(mib);
        format::format(disk.path(), fs, &[], "test", &uuid::Uuid::new_v4()).await.unwrap();
        disk
    }

    pub(crate) fn mount(&self, disk: &Disk, fs: FsType, options: &[String]) -> Unmount {
        let target = self.dir(&format!("mount-{}", disk.device.number));
        mount::mount_fs(disk.path(), &target, fs, options).unwrap();
        Unmount(target)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Never delete through a mount that a failed test left behind.
        let dir = self.dir.take().unwrap();
        let root = dir.path().to_owned();
        let table = super::mountinfo::MountTable::read().unwrap();
        if table.iter().any(|mount| mount.mount_point.starts_with(&root)) {
            let _ = dir.keep();
            assert!(std::thread::panicking(), "a mount is left under {}", root.display());
        }
    }
}

/// A loop device; detached on drop.
pub(crate) struct Disk {
    pub(crate) device: loopdev::LoopDevice,
    pub(crate) image: PathBuf,
    pub(crate) file: File,
}

impl Disk {
    pub(crate) fn path(&self) -> &Path {
        &self.device.path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let image = loopdev::identity(&self.file).unwrap();
        let mut detached = loopdev::detach(&self.device, image);
        for _ in 0..5 {
            if detached.is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_secs(1));
            detached = loopdev::detach(&self.device, image);
        }
        let holders = super::namespaces::outside_holders(self.device.device);
        assert!(std::thread::panicking(), "{detached:?}, held by {holders:?}");
    }
}

/// Unmounts every layer at a path on drop.
pub(crate) struct Unmount(pub(crate) PathBuf);

impl Unmount {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Unmount {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(3);
        loop {
            match rustix::mount::unmount(&self.0, UnmountFlags::NOFOLLOW) {
                Ok(()) => {}
                Err(rustix::io::Errno::BUSY) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(_) => return,
            }
        }
    }
}

/// A program of the test, in a group of its own; killed on drop.
pub(crate) struct Background(Child);

impl Background {
    pub(crate) fn start<const N: usize>(program: &str, args: [&str; N]) -> Self {
        Self(command(program).args(args).spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> i32 {
        self.0.id().try_into().unwrap()
    }

    pub(crate) fn kill_without_reaping(&mut self) {
        kill_process(Pid::from_raw(self.pid()).unwrap(), Signal::KILL).unwrap();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_raw(self.pid()).unwrap(), Signal::KILL);
        let _ = self.0.wait();
    }
}

/// Runs a program to its end; it must succeed.
#[track_caller]
pub(crate) fn run<const N: usize>(program: &str, args: [&str; N]) {
    let output = command(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
}

#[expect(clippy::disallowed_methods, reason = "the tests' own helpers, not what is tested")]
fn command(program: &str) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    command
}

/// Does some work where everything is mounted as it is here, and `/run` is empty and its own.
pub(crate) fn with_own_run<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    use rustix::{
        mount::{MountFlags, MountPropagationFlags, mount, mount_change},
        thread::UnshareFlags,
    };
    let inside = || {
        #[expect(unsafe_code, reason = "unshare")]
        // SAFETY: unsafe is the sharing of descriptors, and only the mounts are asked for.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        mount_change("/", slave).unwrap();
        mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None).unwrap();
        work()
    };
    std::thread::scope(|scope| scope.spawn(inside).join().unwrap())
}

/// Polls until the condition holds, for at most ten seconds.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "gave up waiting until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Writes into a file (or device) at an offset, durably.
pub(crate) fn write_at(path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let file = File::options().write(true).open(path)?;
    file.write_all_at(bytes, offset)?;
    file.sync_all()
}
