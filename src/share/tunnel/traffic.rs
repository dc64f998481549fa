//! What a volume's connections carried and why others did not: counted while it happens.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::hello::Refusal;

/// How long the same is not said again in the log.
const QUIET: Duration = Duration::from_secs(60);

/// The figures of one volume, on one side. They go on over changes of the table.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    open: AtomicU64,
    waiting: AtomicU64,
    opened: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    refused: Mutex<Refused>,
}

#[derive(Debug, Default)]
struct Refused {
    by_reason: BTreeMap<Refusal, u64>,
    last: Option<LastError>,
    said: Option<(Refusal, Instant)>,
}

/// The figures as they are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Connections that carry bytes now.
    pub open: u64,
    /// Connections of the kernel's that wait for the owner.
    pub waiting: u64,
    /// Connections that carried bytes, ever.
    pub opened: u64,
    /// Bytes to the other node.
    pub sent: u64,
    /// Bytes from the other node.
    pub received: u64,
    /// How often nothing was carried, by the reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// The last time.
    pub last_error: Option<LastError>,
}

/// Why nothing was carried the last time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Refusal,
    /// Why, in words.
    pub text: String,
}

/// A connection that is counted as long as this lives.
#[derive(Debug)]
pub(super) struct Counted {
    traffic: Arc<Traffic>,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Open,
    Waiting,
}

impl Traffic {
    /// One more connection carries bytes.
    pub(super) fn open(self: &Arc<Self>) -> Counted {
        self.opened.fetch_add(1, Relaxed);
        self.counted(What::Open)
    }

    /// One more connection waits for the owner.
    pub(super) fn waiting(self: &Arc<Self>) -> Counted {
        self.counted(What::Waiting)
    }

    fn counted(self: &Arc<Self>, what: What) -> Counted {
        let counted = Counted { traffic: Arc::clone(self), what };
        counted.counter().fetch_add(1, Relaxed);
        counted
    }

    /// Bytes went to the other node.
    pub(super) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
    }

    /// Bytes came from it.
    pub(super) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts a refusal; `true` if it is worth a line in the log: a new reason, or a minute later.
    pub(super) fn refused(&self, reason: Refusal, text: &str) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.by_reason.entry(reason).or_default() += 1;
        refused.last = Some(LastError { at: Timestamp::now(), reason, text: text.to_owned() });
        let said = refused.said.is_some_and(|(said, at)| said == reason && at.elapsed() < QUIET);
        if !said {
            refused.said = Some((reason, Instant::now()));
        }
        !said
    }

    /// All of it.
    pub(super) fn figures(&self) -> Figures {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        Figures {
            open: self.open.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
            opened: self.opened.load(Relaxed),
            sent: self.sent.load(Relaxed),
            received: self.received.load(Relaxed),
            refused: refused.by_reason.clone(),
            last_error: refused.last.clone(),
        }
    }
}

impl Counted {
    fn counter(&self) -> &AtomicU64 {
        match self.what {
            What::Open => &self.traffic.open,
            What::Waiting => &self.traffic.waiting,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counter().fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn everything_is_counted_and_the_same_is_said_once_a_minute() {
        let traffic = Arc::new(Traffic::default());
        let open = traffic.open();
        let waiting = traffic.waiting();
        traffic.sent(3);
        assert!(traffic.refused(Refusal::Busy, "full"));
        assert!(!traffic.refused(Refusal::Busy, "full"));
        assert!(traffic.refused(Refusal::NoServer, "away"));
        let figures = traffic.figures();
        assert_eq!((figures.open, figures.waiting, figures.sent), (1, 1, 3));
        assert_eq!(figures.refused, [(Refusal::Busy, 2), (Refusal::NoServer, 1)].into());
        assert_eq!(figures.last_error.unwrap().text, "away");
        drop((open, waiting));
        tokio::time::advance(QUIET).await;
        assert!(traffic.refused(Refusal::NoServer, "away"));
        let figures = traffic.figures();
        assert_eq!((figures.open, figures.waiting, figures.opened), (0, 0, 1));
    }
}
