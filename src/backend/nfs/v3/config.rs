//! How a server is reached: names and numbers only, nothing is looked up here.

use std::time::Duration;

/// A server, an export on it, and who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerConfig {
    /// A name, or an address (IPv6 without brackets).
    pub(crate) host: String,
    /// The directory that paths are relative to: an export, or a directory below one.
    pub(crate) export: String,
    /// The port of NFS; asked of the portmapper where it is `None`.
    pub(crate) port: Option<u16>,
    /// The port of MOUNT; asked of the portmapper where it is `None`.
    pub(crate) mount_port: Option<u16>,
    /// The port of the portmapper.
    pub(crate) portmapper_port: u16,
    /// Calls come from a port below 1024, which many servers want and which needs
    /// CAP_NET_BIND_SERVICE.
    pub(crate) privileged_port: bool,
    /// The user that calls are made as (AUTH_SYS).
    pub(crate) uid: u32,
    /// Its group.
    pub(crate) gid: u32,
    /// Its other groups: AUTH_SYS has room for sixteen.
    pub(crate) gids: Vec<u32>,
    /// How long one call may take: connecting and being repeated included.
    pub(crate) call_timeout: Duration,
    /// How many calls are made at once, each on a connection of its own.
    pub(crate) connections: usize,
}

impl ServerConfig {
    /// A server and an export, with the usual values for the rest: NFSv3 as root from a privileged
    /// port, the ports asked of the portmapper.
    pub(crate) fn new(host: impl Into<String>, export: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            export: export.into(),
            port: None,
            mount_port: None,
            portmapper_port: 111,
            privileged_port: true,
            uid: 0,
            gid: 0,
            gids: Vec::new(),
            call_timeout: Duration::from_secs(5),
            connections: 4,
        }
    }
}
