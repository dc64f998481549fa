//! The volumes of other nodes, each with a listener for the kernel's client.
//!
//! ```text
//! set() ─▶ listener of a volume ─▶ a task for each connection of the kernel's
//!                │ owner, epoch          wait for the owner ─▶ carry ─▶ closed
//!                └───────────────────────▶ changed: carry ends at once, waiting goes on
//!                                                  (lost: each call is answered with an error)
//! ```

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    carry,
    client::{self, Caller, Reached},
    hello::Refusal,
    lost,
    sockets::Sockets,
    status::RemoteStatus,
    table::Remote,
    traffic::Traffic,
    who::Who,
};
use crate::{peer::limits::Places, volume::VolumeId};

/// Connections of the kernel's to one volume: 16 is the most that `nconnect` makes, and those that it
/// has given up may still be waiting.
const CONNECTIONS: usize = 64;

/// All of them.
#[derive(Debug)]
pub(super) struct Remotes {
    who: Arc<Who>,
    sockets: Sockets,
    volumes: Mutex<HashMap<VolumeId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    target: watch::Sender<Remote>,
    traffic: Arc<Traffic>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Remotes {
    pub(super) fn new(who: Arc<Who>, sockets: Sockets) -> Self {
        Self { who, sockets, volumes: Mutex::default() }
    }

    /// Puts these in the place of those before. What could not be had is told; the rest is as it should
    /// be, and its listeners are bound.
    pub(super) async fn replace(&self, remotes: &[Remote]) -> Vec<String> {
        for entry in self.take_gone(remotes) {
            entry.stop.cancel();
            entry.tasks.close();
            // A port that another volume may want; closing takes no time.
            entry.tasks.wait().await;
        }
        let mut failures = Vec::new();
        for remote in self.retarget(remotes) {
            match self.sockets.listen(remote.port).await {
                Ok(listener) => self.start(remote.clone(), listener),
                Err(error) => failures.push(format!(
                    "volume {}: cannot listen on 127.0.0.1:{} for the kernel's client: {error}",
                    remote.volume, remote.port
                )),
            }
        }
        failures
    }

    fn take_gone(&self, remotes: &[Remote]) -> Vec<Entry> {
        let mut volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        let stays = |volume: &VolumeId, entry: &mut Entry| {
            let port = entry.target.borrow().port;
            remotes.iter().any(|remote| remote.volume == *volume && remote.port == port)
        };
        volumes.extract_if(|volume, entry| !stays(volume, entry)).map(|(_, entry)| entry).collect()
    }

    /// Tells those that are there where their owner is; returns those that are not.
    fn retarget<'a>(&self, remotes: &'a [Remote]) -> Vec<&'a Remote> {
        let volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missing = Vec::new();
        for remote in remotes {
            match volumes.get(&remote.volume) {
                Some(entry) => {
                    entry.target.send_if_modified(|target| {
                        let differs = *target != *remote;
                        target.clone_from(remote);
                        differs
                    });
                }
                None => missing.push(remote),
            }
        }
        missing
    }

    fn start(&self, remote: Remote, listener: TcpListener) {
        let volume = remote.volume;
        let entry = Entry {
            target: watch::Sender::new(remote),
            traffic: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let caller = Caller {
            who: Arc::clone(&self.who),
            traffic: Arc::clone(&entry.traffic),
            target: entry.target.subscribe(),
        };
        entry.tasks.spawn(listen(listener, caller, entry.stop.clone(), entry.tasks.clone()));
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner).insert(volume, entry);
    }

    pub(super) fn status(&self) -> Vec<RemoteStatus> {
        let volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        let status = |entry: &Entry| RemoteStatus {
            remote: entry.target.borrow().clone(),
            figures: entry.traffic.figures(),
        };
        let mut all: Vec<_> = volumes.values().map(status).collect();
        all.sort_by_key(|status| status.remote.volume);
        all
    }
}

/// Takes the kernel's connections to one volume.
async fn listen(
    listener: TcpListener,
    caller: Caller,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let places = Places::new(CONNECTIONS, CONNECTIONS);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let Some(place) = places.enter(()) else {
                    caller.traffic.refused(Refusal::Busy, "the kernel has too many connections");
                    carry::abort(stream);
                    continue;
                };
                let (caller, stop) = (caller.clone(), stop.clone());
                tasks.spawn(async move {
                    connection(stream, caller, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: others are served meanwhile.
                tracing::error!(%error, "cannot accept a connection of the kernel's");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One connection of the kernel's, from its beginning to its end.
async fn connection(mut plain: TcpStream, mut caller: Caller, stop: CancellationToken) {
    if let Err(error) = plain.set_nodelay(true) {
        tracing::debug!(%error, "cannot set a connection of the kernel's up");
    }
    // The owner is heard to its end: whatever it says was done.
    let never = CancellationToken::new();
    let carried = async {
        let mut secured = match client::reach(&plain, &mut caller).await {
            Reached::Owner(secured) => secured,
            Reached::GivenUp => return true,
            Reached::Lost => {
                return tokio::select! {
                    refused = lost::refuse(&mut plain) => refused.is_ok(),
                    _ = caller.target.changed() => false,
                };
            }
        };
        let _open = caller.traffic.open();
        tokio::select! {
            ended = carry::carry(&mut plain, &mut secured, &caller.traffic, &never) => match ended {
                Ok(()) => true,
                Err(error) => {
                    tracing::info!(%error, "a connection to a volume's owner ended: the kernel calls again");
                    false
                }
            },
            _ = caller.target.changed() => false,
        }
    };
    let in_order = tokio::select! {
        in_order = carried => in_order,
        () = stop.cancelled() => false,
    };
    if !in_order {
        carry::abort(plain);
    }
}
