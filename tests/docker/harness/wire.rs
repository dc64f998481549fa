//! A client that speaks to the plugin's socket in plain bytes, to say also what Docker never says.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde_json::Value;

/// One call with Docker's own headers, on a connection of its own: the status and the answer.
pub(crate) fn call(socket: &Path, method: &str, body: &str) -> io::Result<(u16, Value)> {
    Connection::open(socket)?.call(method, body)
}

/// A connection that stays open between calls.
pub(crate) struct Connection {
    stream: BufReader<UnixStream>,
}

impl Connection {
    pub(crate) fn open(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(130)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// A call as a recent Docker writes it.
    pub(crate) fn call(&mut self, method: &str, body: &str) -> io::Result<(u16, Value)> {
        let request = format!(
            "POST /{method} HTTP/1.1\r\nHost: plugin.moby.localhost\r\n\
             User-Agent: Go-http-client/1.1\r\nContent-Length: {}\r\n\
             Accept: application/vnd.docker.plugins.v1.2+json\r\n\r\n{body}",
            body.len()
        );
        self.exchange(request.as_bytes())
    }

    /// Sends these bytes and reads one answer.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> io::Result<(u16, Value)> {
        self.stream.get_mut().write_all(request)?;
        let status = self.line()?;
        let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let code =
            code.ok_or_else(|| io::Error::other(format!("not a status line: {status:?}")))?;
        let mut length = 0;
        loop {
            let header = self.line()?.to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        // Docker shows a body that is not JSON as it is, and so does this.
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        Ok((code, serde_json::from_slice(&body).unwrap_or_else(|_| text())))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}
