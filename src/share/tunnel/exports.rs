//! The volumes that others reach here, who may, and the connections that do.
//!
//! Whether a caller is let in and that it is known as a connection of that export is one step, under one
//! lock: when an export changes, no connection of the old one is missed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use super::{
    hello::{Hello, Refusal},
    status::ExportStatus,
    table::{Access, Export},
    traffic::Traffic,
};
use crate::{
    peer::limits::{Place, Places},
    volume::{NodeName, VolumeId},
};

/// Connections to one volume, in all and of one node. The kernel makes 1 for each mount, or as many as
/// `nconnect` says (16 at most).
const CONNECTIONS: (usize, usize) = (512, 32);
/// How long the connections of an export that is gone may take to end: longer than their farewell.
const CLOSING: Duration = Duration::from_secs(5);

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Exports {
    volumes: Mutex<HashMap<VolumeId, Entry>>,
    /// What is gone, and has connections that were told to end and have not.
    ending: tokio::sync::Mutex<Vec<Ending>>,
}

#[derive(Debug)]
struct Ending {
    entry: Entry,
    /// Whether its connections had their time.
    patience: Patience,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    Left,
    Over,
}

/// A volume with connections that should have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StillOpen {
    pub(super) volume: VolumeId,
    pub(super) text: String,
}

#[derive(Debug)]
struct Entry {
    export: Export,
    traffic: Arc<Traffic>,
    callers: Places<NodeName>,
    stop: CancellationToken,
    connections: TaskTracker,
}

/// A caller that was let in. The export is not closed before this is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    /// The port of the volume's server.
    pub(super) port: u16,
    pub(super) traffic: Arc<Traffic>,
    /// When the export is gone.
    pub(super) stop: CancellationToken,
    _connection: TaskTrackerToken,
    _place: Place<NodeName>,
}

impl Exports {
    /// Whether a caller may in, whose name was proven.
    pub(super) fn admit(&self, hello: &Hello) -> Result<Admitted, (Refusal, String)> {
        let volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = volumes.get(&hello.volume) else {
            let text = format!("volume {} is not shared from this node", hello.volume);
            return Err((Refusal::UnknownVolume, text));
        };
        entry.check(hello).and_then(|()| entry.enter(hello)).inspect_err(|(reason, text)| {
            entry.traffic.refused(*reason, text);
        })
    }

    /// Counts a refusal that came after a caller was let in.
    pub(super) fn refused(&self, volume: VolumeId, reason: Refusal, text: &str) {
        let volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = volumes.get(&volume) {
            entry.traffic.refused(reason, text);
        }
    }

    /// Puts these in the place of those before. The connections of what has changed or is gone have
    /// ended when this returns; what could not be ended is told, each time until it has.
    pub(super) async fn replace(&self, exports: &[Export]) -> Vec<StillOpen> {
        let mut ending = self.ending.lock().await;
        let gone = self.swap(exports).into_iter();
        ending.extend(gone.map(|entry| Ending { entry, patience: Patience::Left }));
        let mut still_open = Vec::new();
        // For all of them together: one that does not end delays the others' change once, and never again.
        let deadline = Instant::now() + CLOSING;
        let mut next = 0;
        while let Some(Ending { entry, patience }) = ending.get_mut(next) {
            let until = match patience {
                Patience::Left => deadline,
                Patience::Over => Instant::now(),
            };
            entry.connections.close();
            if timeout_at(until, entry.connections.wait()).await.is_ok() {
                ending.swap_remove(next);
                continue;
            }
            *patience = Patience::Over;
            let Export { volume, epoch, .. } = entry.export;
            let open = entry.connections.len();
            let text = format!(
                "volume {volume}: {open} connections of epoch {epoch} are still open after {CLOSING:?}"
            );
            still_open.push(StillOpen { volume, text });
            next += 1;
        }
        still_open
    }

    fn swap(&self, exports: &[Export]) -> Vec<Entry> {
        let mut volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *volumes);
        let mut gone = Vec::new();
        for export in exports {
            let entry = match before.remove(&export.volume) {
                Some(entry) if entry.export == *export => entry,
                Some(entry) => {
                    let traffic = Arc::clone(&entry.traffic);
                    gone.push(entry);
                    Entry::new(export.clone(), traffic)
                }
                None => Entry::new(export.clone(), Arc::default()),
            };
            volumes.insert(export.volume, entry);
        }
        gone.extend(before.into_values());
        for entry in &gone {
            // Within the lock: who is let in from now on is of the new ones.
            entry.stop.cancel();
        }
        gone
    }

    pub(super) fn status(&self) -> Vec<ExportStatus> {
        let volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        let status = |entry: &Entry| ExportStatus {
            export: entry.export.clone(),
            figures: entry.traffic.figures(),
        };
        let mut all: Vec<_> = volumes.values().map(status).collect();
        all.sort_by_key(|status| status.export.volume);
        all
    }
}

impl Entry {
    fn new(export: Export, traffic: Arc<Traffic>) -> Self {
        Self {
            export,
            traffic,
            callers: Places::new(CONNECTIONS.0, CONNECTIONS.1),
            stop: CancellationToken::new(),
            connections: TaskTracker::new(),
        }
    }

    fn check(&self, hello: &Hello) -> Result<(), (Refusal, String)> {
        let (Hello { volume, epoch, node }, own) = (hello, self.export.epoch);
        if *epoch < own {
            let text =
                format!("volume {volume}: the owner's epoch is {own}, the caller's is {epoch}");
            return Err((Refusal::OldEpoch, text));
        }
        if *epoch > own {
            let text = format!(
                "volume {volume}: the caller knows epoch {epoch}, and this node was its owner in epoch {own}"
            );
            return Err((Refusal::NewEpoch, text));
        }
        match &self.export.access {
            Access::Any => Ok(()),
            Access::Only(writer) if writer == node => Ok(()),
            Access::Only(writer) => {
                let text = format!("volume {volume} is not shared: node `{writer}` has it");
                Err((Refusal::NotTheWriter, text))
            }
        }
    }

    fn enter(&self, hello: &Hello) -> Result<Admitted, (Refusal, String)> {
        let Some(place) = self.callers.enter(hello.node.clone()) else {
            let (volume, (all, each)) = (hello.volume, CONNECTIONS);
            let text = format!(
                "volume {volume} has as many connections as it may: {each} of a node, {all} in all"
            );
            return Err((Refusal::Busy, text));
        };
        Ok(Admitted {
            port: self.export.port,
            traffic: Arc::clone(&self.traffic),
            stop: self.stop.clone(),
            _connection: self.connections.token(),
            _place: place,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(volume: VolumeId) -> Export {
        Export { volume, epoch: 7.into(), port: 1, access: Access::Any }
    }

    fn connect(exports: &Exports, volume: VolumeId) -> Admitted {
        let node = "b".parse().unwrap();
        exports.admit(&Hello { volume, epoch: 7.into(), node }).unwrap()
    }

    /// Whoever fences asks until it is so.
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_does_not_end_is_told_until_it_has() {
        let volume = VolumeId::random();
        let exports = Exports::default();
        exports.replace(&[export(volume)]).await;
        let open = connect(&exports, volume);
        for _ in 0..2 {
            let still_open = exports.replace(&[]).await;
            assert!(still_open[0].text.contains("1 connections of epoch 7"), "{still_open:?}");
            assert_eq!((still_open.len(), still_open[0].volume), (1, volume));
        }
        drop(open);
        assert!(exports.replace(&[]).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_does_not_end_delays_the_changes_of_other_volumes_once() {
        let [stuck, other] = [0; 2].map(|_| VolumeId::random());
        let exports = Exports::default();
        exports.replace(&[export(stuck), export(other)]).await;
        let _open = connect(&exports, stuck);
        exports.replace(&[export(other)]).await;

        let start = Instant::now();
        let busy = connect(&exports, other);
        let stop = busy.stop.clone();
        tokio::spawn(async move {
            stop.cancelled().await;
            drop(busy);
        });
        let still_open = exports.replace(&[]).await;

        assert_eq!(still_open.iter().map(|open| open.volume).collect::<Vec<_>>(), [stuck]);
        assert!(start.elapsed() < CLOSING, "it had its time");
    }
}
