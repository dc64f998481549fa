//! The server of a disk: nbdkit, in front of a file. It is the fence: once it is dead nothing that a
//! machine still says reaches the file.

use std::{
    fs, io,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Sender, channel},
    thread,
    time::{Duration, Instant},
};

use super::PATIENCE;

/// What becomes of a write that no flush covered when the server is killed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cache {
    /// It is lost, all of it and always: a cache in front of the file gives nothing away before a flush.
    Lost,
    /// It is kept: it is not in the machine that loses its power.
    Kept,
}

/// A running server; dropped, it is killed.
#[derive(Debug)]
pub(super) struct Server(Child);

impl Server {
    /// Serves a file on a socket, from a thread that lives as long as the server should.
    pub(super) fn start(file: &Path, socket: &Path, cache: Cache) -> io::Result<Self> {
        let _ = fs::remove_file(socket);
        let mut command = Command::new("nbdkit");
        // It ends with the thread that starts it, however that ends.
        command.args(["--foreground", "--exit-with-parent", "--unix"]).arg(socket);
        match cache {
            Cache::Lost => {
                command.args(["--filter=cache", "file"]).arg(file).arg("cache=writeback")
            }
            Cache::Kept => command.arg("file").arg(file),
        };
        let server = Self(command.stdin(Stdio::null()).spawn()?);
        let start = Instant::now();
        while !socket.exists() {
            if start.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("nbdkit does not serve {}", file.display())));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    /// The same for threads that end at any time, as those of a pool do.
    pub(super) fn start_lasting(file: &Path, socket: &Path, cache: Cache) -> io::Result<Self> {
        let (file, socket) = (file.to_owned(), socket.to_owned());
        let (send, receive) = channel();
        let order: Order = Box::new(move || {
            let _ = send.send(Self::start(&file, &socket, cache));
        });
        starter().send(order).map_err(|error| io::Error::other(error.to_string()))?;
        receive.recv().map_err(io::Error::other)?
    }

    /// Kills it. It is dead when this returns.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.0.kill()?;
        self.0.wait().map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

type Order = Box<dyn FnOnce() + Send>;

/// A thread that never ends, and starts what must not end with another one.
fn starter() -> Sender<Order> {
    static STARTER: std::sync::OnceLock<Sender<Order>> = std::sync::OnceLock::new();
    let start = || {
        let (send, receive) = channel::<Order>();
        thread::spawn(move || receive.iter().for_each(|order| order()));
        send
    };
    STARTER.get_or_init(start).clone()
}
