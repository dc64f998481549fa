//! Loop devices, by losetup(8): the workspace has its `unsafe`, and with it ioctls, in one place, and
//! that is not here.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::fs::{OFlags, major, minor};

const UNBIND_LIMIT: Duration = Duration::from_millis(500);
const UNBIND_PAUSE: Duration = Duration::from_millis(2);

/// Runs a program to its end and gives its output.
#[expect(clippy::disallowed_methods, reason = "the one place here; sys::process is the daemon's")]
pub(super) fn run(program: &str, options: &[&str], paths: &[&Path]) -> io::Result<String> {
    let output = std::process::Command::new(program)
        .env("LC_ALL", "C")
        .args(options)
        .args(paths)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("{program} {options:?} {paths:?}: {}: {stderr}", output.status)))
}

/// Binds a free device to an image, with direct I/O where the storage can do it.
pub(super) fn bind(image: &Path) -> io::Result<PathBuf> {
    run("losetup", &["--find", "--show", "--direct-io=on"], &[image])
        .or_else(|_| run("losetup", &["--find", "--show"], &[image]))
        .map(PathBuf::from)
}

/// Major and minor number.
pub(super) fn numbers(device: &Path) -> io::Result<(u32, u32)> {
    let number = device.metadata()?.rdev();
    Ok((major(number), minor(number)))
}

/// Opens it exclusively; `None` if somebody has it so, or has mounted it, in whatever namespace.
pub(super) fn claim(device: &Path) -> io::Result<Option<File>> {
    let exclusive = OFlags::EXCL.bits().cast_signed();
    match OpenOptions::new().read(true).custom_flags(exclusive).open(device) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(None),
        Err(error) => Err(error),
    }
}

/// Tells the device that its image has grown.
pub(super) fn grow(device: &Path) -> io::Result<()> {
    run("losetup", &["--set-capacity"], &[device]).map(drop)
}

/// Unbinds it, or lets it unbind itself when the last one closes it.
pub(super) fn free(device: &Path) -> io::Result<()> {
    run("losetup", &["--detach"], &[device]).map(drop)
}

/// The kernel unbinds at the last close, and that may be somebody's who is only looking.
pub(super) fn wait_until_free(device: &Path) {
    let Some(name) = device.file_name() else { return };
    let bound = Path::new("/sys/block").join(name).join("loop");
    let limit = Instant::now() + UNBIND_LIMIT;
    while bound.exists() && Instant::now() < limit {
        sleep(UNBIND_PAUSE);
    }
}
