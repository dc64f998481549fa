//! What the cluster knows: volume records, kept durably.
//!
//! One node keeps them in an embedded database ([`embedded`]), which is all that there is today.

pub mod embedded;
pub mod rescue;

pub use embedded::{Store, StoreError, Urgency};
