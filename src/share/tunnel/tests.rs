//! Two nodes and more, with real sockets and real certificates, in one process.

mod carrying;
mod owners;
mod refusals;
mod tables;
mod world;
