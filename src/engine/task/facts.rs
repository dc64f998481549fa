//! What a volume's task tells the plan: what is wanted here, and what is known of the volume and its nodes.

use jiff::Timestamp;
use tokio::time::Instant;

use super::VolumeTask;
use crate::volume::{
    Observed,
    plan::{self, Here, Standing, Step, Want},
};

impl VolumeTask {
    /// What the plan says to what was seen.
    pub(super) fn next_step(&self, seen: Option<&Observed>) -> Step {
        let (now, owner) = (Timestamp::now(), self.owner_session());
        let departed = self.departed_user();
        let here = Here {
            me: self.shared.store.me(),
            ext4: self.shared.ext4_online_grow,
            now,
            turn: self.shared.turn,
            owner,
            serving: self.serving(owner, now),
            departed: departed.as_ref(),
            lending: self.lending(),
            write_back: self.write_back(),
        };
        plan::next(&self.record, seen, self.want(), &here)
    }

    /// Somebody holds it, asks for it, or held it a moment ago.
    pub(super) fn is_wanted(&self) -> bool {
        let lingers = self.linger_until.is_some_and(|until| until > Instant::now());
        // Tasks that held it when another node took it over do not get it back: what they have is shut
        // down, and whoever starts them anew asks for it.
        let needs_owner = !self.record.spec.backend.is_directory() && !self.is_open_here();
        let lost = self.standing() == Standing::Other && needs_owner;
        self.record.is_held() && !lost || self.waiters.want_mounted() || lingers
    }

    pub(super) fn want(&self) -> Want {
        // What is only reached is to be this node's: not as long as a task has it.
        let comes = self.is_open_here()
            && self.standing() == Standing::Other
            && !self.record.is_held()
            && !self.waiters.taken.is_empty();
        if self.exclusive.is_empty() && self.is_wanted() && !comes {
            Want::Mounted
        } else if comes || self.needs_owner() {
            Want::Owned
        } else if self.slot_wanted.is_empty() && self.handover.is_empty() {
            Want::Released
        } else {
            Want::Detached
        }
    }
}
