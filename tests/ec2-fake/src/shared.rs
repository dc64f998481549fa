//! What all requests share, and what carries the state's effects out.
//!
//! The state's lock is held for as long as it takes to change a few fields, never while something is
//! awaited, run or copied: a volume that hangs is nobody else's matter.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{runtime::Handle, sync::Notify, task::JoinSet};

use crate::{
    actions,
    calls::CallLog,
    config::FakeConfig,
    devices::Devices,
    error::Outcome,
    faults::Faults,
    imds::Tokens,
    state::{Effect, World},
    wire::{Params, Xml},
};

/// A due time that cannot be met yet is looked at again after this.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: FakeConfig,
    pub(crate) devices: Devices,
    pub(crate) runtime: Handle,
    /// The ports of the instances' metadata services.
    pub(crate) ports: Mutex<std::collections::BTreeMap<String, std::net::SocketAddr>>,
    world: Mutex<World>,
    faults: Mutex<Faults>,
    calls: Mutex<CallLog>,
    tokens: Mutex<Tokens>,
    ahead: Mutex<Duration>,
    wake: Notify,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(config: FakeConfig, devices: Devices, runtime: Handle) -> Self {
        Self {
            world: Mutex::new(World::new(&config)),
            config,
            devices,
            runtime,
            ports: Mutex::default(),
            faults: Mutex::default(),
            calls: Mutex::default(),
            tokens: Mutex::default(),
            ahead: Mutex::default(),
            wake: Notify::new(),
        }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub(crate) fn calls(&self) -> MutexGuard<'_, CallLog> {
        lock(&self.calls)
    }

    pub(crate) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        lock(&self.tokens)
    }

    /// The fake's time: that of the machine, and what it was advanced by.
    pub(crate) fn now(&self) -> Timestamp {
        crate::state::after(Timestamp::now(), *lock(&self.ahead))
    }

    pub(crate) fn advance(&self, by: Duration) {
        *lock(&self.ahead) += by;
        self.wake.notify_one();
    }

    /// Changes the state from outside of a request.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.world());
        self.wake.notify_one();
        result
    }

    /// Carries out an action and what is due with it at once.
    pub(crate) async fn act(self: &Arc<Self>, action: &str, params: &Params) -> Outcome<Xml> {
        let (others, result, effects) = {
            let now = self.now();
            let mut world = self.world();
            // What is due already is not this request's: it must not wait for that.
            let others = world.step(now);
            let result = actions::act(&mut world, action, params, now);
            (others, result, world.step(now))
        };
        for effect in others {
            self.detach(effect);
        }
        // In a task of its own: it goes on when the client hangs up.
        let _ = tokio::spawn(Arc::clone(self).settle(effects)).await;
        result
    }

    /// Carries effects out, all at a time, and then what is due without further ones.
    async fn settle(self: Arc<Self>, effects: Vec<Effect>) {
        let mut running = JoinSet::new();
        for effect in effects {
            let shared = Arc::clone(&self);
            running.spawn_blocking(move || {
                let done = shared.devices.carry_out(&effect);
                let now = shared.now();
                shared.world().report(&effect, done, now);
            });
        }
        if running.is_empty() {
            self.wake.notify_one();
            return;
        }
        while running.join_next().await.is_some() {}
        let now = self.now();
        let more = self.world().step(now);
        for effect in more {
            self.detach(effect);
        }
        self.wake.notify_one();
    }

    fn detach(self: &Arc<Self>, effect: Effect) {
        // Boxed by the spawn, so that `settle` does not contain itself.
        let settle: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(Arc::clone(self).settle(vec![effect]));
        tokio::spawn(settle);
    }

    /// Lets things happen when they are due, for as long as the fake lives.
    pub(crate) async fn tick(self: Arc<Self>) {
        loop {
            let now = self.now();
            let (effects, due) = {
                let mut world = self.world();
                (world.step(now), world.next_due())
            };
            for effect in effects {
                self.detach(effect);
            }
            let pause = due.map_or(LONGEST_PAUSE, |due| {
                Duration::try_from(due.duration_since(now)).unwrap_or_default()
            });
            let pause = pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
            }
        }
    }
}
