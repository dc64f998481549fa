//! This node's identity: its certificate, its key and the CAs that it believes, from three files.
//!
//! The files are looked at when a connection is made, at most once a second. When they have changed
//! they are loaded and checked; from then on new connections use them, and nothing is restarted. Files
//! that are wrong (half-copied, say) are logged once, and what was loaded before goes on.

pub mod check;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use check::{Anchors, CheckError, Credentials, Owner, Tls};
use tokio::time::Instant;

use super::trust;
use crate::volume::NodeName;

/// How often the files are looked at, at most.
const LOOK: Duration = Duration::from_secs(1);
/// So long before its end, a certificate is spoken of.
const SOON: Duration = Duration::from_secs(30 * 24 * 3600);
/// And so often.
const REMIND: Duration = Duration::from_secs(24 * 3600);

/// Who this node is, and where its files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// The cluster's name.
    pub cluster: String,
    /// This node's.
    pub node: NodeName,
    /// The CAs that are believed: one or several certificates (PEM).
    pub ca: PathBuf,
    /// This node's certificate (PEM).
    pub certificate: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("cannot read {path}: {reason}; `hawser pki node` makes a node's certificate and key")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// Anybody could be this node.
    #[error("everybody on this host can read the key {0}: `chmod 600 {0}`, and better a new key")]
    Exposed(PathBuf),
    /// They do not fit.
    #[error(
        "{}, {} and {} cannot be used for node `{}` of cluster `{}`: {reason}",
        config.certificate.display(), config.key.display(), config.ca.display(), config.node, config.cluster
    )]
    Wrong {
        /// Which files, and for whom.
        config: Box<PeerConfig>,
        /// What is wrong.
        reason: CheckError,
    },
}

/// This node's identity, as it is now. Clones share it.
#[derive(Debug, Clone)]
pub struct Identity {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: PeerConfig,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    loaded: Arc<Loaded>,
    looked: Instant,
    /// What was logged last about files that are wrong.
    complaint: Option<String>,
    reminded: Option<Instant>,
}

#[derive(Debug)]
struct Loaded {
    tls: Arc<Tls>,
    end: Option<SystemTime>,
    stamps: Stamps,
}

/// What tells that a file was changed: its device, inode, size and both times. The change time, too,
/// since a copy may keep the other.
type Stamps = [Option<(u64, u64, u64, (i64, i64), (i64, i64))>; 3];

impl Identity {
    /// Loads and checks the files.
    ///
    /// # Errors
    /// What does not fit, and what to do.
    pub fn load(config: PeerConfig) -> Result<Self, IdentityError> {
        let loaded = Arc::new(load(&config)?);
        let state = State { loaded, looked: Instant::now(), complaint: None, reminded: None };
        let identity = Self { shared: Arc::new(Shared { config, state: Mutex::new(state) }) };
        identity.remind();
        Ok(identity)
    }

    /// The cluster's name.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.shared.config.cluster
    }

    /// This node's name.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.shared.config.node
    }

    /// When the certificate that is in use ends, where it says so.
    #[must_use]
    pub fn end(&self) -> Option<SystemTime> {
        self.state().loaded.end
    }

    /// The settings for a new connection, of the files as they are.
    pub async fn tls(&self) -> Arc<Tls> {
        if let Some(known) = self.known_if_due() {
            let config = self.shared.config.clone();
            let changed = move || (stamps(&config) != known).then(|| load(&config));
            match tokio::task::spawn_blocking(changed).await {
                Ok(Some(Ok(loaded))) => self.take(loaded),
                // Tried again at each look: a certificate that is not valid yet will be.
                Ok(Some(Err(error))) => self.complain(&error),
                // Nothing changed, or the runtime ends.
                Ok(None) | Err(_) => {}
            }
            self.remind();
        }
        Arc::clone(&self.state().loaded.tls)
    }

    /// What is loaded, for one caller a second, who then looks whether the files are still that.
    fn known_if_due(&self) -> Option<Stamps> {
        let mut state = self.state();
        let due = state.looked.elapsed() >= LOOK;
        due.then(|| {
            state.looked = Instant::now();
            state.loaded.stamps
        })
    }

    fn take(&self, loaded: Loaded) {
        let until = loaded.end.map_or_else(|| "it does not say when".to_owned(), trust::day);
        let certificate = self.shared.config.certificate.display();
        tracing::info!(%certificate, until, "the certificate of the peer port was changed: new connections use it");
        let mut state = self.state();
        state.loaded = Arc::new(loaded);
        state.complaint = None;
        state.reminded = None;
    }

    fn complain(&self, error: &IdentityError) {
        let text = error.to_string();
        let mut state = self.state();
        if state.complaint.as_ref() != Some(&text) {
            tracing::error!(
                "the files of the peer port were changed and are wrong; the certificate before goes on being used: {text}"
            );
            state.complaint = Some(text);
        }
    }

    /// Says once a day that the certificate in use will end.
    fn remind(&self) {
        let mut state = self.state();
        let Some(end) = state.loaded.end.filter(|end| *end < SystemTime::now() + SOON) else {
            return;
        };
        if state.reminded.is_none_or(|when| when.elapsed() >= REMIND) {
            state.reminded = Some(Instant::now());
            let node = self.node();
            tracing::warn!(
                "the certificate of the peer port ends on {}: `hawser pki node {node} --renew`, and copy the two files here; no restart is needed",
                trust::day(end)
            );
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(config: &PeerConfig) -> Result<Loaded, IdentityError> {
    // Before they are read: what changes meanwhile is found at the next look.
    let stamps = stamps(config);
    let read = |path: &PathBuf| {
        fs::read(path).map_err(|reason| IdentityError::Read { path: path.clone(), reason })
    };
    let (ca, certificate, key) =
        (read(&config.ca)?, read(&config.certificate)?, read(&config.key)?);
    refuse_exposed(&config.key)?;
    let checked = Anchors::read(&ca).and_then(|anchors| {
        let credentials = Credentials::read(&certificate, &key)?;
        let owner = Owner { cluster: &config.cluster, node: &config.node };
        Ok((credentials.check(&anchors, owner)?, credentials.end()))
    });
    match checked {
        Ok((tls, end)) => Ok(Loaded { tls: Arc::new(tls), end, stamps }),
        Err(reason) => Err(IdentityError::Wrong { config: Box::new(config.clone()), reason }),
    }
}

fn refuse_exposed(key: &Path) -> Result<(), IdentityError> {
    let metadata =
        fs::metadata(key).map_err(|reason| IdentityError::Read { path: key.to_owned(), reason })?;
    if metadata.mode() & 0o007 == 0 { Ok(()) } else { Err(IdentityError::Exposed(key.to_owned())) }
}

fn stamps(config: &PeerConfig) -> Stamps {
    [&config.ca, &config.certificate, &config.key].map(|path| {
        let file = fs::metadata(path).ok()?;
        let modified = (file.mtime(), file.mtime_nsec());
        let changed = (file.ctime(), file.ctime_nsec());
        Some((file.dev(), file.ino(), file.size(), modified, changed))
    })
}
