//! Linux: mounts, loop devices, file-system tools, child processes. The only place with `unsafe`.
//!
//! Nothing here knows what a volume is. Functions block unless they are `async`; callers put the
//! blocking ones on a blocking thread and give every one of them a deadline, because any path may
//! lie on storage that does not answer. Every descriptor is opened close-on-exec: one that leaks
//! into a child keeps a file system busy for as long as the child lives.
//!
//! - [`process`] is the one place that starts programs;
//! - [`beneath`], [`mount`], [`mountinfo`], [`namespaces`], [`guard`]: what is mounted where, and for whom;
//! - [`loopdev`], [`blockdev`]: block devices, by number rather than by name;
//! - [`netns`]: a network that only hawser's own servers and mounts are in;
//! - [`nfs`]: NFS by the kernel's client;
//! - [`probe`], [`mod@format`], [`freeze`], [`health`], [`usage`]: file systems;
//! - [`unix_socket`], [`protect`]: the door of a daemon, and what keeps it alive when memory is short;
//! - [`durable`], [`boot`], [`caps`], [`errno`]: files that survive a crash, identity, rights, errors.

pub mod beneath;
pub mod blockdev;
pub mod boot;
pub mod caps;
pub mod durable;
pub mod errno;
pub mod format;
pub mod freeze;
pub mod guard;
pub mod health;
pub mod loopdev;
pub mod machine;
pub mod mount;
pub mod mountinfo;
pub mod namespaces;
pub mod netns;
pub mod nfs;
pub mod probe;
pub mod process;
pub mod protect;
pub mod shutdown;
pub mod tcp;
pub mod unix_socket;
pub mod usage;

#[cfg(test)]
pub(crate) mod testing;
