//! NFS volumes from outside: the real binary against a real NFS server on loopback. What takes a kernel
//! with an NFS client is in `tests/lab`.
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

mod accounting;
mod away;
mod life;
mod nodes;
