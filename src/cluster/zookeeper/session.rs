//! The session as it is kept over a restart of the daemon: `zookeeper-session` in the state directory.
//!
//! Whoever has the id and the password is the session, so only root may read the file. It is written
//! before anything depends on the session, and a session of another node, machine or ensemble is not
//! gone on with: a state directory may have been copied.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{cluster::NodeInfo, sys::durable, volume::NodeName};

const FILE: &str = "zookeeper-session";

/// What a server knows a session by.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ticket {
    pub(super) id: i64,
    pub(super) password: Vec<u8>,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "session {:#x}", self.id)
    }
}

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Whose {
    ensemble: String,
    node: NodeName,
    machine_id: String,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    whose: Whose,
    #[serde(flatten)]
    ticket: Ticket,
}

/// Where the session is kept.
#[derive(Debug)]
pub(super) struct SessionFile {
    path: PathBuf,
    whose: Whose,
}

impl SessionFile {
    pub(super) fn new(state_dir: &Path, ensemble: &str, me: &NodeInfo) -> Self {
        let whose = Whose {
            ensemble: ensemble.into(),
            node: me.name.clone(),
            machine_id: me.machine_id.clone(),
        };
        Self { path: state_dir.join(FILE), whose }
    }

    /// The session that was kept, if it is this node's. One that cannot be read is over soon.
    pub(super) fn read(&self) -> Option<Ticket> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(file = %self.path.display(), %error, "the kept session cannot be read: a new one begins");
                return None;
            }
        };
        let kept: Kept = serde_json::from_slice(&bytes)
            .inspect_err(|error| {
                tracing::warn!(file = %self.path.display(), %error, "the kept session cannot be read: a new one begins");
            })
            .ok()?;
        (kept.whose == self.whose).then_some(kept.ticket)
    }

    /// Keeps a session.
    pub(super) fn write(&self, ticket: &Ticket) -> io::Result<()> {
        let kept = Kept { whose: self.whose.clone(), ticket: ticket.clone() };
        durable::replace(&self.path, &serde_json::to_vec(&kept)?, 0o600)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::node, *};

    #[test]
    fn a_session_is_read_by_its_own_node_and_by_no_copy_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let ticket = Ticket { id: -5, password: vec![7; 16] };
        let (mine, other) = (node("a", "m1"), node("a", "m2"));
        let file = SessionFile::new(dir.path(), "zk:2181/hawser", &mine);
        assert_eq!(file.read(), None);
        file.write(&ticket).unwrap();

        assert_eq!(SessionFile::new(dir.path(), "zk:2181/hawser", &mine).read(), Some(ticket));
        assert_eq!(SessionFile::new(dir.path(), "zk:2181/hawser", &other).read(), None);
        assert_eq!(SessionFile::new(dir.path(), "zk:2181/other", &mine).read(), None);
        #[expect(clippy::disallowed_methods, reason = "a damaged file")]
        fs::write(dir.path().join(FILE), b"{").unwrap();
        assert_eq!(file.read(), None);
    }
}
