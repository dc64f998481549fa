//! What came of each step: a line as soon as it is known, or JSON at the end.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::bail;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::backend::ebs::NodeFacts;

/// Whether a line is printed for each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    Print,
    Silent,
}

/// All that was done.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    ok: bool,
    pub(super) node: Option<NodeFacts>,
    steps: Vec<Step>,
    /// What exists still, and how to be rid of it.
    left: Vec<String>,
    #[serde(skip)]
    lines: Lines,
    #[serde(skip)]
    interrupted: CancellationToken,
}

#[derive(Debug, Serialize)]
struct Step {
    step: &'static str,
    ok: bool,
    seconds: f64,
    /// What was found, or why it failed.
    detail: String,
}

/// A step failed, and its line says why.
#[derive(Debug)]
pub(super) struct Failed;

impl Report {
    pub(super) const fn new(lines: Lines, interrupted: CancellationToken) -> Self {
        Self { ok: true, node: None, steps: Vec::new(), left: Vec::new(), lines, interrupted }
    }

    /// Does a step of the test, unless somebody wants it to end.
    pub(super) async fn step<T>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = anyhow::Result<(T, String)>>,
    ) -> Result<T, Failed> {
        let interrupted = self.interrupted.is_cancelled();
        let unless_interrupted = async {
            if interrupted {
                bail!("not done: interrupted");
            }
            work.await
        };
        self.last_step(name, unless_interrupted).await
    }

    /// Does a step that is also done after an interruption: of the cleaning up.
    pub(super) async fn last_step<T>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = anyhow::Result<(T, String)>>,
    ) -> Result<T, Failed> {
        let begun = Instant::now();
        let result = work.await;
        let took = begun.elapsed();
        match result {
            Ok((value, detail)) => {
                self.add(name, Ok(detail), took);
                Ok(value)
            }
            Err(error) => {
                self.add(name, Err(format!("{error:#}")), took);
                Err(Failed)
            }
        }
    }

    fn add(&mut self, step: &'static str, result: Result<String, String>, took: Duration) {
        let ok = result.is_ok();
        let (Ok(detail) | Err(detail)) = result;
        self.ok &= ok;
        let seconds = (took.as_secs_f64() * 1000.0).round() / 1000.0;
        if self.lines == Lines::Print {
            let word = if ok { "OK" } else { "FAILED" };
            println!("{word:<6} {seconds:>8.2} s  {step}: {detail}");
        }
        self.steps.push(Step { step, ok, seconds, detail });
    }

    /// Says what could not be cleaned up.
    pub(super) fn left(&mut self, what: String) {
        self.ok = false;
        if self.lines == Lines::Print {
            println!("LEFT   {what}");
        }
        self.left.push(what);
    }

    pub(super) const fn ok(&self) -> bool {
        self.ok
    }
}
