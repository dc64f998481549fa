//! Refusals in the log: one line for each caller and reason a minute, so that a scanner does not fill it.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::trust::{Cause, Side};

/// How long the same is not said again.
const QUIET: Duration = Duration::from_secs(60);
/// So many callers and reasons are told apart; more than these in one minute are not logged.
const MOST: usize = 1024;

/// Why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// By TLS, or by the name in the certificate.
    Trust(Side, Cause),
    /// The handshake took too long, or was cut off.
    Handshake,
    /// Too much at once.
    Busy,
    /// It is not a request as nodes make them.
    Request,
}

/// What was said lately of one port.
#[derive(Debug)]
pub struct Refusals<R = Reason> {
    port: &'static str,
    said: Mutex<HashMap<(IpAddr, R), Instant>>,
}

impl<R: Copy + Eq + Hash> Refusals<R> {
    /// Nothing yet.
    #[must_use]
    pub fn on(port: &'static str) -> Self {
        Self { port, said: Mutex::default() }
    }

    /// Logs a refusal, unless the same was logged within the minute.
    pub fn tell(&self, caller: IpAddr, reason: R, text: impl fmt::Display) {
        if self.is_new(caller, reason) {
            tracing::warn!(%caller, "refused on {}: {text}", self.port);
        }
    }

    fn is_new(&self, caller: IpAddr, reason: R) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= MOST {
            said.retain(|_, when| when.elapsed() < QUIET);
        }
        let old = said.get(&(caller, reason)).is_some_and(|when| when.elapsed() < QUIET);
        let new = !old && said.len() < MOST;
        if new {
            said.insert((caller, reason), Instant::now());
            if said.len() == MOST {
                tracing::warn!(
                    "{MOST} callers were refused on {} within a minute; not all others are logged",
                    self.port
                );
            }
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const CALLER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test(start_paused = true)]
    async fn the_same_is_said_once_a_minute_and_another_reason_at_once() {
        let refusals = Refusals::on("the peer port");

        assert!(refusals.is_new(CALLER, Reason::Busy));
        assert!(!refusals.is_new(CALLER, Reason::Busy));
        assert!(refusals.is_new(CALLER, Reason::Handshake));
        tokio::time::advance(QUIET).await;
        assert!(refusals.is_new(CALLER, Reason::Busy));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_from_many_addresses_takes_neither_memory_nor_log() {
        let refusals = Refusals::on("the peer port");
        let callers = (0..5000).map(|n| IpAddr::V4(Ipv4Addr::from(n)));

        let said = callers.filter(|caller| refusals.is_new(*caller, Reason::Handshake)).count();

        assert_eq!(said, MOST);
        tokio::time::advance(QUIET).await;
        assert!(refusals.is_new(CALLER, Reason::Handshake));
    }
}
