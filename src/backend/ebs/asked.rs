//! What is asked for once and then known: by one attempt at a time, which all who want the answer
//! share. Its error is theirs, too, and that of all who come soon after it: whoever is the tenth to
//! ask somebody who does not answer does not wait ten times as long.

use std::{fmt, time::Duration};

use tokio::{
    sync::{Mutex, OnceCell},
    time::Instant,
};

/// How long a failed attempt answers for.
const LASTS: Duration = Duration::from_secs(3);

/// An answer, once it is known.
pub(super) struct Asked<T, E> {
    answer: OnceCell<T>,
    /// Held during an attempt: the last error, and since when it is known.
    failed: Mutex<Option<(Instant, E)>>,
}

impl<T, E: Clone> Asked<T, E> {
    pub(super) const fn new() -> Self {
        Self { answer: OnceCell::const_new(), failed: Mutex::const_new(None) }
    }

    /// Known from the begin, where there is something.
    pub(super) fn known(answer: Option<T>) -> Self {
        Self { answer: OnceCell::new_with(answer), failed: Mutex::new(None) }
    }

    /// The answer; `ask` is the attempt, where one is to be made. It can be dropped: the next one
    /// who waits makes another.
    pub(super) async fn get<F: Future<Output = Result<T, E>>>(
        &self,
        ask: impl FnOnce() -> F,
    ) -> Result<&T, E> {
        if let Some(answer) = self.answer.get() {
            return Ok(answer);
        }
        let mut failed = self.failed.lock().await;
        if let Some((_, error)) = failed.as_ref().filter(|(since, _)| since.elapsed() < LASTS) {
            return Err(error.clone());
        }
        let answer = self.answer.get_or_try_init(ask).await;
        *failed = answer.as_ref().err().map(|error| (Instant::now(), error.clone()));
        answer
    }
}

impl<T: fmt::Debug, E> fmt::Debug for Asked<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.answer.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_share_one_attempt_and_its_error_for_some_seconds() {
        let (asked, attempts) = (Asked::<u32, &str>::new(), AtomicU32::new(0));
        let attempt = || async {
            tokio::time::sleep(Duration::from_secs(45)).await;
            match attempts.fetch_add(1, Ordering::Relaxed) {
                0 => Err("nobody answers"),
                n => Ok(n),
            }
        };
        let begun = Instant::now();
        let (a, b, c) = tokio::join!(asked.get(attempt), asked.get(attempt), asked.get(attempt));
        assert_eq!(
            (a, b, c),
            (Err("nobody answers"), Err("nobody answers"), Err("nobody answers"))
        );
        assert_eq!(asked.get(attempt).await, Err("nobody answers"));
        assert_eq!(begun.elapsed(), Duration::from_secs(45));

        tokio::time::sleep(LASTS).await;
        let (a, b) = tokio::join!(asked.get(attempt), asked.get(attempt));
        assert_eq!((a, b), (Ok(&1), Ok(&1)));
        assert_eq!(attempts.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_was_called_off_is_made_by_the_next() {
        let asked = Asked::<u32, &str>::new();
        let never = asked.get(std::future::pending);
        tokio::time::timeout(Duration::from_secs(1), never).await.unwrap_err();
        assert_eq!(asked.get(|| async { Ok(7) }).await, Ok(&7));
    }
}
