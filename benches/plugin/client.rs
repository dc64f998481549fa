//! HTTP/1.1 on a connection that is kept alive, as Docker's, with nothing parsed that need not be:
//! what is measured is the daemon.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

pub(crate) struct Client {
    stream: UnixStream,
    answer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(socket: &Path) -> io::Result<Self> {
        Ok(Self { stream: UnixStream::connect(socket)?, answer: Vec::new() })
    }

    /// Makes a call that must succeed: the answer's body.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, body: &str) -> String {
        let (status, answer) = self.try_call(method, body).expect("hawser answers");
        assert_eq!(status, 200, "{method} {body}: {answer}");
        answer
    }

    /// The status and the body.
    pub(crate) fn try_call(&mut self, method: &str, body: &str) -> io::Result<(u16, String)> {
        let request = format!(
            "POST /VolumeDriver.{method} HTTP/1.1\r\nHost: plugin.moby.localhost\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes())?;
        self.answer.clear();
        let body = loop {
            if let Some(body) = self.whole_body() {
                break body;
            }
            let mut chunk = [0; 64 << 10];
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.answer.extend_from_slice(&chunk[..read]),
            }
        };
        let status = std::str::from_utf8(&self.answer[9..12]).ok().and_then(|s| s.parse().ok());
        let status = status.ok_or_else(|| io::Error::other("not a status line"))?;
        Ok((status, String::from_utf8_lossy(&self.answer[body..]).into_owned()))
    }

    /// Where the body starts, once all of it is there.
    fn whole_body(&self) -> Option<usize> {
        let start = self.answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&self.answer[..start]).ok()?.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(Some(0), |length| length.trim().parse().ok())?;
        (self.answer.len() >= start + length).then_some(start)
    }
}

/// `{"Name": …, "ID": …}`.
pub(crate) fn with_id(name: &str, id: &str) -> String {
    format!(r#"{{"Name":"{name}","ID":"{id}"}}"#)
}

/// `{"Name": …}`.
pub(crate) fn named(name: &str) -> String {
    format!(r#"{{"Name":"{name}"}}"#)
}
