//! The writer claim: which node's tasks may write to a volume that is not shared and stays attached to its
//! owner while a task of another node uses it.
//!
//! ```text
//!  free ──asked──▶ (let go of here) ──▶ record: Joined ──▶ staged anew, exported to that node alone
//!    ▲                                                        │
//!    └──── Unexport ◀── record: Left ◀── by the writer itself, or by the owner once its session is over
//! ```
//!
//! The owner gives the claim, in the volume's own task, so that its own mounts cannot overtake it. It is
//! given only where nothing is mounted or served here any more: so whoever had it before is shut out before
//! the next one is told that it may write.

use super::{Contents, Effect, Event, Here, Observed, Phase, Record, Session, Step, Want, unmount};

/// The owner's next step where the claim has ended, or ends with the session of the node that has it.
pub(super) fn changes(
    record: &Record,
    seen: &Observed,
    want: Want,
    here: &Here<'_>,
) -> Option<Step> {
    let me = &here.me?.node;
    if !record.has_one_writer() {
        return None;
    }
    let Some(writer) = record.writer() else {
        // Nobody may come any more, and somebody still could: before a task of this node writes.
        return seen.exported.is_some().then_some(Step::Do(Effect::Unexport));
    };
    let wanted = want == Want::Mounted || here.lending.asker.is_some_and(|asker| asker != writer);
    let over = writer != me && here.lending.writer == Session::Over;
    (wanted && over).then(|| Step::Record(Event::Left { node: writer.clone() }))
}

/// A task of the owner's node waits for it, and the writer may have none with it any more. Not before it is
/// served: to give the claim back, the writer writes back.
pub(super) fn recall(record: &Record, here: &Here<'_>) -> Option<Step> {
    let writer = record.writer()?;
    let theirs = here.me.is_some_and(|me| me.node != *writer);
    (theirs && here.lending.task_waits).then_some(Step::Do(Effect::Recall))
}

/// The claim goes to the node that asks for it, once nothing of the volume is in use here.
pub(super) fn lent(record: &Record, seen: &Observed, want: Want, here: &Here<'_>) -> Option<Step> {
    let asker = here.lending.asker?;
    let free = want == Want::Released && unmount(seen).is_none() && record.users.is_empty();
    let lendable = can_be_lent(record) && seen.device.is_some();
    (free && lendable).then(|| Step::Record(Event::Joined { node: asker.clone() }))
}

/// Whether a volume could be reached by another node at all: one that has a file system, and whose
/// device stays where it is.
#[must_use]
pub fn can_be_lent(record: &Record) -> bool {
    record.has_one_writer()
        && record.spec.backend.stays_attached()
        && record.phase == Phase::Ready
        && record.contents == Contents::Formatted
}
