//! A volume's task on a node that leaves the way through the volume's owner: what tasks here wrote by it has to be
//! written back first. Where the owner is dead and nobody else becomes the next one, this node does
//! (`volume::plan::reach`).

use std::time::Duration;

use tokio::time::Instant;

use super::VolumeTask;
use crate::volume::{
    effect::Effect,
    lease::Session,
    plan::{Standing, WriteBack},
};

/// How long it is not tried again where there is no owner: longer than a failed step waits at the most, so that
/// this node does have its turn to become the owner, and others do that are asked to.
const NO_OWNER: Duration = Duration::from_secs(120);

impl VolumeTask {
    /// How it goes with what tasks here wrote.
    pub(super) fn write_back(&self) -> WriteBack {
        let failed = self.unwritten_since.is_some_and(|since| since.elapsed() < NO_OWNER);
        // Whoever asks for it to come here does not have to hear first that it failed once more.
        if failed || !self.waiters.taken.is_empty() { WriteBack::Fails } else { WriteBack::Works }
    }

    /// A step on the way out failed: the one after it is tried in its turn. Its owner, which was taken for dead, may
    /// serve it all the same.
    pub(super) fn stays_unwritten(&mut self, step: Effect, unwritten: bool) {
        if step != Effect::Unreach || !unwritten {
            self.unwritten_since = None;
            return;
        }
        if self.unwritten_since.is_none() && self.owner_session() == Session::Over {
            tracing::warn!(
                volume = %self.record.name,
                "what was written here has nobody to go to: where no other node takes the volume over from its dead owner, this one does"
            );
        }
        self.unwritten_since = Some(Instant::now());
    }

    /// A step on the way in or out succeeded: what was before it is no news any more.
    pub(super) const fn came_or_left(&mut self, step: Effect) {
        if matches!(step, Effect::Reach | Effect::Unreach) {
            self.unwritten_since = None;
        }
    }

    /// Its owner may be another one by now, or none, or back.
    pub(super) fn woken(&mut self) {
        self.look = true;
        if self.unwritten_since.is_some() {
            self.try_again_now();
        }
    }

    /// It is to come to this node though nobody here wants it.
    pub(super) fn comes_to_be_written(&self) -> bool {
        let leaves = self.standing() == Standing::Other && self.is_user();
        let orphaned = self.owner_session() == Session::Over;
        leaves && orphaned && self.write_back() == WriteBack::Fails
    }
}
