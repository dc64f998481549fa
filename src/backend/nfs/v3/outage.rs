//! When the server was last found to be unreachable.
//!
//! Whoever waited while another found it out need not find it out again: fifty calls that wait for four
//! connections would else take a minute to fail.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::failure::Failure;
use crate::backend::nfs::tree::Cause;

#[derive(Debug, Default)]
pub(super) struct Outage {
    last: Mutex<Option<(Instant, String)>>,
}

impl Outage {
    /// Remembers a failure to reach the server; says whether it is one.
    pub(super) fn note(&self, failure: &Failure) -> bool {
        let Failure::Cause(Cause::Unreachable(why)) = failure else { return false };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((Instant::now(), why.clone()));
        true
    }

    /// Fails with those who found the server unreachable since then.
    pub(super) fn none_since(&self, then: Instant) -> Result<(), Failure> {
        match &*self.last.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((at, why)) if *at > then => Err(Cause::Unreachable(why.clone()).into()),
            _ => Ok(()),
        }
    }
}
