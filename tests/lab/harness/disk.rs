//! A disk that machines are given: a file, behind a write cache that a power loss empties.
//!
//! nbdkit's cache filter keeps every write to itself until the machine asks for a flush. Killing it
//! loses what no flush covered: all of that, and always. What a real disk may also do (keep some of it,
//! in any order) is not shown.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use super::{PATIENCE, eventually};

/// The disk; it exists for as long as its lab.
pub(crate) struct Disk {
    /// By which a machine finds it, as EBS volumes are found.
    pub(crate) serial: String,
    file: PathBuf,
    pub(super) socket: PathBuf,
    server: Mutex<Child>,
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
        server.wait().unwrap();
        *server = serve(&self.file, &self.socket);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let server = self.server.get_mut().unwrap();
        let _ = server.kill();
        let _ = server.wait();
    }
}

#[track_caller]
fn serve(file: &Path, socket: &Path) -> Child {
    let _ = std::fs::remove_file(socket);
    let mut command = Command::new("nbdkit");
    // It ends with the test's process, however that ends.
    command.args(["--foreground", "--exit-with-parent", "--unix"]).arg(socket);
    command.args(["--filter=cache", "file"]).arg(file).arg("cache=writeback");
    let server = command.stdin(Stdio::null()).spawn();
    let server = server.expect("nbdkit runs (scripts/install-deps.sh installs it)");
    eventually("nbdkit serves the disk", PATIENCE, || socket.exists());
    server
}
