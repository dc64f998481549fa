//! Sockets of hawser's network namespace, for a runtime outside of it.
//!
//! A socket belongs to the namespace of the thread that makes it, and can then be used anywhere. So one
//! thread lives in the namespace and makes them; the runtime's own threads never change theirs.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::mpsc,
    thread,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
};

use crate::sys::netns::Netns;

/// The maker of sockets. Clones share its thread.
#[derive(Debug, Clone)]
pub(super) struct Sockets {
    asks: mpsc::Sender<Ask>,
}

enum Ask {
    Listener(u16, oneshot::Sender<io::Result<std::net::TcpListener>>),
    Stream(oneshot::Sender<io::Result<std::net::TcpStream>>),
}

impl Sockets {
    /// Starts the thread; `None` is the namespace that this process is in.
    pub(super) fn of(namespace: Option<&Path>) -> io::Result<Self> {
        let namespace = namespace.map(Netns::open).transpose()?;
        let (asks, asked) = mpsc::channel::<Ask>();
        let (entered, waits) = mpsc::channel();
        thread::Builder::new().name("sockets".to_owned()).spawn(move || {
            let work = || {
                // Nobody waits any more when the process ends.
                let _ = entered.send(Ok(()));
                asked.into_iter().for_each(answer);
            };
            let done = match namespace {
                Some(namespace) => namespace.run(work),
                None => {
                    work();
                    Ok(())
                }
            };
            if let Err(error) = done {
                tracing::error!(%error, "the thread that makes the tunnel's sockets has ended");
            }
        })?;
        // Where it cannot enter, it drops its end.
        waits.recv().unwrap_or_else(|_| Err(gone()))?;
        Ok(Self { asks })
    }

    /// Listens on the namespace's loopback.
    pub(super) async fn listen(&self, port: u16) -> io::Result<TcpListener> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask::Listener(port, reply)).map_err(|_| gone())?;
        TcpListener::from_std(answer.await.map_err(|_| gone())??)
    }

    /// Connects to a port on the namespace's loopback.
    pub(super) async fn connect(&self, port: u16) -> io::Result<TcpStream> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask::Stream(reply)).map_err(|_| gone())?;
        let socket = TcpSocket::from_std_stream(answer.await.map_err(|_| gone())??);
        let stream = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the thread that makes sockets is gone")
}

fn answer(ask: Ask) {
    // Whoever asked may have given up: then the socket is closed.
    match ask {
        Ask::Listener(port, reply) => drop(reply.send(listener(port))),
        Ask::Stream(reply) => drop(reply.send(stream())),
    }
}

fn listener(port: u16) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn stream() -> io::Result<std::net::TcpStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?.into())
}
