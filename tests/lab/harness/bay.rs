//! The places of one machine where EBS volumes are plugged in, over a monitor of their own: the EC2
//! fake plugs from threads of its own, while the test works with the machine.
//!
//! An attachment is a server without a cache ([`nbd`]) and a disk of QEMU's. Taken away by force, the server is killed
//! first: whatever the machine, which may stand still, still sends gets an error. The disk itself goes
//! when the machine lets go, and only then is its place free.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ec2_fake::Unplugged;
use serde_json::json;

use super::{
    monitor::Monitor,
    nbd::{Cache, Server},
};

/// Each is a bridge in the machine.
pub(super) const SLOTS: usize = 8;
/// How long is waited for the machine before the fake is told that it holds the disk; it asks again.
const LET_GO: Duration = Duration::from_millis(200);
/// A machine that was starting may have missed the first request.
const ASK_AGAIN: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Bay {
    /// Where the servers' sockets are.
    dir: PathBuf,
    name: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// While the machine is on.
    monitor: Option<Monitor>,
    /// What EC2 has attached here, and what it is made of.
    volumes: BTreeMap<String, Source>,
    slots: [Option<Plugged>; SLOTS],
    /// How many were plugged in so far, for names that differ.
    count: u32,
}

#[derive(Debug, Clone)]
struct Source {
    serial: String,
    image: PathBuf,
}

#[derive(Debug)]
struct Plugged {
    volume: String,
    /// What QEMU calls the device, and what is behind it.
    id: String,
    /// `None` once it was taken away.
    server: Option<Server>,
    /// When the machine was asked to let go.
    asked: Option<Instant>,
}

impl Bay {
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        Self { dir: dir.to_owned(), name: name.to_owned(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine has started: it gets what EC2 has attached to it.
    #[track_caller]
    pub(super) fn power_on(&self, monitor: Monitor) {
        let mut state = self.state();
        state.monitor = Some(monitor);
        for (volume, source) in state.volumes.clone() {
            self.insert(&mut state, &volume, &source).expect("a volume is plugged in");
        }
    }

    /// The machine is off. What EBS had acknowledged is not in it.
    pub(super) fn power_off(&self) {
        let mut state = self.state();
        state.monitor = None;
        state.slots = Default::default();
    }

    /// Through which servers this machine can write now, and to which volumes.
    pub(super) fn served(&self) -> Vec<(String, String)> {
        let state = self.state();
        let serves = state.slots.iter().flatten().filter(|plugged| plugged.server.is_some());
        serves.map(|plugged| (plugged.volume.clone(), plugged.id.clone())).collect()
    }

    /// A volume is attached.
    pub(super) fn plug(&self, volume: &str, serial: &str, image: &Path) -> io::Result<()> {
        let source = Source { serial: serial.to_owned(), image: image.to_owned() };
        let mut state = self.state();
        if state.monitor.is_some() {
            self.insert(&mut state, volume, &source)?;
        }
        state.volumes.insert(volume.to_owned(), source);
        Ok(())
    }

    fn insert(&self, state: &mut State, volume: &str, source: &Source) -> io::Result<()> {
        state.collect(Duration::ZERO);
        let full = || io::Error::other(format!("{} has no free place for {volume}", self.name));
        let slot = state.slots.iter().position(Option::is_none).ok_or_else(full)?;
        state.count += 1;
        let id = format!("{}-{}", source.serial, state.count);
        let socket = self.dir.join(format!("{}-{}.ebs", self.name, state.count));
        let server = Server::start_lasting(&source.image, &socket, Cache::Kept)?;
        let monitor = state.monitor.as_mut().ok_or_else(off)?;
        let nbd = json!({"type": "unix", "path": socket});
        monitor
            .request("blockdev-add", &json!({"driver": "nbd", "node-name": id, "server": nbd}))?;
        let device = json!({
            "driver": "nvme", "id": id, "drive": id, "serial": source.serial, "bus": format!("ebs{slot}"),
        });
        if let Err(error) = monitor.request("device_add", &device) {
            monitor.request("blockdev-del", &json!({"node-name": id}))?;
            return Err(error);
        }
        state.slots[slot] =
            Some(Plugged { volume: volume.to_owned(), id, server: Some(server), asked: None });
        Ok(())
    }

    /// Asks the machine to let go of a volume.
    pub(super) fn unplug(&self, volume: &str) -> io::Result<Unplugged> {
        let mut state = self.state();
        state.ask(volume)?;
        state.collect(LET_GO);
        if state.has(volume) {
            return Ok(Unplugged::Held);
        }
        state.volumes.remove(volume);
        Ok(Unplugged::Gone)
    }

    /// Takes a volume away: no write of the machine reaches its image when this returns.
    pub(super) fn take_away(&self, volume: &str) -> io::Result<()> {
        let mut state = self.state();
        let servers = state.plugged(volume).filter_map(|plugged| plugged.server.take());
        for mut server in servers.collect::<Vec<_>>() {
            server.kill()?;
        }
        state.volumes.remove(volume);
        // It still sees the disk, until it agrees to its going. Refused where it was asked before.
        let _ = state.ask(volume);
        state.collect(Duration::ZERO);
        Ok(())
    }
}

fn off() -> io::Error {
    io::Error::other("the machine is off")
}

impl State {
    fn plugged<'a>(&'a mut self, volume: &'a str) -> impl Iterator<Item = &'a mut Plugged> {
        self.slots.iter_mut().flatten().filter(move |plugged| plugged.volume == volume)
    }

    /// Whether the machine has a working disk of this volume.
    fn has(&mut self, volume: &str) -> bool {
        self.plugged(volume).any(|plugged| plugged.server.is_some())
    }

    /// Asks for what was not asked for lately.
    fn ask(&mut self, volume: &str) -> io::Result<()> {
        let due = |plugged: &&mut Plugged| plugged.asked.is_none_or(|at| at.elapsed() > ASK_AGAIN);
        let ids: Vec<_> = self
            .plugged(volume)
            .filter(due)
            .map(|plugged| {
                plugged.asked = Some(Instant::now());
                plugged.id.clone()
            })
            .collect();
        for id in ids {
            let monitor = self.monitor.as_mut().ok_or_else(off)?;
            monitor.request("device_del", &json!({"id": id}))?;
        }
        Ok(())
    }

    /// Frees the places of the disks that the machine has let go, for so long while some are asked for.
    fn collect(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while let Some(monitor) = &mut self.monitor
            && let Some(event) = monitor.event(deadline)
        {
            let gone = event["data"]["device"].as_str();
            let at = |slot: &Option<Plugged>| {
                slot.as_ref().is_some_and(|plugged| Some(&*plugged.id) == gone)
            };
            if event["event"] != "DEVICE_DELETED" {
                continue;
            }
            if let Some(slot) = self.slots.iter_mut().find(|slot| at(slot)) {
                let plugged = slot.take();
                // What the machine has flushed is in the file when the server closes.
                let id = plugged.as_ref().map(|plugged| &plugged.id);
                let deleted = monitor.request("blockdev-del", &json!({"node-name": id}));
                deleted.expect("a disk without a device can be removed");
                if limit > Duration::ZERO {
                    return;
                }
            }
        }
    }
}
