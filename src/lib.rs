//! Hawser: a volume plugin for Docker, Mesos/Marathon and DC/OS.
//!
//! The modules, from the doors down (dependencies point downwards only)
//!
//! - [`cli`]: one file per command; talks to the daemon through the admin socket
//! - [`agent`]: hawser as a service of its host, put there by a task of Marathon
//! - [`http`]: the Docker volume plugin protocol and the admin API
//! - [`publish`]: volumes that stay mounted at their path for tasks without a volume driver
//! - [`engine`]: what happens next: one task per volume, recovery, deadlines
//! - [`peer`]: how nodes talk to each other: HTTP over mutual TLS, certificates
//! - [`share`]: one volume on many nodes: its NFS server, the tunnel between nodes, the mounts of the others
//! - [`cluster`]: records, kept durably
//! - [`backend`]: what volumes are stored on, behind one trait with one conformance suite
//! - [`volume`]: records, holders and the decisions about them, pure
//! - [`marathon`]: Marathon's app definitions: checked and converted, pure
//! - [`spec`]: what a user writes, pure
//! - [`sys`]: what Linux does: mounts, loop devices, mkfs, child processes
//! - [`config`]: settings, from file, environment and command line
//! - [`fault`]: where the crash suite kills the process

pub mod agent;
pub mod backend;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod engine;
pub mod fault;
pub mod http;
pub mod marathon;
pub mod peer;
pub mod publish;
pub mod share;
pub mod spec;
pub mod sys;
pub mod volume;
