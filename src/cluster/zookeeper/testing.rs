//! Nodes, and stores of them on a real ZooKeeper, for tests.

use std::{future::Future, sync::Arc, time::Duration};

use tempfile::TempDir;
use zookeeper::ZooKeeper as Server;

use super::{ZooKeeper, ZooKeeperConfig};
use crate::{
    cluster::{NodeInfo, Store, conformance::answers},
    volume::{NodeName, lease::Session, testing::START},
};

/// As short as a session can be that no pause of a busy machine ends.
pub(super) const SESSION: Duration = Duration::from_secs(2);

/// A node of that name on that machine.
pub(super) fn node(name: &str, machine_id: &str) -> NodeInfo {
    NodeInfo {
        name: name.parse().unwrap(),
        machine_id: machine_id.into(),
        address: None,
        tunnel: None,
        host: None,
        machine: None,
        zone: None,
        free_slots: None,
        serves: None,
        version: "0.1.0".into(),
        started_at: START,
        drained: false,
    }
}

/// A server, and the directories of its clients.
pub(super) struct World {
    pub(super) server: Server,
    dir: TempDir,
}

impl World {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { server: Server::start(&dir.path().join("server")), dir }
    }

    /// The server begins anew, with nothing.
    pub(super) fn lose_the_data(&mut self) {
        self.server.kill();
        std::fs::remove_dir_all(self.dir.path().join("server/data")).unwrap();
        self.server.restart();
    }

    pub(super) fn config(&self, name: &str) -> ZooKeeperConfig {
        let state_dir = self.dir.path().join(format!("state-{name}"));
        std::fs::create_dir_all(&state_dir).unwrap();
        ZooKeeperConfig {
            ensemble: self.server.address(),
            chroot: "/dcos/hawser".into(),
            digest: None,
            session_timeout: SESSION,
            state_dir,
        }
    }

    /// A node's store, directly at the server.
    pub(super) fn open(&self, name: &str) -> Arc<ZooKeeper> {
        self.open_at(name, &self.server.address())
    }

    /// A node's store, by another address.
    pub(super) fn open_at(&self, name: &str, address: &str) -> Arc<ZooKeeper> {
        let config = ZooKeeperConfig { ensemble: address.into(), ..self.config(name) };
        Arc::new(ZooKeeper::open(config, node(name, name)))
    }

    /// A node's store that answers.
    pub(super) async fn join(&self, name: &str) -> Arc<ZooKeeper> {
        let store = self.open(name);
        answers(&*store).await;
        store
    }
}

/// Waits until something is so, for as long as a test may take.
#[track_caller]
pub(super) fn eventually<'a>(
    what: &'a str,
    mut is_so: impl AsyncFnMut() -> bool + 'a,
) -> impl Future<Output = ()> + 'a {
    let place = std::panic::Location::caller();
    async move {
        for _ in 0..600 {
            if is_so().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{place}: not within 30 s: {what}");
    }
}

/// A node's session, as another one sees it; `None` where it does not know the node.
pub(super) fn session(store: &ZooKeeper, name: &str) -> Option<Session> {
    let name: NodeName = name.parse().unwrap();
    store.nodes().borrow().get(&name).map(|state| state.session)
}
