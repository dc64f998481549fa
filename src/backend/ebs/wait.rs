//! Waiting for a volume to become what it should be: bounded, and of that volume only.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{api::Ec2Volume, describe::Describer, error::EbsError};

/// What is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait<'a> {
    pub(super) volume: &'a str,
    /// A word for it.
    pub(super) wanted: &'static str,
    pub(super) limit: Duration,
    /// What ends it early.
    pub(super) cancel: Option<&'a CancellationToken>,
}

impl Describer {
    /// Asks, at growing intervals, until `judge` has found what it wants or an error. All who wait
    /// at the same time share their calls.
    ///
    /// # Errors
    ///
    /// `TooLong` where the last look showed that it is not so; `NotKnown` where that look failed:
    /// what nobody saw is no reason to take anything away.
    pub(super) async fn wait_until<T>(
        &self,
        wait: Wait<'_>,
        judge: impl FnMut(Option<&Ec2Volume>) -> Result<Option<T>, EbsError>,
    ) -> Result<T, EbsError> {
        match wait.cancel {
            None => self.poll(wait, judge).await,
            Some(cancel) => or_cancelled(cancel, self.poll(wait, judge)).await,
        }
    }

    async fn poll<T>(
        &self,
        wait: Wait<'_>,
        mut judge: impl FnMut(Option<&Ec2Volume>) -> Result<Option<T>, EbsError>,
    ) -> Result<T, EbsError> {
        let deadline = Instant::now() + wait.limit;
        let mut pause = self.pace.first_poll;
        loop {
            sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await;
            let look = self.fresh(wait.volume);
            let seen = match timeout_at(deadline + self.pace.longest_poll, look).await {
                Ok(Ok(volume)) => {
                    if let Some(done) = judge(volume.as_ref())? {
                        return Ok(done);
                    }
                    Ok(shown(volume.as_ref()))
                }
                Ok(Err(error)) if error.is_passing() => Err(error.to_string()),
                Ok(Err(error)) => return Err(EbsError::api(wait.volume)(error)),
                Err(_) => Err("EC2 did not answer".to_owned()),
            };
            if Instant::now() >= deadline {
                let (on, wanted, limit) = (wait.volume.to_owned(), wait.wanted, wait.limit);
                return Err(match seen {
                    Ok(seen) => EbsError::TooLong { on, wanted, limit, seen },
                    Err(why) => EbsError::NotKnown { on, wanted, limit, why },
                });
            }
            pause = (pause * 3 / 2).min(self.pace.longest_poll);
        }
    }
}

/// Does that, unless it is called off first: only what can be dropped at any moment.
pub(super) async fn or_cancelled<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, EbsError>>,
) -> Result<T, EbsError> {
    tokio::select! {
        biased;
        done = work => done,
        () = cancel.cancelled() => Err(EbsError::Cancelled),
    }
}

/// A volume's state, for people.
pub(super) fn shown(volume: Option<&Ec2Volume>) -> String {
    let Some(volume) = volume else { return "EC2 does not show it".to_owned() };
    let mut text = format!("it is {}", volume.state);
    for attachment in &volume.attachments {
        let (state, instance) = (attachment.state, &attachment.instance);
        text.push_str(&format!(", {state} as {} of {instance}", attachment.device));
    }
    text
}
