//! Users of shared volumes that are gone without having said so: a node whose machine is off has nothing mounted.
//!
//! A node is dropped on the cloud's word alone, and only while its session with the store is over: a node that
//! is merely silent may have tasks that write. The word holds for some seconds, since a machine may be started
//! again; what is dropped then is a use that its restart ended.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::{Engine, Shared, message::Message};
use crate::{
    cluster::Nodes,
    volume::{
        NodeName, Record,
        lease::{Machine, Session, StoreReach},
    },
};

/// How long the cloud's word about a machine holds.
const HOLDS: Duration = Duration::from_secs(10);
/// How often it is asked again about a machine that runs though its node is away.
const PAUSE: Duration = Duration::from_secs(15);
/// How long a server that is to be started waits for that word. It would wait longer for a client that is gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the cloud last said, by the name that it has for the machine.
#[derive(Debug, Default)]
pub(super) struct Said(Mutex<HashMap<String, (Machine, Instant)>>);

impl Said {
    fn all(&self) -> MutexGuard<'_, HashMap<String, (Machine, Instant)>> {
        // The map is changed by single calls only.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, machine: &str) -> Option<Machine> {
        let all = self.all();
        let (said, at) = all.get(machine)?;
        (at.elapsed() < HOLDS).then_some(*said)
    }

    fn note(&self, machine: String, said: Machine) {
        let mut all = self.all();
        all.retain(|_, (_, at)| at.elapsed() < HOLDS);
        all.insert(machine, (said, Instant::now()));
    }
}

impl Shared {
    /// What the cloud calls the machine of a node whose session is over, as the store says now.
    fn machine_of_the_silent(&self, node: &NodeName) -> Option<String> {
        let nodes = self.store.nodes();
        let state = nodes.get(node)?;
        let silent = state.session == Session::Over && self.store.reach() == StoreReach::Answers;
        state.info.machine.clone().filter(|_| silent)
    }

    /// Whether a node is gone by what the cloud said just now.
    fn is_departed(&self, node: &NodeName) -> bool {
        let said = |machine: String| self.departed.of(&machine);
        self.machine_of_the_silent(node).and_then(said) == Some(Machine::Gone)
    }

    /// A user of the volume that is gone.
    pub(super) fn departed_user(&self, record: &Record) -> Option<NodeName> {
        record.users.iter().find(|user| self.is_departed(user)).cloned()
    }

    /// The same, after the cloud was asked where it did not say lately.
    async fn has_departed(&self, node: &NodeName) -> bool {
        let Some(machine) = self.machine_of_the_silent(node) else { return false };
        if self.departed.of(&machine).is_none() {
            let said = self.ask_about(&machine).await;
            if said == Machine::Gone {
                tracing::warn!(%node, machine, "its machine is gone: what it used is not kept for it");
            }
            self.departed.note(machine, said);
        }
        self.is_departed(node)
    }

    /// The host names of the volume's users that are gone: the server does not wait for these clients.
    pub(super) async fn departed_hosts(&self, record: &Record) -> Vec<String> {
        let look = async {
            let mut departed = BTreeSet::new();
            for user in &record.users {
                if self.has_departed(user).await {
                    departed.insert(user.clone());
                }
            }
            departed
        };
        let departed = timeout(PATIENCE, look).await.unwrap_or_default();
        hosts_of(&departed, &self.store.nodes())
    }
}

/// A host that any other node calls itself, too, may be that node's, which may have locks.
fn hosts_of(departed: &BTreeSet<NodeName>, nodes: &Nodes) -> Vec<String> {
    let (gone, others): (Vec<_>, Vec<_>) =
        nodes.values().partition(|state| departed.contains(&state.info.name));
    let hosts = gone.into_iter().filter_map(|state| state.info.host.clone());
    hosts.filter(|host| others.iter().all(|other| other.info.host.as_ref() != Some(host))).collect()
}

impl Engine {
    /// Looks after the users of what this node owns, until the daemon stops.
    pub(super) async fn look_for_the_departed_for_ever(self) {
        let mut nodes = self.shared.store.watch_nodes();
        loop {
            self.look_for_the_departed().await;
            tokio::select! {
                Ok(()) = nodes.changed() => {}
                () = sleep(PAUSE) => {}
                () = self.shared.stopping.cancelled() => return,
            }
        }
    }

    async fn look_for_the_departed(&self) {
        let Some(me) = self.shared.store.me() else { return };
        let mut served = self.shared.registry.all();
        served.retain(|handle| {
            let record = &handle.view().record;
            record.is_served() && record.lease.is_of(&me.node) && !record.users.is_empty()
        });
        let users = |record: &Record| record.users.clone();
        let suspects: BTreeSet<_> =
            served.iter().flat_map(|handle| users(&handle.view().record)).collect();
        for node in suspects {
            if self.shared.has_departed(&node).await {
                let theirs = served.iter().filter(|it| it.view().record.users.contains(&node));
                theirs.for_each(|handle| handle.tell(Message::Wake));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cluster::{NodeInfo, NodeState};

    fn nodes(all: &[(&str, Option<&str>)]) -> Nodes {
        let state = |(name, host): &(&str, Option<&str>)| {
            let text = format!(
                r#"{{"name":"{name}","machine_id":"m","version":"0.1.0","started_at":"2026-01-02T03:04:05Z"}}"#
            );
            let info: NodeInfo = serde_json::from_str(&text).unwrap();
            let info = NodeInfo { host: host.map(str::to_owned), ..info };
            (info.name.clone(), NodeState { info, session: Session::Over })
        };
        Arc::new(all.iter().map(state).collect())
    }

    /// A client whose note is gone loses its locks: a living one's is never taken for a dead one's.
    #[test]
    fn only_the_notes_of_hosts_that_no_other_node_is_called_by_are_forgotten() {
        let departed: BTreeSet<NodeName> = ["b".parse().unwrap(), "c".parse().unwrap()].into();
        let of = |all: &[_]| hosts_of(&departed, &nodes(all));
        assert_eq!(of(&[("a", Some("host-a")), ("b", Some("host-b"))]), ["host-b"]);
        assert_eq!(of(&[("a", Some("host-b")), ("b", Some("host-b"))]), [""; 0]);
        assert_eq!(of(&[("a", None), ("b", None)]), [""; 0], "an older hawser does not say");
        let both = [("a", Some("host-a")), ("b", Some("host-b")), ("c", Some("host-c"))];
        assert_eq!(of(&both), ["host-b", "host-c"]);
    }

    #[test]
    fn the_clouds_word_holds_for_a_moment() {
        let said = Said::default();
        assert_eq!(said.of("i-1"), None);
        said.note("i-1".to_owned(), Machine::Gone);
        assert_eq!(said.of("i-1"), Some(Machine::Gone));
        let before = Instant::now().checked_sub(HOLDS).unwrap();
        said.all().insert("i-1".to_owned(), (Machine::Gone, before));
        assert_eq!(said.of("i-1"), None);
    }
}
