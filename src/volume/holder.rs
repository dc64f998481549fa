//! Who uses a volume on this node, and how often: the durable reference counts.
//!
//! A set of ids would be wrong, because `docker cp` mounts the id of the running container once
//! more; a bare count would leak, because a killed dockerd never sends the Unmount. So a holder is
//! an id with a count *and* the process that counted it (facts: moby's `MountPoint.Setup`).
//!
//! ```text
//!              Mount                      Mount (same process): +1
//!   (none) ───────────▶ held, count 1 ──────────────────────────────▶ held, count n
//!                          │    ▲ Mount by a new dockerd: count := 1      │
//!                Unmount   │    └─────────────────────────────────────────┘ Unmount: −1
//!                          ▼
//!        count 0 ──▶ gone, or parked while another mount namespace still holds the file system
//! ```

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::MountId;

/// The id under which hawser itself holds a volume that is published.
pub const PUBLISHED: &str = "published";

/// The process that made a call: what tells a restarted dockerd from the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerEpoch {
    /// The kernel's boot id: no holder outlives a reboot.
    pub boot_id: String,
    /// The peer's process id.
    pub pid: i32,
    /// Its start time in clock ticks since boot: process ids are used again.
    pub start_time: u64,
}

/// One user of a volume on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// The caller's id for this use.
    pub id: MountId,
    /// Mounts minus unmounts. 0 only while parked.
    pub count: u32,
    /// Who counted.
    pub epoch: CallerEpoch,
    /// Since when it is held.
    pub since: Timestamp,
    /// Set when the caller let go while some other mount namespace still had the file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked_since: Option<Timestamp>,
    /// Set when the counting process was found dead and no other namespace had the file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphaned_since: Option<Timestamp>,
}

impl Holder {
    /// A holder that just mounted for the first time.
    #[must_use]
    pub const fn new(id: MountId, epoch: CallerEpoch, now: Timestamp) -> Self {
        Self { id, count: 1, epoch, since: now, parked_since: None, orphaned_since: None }
    }
}

impl fmt::Display for Holder {
    /// As an operator knows it: the id as `docker ps` abbreviates, and what is odd about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.to_string();
        if id == PUBLISHED {
            return f.write_str("what is published (`hawser volume unpublish` ends it)");
        }
        let id: String = id.chars().take(12).collect();
        match (self.parked_since, self.orphaned_since) {
            (None, None) => write!(f, "mount {id}"),
            (Some(_), _) => {
                write!(f, "mount {id} (released, but another mount namespace still has it)")
            }
            (None, Some(_)) => {
                write!(
                    f,
                    "mount {id} (which no container has any more: it is dropped by itself soon)"
                )
            }
        }
    }
}
