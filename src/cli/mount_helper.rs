//! `hawser mount-helper`: one call of mount(2) or umount(2) for the daemon, which starts this itself
//! (see [`crate::sys::nfs`]). Not for people.

use std::io::{Read, Write};

use super::Exit;
use crate::sys::nfs;

pub(super) fn run() -> anyhow::Result<Exit> {
    let mut request = String::new();
    std::io::stdin().read_to_string(&mut request)?;
    let answer = nfs::carry_out(&request)?;
    std::io::stdout().write_all(answer.as_bytes())?;
    Ok(Exit::Success)
}
