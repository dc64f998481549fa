//! What the callers and the task that keeps the session have in common.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::{mpsc, watch};

use super::{
    connection::Connection,
    layout::{Layout, Subject, parse_change},
    wire::{Life, Op},
};
use crate::cluster::{Change, NodeInfo, Nodes, StoreError, StoreHealth};

/// So many entries of the log stay at least.
const KEPT: i64 = 256;
/// It is trimmed by whoever writes a number that this divides.
const TRIMMED_EVERY: i64 = 64;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) layout: Layout,
    /// The ensemble, as it is named in errors.
    pub(super) name: String,
    /// What this node says of itself.
    pub(super) me: Mutex<NodeInfo>,
    /// The connection that is used now, once this node is in the cluster by it.
    pub(super) current: watch::Sender<Option<Arc<Connection>>>,
    pub(super) health: watch::Sender<StoreHealth>,
    pub(super) nodes: watch::Sender<Nodes>,
    pub(super) changes: mpsc::UnboundedSender<Change>,
    /// Why it does not answer.
    reason: Mutex<String>,
}

impl Shared {
    pub(super) fn new(
        layout: Layout,
        name: String,
        me: NodeInfo,
        changes: mpsc::UnboundedSender<Change>,
    ) -> Self {
        Self {
            layout,
            name,
            me: Mutex::new(me),
            current: watch::Sender::new(None),
            health: watch::Sender::new(StoreHealth::Away { since: Instant::now() }),
            nodes: watch::Sender::default(),
            changes,
            reason: Mutex::new("not connected yet".into()),
        }
    }

    /// This node is in the cluster: calls go by this connection.
    pub(super) fn found(&self, connection: Arc<Connection>) {
        self.current.send_replace(Some(connection));
        self.health.send_replace(StoreHealth::Answers);
    }

    /// It has not answered since then; where it was away already, for that long.
    pub(super) fn away(&self, since: Instant, reason: String) {
        *lock(&self.reason) = reason;
        self.current.send_replace(None);
        self.health.send_if_modified(|health| {
            let answered = *health == StoreHealth::Answers;
            if answered {
                *health = StoreHealth::Away { since };
            }
            answered
        });
    }

    /// The error of a call while it is away.
    pub(super) fn is_away(&self) -> StoreError {
        StoreError::Away { store: self.name.clone(), reason: lock(&self.reason).clone() }
    }

    /// The error of a call that it refuses.
    pub(super) fn refusal(&self, reason: &dyn std::fmt::Display) -> StoreError {
        StoreError::Shared { store: self.name.clone(), reason: reason.to_string() }
    }

    pub(super) fn info(&self) -> NodeInfo {
        lock(&self.me).clone()
    }

    /// A new entry of the log.
    pub(super) fn change(&self, subject: &Subject) -> Op {
        let path = self.layout.new_change(subject);
        Op::Create { path, data: Vec::new(), life: Life::Numbered }
    }

    /// Keeps the log short, after an entry was made. Nobody waits for it, and nothing is lost where it
    /// fails: the next one trims more.
    pub(super) fn trim(&self, entry: &str) {
        let number = entry.rsplit('/').next().and_then(parse_change).map(|(number, _)| number);
        let Some(number) = number.filter(|number| number % TRIMMED_EVERY == 0) else { return };
        let Some(connection) = self.current.borrow().clone() else { return };
        let layout = self.layout.clone();
        tokio::spawn(async move {
            let Ok(entries) = connection.children(&layout.changes()).await else { return };
            let old = entries.iter().filter(|entry| {
                parse_change(entry).is_some_and(|(found, _)| found <= number - KEPT)
            });
            for entry in old {
                if connection.delete(&layout.change(entry)).await.is_err() {
                    return;
                }
            }
        });
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
