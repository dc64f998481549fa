//! One volume on many nodes: its owner serves it, the others reach it.
//!
//! - [`tunnel`]: carries NFS between nodes, in a process of its own

pub mod tunnel;
