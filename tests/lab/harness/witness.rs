//! A witness of EC2's volumes: looks all the time, and says in the end whether two machines ever had one at
//! once. What EC2 says is not enough: it also looks at which machines can write to the image.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ec2_fake::{Controls, VolumeInfo};

use super::bay::Bay;

const PAUSE: Duration = Duration::from_millis(10);

/// It looks until it is dropped.
pub(crate) struct Witness {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    looks: u64,
    /// What EC2 said of each volume, and since when.
    said: HashMap<String, Vec<(Instant, Attachment)>>,
    /// What must never be.
    broken: Vec<String>,
}

/// To which instance a volume is attached, and in which state.
type Attachment = Option<(String, String)>;
/// For each volume, the machines that can write to it and by which server.
type Writers = BTreeMap<String, Vec<String>>;

impl Witness {
    pub(super) fn start(ec2: Controls, bays: BTreeMap<String, Arc<Bay>>) -> Self {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let mut twice = Writers::new();
            while !of_thread.over.load(Ordering::SeqCst) {
                let writers = writers(&bays);
                of_thread.look(&ec2.volumes(), &writers, &twice);
                twice = writers;
                thread::sleep(PAUSE);
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// Nothing was ever wrong, and it did look.
    #[track_caller]
    pub(crate) fn assert_one_attachment_at_a_time(&self) {
        let seen = self.shared.seen.lock().unwrap();
        assert!(seen.looks > 100, "it looked {} times", seen.looks);
        assert!(seen.broken.is_empty(), "{:#?}", seen.broken);
    }

    /// How much of this time EC2 took to attach and detach a volume.
    pub(crate) fn ec2_took(&self, volume: &str, from: Instant, to: Instant) -> Duration {
        let seen = self.shared.seen.lock().unwrap();
        let said = seen.said.get(volume).map_or(&[][..], |said| said);
        let ends = said.iter().skip(1).map(|(since, _)| *since).chain([to]);
        let parts = said.iter().zip(ends).filter(|((_, attachment), _)| {
            attachment.as_ref().is_some_and(|(_, state)| state != "attached")
        });
        let within = |at: Instant| at.clamp(from, to);
        parts.map(|((since, _), end)| within(end) - within(*since)).sum()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn writers(bays: &BTreeMap<String, Arc<Bay>>) -> Writers {
    let mut writers = Writers::new();
    for (instance, bay) in bays {
        for (volume, server) in bay.served() {
            writers.entry(volume).or_default().push(format!("{instance} by {server}"));
        }
    }
    writers
}

impl Shared {
    fn look(&self, volumes: &[VolumeInfo], writers: &Writers, before: &Writers) {
        let mut seen = self.seen.lock().unwrap();
        seen.looks += 1;
        for volume in volumes {
            let attachment = volume.attachment.as_ref();
            let now = attachment.map(|it| (it.instance.clone(), it.state.clone()));
            let said = seen.said.entry(volume.id.clone()).or_default();
            let last = said.last().and_then(|(_, last)| last.clone());
            if last == now {
                continue;
            }
            said.push((Instant::now(), now.clone()));
            if let (Some((from, _)), Some((to, _))) = (last, now)
                && from != to
            {
                seen.broken.push(format!("{} went from {from} to {to} at once", volume.id));
            }
        }
        // The machines are looked at one after the other: what is so twice is so.
        let broken = writers.iter().filter(|(_, by)| by.len() > 1);
        let broken = broken.filter(|(volume, by)| before.get(*volume) == Some(by));
        let broken = broken.map(|(volume, by)| format!("{volume} can be written to {by:?}"));
        seen.broken.extend(broken);
    }
}
