//! A socket on which both sides say one line of JSON at a time: QEMU's monitor and the guest agent.
//!
//! Nothing waits for ever: every read has a deadline. A line that came in halves is kept.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

/// The connection, and what arrived of a line that has not ended yet.
#[derive(Debug)]
pub(crate) struct Lines {
    stream: BufReader<UnixStream>,
    pending: Vec<u8>,
}

impl Lines {
    /// Connects to a socket that QEMU makes early in its start.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { stream: BufReader::new(stream), pending: Vec::new() })
    }

    /// Sends these bytes and a line's end.
    pub(crate) fn send(&mut self, line: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(&[line, b"\n"].concat())
    }

    /// The next line; `TimedOut` where none ended in time.
    pub(crate) fn receive(&mut self, deadline: Instant) -> io::Result<Value> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = left.max(Duration::from_millis(1));
            self.stream.get_ref().set_read_timeout(Some(left))?;
            match self.stream.read_until(b'\n', &mut self.pending) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {
                    let line = std::mem::take(&mut self.pending);
                    // The agent marks the answer to a sync with this byte, which is no JSON.
                    let start = line.iter().rposition(|&byte| byte == 0xff).map_or(0, |at| at + 1);
                    return serde_json::from_slice(&line[start..]).map_err(io::Error::from);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
        }
    }
}
