//! `hawser selftest`: does on the real thing, for an operator, what hawser's tests do on a fake.

mod aws;
mod exercise;
mod pattern;
mod report;

use std::pin::Pin;

use clap::Subcommand;

use super::Exit;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make, use and delete an EBS volume in your AWS account, on this EC2 instance
    ///
    /// A volume is created, attached, formatted, written, grown, snapshotted, detached, attached
    /// again, compared and deleted, as the daemon would do it and with its configuration; the daemon
    /// need not run. It costs what a volume of that size costs for some minutes. hawser's authors
    /// never ran this on AWS itself, only on a stand-in that behaves as AWS's documentation says:
    /// you may be the first.
    Aws(aws::Args),
}

/// A trait object: with the SDK's futures in it, its type is deeper than the compiler goes.
pub(super) fn run(command: Command) -> Pin<Box<dyn Future<Output = anyhow::Result<Exit>>>> {
    match command {
        Command::Aws(args) => Box::pin(aws::run(args)),
    }
}
