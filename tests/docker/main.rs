//! Hawser behind a real Docker engine: each test starts a private `dockerd` and a `hawser serve`.
//!
//! They need root, `dockerd`, `docker`, a static busybox, and a kernel that mounts loop devices, and
//! they fail with the reason where one is missing: a test that did not run proves nothing.
//! `scripts/install-deps.sh` installs what is not there.
//!
//! The scenarios are those of moby's own external-volume tests, and the crashes between them.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "test code runs programs, writes scratch files, and fails by panicking"
)]

mod anonymous;
mod containers;
mod dockerd_crashes;
mod ebs;
mod examples;
mod groups;
mod harness;
mod hawser_crashes;
mod live_holders;
mod nfs;
mod options;
mod plugin;
mod protocol;
mod rexray;
mod size;
mod volumes;
