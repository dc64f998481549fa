//! Getting the writer claim back from a node that has no task with the volume any more, or that is gone.
//!
//! Whoever wants the volume asks that node itself: it knows who uses it, and ends its linger for another task.

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    error::{Cause, unwanted},
    ownership::{LONGEST_PAUSE, NotHad, PATIENCE, Remotely},
};
use crate::volume::{
    NodeName, Record,
    effect::Outcome,
    lease::{Answer, Obstacle, Session},
};

impl Shared {
    /// For a task of the owner.
    pub(super) async fn recall(
        &self,
        record: &Record,
        cancel: &CancellationToken,
    ) -> Result<Outcome, Cause> {
        tokio::select! {
            outcome = self.until_given_back(record) => outcome,
            () = cancel.cancelled() => Err(unwanted("recall", record)),
        }
    }

    async fn until_given_back(&self, known: &Record) -> Result<Outcome, Cause> {
        let deadline = Instant::now() + PATIENCE;
        let mut nodes = self.store.watch_nodes();
        loop {
            let record = self.store.read(known.id).await?;
            let Some(record) = record.filter(|record| record.revision == known.revision) else {
                return Ok(Outcome::Outdated);
            };
            // Its session is over: the plan drops it.
            let Some(writer) = self.living_writer(&record) else { return Ok(Outcome::Done) };
            let obstacle = self.ask_writer(&record, &writer, deadline).await?;
            if Instant::now() + LONGEST_PAUSE > deadline {
                return Err(NotHad(obstacle).into());
            }
            tokio::select! {
                Ok(()) = nodes.changed() => {}
                () = sleep(LONGEST_PAUSE / 4) => {}
            }
        }
    }

    /// Another node that has the writer claim and is not the owner, and lives.
    pub(super) fn living_writer(&self, record: &Record) -> Option<NodeName> {
        let me = self.store.me()?;
        let writer = record.writer_elsewhere().filter(|writer| **writer != me.node)?;
        (self.store.session(writer) == Session::Lives).then(|| writer.clone())
    }

    /// Asks it to give the claim back: why it has not yet, or why it does not.
    pub(super) async fn ask_writer(
        &self,
        record: &Record,
        writer: &NodeName,
        deadline: Instant,
    ) -> Result<Obstacle, NotHad> {
        let node = writer.clone();
        match self.ask(record, writer, Remotely::No, deadline).await {
            Answer::Held(holders) => Err(NotHad(Obstacle::Held { node, holders })),
            Answer::Busy(why) => Ok(Obstacle::Busy { node, why }),
            Answer::Silent => Ok(Obstacle::NotYet(node)),
            Answer::Released | Answer::NotAsked => {
                let why = "it lets go, and the record does not say so yet".to_owned();
                Ok(Obstacle::Busy { node, why })
            }
        }
    }
}
