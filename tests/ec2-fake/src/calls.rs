//! Which requests came in, and what became of them.

use std::{collections::BTreeMap, time::SystemTime};

/// A request to EC2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// `CreateVolume`, …
    pub action: String,
    /// All parameters, as they came.
    pub params: BTreeMap<String, String>,
    /// When it came.
    pub at: SystemTime,
    /// What became of it.
    pub outcome: CallOutcome,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallOutcome {
    /// There is no answer yet.
    UnderWay,
    /// It was done.
    Done,
    /// It was refused, with this code.
    Refused(String),
    /// It was carried out or refused, and nobody was told.
    Lost,
}

/// The requests since the last reset, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct CallLog {
    calls: Vec<Call>,
    /// How many were forgotten: a request that is under way then is not found any more.
    forgotten: usize,
}

impl CallLog {
    pub(crate) fn begin(&mut self, action: &str, params: &BTreeMap<String, String>) -> usize {
        self.calls.push(Call {
            action: action.to_owned(),
            params: params.clone(),
            at: SystemTime::now(),
            outcome: CallOutcome::UnderWay,
        });
        self.forgotten + self.calls.len() - 1
    }

    pub(crate) fn end(&mut self, number: usize, outcome: CallOutcome) {
        let call = number.checked_sub(self.forgotten).and_then(|at| self.calls.get_mut(at));
        if let Some(call) = call {
            call.outcome = outcome;
        }
    }

    pub(crate) fn all(&self) -> &[Call] {
        &self.calls
    }

    pub(crate) fn reset(&mut self) {
        self.forgotten += self.calls.len();
        self.calls.clear();
    }
}
