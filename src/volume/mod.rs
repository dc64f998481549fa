//! Volumes as data: records, holders, what is observed, and the pure decisions between them.
//!
//! No I/O, no clock, no tokio here. Four functions carry the product's behaviour:
//!
//! - [`transition`]: what a request changes in the record, or why it is refused;
//! - [`lease::decide`]: what a node has to do before it may touch a volume's storage at all;
//! - [`group::choose`]: which member of a group a task gets;
//! - [`plan::next`]: given the record (what should be) and the observation (what is), the one
//!   step to take now. Recovery after a crash is the same function, called again.

pub mod effect;
pub mod group;
mod holder;
mod ids;
pub mod lease;
mod node;
mod observed;
pub mod plan;
mod record;
pub mod restored;
pub mod serving;
pub mod transition;

pub use group::{Claim, Membership};
pub use holder::{CallerEpoch, Holder, PUBLISHED};
pub use ids::{Handle, MountId, VolumeId};
pub use lease::{Epoch, Lease, Owner};
pub use node::{NodeName, NotANodeName, check_cluster};
pub use observed::{Device, DeviceContent, Observed, Remote, Transit};
pub use record::{Contents, DATA, Phase, Purge, Record, Revision};

#[cfg(test)]
mod model_tests;
#[cfg(test)]
pub(crate) mod testing;
