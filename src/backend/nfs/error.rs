//! What can go wrong with a directory on an export, and what the engine may make of it.

use std::{io, net::IpAddr, path::PathBuf, time::Duration};

use super::{
    mark::BadMark,
    tree::{Cause, TreeError},
};
use crate::{
    backend::ErrorKind,
    spec::{BackendKind, Bytes},
    sys::{mount::UnmountError, nfs::MountError},
    volume::VolumeId,
};

/// An error before the volume and the operation are added to it.
#[derive(Debug, thiserror::Error)]
pub(super) enum NfsError {
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("no export `{0}` is configured on this node: see [backends.nfs.{0}]")]
    NoExport(String),
    #[error("the volume is on {0}, not on this backend")]
    OtherBackend(BackendKind),
    #[error("`{0}` names no storage of this backend: it would be EXPORT:PATH")]
    BadHandle(String),
    #[error(
        "{size} is more than the {free} that is free on {export} above the margin of {margin}: ask for less, or make room on the server"
    )]
    NoRoom { export: String, size: Bytes, free: Bytes, margin: Bytes },
    #[error(
        "`{path}` exists on the export, and hawser did not make it: choose another name, or path=DIRECTORY; to serve it as it is, `hawser volume import`"
    )]
    Unmarked { path: String },
    #[error("`{path}` is not this cluster's: {why}")]
    Foreign { path: String, why: BadMark },
    #[error(
        "`{path}` is the directory of another volume of this node, or of one that was removed here and cannot be put aside now ({by}): `hawser volume ls --removed` shows it"
    )]
    Taken { path: String, by: VolumeId },
    #[error(
        "`{path}` is the directory of the volume `{name}` ({by}), and in a cluster a directory is one volume's: choose another name, or path=DIRECTORY; where `hawser volume ls --removed` does not show that volume, `hawser volume import` takes it back"
    )]
    OfAnother { path: String, name: String, by: VolumeId },
    #[error("`{path}` lies in `{parent}`, which is a volume itself: choose a path beside it")]
    Inside { path: String, parent: String },
    #[error("`{path}` has volumes in it, such as `{child}`: import these, one by one")]
    Around { path: String, child: String },
    #[error(
        "`{path}` was imported on another node, with the tasks' data in its directory `{data_dir}` (empty: all of it): import it here, too, with `hawser volume import`"
    )]
    OtherData { path: String, data_dir: String },
    #[error("`{path}` is not there")]
    Absent { path: String },
    #[error(
        "another volume has taken its place at `{path}`: remove that one first (its data is safe in {from})"
    )]
    NoWayBack { path: String, from: String },
    #[error("it is a directory, and has no device")]
    NoDevice,
    #[error(
        "its image did not answer within {} s: see whether the server does; what was begun goes on when it is back",
        after.as_secs()
    )]
    ImageLate { after: Duration },
    #[error("cannot use the images on the export mounted at {path}: {source}")]
    Images { path: PathBuf, source: io::Error },
    #[error("cannot look up {host}: {source}")]
    NoAddress { host: String, source: io::Error },
    #[error(
        "{host} ({address}) does not answer at port {port} within {} s: {why}; see whether the server runs, and whether this node gets at that port",
        after.as_secs()
    )]
    Silent { host: String, address: IpAddr, port: u16, after: Duration, why: String },
    #[error("the server does not serve its exports now: {0}")]
    Away(String),
    #[error(transparent)]
    Unmount(#[from] UnmountError),
    #[error(transparent)]
    Mount(Box<MountError>),
    #[error("it cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<MountError> for NfsError {
    fn from(error: MountError) -> Self {
        Self::Mount(Box::new(error))
    }
}

impl NfsError {
    pub(super) const fn kind(&self) -> ErrorKind {
        match self {
            Self::Tree(error) => match error.cause {
                Cause::NotFound => ErrorKind::NotFound,
                Cause::Full(_) => ErrorKind::Exhausted,
                Cause::Unreachable(_)
                | Cause::NoExport(_)
                | Cause::Denied(_)
                | Cause::ReadOnly
                | Cause::Stale
                | Cause::Exists
                | Cause::NotADirectory(_)
                | Cause::Refused(_)
                | Cause::Protocol(_) => ErrorKind::Failed,
            },
            Self::NoRoom { .. } => ErrorKind::Exhausted,
            Self::Unmarked { .. }
            | Self::Foreign { .. }
            | Self::Inside { .. }
            | Self::Around { .. }
            | Self::OtherData { .. } => ErrorKind::Foreign,
            Self::Taken { .. } | Self::OfAnother { .. } | Self::NoWayBack { .. } => {
                ErrorKind::InUse
            }
            Self::Unmount(UnmountError::Busy { .. }) => ErrorKind::InUse,
            Self::Unmount(_) => ErrorKind::Failed,
            Self::Absent { .. } => ErrorKind::NotFound,
            Self::NoExport(_)
            | Self::OtherBackend(_)
            | Self::BadHandle(_)
            | Self::NoDevice
            | Self::Images { .. }
            | Self::ImageLate { .. }
            | Self::NoAddress { .. }
            | Self::Silent { .. }
            | Self::Away(_)
            | Self::Mount(_)
            | Self::Json(_) => ErrorKind::Failed,
        }
    }
}
