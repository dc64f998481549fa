//! What the tests of the peer port share: identities in a directory of their own, servers, and the log.

use std::{
    cell::RefCell,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Once},
    time::{Duration, SystemTime},
};

use axum::{Extension, Json, Router, routing::post};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    Identity, PeerConfig, PeerError, PeerNode, PeerServer, Peers,
    pki::{Authority, Pair, Validity},
};
use crate::{sys::durable, volume::NodeName};

pub(crate) const CLUSTER: &str = "prod";

pub(crate) fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

pub(crate) fn authority() -> Authority {
    Authority::new(CLUSTER).unwrap()
}

pub(crate) fn ca(authority: &Authority) -> String {
    authority.pair(Validity::days(10)).unwrap().certificate
}

pub(crate) fn expired() -> Validity {
    let hours = |n: u64| SystemTime::now() - Duration::from_secs(n * 3600);
    Validity { from: hours(48), until: hours(24) }
}

/// A node's directory.
pub(crate) struct Files {
    dir: tempfile::TempDir,
    node: NodeName,
}

impl Files {
    pub(crate) fn new(name: &str, ca: &str, pair: &Pair) -> Self {
        let files = Self { dir: tempfile::tempdir().unwrap(), node: node(name) };
        files.write(ca, pair);
        files
    }

    pub(crate) fn write(&self, ca: &str, pair: &Pair) {
        self.write_ca(ca);
        self.write_pair(pair);
    }

    pub(crate) fn write_ca(&self, ca: &str) {
        durable::replace(&self.path("ca.pem"), ca.as_bytes(), 0o644).unwrap();
    }

    pub(crate) fn write_pair(&self, pair: &Pair) {
        durable::replace(&self.path("node.key"), pair.key.as_bytes(), 0o600).unwrap();
        durable::replace(&self.path("node.pem"), pair.certificate.as_bytes(), 0o644).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config(&self) -> PeerConfig {
        PeerConfig {
            cluster: CLUSTER.to_owned(),
            node: self.node.clone(),
            ca: self.path("ca.pem"),
            certificate: self.path("node.pem"),
            key: self.path("node.key"),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::load(self.config()).unwrap()
    }
}

/// A node with a certificate of that CA.
pub(crate) fn member(name: &str, authority: &Authority) -> Files {
    let pair = authority.issue(&node(name), Validity::days(1)).unwrap();
    Files::new(name, &ca(authority), &pair)
}

/// A running server that answers who called, and what with.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(identity: Identity) -> Self {
        let whoami = |Extension(PeerNode(node)): Extension<PeerNode>, Json(body): Json<Value>| async move {
            Json(json!({ "caller": node, "said": body }))
        };
        Self::with(identity, Router::new().route("/whoami", post(whoami))).await
    }

    pub(crate) async fn with(identity: Identity, router: Router) -> Self {
        let server =
            PeerServer::bind(SocketAddr::from(([127, 0, 0, 1], 0)), identity).await.unwrap();
        let (address, stop) = (server.address(), CancellationToken::new());
        let task = tokio::spawn(server.serve(router, stop.clone()));
        Self { address, stop, task }
    }

    /// Asks it who calls.
    pub(crate) async fn asked_by(
        &self,
        caller: Identity,
        callee: &str,
    ) -> Result<Value, PeerError> {
        let address = self.address.to_string();
        let limit = Duration::from_secs(10);
        Peers::new(caller).call(&node(callee), &address, "/whoami", &json!("hello"), limit).await
    }
}

/// The log of this thread, which is all of a test's own runtime.
///
/// One subscriber for all threads: with one for each, tracing may take what it finds on a thread without
/// one for the interest of all.
pub(crate) struct Log {
    text: Arc<Mutex<Vec<u8>>>,
}

thread_local! {
    static LOG: RefCell<Option<Arc<Mutex<Vec<u8>>>>> = const { RefCell::new(None) };
}

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow(|log| {
            if let Some(log) = log {
                log.lock().unwrap().extend(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(crate) fn start() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            tracing_subscriber::fmt().with_writer(|| Writer).with_ansi(false).init();
        });
        let text = Arc::new(Mutex::new(Vec::new()));
        LOG.set(Some(Arc::clone(&text)));
        Self { text }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }

    /// Waits for a line with all of these.
    #[track_caller]
    pub(crate) fn until<const N: usize>(&self, parts: [&str; N]) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let found =
                |text: &str| text.lines().any(|line| parts.iter().all(|part| line.contains(part)));
            for _ in 0..500 {
                if found(&self.text()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("{place}: no line with {parts:?} in:\n{}", self.text());
        }
    }
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}
