//! Volumes as data: records, holders, what is observed, and the pure decisions between them.
//!
//! No I/O, no clock, no tokio here. Two functions carry the product's behaviour:
//!
//! - [`transition`]: what a request changes in the record, or why it is refused;
//! - [`plan::next`]: given the record (what should be) and the observation (what is), the one
//!   step to take now. Recovery after a crash is the same function, called again.

pub mod effect;
mod holder;
mod ids;
mod node;
mod observed;
pub mod plan;
mod record;
pub mod transition;

pub use holder::{CallerEpoch, Holder};
pub use ids::{Handle, MountId, VolumeId};
pub use node::{NodeName, NotANodeName};
pub use observed::{Device, DeviceContent, Observed, Transit};
pub use record::{Contents, DATA, Phase, Purge, Record};

#[cfg(test)]
mod model_tests;
#[cfg(test)]
pub(crate) mod testing;
