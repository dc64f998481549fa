//! The daemon and the AWS SDK in it against moto, an EC2 that was written by others: that both speak
//! the same wire format.
//!
//! It cannot show more than that. moto 5.2.5 differs from EC2 in what hawser has to get right:
//! - a volume that is in use can be attached to a second instance, which takes it away, and a device
//!   name twice; one can be detached from an instance that does not have it; another zone's, too;
//! - a ClientToken is ignored: a repeated CreateVolume makes a second volume;
//! - MaxResults is ignored: there is one page;
//! - every transition is over at once: nothing is ever `creating`, `attaching` or `modifying`;
//! - a volume can shrink, have no size, or be smaller than its snapshot; a change can follow another
//!   at once; nothing is throttled;
//! - what is not attached is refused another way when it is detached;
//! - it has no devices: the test makes them, as `devices` tells.
//!
//! All of that is tested on the project's own fake (tests/ec2-fake). Needs root, and moto, which
//! scripts/install-deps.sh installs; it fails without them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and start programs of their own"
)]

#[path = "../daemon/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the tests of the daemon")]
mod harness;

mod devices;
mod flow;
mod server;
