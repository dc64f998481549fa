//! HTTP/1.1 by hand over a unix socket, so that tests can send what no library would.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use serde_json::Value;

use super::PATIENCE;

/// One connection, which can be used many times.
pub(crate) struct Connection {
    stream: BufReader<UnixStream>,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// As received, lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Connection {
    pub(crate) fn open(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE * 3))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// A call as moby sends it: no Content-Type.
    pub(crate) fn post(&mut self, call: &str, body: &str) -> io::Result<Reply> {
        self.send(call, "Host: plugin.moby.localhost\r\n", body)?;
        self.reply()
    }

    /// Sends a call with these headers (and `Content-Length`), and does not wait.
    pub(crate) fn send(&mut self, call: &str, headers: &str, body: &str) -> io::Result<()> {
        let length = body.len();
        let text =
            format!("POST /{call} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        self.stream.get_mut().write_all(text.as_bytes())
    }

    /// Reads one answer.
    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let head = head.to_lowercase();
        let bad = || io::Error::from(io::ErrorKind::InvalidData);
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(bad)?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|length| length.trim().parse().ok())
            .ok_or_else(bad)?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Reply { status, head, body: String::from_utf8(body).map_err(|_| bad())? })
    }
}

impl Reply {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The answer of a call that succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        let value = self.json();
        assert_eq!(value.get("Err").and_then(Value::as_str).unwrap_or_default(), "");
        value
    }

    /// The message of a call that failed.
    #[track_caller]
    pub(crate) fn err(self) -> String {
        assert_eq!(self.status, 500, "{}", self.body);
        let value = self.json();
        let message = value["Err"].as_str().expect("an error is in `Err`").to_owned();
        assert_ne!(message, "");
        message
    }
}
