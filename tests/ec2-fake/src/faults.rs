//! What goes wrong when a test says so.
//!
//! [`Faults`] spoil the wire: they are asked before and after each action. [`Sabotage`] is part of
//! the state: it holds transitions back, or lets them end badly.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::ApiError;

/// A transition that can be held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transition {
    /// `attaching` stays.
    Attach,
    /// `detaching` stays, unless it is forced.
    Detach,
    /// `detaching` stays, and force does not help.
    DetachEvenForced,
}

/// Which of the requests are throttled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Throttle {
    /// None.
    Off,
    /// So many of a hundred, evenly spread.
    Percent(u32),
    /// The next ones.
    Next(u32),
}

/// What becomes of a volume whose key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KmsFailure {
    /// Its state becomes `error`.
    Error,
    /// It is not there any more.
    Vanish,
}

/// What an instance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// It runs.
    Running,
    /// It is stopped; its volumes stay attached.
    Stopped,
    /// It is gone, and its volumes come free.
    Terminated,
}

/// What CreateVolume answers to the token of a volume that has been deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BurnedTokens {
    /// The deleted volume, as if it had just been created.
    AnswerDeletedId,
    /// `IdempotentParameterMismatch`.
    Refuse,
}

/// Everything that spoils the wire. The action `*` stands for all.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    throttles: BTreeMap<String, (Throttle, u32)>,
    failures: Vec<Failure>,
    losses: BTreeMap<String, u32>,
    /// Whether nobody answers.
    pub(crate) away: bool,
}

#[derive(Debug)]
struct Failure {
    action: String,
    code: String,
    message: String,
    left: u32,
}

impl Faults {
    pub(crate) fn throttle(&mut self, action: &str, throttle: Throttle) {
        self.throttles.insert(action.to_owned(), (throttle, 0));
    }

    pub(crate) fn fail_next(&mut self, action: &str, code: &str, message: &str, n: u32) {
        let (code, message) = (code.to_owned(), message.to_owned());
        self.failures.push(Failure { action: action.to_owned(), code, message, left: n });
    }

    pub(crate) fn lose(&mut self, action: &str, n: u32) {
        self.losses.insert(action.to_owned(), n);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What is answered instead of acting.
    pub(crate) fn before(&mut self, action: &str) -> Option<ApiError> {
        let throttled = ["*", action].into_iter().any(|name| {
            self.throttles.get_mut(name).is_some_and(|(throttle, spread)| takes(throttle, spread))
        });
        if throttled {
            return Some(ApiError::throttled());
        }
        let failure = self.failures.iter_mut().find(|failure| {
            failure.left > 0 && (failure.action == action || failure.action == "*")
        })?;
        failure.left -= 1;
        let mut error = ApiError::new(failure.code.clone(), failure.message.clone());
        // The server's own faults are 5xx: that is how clients know what may be tried again.
        if matches!(&*error.code, "InternalError" | "Unavailable" | "ServiceUnavailable") {
            error.status = if error.code == "InternalError" { 500 } else { 503 };
        } else if error.code == "RequestLimitExceeded" {
            error.status = 503;
        }
        Some(error)
    }

    /// Whether the answer gets lost.
    pub(crate) fn loses(&mut self, action: &str) -> bool {
        ["*", action].into_iter().any(|name| match self.losses.get_mut(name) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        })
    }
}

fn takes(throttle: &mut Throttle, spread: &mut u32) -> bool {
    match throttle {
        Throttle::Off => false,
        Throttle::Percent(percent) => {
            *spread += (*percent).min(100);
            let full = *spread >= 100;
            *spread %= 100;
            full
        }
        Throttle::Next(left) => {
            let taken = *left > 0;
            *left = left.saturating_sub(1);
            taken
        }
    }
}

/// Everything that goes wrong inside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sabotage {
    pub(crate) stuck: BTreeSet<(String, Transition)>,
    pub(crate) wrong_serials: BTreeSet<String>,
    pub(crate) kms: BTreeMap<String, KmsFailure>,
}

impl Sabotage {
    /// Whether this volume's transition is held back.
    pub(crate) fn holds(&self, volume: &str, transition: Transition, force: bool) -> bool {
        let stuck = |transition| self.stuck.contains(&(volume.to_owned(), transition));
        match transition {
            Transition::Attach => stuck(Transition::Attach),
            Transition::Detach | Transition::DetachEvenForced => {
                stuck(Transition::DetachEvenForced) || (!force && stuck(Transition::Detach))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_spread_evenly() {
        let mut faults = Faults::default();
        faults.throttle("CreateVolume", Throttle::Percent(25));
        let hits: Vec<bool> = (0..8).map(|_| faults.before("CreateVolume").is_some()).collect();
        assert_eq!(hits, [false, false, false, true, false, false, false, true]);
    }

    #[test]
    fn a_failure_comes_as_often_as_was_said() {
        let mut faults = Faults::default();
        faults.fail_next("*", "InternalError", "An internal error has occurred", 1);
        assert_eq!(faults.before("DeleteVolume").map(|error| error.status), Some(500));
        assert_eq!(faults.before("DeleteVolume"), None);
    }
}
