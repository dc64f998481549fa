//! The fake, asked by raw HTTP: each action, each fault, and the devices for real.

mod attachments;
mod client;
mod faults;
mod imds;
mod snapshots;
mod volumes;
