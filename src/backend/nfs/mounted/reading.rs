//! The names in a directory, as the kernel hands them out: without `.` and `..`, and with the place
//! after each, so that reading can go on there later with another descriptor.

use std::{
    ffi::OsString,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStringExt},
};

use rustix::{
    fs::{FileType, RawDir, SeekFrom, seek},
    io::Errno,
};

use super::cause::of_errno;
use crate::backend::nfs::tree::Cause;

/// What getdents(2) fills at once; the longest entry needs 280 bytes.
const BUFFER: usize = 32 << 10;

/// A name in a directory.
pub(super) struct Found {
    pub(super) name: OsString,
    /// `Unknown` where the file system does not say it here.
    pub(super) file_type: FileType,
    /// The place after it.
    pub(super) next: u64,
}

/// The place of the first name.
pub(super) const START: u64 = 0;

/// Names from a place on.
pub(super) struct Names<'a> {
    raw: RawDir<'a, &'a OwnedFd>,
}

pub(super) type Buffer = Vec<MaybeUninit<u8>>;

pub(super) fn buffer() -> Buffer {
    vec![MaybeUninit::uninit(); BUFFER]
}

impl<'a> Names<'a> {
    pub(super) fn from(
        directory: &'a OwnedFd,
        place: u64,
        buffer: &'a mut Buffer,
    ) -> Result<Self, Cause> {
        seek(directory, SeekFrom::Start(place)).map_err(of_errno)?;
        Ok(Self { raw: RawDir::new(directory, buffer) })
    }

    /// The next name; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Found>, Cause> {
        loop {
            let entry = match self.raw.next() {
                None => return Ok(None),
                // The directory was deleted meanwhile.
                Some(Err(Errno::NOENT)) => return Ok(None),
                Some(entry) => entry.map_err(of_errno)?,
            };
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                let next = entry.next_entry_cookie();
                let file_type = entry.file_type();
                return Ok(Some(Found {
                    name: OsString::from_vec(name.to_vec()),
                    file_type,
                    next,
                }));
            }
        }
    }
}

/// Every name once.
pub(super) fn entries(
    directory: &OwnedFd,
    mut each: impl FnMut(Found) -> Result<(), Cause>,
) -> Result<(), Cause> {
    let mut buffer = buffer();
    let mut names = Names::from(directory, START, &mut buffer)?;
    while let Some(found) = names.next()? {
        each(found)?;
    }
    Ok(())
}
