//! DescribeVolumes for all who ask at the same time, in one call.
//!
//! ```text
//! ask ──▶ pending ──first at once, then every 500 ms──▶ one call of up to 500 ids ──▶ answers
//!                └─ suspicious or malformed ids ──────▶ a call each
//! ```
//! One id that does not exist fails EC2's whole call. Such an id is remembered for an hour and
//! asked alone, so that it never fails the others. An answer is always to a call that was made
//! after the question.

use std::{
    collections::HashMap,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::oneshot, time::Instant};

use super::{
    Pace,
    api::{Api, ApiError, Ec2Volume},
};

/// What EC2 takes in one call.
const BATCH: usize = 500;
/// More than this is not remembered.
const MOST: usize = 4096;

/// What is known of a volume: `None` where there is none.
pub(super) type Answer = Result<Option<Ec2Volume>, ApiError>;
type Waiting = Vec<oneshot::Sender<Answer>>;

/// Asks for volumes. Clones share everything.
#[derive(Debug, Clone)]
pub(super) struct Describer {
    api: Arc<Api>,
    pub(super) pace: Pace,
    /// Held for moments only, never across an await.
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    pending: HashMap<String, Waiting>,
    collecting: bool,
    sent: Option<Instant>,
    suspicious: HashMap<String, Instant>,
    seen: HashMap<String, Seen>,
}

/// The last that was heard of a volume.
#[derive(Debug)]
struct Seen {
    at: Instant,
    /// `None` after it was changed: what was asked before that is not kept.
    volume: Option<Option<Ec2Volume>>,
}

impl Describer {
    pub(super) fn new(api: Arc<Api>, pace: Pace) -> Self {
        Self { api, pace, state: Arc::default() }
    }

    /// A look that may be a second old.
    pub(super) async fn look(&self, id: &str) -> Answer {
        let recent = |seen: &Seen| seen.at.elapsed() < self.pace.cached;
        let seen = self.state().seen.get(id).filter(|seen| recent(seen)).map(|s| s.volume.clone());
        match seen.flatten() {
            Some(volume) => Ok(volume),
            None => self.fresh(id).await,
        }
    }

    /// A look of now.
    pub(super) async fn fresh(&self, id: &str) -> Answer {
        let (answer, asked) = oneshot::channel();
        let first = {
            let mut state = self.state();
            state.pending.entry(id.to_owned()).or_default().push(answer);
            !mem::replace(&mut state.collecting, true)
        };
        if first {
            tokio::spawn(self.clone().collect());
        }
        asked.await.unwrap_or_else(|_| {
            Err(ApiError {
                call: super::api::Call::DescribeVolumes,
                code: None,
                message: "the answer was dropped".to_owned(),
                request_id: None,
            })
        })
    }

    /// The volume was changed: looks from before it are worth nothing.
    pub(super) fn forget(&self, id: &str) {
        self.state().seen.insert(id.to_owned(), Seen { at: Instant::now(), volume: None });
    }

    async fn collect(self) {
        loop {
            let sent = self.state().sent;
            if let Some(sent) = sent {
                tokio::time::sleep_until(sent + self.pace.window).await;
            }
            let (mut together, alone) = {
                let mut state = self.state();
                if state.pending.is_empty() {
                    state.collecting = false;
                    return;
                }
                state.sent = Some(Instant::now());
                state.take(self.pace)
            };
            for single in alone {
                tokio::spawn(self.clone().ask(HashMap::from([single])));
            }
            while !together.is_empty() {
                let rest = together.split_off(BATCH.min(together.len()));
                tokio::spawn(self.clone().ask(together.into_iter().collect()));
                together = rest;
            }
        }
    }

    /// One call, and what must follow from it. Boxed, since it may follow upon itself.
    fn ask(self, mut batch: HashMap<String, Waiting>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let at = Instant::now();
            let answer = self.api.describe_volumes(batch.keys().cloned().collect()).await;
            let absent = answer.as_ref().is_err_and(ApiError::is_no_volume);
            match answer {
                Ok(volumes) => {
                    let volumes: HashMap<_, _> =
                        volumes.into_iter().map(|volume| (volume.id.clone(), volume)).collect();
                    for (id, waiting) in batch {
                        self.heard(&id, at, volumes.get(&id), waiting);
                    }
                }
                Err(_) if absent && batch.len() == 1 => {
                    for (id, waiting) in batch {
                        self.state().suspect(&id);
                        self.heard(&id, at, None, waiting);
                    }
                }
                Err(error) if absent => {
                    let named: Vec<_> =
                        words(&error.message).filter_map(|word| batch.remove_entry(word)).collect();
                    if named.is_empty() {
                        // EC2 does not say which: the half that it is in is found by asking.
                        let half = batch.len() / 2;
                        let mut all: Vec<_> = batch.into_iter().collect();
                        let rest = all.split_off(half);
                        for part in [all, rest] {
                            tokio::spawn(self.clone().ask(part.into_iter().collect()));
                        }
                        return;
                    }
                    for (id, waiting) in named {
                        self.state().suspect(&id);
                        tokio::spawn(self.clone().ask(HashMap::from([(id, waiting)])));
                    }
                    if !batch.is_empty() {
                        self.ask(batch).await;
                    }
                }
                Err(error) => {
                    for answer in batch.into_values().flatten() {
                        let _ = answer.send(Err(error.clone()));
                    }
                }
            }
        })
    }

    /// Tells those who wait, and remembers it unless the volume was changed since it was asked.
    fn heard(&self, id: &str, at: Instant, volume: Option<&Ec2Volume>, waiting: Waiting) {
        {
            let mut state = self.state();
            if volume.is_some() {
                state.suspicious.remove(id);
            }
            if state.seen.get(id).is_none_or(|seen| seen.at < at) {
                state.bound(self.pace);
                let seen = Seen { at, volume: Some(volume.cloned()) };
                state.seen.insert(id.to_owned(), seen);
            }
        }
        for answer in waiting {
            // Whoever was called off does not want it any more.
            let _ = answer.send(Ok(volume.cloned()));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is asked together, and what each alone.
    #[allow(clippy::type_complexity, reason = "two lists of the same")]
    fn take(&mut self, pace: Pace) -> (Vec<(String, Waiting)>, Vec<(String, Waiting)>) {
        self.suspicious.retain(|_, since| since.elapsed() < pace.suspicion);
        mem::take(&mut self.pending)
            .into_iter()
            .partition(|(id, _)| is_volume_id(id) && !self.suspicious.contains_key(id))
    }

    fn suspect(&mut self, id: &str) {
        if self.suspicious.len() >= MOST {
            self.suspicious.clear();
        }
        self.suspicious.insert(id.to_owned(), Instant::now());
    }

    fn bound(&mut self, pace: Pace) {
        if self.seen.len() >= MOST {
            // A change is worth knowing for as long as a call may take.
            let keep = pace.cached.max(std::time::Duration::from_secs(60));
            self.seen.retain(|_, seen| seen.at.elapsed() < keep);
        }
    }
}

/// Whether EC2 would take it for a volume's id at all.
fn is_volume_id(id: &str) -> bool {
    id.strip_prefix("vol-").is_some_and(|hex| {
        matches!(hex.len(), 8 | 17)
            && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// The words of a message that could be ids.
fn words(message: &str) -> impl Iterator<Item = &str> {
    message.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_an_id_is_asked_together_with_others() {
        for (id, expected) in [
            ("vol-0123456789abcdef0", true),
            ("vol-01234567", true),
            ("vol-0123456789ABCDEF0", false),
            ("vol-012", false),
            ("snap-01234567", false),
            ("", false),
        ] {
            assert_eq!(is_volume_id(id), expected, "{id}");
        }
    }

    #[test]
    fn the_ids_that_ec2_complains_of_are_read_from_its_message() {
        let ids = |text| words(text).filter(|word| is_volume_id(word)).count();
        assert_eq!(ids("The volume 'vol-0123456789abcdef0' does not exist."), 1);
        assert_eq!(ids("The volumes 'vol-01234567, vol-01234568' do not exist."), 2);
    }
}
