//! Follows what the others do: the log of changes, and who lives.
//!
//! Two znodes are watched, whatever the number of volumes: `/changes` and `/alive`. A watch goes off
//! once and says nothing but that there is news. What happens within [`BURST`] is one look; while news
//! follows news, the looks are further and further apart, since each one lists the whole log.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    connection::{Connection, Failure},
    layout::{Subject, parse_change},
    records::decode,
    shared::Shared,
};
use crate::{
    cluster::{Change, NodeInfo, NodeState, Past},
    volume::{NodeName, VolumeId, lease::Session},
};

const BURST: Duration = Duration::from_millis(50);
/// The longest time between two looks. The log holds what happens meanwhile many times over.
const STORM: Duration = Duration::from_millis(250);
/// So many records are read at a time: enough to hide the way there and back, and so few that the nodes of
/// a large cluster, when all of them begin, do not keep each other waiting for long.
const AT_ONCE: usize = 16;

/// What is known of the others, over all connections.
pub(super) struct Follower {
    shared: Arc<Shared>,
    /// The newest entry of the log whose change was told; `None` before everything was told once.
    told: Option<i64>,
    /// The newest entry that was ever seen, over all sessions.
    newest: i64,
    infos: BTreeMap<NodeName, NodeInfo>,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, told: None, newest: -1, infos: BTreeMap::new() }
    }

    /// Another session: everything is to be told again.
    pub(super) fn forget(&mut self) {
        self.told = None;
    }

    /// Learns who there is and who lives, which is to be known before anything is decided.
    pub(super) async fn meet(&mut self, connection: &Connection) -> Result<(), Failure> {
        self.infos.clear();
        for node in connection.children(&self.shared.layout.nodes()).await? {
            if let Ok(node) = node.parse() {
                self.learn(connection, node).await?;
            }
        }
        self.see_who_lives(connection).await
    }

    /// Tells what was missed, and then what happens, until the connection ends.
    pub(super) async fn follow(
        &mut self,
        connection: &Arc<Connection>,
        events: &mut mpsc::UnboundedReceiver<String>,
    ) -> Result<(), Failure> {
        self.see_changes(connection).await?;
        let (mut looked, mut pause) = (Instant::now(), BURST);
        loop {
            let mut news = BTreeSet::new();
            tokio::select! {
                () = connection.ended() => return Err(Failure::Lost(connection.why())),
                event = events.recv() => news.extend(event),
            }
            pause = if looked.elapsed() < pause { (pause * 2).min(STORM) } else { BURST };
            sleep(pause).await;
            while let Ok(event) = events.try_recv() {
                news.insert(event);
            }
            if news.contains(&self.shared.layout.alive()) {
                self.see_who_lives(connection).await?;
            }
            if news.contains(&self.shared.layout.changes()) {
                self.see_changes(connection).await?;
            }
            looked = Instant::now();
        }
    }

    async fn see_who_lives(&mut self, connection: &Connection) -> Result<(), Failure> {
        let alive = connection.watch_children(&self.shared.layout.alive()).await?;
        let alive: BTreeSet<NodeName> = alive.iter().filter_map(|name| name.parse().ok()).collect();
        for node in &alive {
            if !self.infos.contains_key(node) {
                self.learn(connection, node.clone()).await?;
            }
        }
        let state = |(name, info): (&NodeName, &NodeInfo)| {
            let session = if alive.contains(name) { Session::Lives } else { Session::Over };
            (name.clone(), NodeState { info: info.clone(), session })
        };
        let nodes: BTreeMap<_, _> = self.infos.iter().map(state).collect();
        self.shared.nodes.send_if_modified(|known| {
            let differs = **known != nodes;
            if differs {
                *known = Arc::new(nodes);
            }
            differs
        });
        Ok(())
    }

    /// What a node says of itself now.
    async fn learn(&mut self, connection: &Connection, node: NodeName) -> Result<(), Failure> {
        match connection.get(&self.shared.layout.node(&node)).await? {
            Some((data, _)) => match serde_json::from_slice(&data) {
                Ok(info) => drop(self.infos.insert(node, info)),
                Err(error) => {
                    tracing::error!(%node, %error, "what this node says of itself cannot be read");
                }
            },
            None => drop(self.infos.remove(&node)),
        }
        Ok(())
    }

    async fn see_changes(&mut self, connection: &Arc<Connection>) -> Result<(), Failure> {
        let entries = connection.watch_children(&self.shared.layout.changes()).await?;
        let entries: BTreeMap<i64, Subject> =
            entries.iter().filter_map(|entry| parse_change(entry)).collect();
        let newest = entries.keys().next_back().copied().unwrap_or(-1);
        match self.told.filter(|told| is_without_gap(*told, &entries)) {
            Some(told) => {
                let new: BTreeSet<_> = entries
                    .into_iter()
                    .filter(|(number, _)| *number > told)
                    .map(|(_, s)| s)
                    .collect();
                self.tell(connection, new).await?;
            }
            None => {
                // The log's numbers only grow, also where its entries are deleted.
                let past = if newest < self.newest { Past::Lost } else { Past::Whole };
                self.tell_everything(connection, past).await?;
            }
        }
        self.told = Some(newest);
        self.newest = newest;
        Ok(())
    }

    async fn tell(
        &mut self,
        connection: &Arc<Connection>,
        subjects: BTreeSet<Subject>,
    ) -> Result<(), Failure> {
        let mut volumes = Vec::new();
        let mut nodes = Vec::new();
        for subject in subjects {
            match subject {
                Subject::Volume(id) => volumes.push(id),
                Subject::Node(node) => nodes.push(node),
            }
        }
        self.tell_records(connection, volumes).await?;
        if nodes.is_empty() {
            return Ok(());
        }
        for node in nodes {
            self.learn(connection, node).await?;
        }
        self.see_who_lives(connection).await
    }

    async fn tell_everything(
        &mut self,
        connection: &Arc<Connection>,
        past: Past,
    ) -> Result<(), Failure> {
        // The nodes' entries may be among those that are gone.
        self.meet(connection).await?;
        let names = connection.children(&self.shared.layout.volumes()).await?;
        let ids: Vec<VolumeId> = names.iter().filter_map(|name| name.parse().ok()).collect();
        self.tell_records(connection, ids.clone()).await?;
        let _ = self.shared.changes.send(Change::Complete { ids, past });
        Ok(())
    }

    async fn tell_records(
        &self,
        connection: &Arc<Connection>,
        ids: Vec<VolumeId>,
    ) -> Result<(), Failure> {
        let mut reads = JoinSet::new();
        let mut ids = ids.into_iter();
        loop {
            while reads.len() < AT_ONCE
                && let Some(id) = ids.next()
            {
                let (connection, path) = (Arc::clone(connection), self.shared.layout.volume(id));
                reads.spawn(async move { (id, connection.get(&path).await) });
            }
            let Some(read) = reads.join_next().await else { return Ok(()) };
            let Ok((id, found)) = read else { continue };
            let change = match found? {
                None => Change::Gone(id),
                Some((data, stat)) => match decode(id, &data, stat.version) {
                    Ok((_, record)) => Change::Record(Box::new(record)),
                    Err(reason) => {
                        tracing::error!(volume = %id, %reason, "the record in the cluster's store cannot be read: this node goes on with what it knows of the volume");
                        continue;
                    }
                },
            };
            // Nobody may listen (any more).
            let _ = self.shared.changes.send(change);
        }
    }
}

/// Whether the log still has all that came after that entry. Its numbers have no gaps; where they
/// begin anew, somebody has restored an older state.
fn is_without_gap(told: i64, entries: &BTreeMap<i64, Subject>) -> bool {
    match (entries.keys().next(), entries.keys().next_back()) {
        (Some(oldest), Some(newest)) => *oldest <= told + 1 && *newest >= told,
        _ => told == -1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_was_trimmed_past_what_was_told_has_a_gap() {
        let log = |numbers: std::ops::RangeInclusive<i64>| {
            numbers.map(|n| (n, Subject::Volume(VolumeId::random()))).collect::<BTreeMap<_, _>>()
        };
        assert!(is_without_gap(9, &log(10..=20)));
        assert!(is_without_gap(20, &log(10..=20)));
        assert!(!is_without_gap(8, &log(10..=20)));
        assert!(!is_without_gap(21, &log(10..=20)), "an older state was restored");
        assert!(is_without_gap(-1, &log(0..=3)));
        assert!(is_without_gap(-1, &BTreeMap::new()));
        assert!(!is_without_gap(4, &BTreeMap::new()));
    }
}
