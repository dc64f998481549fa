//! Unix sockets that are bound for root alone.
//!
//! A socket is root's alone (0600) from its first moment: it is bound under another name, given its
//! mode, and renamed. A stale file (nobody answers) is replaced, a live one refused.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

/// Why a socket cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers on it.
    #[error("{0} is in use: another process answers on it (is hawser running already?)")]
    Live(PathBuf),
    /// There is something else under its name.
    #[error("{0} is in the way: it is not a socket")]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("cannot bind {path}: {source}")]
    Io {
        /// The socket's path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The file of a socket: removed when this is dropped, as long as it is still ours.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: u64,
}

/// Binds a socket, in its directory, which is made if it is missing.
///
/// # Errors
/// A live socket is left alone.
pub fn bind(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    let failed = |source| SocketError::Io { path: path.into(), source };
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(failed)?;
    }
    refuse_live(path)?;
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let listener = UnixListener::bind(&draft).map_err(failed)?;
    let placed = fs::set_permissions(&draft, fs::Permissions::from_mode(0o600))
        .and_then(|()| fs::rename(&draft, path))
        .and_then(|()| fs::metadata(path));
    let metadata = placed.map_err(|error| {
        // Best effort: the error that matters is the one that is returned.
        let _ = fs::remove_file(&draft);
        failed(error)
    })?;
    Ok((listener, SocketFile { path: path.to_owned(), inode: metadata.ino() }))
}

/// A bound socket for the runtime that this is called in.
///
/// # Errors
/// When the runtime does not take it.
pub fn adopt(path: &Path, listener: UnixListener) -> Result<tokio::net::UnixListener, SocketError> {
    listener
        .set_nonblocking(true)
        .and_then(|()| tokio::net::UnixListener::from_std(listener))
        .map_err(|source| SocketError::Io { path: path.into(), source })
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

fn refuse_live(path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Err(SocketError::NotASocket(path.into()))
        }
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(source) => Err(SocketError::Io { path: path.into(), source }),
            Ok(_) => Err(SocketError::Live(path.into())),
        },
        Err(_) => Ok(()),
    }
}
