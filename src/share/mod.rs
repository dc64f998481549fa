//! One volume on many nodes: its owner's file system, by NFSv4.1.
//!
//! ```text
//!  owner                                               another node
//!  file system ◀─ tasks                                tasks ─▶ mount        the kernel's NFS client
//!      ▲                                                          │
//!      └─ server  NFS-Ganesha, one per volume ◀── tunnel ─────────┘
//!         config  what it is told (pure)
//!         answers whether it does
//!         recovery  for whom the next server waits
//!         reserve  room for that on a full volume (pure)
//!  tunnel carries NFS between nodes, in a process of its own
//! ```
//! [`tunnel`] is a process of its own, and so is each server: both go on when hawser ends.
//! Servers, mounts and the ends of the tunnel are in a network namespace of hawser's own
//! ([`crate::sys::netns`]): on the host's loopback any task could speak to them with a made-up uid.
//! Nothing here knows records, owners or leases; what a takeover is made of is the engine's.

mod answers;
mod config;
pub mod mount;
mod process;
mod recovery;
pub mod reserve;
mod server;
pub mod tunnel;

pub use config::{ConfigError, Export, Squash, Times, pseudo_path, text};
pub use recovery::{forget_client, forget_clients, make as make_recovery};
pub use server::{Server, ServerError, is_installed, may_run, running};
