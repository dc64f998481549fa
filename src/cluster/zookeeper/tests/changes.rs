//! What one node changes, the others see.

use std::collections::HashMap;

use tokio::sync::mpsc;
use zookeeper::Link;

use super::super::testing::*;
use crate::{
    cluster::{
        Change, Store, Urgency,
        conformance::{answers, created, owned, volume},
    },
    volume::{Record, VolumeId},
};

/// What a node knows by the changes that it was told: as the engine would.
pub(super) struct Told {
    changes: mpsc::UnboundedReceiver<Change>,
    pub(super) records: HashMap<VolumeId, Record>,
    pub(super) complete: usize,
    seen: usize,
}

impl Told {
    pub(super) fn of(store: &dyn Store) -> Self {
        let changes = store.changes().unwrap();
        assert!(store.changes().is_none(), "they are taken once");
        Self { changes, records: HashMap::new(), complete: 0, seen: 0 }
    }

    pub(super) fn take(&mut self) {
        while let Ok(change) = self.changes.try_recv() {
            self.seen += 1;
            match change {
                Change::Record(record) => {
                    let old = self.records.insert(record.id, (*record).clone());
                    assert!(old.is_none_or(|old| old.revision <= record.revision), "back in time");
                }
                Change::Gone(id) => drop(self.records.remove(&id)),
                Change::Complete { ids, .. } => {
                    self.complete += 1;
                    self.records.retain(|id, _| ids.contains(id));
                }
            }
        }
    }

    fn revision(&mut self, record: &Record) -> Option<u64> {
        self.take();
        self.records.get(&record.id).map(|record| record.revision.get())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_is_told_what_is_there_and_then_what_changes() {
    let world = World::new();
    let a = world.join("a").await;
    let old = created(&*a, &volume()).await;
    let b = world.join("b").await;
    let mut told = Told::of(&*b);
    eventually("everything is told", async || {
        told.take();
        told.complete == 1
    })
    .await;
    assert_eq!(told.revision(&old), Some(1));

    let new = created(&*a, &volume()).await;
    eventually("the new one", async || told.revision(&new) == Some(1)).await;
    let revision = a.replace(&new, &owned(&new, "a"), Urgency::NewWork).await.unwrap();
    eventually("its change", async || told.revision(&new) == Some(2)).await;
    a.delete(&Record { revision, ..new.clone() }).await.unwrap();
    eventually("its end", async || told.revision(&new).is_none()).await;
    assert_eq!((told.complete, told.records.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_missed_more_than_the_log_keeps_is_told_everything() {
    let world = World::new();
    let link = Link::to(&world.server.address());
    let a = world.join("a").await;
    let b = world.open_at("b", &link.address());
    answers(&*b).await;
    let mut told = Told::of(&*b);
    let gone = created(&*a, &volume()).await;
    let mut record = created(&*a, &volume()).await;
    eventually("both", async || told.revision(&gone).and(told.revision(&record)) == Some(1)).await;

    link.refuse();
    a.delete(&gone).await.unwrap();
    for n in 0..600 {
        let next = owned(&record, if n % 2 == 0 { "a" } else { "c" });
        let revision = a.replace(&record, &next, Urgency::NewWork).await.unwrap();
        record = Record { revision, ..next };
    }
    let connection = a.connection().unwrap();
    let log = "/dcos/hawser/changes";
    let kept = async || connection.children(log).await.unwrap().len();
    eventually("the log is trimmed", async || (256..330).contains(&kept().await)).await;

    link.heal();
    eventually("all of it", async || told.revision(&record) == Some(601)).await;
    eventually("without the other", async || told.revision(&gone).is_none()).await;
}

/// Shorter than its session: what it missed is told, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_for_a_moment_is_told_what_it_missed_alone() {
    let world = World::new();
    let link = Link::to(&world.server.address());
    let a = world.join("a").await;
    for _ in 0..20 {
        created(&*a, &volume()).await;
    }
    let b = world.open_at("b", &link.address());
    answers(&*b).await;
    let mut told = Told::of(&*b);
    eventually("everything", async || {
        told.take();
        told.complete == 1
    })
    .await;

    told.seen = 0;
    link.refuse();
    let missed = created(&*a, &volume()).await;
    link.heal();
    eventually("the missed one", async || told.revision(&missed) == Some(1)).await;
    assert_eq!((told.seen, told.complete), (1, 1));
}

/// 3.4 has neither; others may trust that a node costs no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_watches_two_znodes_whatever_the_number_of_volumes() {
    let world = World::new();
    let a = world.join("a").await;
    for _ in 0..50 {
        created(&*a, &volume()).await;
    }
    let watches = async || {
        let figures = world.server.figures();
        let line = figures.lines().find(|line| line.starts_with("zk_watch_count")).unwrap();
        line.rsplit('\t').next().unwrap().to_owned()
    };
    eventually("two watches", async || watches().await == "2").await;
}
