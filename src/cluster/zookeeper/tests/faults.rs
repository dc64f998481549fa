//! Writers on several nodes while the server and the wires fail: nothing that was acknowledged is lost,
//! nothing is made twice, and in the end all nodes know the same.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep};
use zookeeper::Link;

use super::{
    super::{ZooKeeper, testing::*},
    changes::Told,
};
use crate::{
    cluster::{
        Store, StoreError, Urgency,
        conformance::{answers, created, owned, volume},
    },
    volume::{NodeName, Record, Revision, VolumeId},
};

const NODES: usize = 3;
const VOLUMES: usize = 4;

/// What a writer knows of its writes: each puts a mark of its own into a record, by compare-and-set.
#[derive(Default)]
struct Marks {
    acknowledged: Vec<(VolumeId, NodeName)>,
    /// The store was away: made or not.
    open: Vec<(VolumeId, NodeName)>,
}

struct Cluster {
    world: World,
    links: Vec<Link>,
    stores: Vec<Arc<ZooKeeper>>,
    volumes: Vec<VolumeId>,
}

impl Cluster {
    async fn new() -> Self {
        let world = World::new();
        let links: Vec<_> = (0..NODES).map(|_| Link::to(&world.server.address())).collect();
        let mut stores = Vec::new();
        for (n, link) in links.iter().enumerate() {
            stores.push(world.open_at(&format!("n{n}"), &link.address()));
        }
        for store in &stores {
            answers(&**store).await;
        }
        let mut volumes = Vec::new();
        for _ in 0..VOLUMES {
            volumes.push(created(&*stores[0], &volume()).await.id);
        }
        Self { world, links, stores, volumes }
    }

    /// Lets writers run while `trouble` makes trouble, and looks at what is there after it.
    async fn survives(mut self, trouble: impl AsyncFnOnce(&mut World, &[Link])) {
        let mut told: Vec<_> = self.stores.iter().map(|store| Told::of(&**store)).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = JoinSet::new();
        for (n, store) in self.stores.iter().enumerate() {
            for m in 0..2 {
                let (store, volumes) = (Arc::clone(store), self.volumes.clone());
                writers.spawn(write(store, volumes, format!("w{n}-{m}"), Arc::clone(&stop)));
            }
        }
        trouble(&mut self.world, &self.links).await;
        for store in &self.stores {
            answers(&**store).await;
        }
        // And a while in peace.
        sleep(Duration::from_millis(500)).await;
        stop.store(true, Ordering::Relaxed);
        let marks = writers.join_all().await;
        let truth = self.check(&marks).await;
        for (n, told) in told.iter_mut().enumerate() {
            let knows = async || {
                told.take();
                truth.iter().all(|record| told.records.get(&record.id) == Some(record))
            };
            eventually(&format!("node {n} knows all of it"), knows).await;
        }
    }

    async fn check(&self, marks: &[Marks]) -> Vec<Record> {
        let mut truth = Vec::new();
        for id in &self.volumes {
            let record = self.stores[0].read(*id).await.unwrap().unwrap();
            let made = |all: &[(VolumeId, NodeName)]| -> BTreeSet<NodeName> {
                all.iter().filter(|(of, _)| of == id).map(|(_, mark)| mark.clone()).collect()
            };
            let acknowledged: BTreeSet<_> =
                marks.iter().flat_map(|marks| made(&marks.acknowledged)).collect();
            let open: BTreeSet<_> = marks.iter().flat_map(|marks| made(&marks.open)).collect();
            let lost: Vec<_> = acknowledged.difference(&record.users).collect();
            assert!(lost.is_empty(), "acknowledged, and lost: {lost:?}");
            let strange: Vec<_> = record
                .users
                .iter()
                .filter(|m| !acknowledged.contains(m) && !open.contains(m))
                .collect();
            assert!(strange.is_empty(), "refused, and made: {strange:?}");
            let steps = u64::try_from(record.users.len()).unwrap();
            assert_eq!(record.revision.get(), steps + 1, "each write was made once");
            truth.push(record);
        }
        let count = |of: fn(&Marks) -> usize| marks.iter().map(of).sum::<usize>();
        let (acknowledged, open) = (count(|m| m.acknowledged.len()), count(|m| m.open.len()));
        assert!(acknowledged > 50, "the writers wrote: {acknowledged}");
        println!("{acknowledged} writes acknowledged, {open} left open");
        truth
    }
}

/// Marks records until it is stopped. Each call has to end in time.
async fn write(
    store: Arc<ZooKeeper>,
    volumes: Vec<VolumeId>,
    name: String,
    stop: Arc<AtomicBool>,
) -> Marks {
    let mut marks = Marks::default();
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let id = volumes[n % volumes.len()];
        let mark: NodeName = format!("{name}-{n}").parse().unwrap();
        let begun = Instant::now();
        let Ok(before) = store.read(id).await else {
            assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        let before = before.unwrap();
        let mut next = before.clone();
        next.users.insert(mark.clone());
        let begun = Instant::now();
        match store.replace(&before, &next, Urgency::NewWork).await {
            Ok(revision) => {
                assert_eq!(revision, before.revision.next());
                marks.acknowledged.push((id, mark));
            }
            // Also after a lost answer: it may have been made, and changed again by another writer.
            Err(StoreError::Conflict(_) | StoreError::Away { .. }) => marks.open.push((id, mark)),
            Err(error) => panic!("{error}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
        sleep(Duration::from_millis(2)).await;
    }
    marks
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_killed_and_started_again_under_writers() {
    let trouble = async |world: &mut World, _: &[Link]| {
        for _ in 0..3 {
            sleep(Duration::from_millis(700)).await;
            world.server.kill();
            sleep(Duration::from_millis(300)).await;
            world.server.restart();
            sleep(Duration::from_millis(1500)).await;
        }
    };
    Cluster::new().await.survives(trouble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_stopped_for_longer_than_the_sessions_under_writers() {
    let trouble = async |world: &mut World, _: &[Link]| {
        sleep(Duration::from_millis(700)).await;
        world.server.stop();
        sleep(SESSION * 2).await;
        world.server.restart();
        sleep(Duration::from_secs(1)).await;
    };
    Cluster::new().await.survives(trouble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_frozen_for_a_moment_and_for_longer_than_the_sessions_under_writers() {
    let trouble = async |world: &mut World, _: &[Link]| {
        for frozen in [SESSION / 2, SESSION * 2] {
            sleep(Duration::from_millis(700)).await;
            world.server.freeze();
            sleep(frozen).await;
            world.server.thaw();
            sleep(Duration::from_secs(1)).await;
        }
    };
    Cluster::new().await.survives(trouble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wires_are_cut_and_torn_under_writers() {
    let trouble = async |_: &mut World, links: &[Link]| {
        for round in 0..8 {
            sleep(Duration::from_millis(400)).await;
            let link = &links[round % links.len()];
            if round % 2 == 0 {
                link.cut()
            } else {
                link.refuse()
            };
            sleep(Duration::from_millis([200, 100, 1600, 900, 3000][round % 5])).await;
            link.heal();
        }
    };
    Cluster::new().await.survives(trouble).await;
}

/// The write reaches the server, and its answer does not reach the writer.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_was_lost_is_found_to_be_made() {
    let world = World::new();
    let link = Link::to(&world.server.address());
    let store = world.open_at("a", &link.address());
    answers(&*store).await;
    let losing = async |write: &mut (dyn Future<Output = Result<Revision, StoreError>> + Unpin)| {
        link.mute();
        let trouble = async {
            sleep(Duration::from_millis(300)).await;
            link.refuse();
            sleep(Duration::from_millis(100)).await;
            link.heal();
        };
        let revision = tokio::join!(write, trouble).0.unwrap();
        answers(&*store).await;
        revision
    };

    let record = volume();
    let revision = losing(&mut Box::pin(store.create(&record, Urgency::NewWork))).await;
    let record = Record { revision, ..record };
    let next = owned(&record, "b");
    let revision = losing(&mut Box::pin(store.replace(&record, &next, Urgency::NewWork))).await;
    assert_eq!(revision.get(), 2);
    let read = store.read(record.id).await.unwrap().unwrap();
    assert_eq!((read.revision, &read.lease), (revision, &next.lease), "it was made once");
    let gone = Record { revision, ..next };
    let deleted = async { store.delete(&gone).await.map(|()| revision) };
    losing(&mut Box::pin(deleted)).await;
    assert_eq!(store.read(record.id).await.unwrap(), None);
    assert_eq!(store.named(&record.name).await.unwrap(), None);
}
