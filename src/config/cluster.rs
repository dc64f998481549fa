//! The settings of a cluster, resolved: where its store is, and how nodes reach each other. A node
//! without `cluster.zookeeper` is alone, with the store on its own disk.

mod values;

use std::{fmt, net::SocketAddr, path::Path, path::PathBuf, time::Duration};

use super::{Mistake, Reader, ebs, path, settings::HIDDEN};
use crate::{share::Times, sys::machine, volume::NodeName};

/// A node's part in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// The cluster's name.
    pub cluster: String,
    /// This node's.
    pub node: NodeName,
    /// The servers of ZooKeeper: `HOST:PORT,HOST:PORT`, without the chroot.
    pub ensemble: String,
    /// The znode below which everything is.
    pub chroot: String,
    /// Who this node is to ZooKeeper; `None` is anybody.
    pub auth: Option<DigestAuth>,
    /// How long ZooKeeper waits for a silent node before its session is over.
    pub session: Duration,
    /// Where other nodes' requests are taken.
    pub listen: SocketAddr,
    /// What other nodes call that: `HOST:PORT`.
    pub address: String,
    /// Where other nodes' tunnels are let in.
    pub tunnel_listen: SocketAddr,
    /// What other nodes call that: `HOST:PORT`.
    pub tunnel_address: String,
    /// The authorities whose certificates are believed.
    pub ca: PathBuf,
    /// This node's certificate.
    pub certificate: PathBuf,
    /// The key of that certificate.
    pub key: PathBuf,
    /// How long the servers of shared volumes wait for their clients.
    pub times: Times,
}

/// A user of ZooKeeper's `digest` scheme, with the password. Shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct DigestAuth(String);

impl DigestAuth {
    /// `USER:PASSWORD`, for whoever sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DigestAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestAuth(not shown)")
    }
}

/// Where ZooKeeper is, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ensemble {
    /// `HOST:PORT,HOST:PORT`.
    servers: String,
    /// `None` is the cluster's own.
    chroot: Option<String>,
}

/// Of the settings of the cluster what is right by itself.
struct Peer {
    listen: SocketAddr,
    address: Option<String>,
    tunnel_listen: SocketAddr,
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Reader {
    /// `None` after a mistake, `Some(None)` where this node is alone. The other settings are read in
    /// either case: a mistake in them is one today, not on the day when the node joins a cluster.
    pub(super) fn cluster(&mut self, state_dir: Option<&Path>) -> Option<Option<ClusterConfig>> {
        let ensemble = self.ensemble();
        let auth = self.get("cluster.zookeeper_auth", values::auth);
        let session = self.get("cluster.session", values::session);
        let peer = self.peer(state_dir);
        let times = self.times();
        if ensemble == Some(None) {
            let right = auth.is_some() && session.is_some() && peer.is_some() && times.is_some();
            return right.then_some(None);
        }
        // Both are told where they are missing, and only then is given up.
        let (cluster, node) = (self.cluster_name(), self.node_name());
        let address = peer.as_ref().and_then(|peer| self.peer_address(peer));
        let (Ensemble { servers, chroot }, cluster, peer) = (ensemble??, cluster?, peer?);
        Some(Some(ClusterConfig {
            chroot: chroot.unwrap_or_else(|| format!("/hawser/{cluster}")),
            cluster,
            node: node?,
            ensemble: servers,
            auth: auth?,
            session: session?,
            listen: peer.listen,
            tunnel_address: values::with_port(address.as_deref()?, peer.tunnel_listen.port()),
            tunnel_listen: peer.tunnel_listen,
            address: address?,
            ca: peer.ca,
            certificate: peer.certificate,
            key: peer.key,
            times: times?,
        }))
    }

    /// Mesos writes `zk://USER:PASSWORD@HOST:PORT/…`, which an error must not repeat.
    fn ensemble(&mut self) -> Option<Option<Ensemble>> {
        const KEY: &str = "cluster.zookeeper";
        let (written, source) = self.values.get(KEY);
        if !written.contains('@') {
            return self.get(KEY, values::ensemble);
        }
        let why = "user and password do not belong here, where everybody reads them: they are \
                   cluster.zookeeper_auth";
        let (key, value) = (KEY.to_owned(), HIDDEN.to_owned());
        self.report(Mistake { source, key, value, why: why.to_owned() });
        None
    }

    fn cluster_name(&mut self) -> Option<String> {
        match self.get("daemon.cluster", ebs::cluster)? {
            // Its name is that of a znode, too.
            Some(name) if !matches!(name.as_str(), "." | "..") => Some(name),
            Some(_) => {
                self.mistake(
                    "daemon.cluster",
                    "ZooKeeper has no node of that name: choose another",
                );
                None
            }
            None => {
                self.mistake(
                    "cluster.zookeeper",
                    "it needs daemon.cluster: the cluster's name, the same on every node",
                );
                None
            }
        }
    }

    fn node_name(&mut self) -> Option<NodeName> {
        let configured = self.get("daemon.node", ebs::cluster)?;
        let name = configured.clone().unwrap_or_else(machine::host_name);
        let why = match name.parse::<NodeName>() {
            Ok(node) if configured.is_some() || !is_everybodys(&name) => return Some(node),
            Ok(_) => format!(
                "this host is called {name}, as others are: set daemon.node, another name on every \
                 node of the cluster"
            ),
            Err(why) if configured.is_some() => why.to_string(),
            Err(why) => format!("the host's name cannot be the node's: {why}: set daemon.node"),
        };
        self.mistake("daemon.node", &why);
        None
    }

    fn peer(&mut self, state_dir: Option<&Path>) -> Option<Peer> {
        let listen = self.get("peer.listen", values::listen);
        let address = self.get("peer.address", values::address);
        let tunnel_listen = self.get("peer.tunnel_listen", values::tunnel_listen);
        let ca = self.get("peer.ca", path);
        let certificate = self.get("peer.certificate", path);
        let key = self.get("peer.key", path);
        let below = |path: PathBuf| Some(state_dir?.join(path));
        let tunnel_listen = self.tunnel_listen(listen?, tunnel_listen?);
        Some(Peer {
            listen: listen?,
            address: address?,
            tunnel_listen: tunnel_listen?,
            ca: below(ca?)?,
            certificate: below(certificate?)?,
            key: below(key?)?,
        })
    }

    fn times(&mut self) -> Option<Times> {
        let lease = self.get("sharing.lease", values::lease);
        let grace = self.get("sharing.grace", values::grace);
        let (lease, grace) = (lease?, grace?);
        let grace = grace.unwrap_or_else(|| lease.max(Times::default().grace));
        if grace < lease {
            self.mistake(
                "sharing.grace",
                "must be sharing.lease or longer: a node that has nothing to say comes back only \
                 when it renews its lease",
            );
            return None;
        }
        Some(Times { lease, grace })
    }

    /// The port after the other one, unless it is said.
    fn tunnel_listen(
        &mut self,
        listen: SocketAddr,
        written: Option<SocketAddr>,
    ) -> Option<SocketAddr> {
        let why = match (written, listen.port().checked_add(1)) {
            (Some(written), _) if written.port() != listen.port() => return Some(written),
            (None, Some(port)) => return Some(SocketAddr::new(listen.ip(), port)),
            (Some(_), _) => "it has the port of peer.listen: each needs one of its own",
            (None, None) => "there is no port after that of peer.listen: write one",
        };
        self.mistake("peer.tunnel_listen", why);
        None
    }

    /// What other nodes call this one's port.
    fn peer_address(&mut self, peer: &Peer) -> Option<String> {
        if let Some(address) = &peer.address {
            return Some(address.clone());
        }
        if !peer.listen.ip().is_unspecified() {
            return Some(peer.listen.to_string());
        }
        let host = machine::host_name();
        if !values::is_host(&host) || is_everybodys(&host) {
            let why = format!(
                "this host is called `{host}`, by which no other node reaches it: write HOST:PORT"
            );
            self.mistake("peer.address", &why);
            return None;
        }
        Some(format!("{host}:{}", peer.listen.port()))
    }
}

/// Whether hosts have that name that were given none.
fn is_everybodys(host: &str) -> bool {
    host == "localhost" || host.starts_with("localhost.")
}

#[cfg(test)]
mod tests;
