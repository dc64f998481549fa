//! The directories that volumes are mounted on, and what can be wrong with them.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    time::Duration,
};

use uuid::Uuid;

use crate::{spec::BackendKind, sys::guard};

/// Something is mounted where a volume belongs.
#[derive(Debug, thiserror::Error)]
pub(super) enum PathError {
    #[error("{path} is taken by a mount of {source_name}: unmount it")]
    Occupied { path: PathBuf, source_name: String },
    #[error(
        "the file system on {device} has no directory `{data}` that could be served (a link is none): {source}"
    )]
    NoData { device: PathBuf, data: PathBuf, source: io::Error },
    #[error(
        "the file system on {device} has the UUID {found}, which is not this volume's: its storage was exchanged"
    )]
    OtherVolume { device: PathBuf, found: Uuid },
    #[error("{what} {path}: {source}")]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("no backend {0} is configured on this node")]
    NoBackend(BackendKind),
    #[error("it is not mounted at {0} any more")]
    NotStaged(PathBuf),
    #[error("its data directory could not be opened within {} s: its server does not answer", after.as_secs())]
    Late { after: Duration },
    #[error("it is not attached")]
    NotAttached,
    #[error("it is a directory on a server, and has no device")]
    NoDevice,
    #[error("only the daemon does that: it knows the other nodes")]
    NotHere,
    #[error("it is no directory on a server")]
    NoDirectory,
}

pub(super) fn ensure_dir(path: &Path, mode: u32) -> Result<(), PathError> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(path_error("make the directory", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Binding over somebody else's mount would make the later unmount take the wrong one.
pub(super) fn refuse_mount_point(path: &Path) -> Result<(), PathError> {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev());
    let parent = path.parent().unwrap_or(path);
    if device(path).map_err(path_error("look at", path))?
        == device(parent).map_err(path_error("look at", parent))?
    {
        return Ok(());
    }
    Err(PathError::Occupied { path: path.into(), source_name: "another volume".into() })
}

pub(super) fn remove_published(path: &Path) -> Result<(), PathError> {
    match guard::unguard(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(path_error("unprotect", path)(error))
        }
        Ok(()) | Err(_) => remove_dir(path),
    }
}

pub(super) fn remove_dir(path: &Path) -> Result<(), PathError> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(path_error("delete the directory", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(super) fn path_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PathError {
    let path = path.to_owned();
    move |source| PathError::Io { what, path, source }
}
