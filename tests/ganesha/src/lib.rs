//! A real NFS server for tests: NFS-Ganesha, on free ports of loopback, in a directory of its own.
//!
//! ```text
//! Server ─▶ config    its configuration file
//!        ├▶ process   ganesha.nfsd and rpcbind, ended by their pids
//!        ├▶ disk      a small ext4 on the exported directory
//!        └▶ ready     whether it answers (NULL)
//! ```
//! Ganesha does not serve NFSv3 unless rpcbind takes its registration. It asks at `/run/rpcbind.sock`: so
//! it gets a mount namespace with a `/run` of its own, and a rpcbind there that has no network at all.
//! The host's rpcbind, if it has one, is left alone. Ganesha's network is the host's.
//!
//! It needs root, and the packages nfs-ganesha, nfs-ganesha-vfs, rpcbind, util-linux and e2fsprogs. What
//! is missing is said by a panic: a test that cannot run has failed.

mod config;
mod disk;
mod process;
mod ready;
mod server;

pub use self::{
    config::{Access, Options, Protocols, SourcePorts, Squash},
    disk::Filesystem,
    server::Server,
};
