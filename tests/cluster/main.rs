//! Several daemons as the nodes of one cluster: a real ZooKeeper, an EC2 fake with real devices, real
//! certificates, and wires between all of them that can be cut.
//!
//! Needs root, java and ZooKeeper's jars, and fails without them. All nodes share the machine's kernel:
//! what a node has mounted outlives its daemon, as it does in life; what it does not outlive is its
//! machine, which the tests end by EC2's word ([`ec2_fake::InstanceState`]).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and start programs of their own"
)]

#[path = "../daemon/harness/mod.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon, which use the rest")]
mod harness;

mod chaos;
mod claim;
mod cloud;
#[cfg(feature = "fault-points")]
mod crashes;
mod death;
mod doctor;
#[cfg(feature = "fault-points")]
mod fences;
mod full_disk;
mod groups;
mod imports;
#[cfg(feature = "fault-points")]
mod joining;
mod leaving;
mod life;
mod local;
mod moves;
mod namesake;
mod network;
mod nfs;
mod nodes;
mod placement;
mod restored;
mod scale;
#[cfg(feature = "fault-points")]
mod shared;
mod sharing;
mod store;
