//! The doors: HTTP over unix sockets. [`docker`] speaks the volume plugin protocol, [`admin`] is
//! for the command line. Both decode, call the engine, and encode; nothing is decided here.

pub mod admin;
pub mod docker;
pub mod peer;
pub mod socket;
