//! Whether a node could serve a volume that others use, too, if it were its owner.
//!
//! The first node that claims such a volume keeps all others from it. So a node that could not serve it leaves
//! it to them, and one that finds out too late gives it up again and stands back for a while. The engine
//! gathers the facts (`engine::serving`), the plan acts on them.

use jiff::{SignedDuration, Timestamp};

/// So often in a row it fails before it is given up.
const TRIES: u32 = 2;
/// How long a node stands back after the first time; twice as long each time, up to the longest.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(10);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(120);

/// What is known of a node's ability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// It could, for all that is known.
    Able,
    /// It could not.
    Unable(Unable),
    /// It has the volume, and fails again and again.
    Failing,
}

/// Why a node does not become the owner of what others use, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unable {
    /// It takes no volumes.
    #[error("it is drained (`hawser node drain --undo` on it ends that)")]
    Drained,
    /// It takes no volumes for the rest of its life.
    #[error("its machine is just stopped")]
    Stopping,
    /// It lacks the backend.
    #[error("the volume's backend is not enabled on it: enable it there")]
    NoBackend,
    /// The volume cannot come to its zone.
    #[error(
        "the volume is in another zone of EC2: use it on a second node of the volume's own zone"
    )]
    OtherZone,
    /// Its machine is full.
    #[error(
        "no attachment slot of its instance is free: stop a task with a volume of its own there"
    )]
    NoSlot,
    /// It cannot serve anything.
    #[error("it shares no volumes: its log says why")]
    NoSharing,
    /// It lacks the server.
    #[error("it has no NFS server: install the packages nfs-ganesha and nfs-ganesha-vfs there")]
    NoServer,
    /// It tried, and failed.
    #[error(
        "it had it, and could not serve it (its log says why): it tries again at {0}, if no other node does before"
    )]
    Failed(Timestamp),
}

/// What a node has seen of its own tries to serve a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tries {
    /// Failures since the last success, or since it gave the volume up.
    failures: u32,
    /// How often it gave the volume up since it last served it.
    given_up: u32,
    /// Until then it stands back.
    until: Option<Timestamp>,
}

impl Tries {
    /// A step on the way to serving it failed.
    pub const fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// It is served, or it is another node's to serve.
    pub fn over(&mut self) {
        *self = Self::default();
    }

    /// It fails again and again.
    #[must_use]
    pub const fn are_in_vain(&self) -> bool {
        self.failures >= TRIES
    }

    /// It was given up: others begin at once, this node later, and ever later.
    pub fn gave_up(&mut self, now: Timestamp) {
        let pause = FIRST_PAUSE * (1_i32 << self.given_up.min(5));
        self.until = now.checked_add(pause.min(LONGEST_PAUSE)).ok();
        self.given_up = self.given_up.saturating_add(1);
        self.failures = 0;
    }

    /// Until when this node stands back, where it does.
    #[must_use]
    pub fn stands_back(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::testing::{START, at};

    #[test]
    fn one_failure_is_none_and_each_giving_up_makes_the_pause_longer() {
        let mut tries = Tries::default();
        tries.failed();
        assert!(!tries.are_in_vain());
        tries.failed();
        assert!(tries.are_in_vain());
        assert_eq!(tries.stands_back(START), None);

        let mut pauses = Vec::new();
        for _ in 0..6 {
            tries.gave_up(START);
            pauses.push(tries.stands_back(START).unwrap());
        }

        assert_eq!(pauses, [10, 20, 40, 80, 120, 120].map(at));
        assert!(!tries.are_in_vain(), "it is counted anew");
        assert_eq!(tries.stands_back(at(120)), None, "alone, it tries again");
    }

    #[test]
    fn what_was_served_since_makes_the_next_pause_a_short_one() {
        let mut tries = Tries::default();
        tries.gave_up(START);
        tries.gave_up(START);
        tries.over();
        assert_eq!(tries, Tries::default());
        tries.gave_up(START);
        assert_eq!(tries.stands_back(START), Some(at(10)));
    }
}
