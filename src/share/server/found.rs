//! The servers that run on this node, found without a memory of them.

use std::{collections::HashMap, fs, io, path::Path};

use super::super::{config, process::Process};
use crate::{sys::errno, volume::VolumeId};

/// The volumes whose servers live, by their directories, each called as its volume; and the port that
/// each was told. One that does not say it is not there.
///
/// # Errors
/// When the directory cannot be listed.
pub fn running(directories: &Path) -> io::Result<HashMap<VolumeId, u16>> {
    let mut found = HashMap::new();
    for entry in fs::read_dir(directories).map_err(errno::on("list", directories))? {
        let directory = entry.map_err(errno::on("list", directories))?.path();
        let name = directory.file_name().and_then(|name| name.to_str());
        let Some(volume) = name.and_then(|name| name.parse::<VolumeId>().ok()) else { continue };
        // Not known whether it lives: then it may have its port.
        if !may_run(&directory) {
            continue;
        }
        let text = fs::read_to_string(directory.join("ganesha.conf"));
        match text.as_deref().map(config::port_of) {
            Ok(Some(port)) => {
                found.insert(volume, port);
            }
            Ok(None) | Err(_) => {
                tracing::warn!(%volume, "its NFS server runs and its port is not known");
            }
        }
    }
    Ok(found)
}

/// Whether the server of that directory runs, or may run: what cannot be told is not "no".
#[must_use]
pub fn may_run(directory: &Path) -> bool {
    !matches!(Process::of(&directory.join("pid")), Ok(None))
}
