//! The daemon from outside: the real binary on real sockets, loop devices and mounts.
//!
//! Needs root, and fails without it. Each test has a daemon, a directory and a mount namespace of
//! its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and start programs of their own"
)]

mod commands;
mod devices;
mod doctor;
mod failures;
mod groups;
mod harness;
mod holders;
mod meetings;
mod mesos;
mod names;
mod nfs;
mod pki;
mod protocol;
mod publish;
mod removal;
mod restarts;
mod reuse;
mod rexray;
mod sizes;
mod sockets;
