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

mod harness;
mod holders;
mod names;
mod protocol;
mod restarts;
mod sockets;
