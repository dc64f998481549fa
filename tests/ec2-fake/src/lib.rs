//! An EC2 for tests: it speaks EC2's query protocol and the metadata service's on one port, and its
//! volumes are real block devices (image files behind loop devices), shown in a directory per
//! instance that stands for the `/dev` and `/sys` of that instance. Or somebody else attaches them
//! ([`Machines`]): the lab, to its virtual machines.
//!
//! ```text
//! main ─▶ Fake ─▶ Controls ───────────────┐       what tests say and ask (admin: the same by HTTP)
//! server ─▶ wire ─▶ shared ─▶ actions ─▶ state    requests; the state is pure, the time passed in
//!        └▶ imds      └────▶ devices              its effects, carried out without its lock
//! ```
//! It needs root (loop devices, mknod), losetup(8) and cp(1).

mod actions;
mod admin;
mod calls;
mod config;
mod controls;
mod devices;
mod error;
mod fake;
mod faults;
mod imds;
mod observe;
mod server;
mod shared;
mod state;
mod wire;

pub use self::{
    calls::{Call, CallOutcome},
    config::{
        Attach, AttachmentLimit, Delays, FakeConfig, ImdsVersions, InstanceKind, InstanceSpec,
    },
    controls::Controls,
    devices::{Machines, Plug, Unplugged},
    fake::Fake,
    faults::{BurnedTokens, InstanceState, KmsFailure, Throttle, Transition},
    observe::{AttachmentInfo, SnapshotInfo, VolumeInfo},
};
