//! Bytes both ways between a plain connection and one between nodes.
//!
//! Each direction has one buffer, which is all that is taken from a sender before its receiver took it
//! (TLS has some records more): a slow reader slows its writer and takes no memory. An end of one side
//! is carried over as an end, and the other direction goes on.

use std::{
    io,
    os::fd::OwnedFd,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::{io::dup, net::sockopt};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::TlsStream;
use tokio_util::sync::CancellationToken;

use super::traffic::Traffic;
use crate::sys::tcp::{self, Flight};

/// Of each direction. Measured: docs/sharing-internals.md.
const BUFFER: usize = 64 << 10;
/// What is read from the network at once. rustls by itself reads 4 KiB, a fourth of a record.
const READ: usize = 64 << 10;

/// A dead other end is noticed after so long.
pub(super) const SILENCE: Duration = Duration::from_secs(20);
/// And after so long where something waits for its acknowledgement. Below the servers' shortest usual lease:
/// the next connection is tried each second, and is there as soon as the network is, while this one's own
/// repetitions come ever later.
const UNHEARD: Duration = Duration::from_secs(5);
/// How often it is looked whether it is heard of.
const LOOK: Duration = Duration::from_secs(1);
/// Of the questions whether it has room again, one may be on its way.
const PROBES: u8 = 3;
/// How long a server may take to end a connection that it was asked to end.
const FAREWELL: Duration = Duration::from_secs(2);
/// A server that said nothing for so long has answered what it was asked.
const QUIET: Duration = Duration::from_millis(200);
/// And is waited for no longer than this.
const ANSWERS: Duration = Duration::from_secs(1);

/// A connection between nodes, read in pieces worth a system call.
pub(super) type Secured = TlsStream<BufReader<TcpStream>>;

/// A TCP connection, fit to have TLS on it.
pub(super) fn buffered(stream: TcpStream) -> BufReader<TcpStream> {
    BufReader::with_capacity(READ, stream)
}

/// Carries until both sides have ended, or one has failed. Once it is `deaf`, nothing more is taken from the
/// other node, and what the plain side still says is carried there.
pub(super) async fn carry(
    plain: &mut TcpStream,
    secured: &mut Secured,
    traffic: &Traffic,
    deaf: &CancellationToken,
) -> io::Result<()> {
    // A server whose disk stands still takes nothing for a while, and so does the tunnel before it. The kernel's own
    // limit would end the connection then, and all that waits would be sent anew, again and again.
    sockopt::set_tcp_user_timeout(socket_of(secured), 0)?;
    let other_end = dup(socket_of(secured))?;
    let mut plain = Metered { stream: plain, traffic };
    let mut secured = Heard { stream: secured, deaf };
    tokio::select! {
        carried = tokio::io::copy_bidirectional_with_sizes(&mut plain, &mut secured, BUFFER, BUFFER) => {
            carried.map(|_| ())
        }
        silent = silence(&other_end) => Err(silent),
    }
}

fn socket_of(secured: &Secured) -> &TcpStream {
    secured.get_ref().0.get_ref()
}

/// Waits until the other end is not heard of any more though it should have been.
async fn silence(socket: &OwnedFd) -> io::Error {
    let mut unheard = Unheard::default();
    loop {
        sleep(LOOK).await;
        match tcp::flight(socket) {
            Ok(flight) if unheard.lasts(flight, Instant::now()) < UNHEARD => {}
            Ok(_) => {
                return io::Error::new(io::ErrorKind::TimedOut, "the other node is not heard of");
            }
            Err(error) => return error,
        }
    }
}

/// Since when something waits for an answer of the other end's kernel, and none came.
#[derive(Debug, Default)]
struct Unheard(Option<Instant>);

impl Unheard {
    fn lasts(&mut self, flight: Flight, now: Instant) -> Duration {
        let waits = flight.unacknowledged > 0 || flight.probes >= PROBES;
        let heard = self.0.is_some_and(|since| now.duration_since(since) > flight.heard);
        if !waits || heard {
            self.0 = None;
        }
        if waits {
            return now.duration_since(*self.0.get_or_insert(now));
        }
        Duration::ZERO
    }
}

/// Closes a connection of the kernel's or of a server's at once: it is to know that what it sent may
/// not have arrived.
pub(super) fn abort(stream: TcpStream) {
    // If it fails, it is closed in the ordinary way.
    let _ = sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
    drop(stream);
}

/// Waits until servers have answered what they were asked, as far as can be told from outside: a caller that
/// does not hear of a rename that was done asks for it again, and is told that there is nothing to rename.
pub(super) async fn last_answers(traffic: &Traffic) {
    let quiet = async {
        let mut said = traffic.figures().sent;
        loop {
            sleep(QUIET).await;
            let now = traffic.figures().sent;
            if std::mem::replace(&mut said, now) == now {
                return;
            }
        }
    };
    let _ = timeout(ANSWERS, quiet).await;
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

/// The side of the other node, until it is not listened to any more.
struct Heard<'a> {
    stream: &'a mut Secured,
    deaf: &'a CancellationToken,
}

impl AsyncRead for Heard<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.deaf.is_cancelled() {
            // Nobody has to be woken: it stays so.
            return Poll::Pending;
        }
        Pin::new(&mut *self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Heard<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_is_missed_from_when_something_waits_for_it_until_it_is_heard_of() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let flight = |unacknowledged, probes, heard| Flight {
            unacknowledged,
            probes,
            heard: Duration::from_secs(heard),
        };
        let mut unheard = Unheard::default();
        let mut lasts = |flight, seconds| unheard.lasts(flight, at(seconds)).as_secs();

        assert_eq!(lasts(flight(0, 0, 3600), 0), 0, "nothing is said");
        assert_eq!(lasts(flight(3, 0, 3600), 2), 0, "something was said just now");
        assert_eq!(lasts(flight(3, 0, 3602), 4), 2);
        assert_eq!(lasts(flight(3, 0, 3620), 22), 20);
        assert_eq!(lasts(flight(9, 0, 1), 24), 0, "it was heard of, and more waits");
        assert_eq!(lasts(flight(0, 1, 60), 26), 0, "it is full, and asked");
        assert_eq!(lasts(flight(0, 3, 62), 28), 0);
        assert_eq!(lasts(flight(0, 3, 82), 48), 20, "it does not answer what it is asked");
    }
}
