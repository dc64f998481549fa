//! The tunnel's log: written by a thread of its own, and lost rather than waited for.
//!
//! Where the log goes (a disk, a journal) may wait for a volume that waits for the tunnel.

use std::{
    io::{self, Write},
    sync::mpsc::{SyncSender, sync_channel},
    thread,
};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait to be written.
const WAITING: usize = 1024;
/// A stack that is worth being locked in memory, where the process locks what it has.
const STACK: usize = 128 << 10;

/// Takes lines and never waits.
#[derive(Debug, Clone)]
pub struct Unhurried {
    lines: SyncSender<Vec<u8>>,
}

impl Unhurried {
    /// For standard error.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn stderr() -> io::Result<Self> {
        let (lines, waiting) = sync_channel::<Vec<u8>>(WAITING);
        let thread = thread::Builder::new().name("log".to_owned()).stack_size(STACK);
        thread.spawn(move || {
            for line in waiting {
                // Whoever read it may be gone, as the daemon that started this process.
                let _ = io::stderr().write_all(&line);
            }
        })?;
        Ok(Self { lines })
    }
}

impl Write for Unhurried {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.lines.try_send(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Unhurried {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
