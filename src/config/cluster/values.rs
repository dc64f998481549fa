//! How the values of a cluster's settings are written.

use std::{net::SocketAddr, time::Duration};

use super::{super::duration, DigestAuth, Ensemble};

/// ZooKeeper's own port.
const ZOOKEEPER: u16 = 2181;

/// ZooKeeper grants 2 of its ticks at least, by itself 4 s: a shorter session would be over by a pause
/// of the network.
const SHORTEST: Duration = Duration::from_secs(4);
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// Reads `HOST:PORT,HOST:PORT/CHROOT`, with `zk://` before it as Mesos writes it.
pub(super) fn ensemble(text: &str) -> Result<Option<Ensemble>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let text = text.strip_prefix("zk://").unwrap_or(text);
    let (servers, path) = text.split_at(text.find('/').unwrap_or(text.len()));
    let mut all = Vec::new();
    for written in servers.split(',').map(str::trim) {
        let server = server(written)?;
        if all.contains(&server) {
            return Err(format!("{server} is there twice: name each server once"));
        }
        all.push(server);
    }
    let chroot = if path.is_empty() { None } else { chroot(path)? };
    Ok(Some(Ensemble { servers: all.join(","), chroot }))
}

/// A server with its port.
fn server(text: &str) -> Result<String, String> {
    let told = || {
        format!(
            "`{text}` is no server: write HOST:2181,HOST:2181,HOST:2181 or the same with /CHROOT"
        )
    };
    match split(text) {
        Some((host, None)) if is_host(host) => Ok(format!("{host}:{ZOOKEEPER}")),
        Some((host, Some(port))) if is_host(host) => Ok(format!("{host}:{port}")),
        Some(_) | None => Err(told()),
    }
}

/// A znode's path; `None` is the root, which is nobody's own.
fn chroot(text: &str) -> Result<Option<String>, String> {
    if text == "/" {
        return Ok(None);
    }
    let inner = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_name =
        |name: &str| !name.is_empty() && !matches!(name, "." | "..") && name.chars().all(inner);
    let names = text.strip_prefix('/').unwrap_or(text);
    // ZooKeeper keeps its own settings there.
    if names == "zookeeper" || names.starts_with("zookeeper/") {
        return Err("/zookeeper is ZooKeeper's own: write another path, such as /hawser".into());
    }
    if names.split('/').all(is_name) {
        return Ok(Some(text.to_owned()));
    }
    Err(format!(
        "`{text}` is no path in ZooKeeper: write /NAME/NAME, with letters, digits, `.`, `_` and `-`, and no `/` at its end"
    ))
}

/// Reads `USER:PASSWORD`.
pub(super) fn auth(text: &str) -> Result<Option<DigestAuth>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.split_once(':') {
        Some((user, password)) if !user.is_empty() && !password.is_empty() => {
            Ok(Some(DigestAuth(text.to_owned())))
        }
        Some(_) | None => Err("write USER:PASSWORD".into()),
    }
}

pub(super) fn session(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        session if session < SHORTEST => Err(format!(
            "must be {SHORTEST:?} or longer: in less, a pause of the network is a node's death"
        )),
        session if session > LONGEST => {
            Err("must be 5m or shorter: it is how long a dead node's volumes wait for another"
                .into())
        }
        session => Ok(session),
    }
}

/// What Ganesha takes at most, in `share::text`.
const LONGEST_LEASE: Duration = Duration::from_secs(120);
const LONGEST_GRACE: Duration = Duration::from_secs(180);
/// The shortest that was measured (docs/sharing-measured.md).
const SHORTEST_LEASE: Duration = Duration::from_secs(4);

pub(super) fn lease(text: &str) -> Result<Duration, String> {
    match whole_seconds(text)? {
        lease if lease < SHORTEST_LEASE => Err(format!(
            "must be {SHORTEST_LEASE:?} or longer: in less, a pause of the network costs a node's locks"
        )),
        lease if lease > LONGEST_LEASE => {
            Err("must be 2m or shorter: NFS-Ganesha takes no more".into())
        }
        lease => Ok(lease),
    }
}

pub(super) fn grace(text: &str) -> Result<Option<Duration>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match whole_seconds(text)? {
        grace if grace > LONGEST_GRACE => {
            Err("must be 3m or shorter: NFS-Ganesha takes no more".into())
        }
        grace => Ok(Some(grace)),
    }
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        time if time.subsec_nanos() == 0 => Ok(time),
        _ => Err("must be whole seconds, such as 10s".into()),
    }
}

pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(listen) if listen.port() > 0 => Ok(listen),
        Ok(_) | Err(_) => Err("must be an address with a port, such as 0.0.0.0:7420".into()),
    }
}

pub(super) fn tunnel_listen(text: &str) -> Result<Option<SocketAddr>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    listen(text)
        .map(Some)
        .map_err(|_| "must be an address with a port, such as 0.0.0.0:7421, or empty".to_owned())
}

/// Another port of the same host.
pub(super) fn with_port(address: &str, port: u16) -> String {
    let host = split(address).map_or(address, |(host, _)| host);
    format!("{host}:{port}")
}

/// Reads `HOST:PORT`.
pub(super) fn address(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let nowhere = ["0.0.0.0", "[::]"];
    match split(text) {
        Some((host, Some(_))) if nowhere.contains(&host) => {
            Err("no other node reaches this one by it: write the host's name or its address".into())
        }
        Some((host, Some(_))) if is_host(host) => Ok(Some(text.to_owned())),
        Some(_) | None => Err("must be HOST:PORT, such as node1.example.com:7420".into()),
    }
}

/// A host and its port, if there is one that can be; `None` where it cannot be.
fn split(text: &str) -> Option<(&str, Option<u16>)> {
    let port_of = |text: &str| {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| digits && *port > 0)
    };
    match text.rsplit_once(':') {
        // The last part of an IPv6 address is not a port.
        Some((host, _)) if text.ends_with(']') && host.starts_with('[') => Some((text, None)),
        Some((host, port)) => Some((host, Some(port_of(port)?))),
        None => Some((text, None)),
    }
}

/// Whether a text is a host's name or its address, an IPv6 one in brackets.
pub(super) fn is_host(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    let bytes = text.as_bytes();
    (1..=253).contains(&bytes.len())
        && bytes.iter().copied().all(inner)
        && edge(bytes.first().copied())
        && edge(bytes.last().copied())
}
