//! The `nfs` backend: a directory on a filer for each volume.

#![allow(dead_code, unused_imports)]

pub(crate) mod mounted;
pub(crate) mod tree;
pub(crate) mod v3;
