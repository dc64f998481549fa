//! The bytes of one connection, as the crate `nfs3_client` wants them, and three things that it does
//! not care for: the end of a connection is an error (the crate would spin on it for ever), an answer
//! in several fragments is put together, and an answer of absurd length is none.

use std::io;

use nfs3_client::io::{AsyncRead, AsyncWrite};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// No answer to our calls is a tenth of it. What is no RPC at all (`HTTP`, `SSH-`) reads as a length
/// beyond it.
const LONGEST: usize = 4 << 20;

/// RFC 5531, record marking: the highest bit tells the last fragment.
const LAST: u32 = 1 << 31;

/// A connection to a server.
pub(super) struct Stream {
    tcp: BufReader<TcpStream>,
    /// The answer that is being read, as if it had come in one fragment.
    answer: Vec<u8>,
    /// How much of it was read.
    read: usize,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp: BufReader::new(tcp), answer: Vec::new(), read: 0 }
    }

    async fn receive(&mut self) -> io::Result<()> {
        self.read = 0;
        self.answer.clear();
        self.answer.resize(size_of::<u32>(), 0);
        loop {
            let header = self.tcp.read_u32().await?;
            let length = (header & !LAST) as usize;
            let start = self.answer.len();
            if start + length > LONGEST {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "what it sends is no RPC"));
            }
            self.answer.resize(start + length, 0);
            self.tcp.read_exact(&mut self.answer[start..]).await?;
            if header & LAST != 0 {
                break;
            }
        }
        let length = u32::try_from(self.answer.len() - size_of::<u32>()).unwrap_or(0);
        self.answer[..size_of::<u32>()].copy_from_slice(&(length | LAST).to_be_bytes());
        Ok(())
    }
}

impl AsyncRead for Stream {
    async fn async_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.answer.len() {
            self.receive().await?;
        }
        let unread = &self.answer[self.read..];
        let count = unread.len().min(buffer.len());
        buffer[..count].copy_from_slice(&unread[..count]);
        self.read += count;
        Ok(count)
    }
}

impl AsyncWrite for Stream {
    async fn async_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.tcp.write(bytes).await? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count => Ok(count),
        }
    }
}
