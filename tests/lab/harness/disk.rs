//! A disk that machines are given: a file, behind a write cache that a power loss empties ([`nbd`]).
//!
//! What a real disk may also do (keep some of what no flush covered, in any order) is not shown.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Mutex,
};

use super::nbd::{Cache, Server};

/// The disk; it exists for as long as its lab.
pub(crate) struct Disk {
    /// By which a machine finds it, as EBS volumes are found.
    pub(crate) serial: String,
    file: PathBuf,
    pub(super) socket: PathBuf,
    server: Mutex<Server>,
}

impl Disk {
    /// A blank disk.
    #[track_caller]
    pub(super) fn create(dir: &Path, serial: &str, bytes: u64) -> Self {
        let file = dir.join(format!("{serial}.disk"));
        File::create_new(&file).unwrap().set_len(bytes).unwrap();
        let socket = dir.join(format!("{serial}.nbd"));
        let server = Mutex::new(serve(&file, &socket));
        Self { serial: serial.to_owned(), file, socket, server }
    }

    /// Loses what no flush covered, as when the power fails. Its machine has to be dead.
    #[track_caller]
    pub(super) fn lose_cache(&self) {
        let mut server = self.server.lock().unwrap();
        server.kill().unwrap();
        *server = serve(&self.file, &self.socket);
    }
}

#[track_caller]
fn serve(file: &Path, socket: &Path) -> Server {
    Server::start(file, socket, Cache::Lost)
        .expect("nbdkit runs (scripts/install-deps.sh installs it)")
}
