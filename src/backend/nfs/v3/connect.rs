//! Makes connections: looks the host up, and calls from a privileged port where that is wanted.
//!
//! Not left to the crate: it takes no names, and its privileged ports are for IPv4 only.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use tokio::{
    net::{TcpSocket, TcpStream, lookup_host},
    time::timeout,
};

use super::{ServerConfig, stream::Stream};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Those that the kernel's client takes, from the highest downwards.
const PRIVILEGED: RangeInclusive<u16> = 665..=1023;

/// Connects to a port of the server.
///
/// # Errors
///
/// With the host, the port and the reason in it.
pub(super) async fn connect(server: &ServerConfig, port: u16) -> io::Result<Stream> {
    let limit = CONNECT_TIMEOUT.min(server.call_timeout);
    let tcp = match timeout(limit, to_any_address(server, port, limit)).await {
        Ok(result) => result?,
        Err(_) => {
            let text = format!("no connection to {}, port {port}, within {limit:?}", server.host);
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
    };
    tcp.set_nodelay(true)?;
    Ok(Stream::new(tcp))
}

async fn to_any_address(
    server: &ServerConfig,
    port: u16,
    limit: Duration,
) -> io::Result<TcpStream> {
    let host = server.host.as_str();
    let addresses = lookup_host((host, port)).await.map_err(|error| {
        io::Error::new(error.kind(), format!("the name {host} cannot be looked up: {error}"))
    })?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    // One that leads nowhere leaves time for the others.
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = io::Error::other(format!("the name {host} has no address"));
    for address in addresses {
        let connected = async {
            if server.privileged_port {
                from_privileged_port(address).await
            } else {
                TcpStream::connect(address).await
            }
        };
        let error = match timeout(share, connected).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {share:?}")),
        };
        last = io::Error::new(error.kind(), format!("{address}: {error}"));
    }
    Err(last)
}

async fn from_privileged_port(to: SocketAddr) -> io::Result<TcpStream> {
    for port in PRIVILEGED.rev() {
        let (socket, from): (_, IpAddr) = if to.is_ipv4() {
            (TcpSocket::new_v4()?, Ipv4Addr::UNSPECIFIED.into())
        } else {
            (TcpSocket::new_v6()?, Ipv6Addr::UNSPECIFIED.into())
        };
        // A port is not lost for a minute (TIME_WAIT) with each connection that was closed.
        socket.set_reuseaddr(true)?;
        let connected = match socket.bind(SocketAddr::new(from, port)) {
            Ok(()) => socket.connect(to).await,
            Err(error) => Err(error),
        };
        match connected {
            Err(error) if is_taken(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(io::Error::new(
                    error.kind(),
                    "hawser may not call from a privileged port: it lacks CAP_NET_BIND_SERVICE",
                ));
            }
            other => return other,
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "all privileged ports of this node are in use"))
}

/// By another socket, or for this destination by a connection that was closed lately.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable)
}
