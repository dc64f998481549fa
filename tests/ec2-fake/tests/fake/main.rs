//! The fake, asked by raw HTTP: each action, each fault, and the devices for real.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod attachments;
mod client;
mod faults;
mod imds;
mod machines;
mod program;
mod snapshots;
mod volumes;
