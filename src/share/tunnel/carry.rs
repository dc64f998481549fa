//! Bytes both ways between a plain connection and one between nodes.
//!
//! Each direction has one buffer, which is all that is taken from a sender before its receiver took it
//! (TLS has some records more): a slow reader slows its writer and takes no memory. An end of one side
//! is carried over as an end, and the other direction goes on.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsStream;

use super::traffic::Traffic;

/// Of each direction. Measured: docs/sharing.md.
const BUFFER: usize = 64 << 10;
/// What is read from the network at once. rustls by itself reads 4 KiB, a fourth of a record.
const READ: usize = 64 << 10;

/// A dead other end is noticed after so long.
pub(super) const SILENCE: Duration = Duration::from_secs(20);
/// How long a server may take to end a connection that it was asked to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// A connection between nodes, read in pieces worth a system call.
pub(super) type Secured = TlsStream<BufReader<TcpStream>>;

/// A TCP connection, fit to have TLS on it.
pub(super) fn buffered(stream: TcpStream) -> BufReader<TcpStream> {
    BufReader::with_capacity(READ, stream)
}

/// Carries until both sides have ended, or one has failed.
pub(super) async fn carry(
    plain: &mut TcpStream,
    secured: &mut Secured,
    traffic: &Traffic,
) -> io::Result<()> {
    let mut plain = Metered { stream: plain, traffic };
    tokio::io::copy_bidirectional_with_sizes(&mut plain, secured, BUFFER, BUFFER).await.map(|_| ())
}

/// Closes a connection of the kernel's or of a server's at once: it is to know that what it sent may
/// not have arrived.
pub(super) fn abort(stream: TcpStream) {
    // If it fails, it is closed in the ordinary way.
    let _ = sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
    drop(stream);
}

/// Ends a connection to a server so that nothing of it is under way afterwards: the server has read
/// everything that was sent, and closed its end; or its time is up.
pub(super) async fn farewell(mut stream: TcpStream) {
    let mut rest = vec![0; 16 << 10];
    let ended = async {
        stream.shutdown().await?;
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    if timeout(FAREWELL, ended).await.is_err() {
        abort(stream);
    }
}

/// The plain side, with what goes through it counted.
struct Metered<'a> {
    stream: &'a mut TcpStream,
    traffic: &'a Traffic,
}

impl AsyncRead for Metered<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut *self.stream).poll_read(cx, buffer))?;
        self.traffic.sent(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut *self.stream).poll_write(cx, bytes))?;
        self.traffic.received(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }
}
