//! What it costs. Run by hand, in a release build: `cargo test --release --lib
//! cluster::zookeeper::tests::figures -- --ignored --nocapture`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep};

use super::{
    super::{ZooKeeper, testing::*},
    changes::Told,
};
use crate::{
    cluster::{
        Store, Urgency,
        conformance::{created, owned, volume},
    },
    volume::Record,
};

const EACH: usize = 40;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn writes_per_second() {
    let world = World::new();
    let store = world.join("a").await;
    let _ = in_flight(&store, 64).await;
    for writers in [8, 64] {
        let (creates, replaces) = in_flight(&store, writers).await;
        println!("{writers} in flight: {creates:.0} creates/s, {replaces:.0} replaces/s");
    }
}

async fn in_flight(store: &Arc<ZooKeeper>, writers: usize) -> (f64, f64) {
    let total = f64::from(u32::try_from(writers * EACH).unwrap());
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            for _ in 0..EACH {
                created(&*store, &volume()).await;
            }
            created(&*store, &volume()).await
        });
    }
    let records = tasks.join_all().await;
    let creates = total / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for record in records {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let mut record = record;
            for _ in 0..EACH {
                let next = owned(&record, "a");
                let revision = store.replace(&record, &next, Urgency::NewWork).await.unwrap();
                record = Record { revision, ..next };
            }
        });
    }
    tasks.join_all().await;
    (creates, total / begun.elapsed().as_secs_f64())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn a_change_that_fifty_nodes_watch() {
    let world = World::new();
    let writer = world.join("writer").await;
    let mut stores = Vec::new();
    for n in 0..50 {
        stores.push(world.join(&format!("n{n}")).await);
    }
    let mut told: Vec<_> = stores.iter().map(|store| Told::of(&**store)).collect();
    let mut record = created(&*writer, &volume()).await;
    sleep(Duration::from_secs(2)).await;
    let before = packets(&world);
    sleep(Duration::from_secs(10)).await;
    let rest = (packets(&world) - before) / 10 / 51;
    println!("at rest: {rest} packets/s for each node (2 s sessions)");

    let (mut slowest, before) = (Duration::ZERO, packets(&world));
    for _ in 0..10 {
        let next = owned(&record, "a");
        let revision = writer.replace(&record, &next, Urgency::NewWork).await.unwrap();
        record = Record { revision, ..next };
        let begun = Instant::now();
        loop {
            told.iter_mut().for_each(Told::take);
            if told
                .iter()
                .all(|t| t.records.get(&record.id).is_some_and(|r| r.revision == revision))
            {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
        slowest = slowest.max(begun.elapsed());
    }
    let packets = (packets(&world) - before) / 10;
    println!(
        "a change: all 50 know after {slowest:?} at most, {packets} packets to and from ZooKeeper"
    );
}

/// What the server received and sent.
fn packets(world: &World) -> u64 {
    let figures = world.server.figures();
    let counts = figures.lines().filter(|line| line.starts_with("zk_packets_"));
    counts.filter_map(|line| line.rsplit('\t').next()?.parse::<u64>().ok()).sum()
}
