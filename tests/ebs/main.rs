//! EBS volumes from outside: the real binary against a fake EC2 whose volumes are real devices.
//!
//! Needs root, and fails without it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and start programs of their own"
)]

#[path = "../daemon/harness/mod.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon, which use the rest")]
mod harness;

mod attachment;
mod budget;
mod changes;
mod doctor;
mod guard;
mod selftest;
mod trouble;
