//! Image files: sparse, so that a volume of many GiB costs what is written to it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use super::loops::run;

const GIB: u64 = 1 << 30;

/// An image of this size, with what is in it already.
pub(super) fn make(image: &Path, gib: u32) -> io::Result<()> {
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(image)?;
    file.set_len(u64::from(gib) * GIB)
}

/// Writes from the image's begin.
pub(super) fn fill(image: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(image)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A copy that stays sparse, and shares blocks where the file system can do that.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    // What a loop device without direct I/O has in the page cache is read from there, too.
    File::open(from)?.sync_all()?;
    run("cp", &["--reflink=auto", "--sparse=auto", "--"], &[from, to]).map(drop)
}

/// Puts a copy in the image's place: who has the old one open keeps that.
pub(super) fn part(image: &Path) -> io::Result<()> {
    let copied = image.with_extension("img.parted");
    copy(image, &copied)?;
    fs::rename(&copied, image)
}

pub(super) fn remove(image: &Path) -> io::Result<()> {
    match fs::remove_file(image) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
