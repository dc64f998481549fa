//! The lab: hawser on several machines, with kernels, disks and a network of their own.
//!
//! The machines are small QEMU virtual machines in software emulation; docs/lab.md says what they are
//! made of and what they prove. They need root (to make the machines' image, once), QEMU, nbdkit and
//! debootstrap, and fail with the reason where one is missing.
//!
//! `smoke` is part of every run of the tests, of `ebs` the proof that the fence holds, and of `cluster` the
//! takeover from a machine that was killed. The others are run by `make lab`.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "test code runs programs, writes scratch files, and fails by panicking"
)]

mod cluster;
mod docker;
mod ebs;
mod harness;
mod network;
mod nfs;
mod nfs_node;
mod power;
mod selftest;
mod sharing;
mod smoke;
mod systemd;
