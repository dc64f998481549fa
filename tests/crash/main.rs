//! Kills the daemon at every fault point of every scenario, and asserts that nothing is lost,
//! nothing leaked, and that the interrupted call can be repeated.
//!
//! A first run of a scenario, uninterrupted, tells how many points there are. Then, for each of
//! them, a fresh world: the daemon dies at that point, is started again, and the scenario's steps
//! are repeated. Points in background work come in no fixed order, so a daemon may outlive its
//! scenario: that is a pass, but most must have died.
//!
//! Needs root, and the feature `fault-points`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and start programs of their own"
)]

#[path = "../daemon/harness/mod.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon, which use the rest")]
mod harness;

mod changes;
#[cfg(feature = "ebs")]
mod ebs;
mod groups;
mod nfs;
mod scenario;
mod scenarios;
