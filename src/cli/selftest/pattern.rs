//! A file whose contents are known: written, and read back after the device was away.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use uuid::Uuid;

const FILE: &str = "pattern";
const BLOCK: usize = 64 << 10;
const BLOCKS: u64 = 256;

/// How much is written.
pub(super) const MIB: u64 = (BLOCK as u64 * BLOCKS) >> 20;

/// Writes the pattern of that id, through to the device.
pub(super) fn write(dir: &Path, id: Uuid) -> io::Result<()> {
    let mut file = File::create_new(dir.join(FILE))?;
    for number in 0..BLOCKS {
        file.write_all(&block(id, number))?;
    }
    file.sync_all()
}

/// Reads it back; an error when one byte is another.
pub(super) fn verify(dir: &Path, id: Uuid) -> io::Result<()> {
    let mut file = File::open(dir.join(FILE))?;
    let mut found = vec![0; BLOCK];
    for number in 0..BLOCKS {
        file.read_exact(&mut found)?;
        if found != block(id, number) {
            let at = number * BLOCK as u64;
            return Err(io::Error::other(format!("what is read at {at} is not what was written")));
        }
    }
    if file.read(&mut found)? > 0 {
        return Err(io::Error::other("the file is longer than what was written"));
    }
    Ok(())
}

/// No block is like another, nor like one of another id: what another volume holds does not pass.
fn block(id: Uuid, number: u64) -> Vec<u8> {
    let (high, low) = id.as_u64_pair();
    // xorshift64: zero is its fixed point.
    let mut state = (high ^ low.rotate_left(32)).wrapping_add(number) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..BLOCK / 8).flat_map(|_| (next() ^ number).to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn one_wrong_byte_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let id = Uuid::new_v4();
        write(dir.path(), id).unwrap();
        verify(dir.path(), id).unwrap();
        verify(dir.path(), Uuid::new_v4()).unwrap_err();
        let file = File::options().write(true).open(dir.path().join(FILE)).unwrap();
        let wrong = !block(id, 1)[7];
        file.write_all_at(&[wrong], BLOCK as u64 + 7).unwrap();
        verify(dir.path(), id).unwrap_err();
    }
}
