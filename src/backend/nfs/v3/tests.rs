//! The control path on a real NFS server, and on servers that fail as no real one can be asked to.

mod operations;
mod outages;
mod refusals;
mod speed;
mod trees;
mod wire;

use std::{
    fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use ganesha::{Options, Server};
use tempfile::TempDir;

use super::*;

/// As fast as it goes.
const FAST: Pace = Pace { calls_per_second: NonZeroU32::new(100_000).unwrap() };

/// An NFS server, and the directory that it exports.
struct Filer {
    server: Server,
    _dir: TempDir,
}

impl Filer {
    #[track_caller]
    fn new() -> Self {
        Self::with(Options::default())
    }

    #[track_caller]
    fn with(options: Options) -> Self {
        let dir = TempDir::with_prefix("hawser-nfs-").unwrap();
        let export = dir.path().join("export");
        fs::create_dir(&export).unwrap();
        Self { server: Server::start(&export, options), _dir: dir }
    }

    fn config(&self) -> ServerConfig {
        ServerConfig {
            port: Some(self.server.port()),
            mount_port: Some(self.server.mount_port()),
            privileged_port: false,
            ..ServerConfig::new("localhost", self.server.export().display().to_string())
        }
    }

    fn open(&self) -> NfsV3 {
        NfsV3::new(self.config())
    }

    /// Where something on the export is on this machine.
    fn local(&self, path: impl AsRef<Path>) -> PathBuf {
        self.server.export().join(path)
    }
}

/// What failed, and that it is told with the server and the path.
#[track_caller]
fn cause<T: std::fmt::Debug>(result: Result<T, TreeError>) -> Cause {
    let error = result.unwrap_err();
    println!("{error}");
    assert!(!error.place.is_empty());
    error.cause
}

#[track_caller]
fn put(path: PathBuf, bytes: impl AsRef<[u8]>) {
    use std::io::Write;
    fs::File::create(path).unwrap().write_all(bytes.as_ref()).unwrap();
}

fn short() -> Duration {
    Duration::from_millis(800)
}
