//! Directories on a filer through NFSv3, in user space: no mount, no process that hangs.

mod config;

pub(crate) use config::ServerConfig;
