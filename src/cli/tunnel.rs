//! `hawser tunnel`: the process that carries volumes between nodes, which the daemon starts itself (see
//! [`crate::share::tunnel`]). Not for people.

use std::path::PathBuf;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use super::Exit;
use crate::{
    share::tunnel::{self, Unhurried},
    sys::protect::protect,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What it carries
    #[arg(long, value_name = "FILE")]
    table: PathBuf,
    /// Its control socket
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// What is logged
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
}

/// Not in the runtime of the other commands: its threads would have been started before the process was
/// protected, and threads have from their parent whether their allocations wait for write-back.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let filter: EnvFilter = args.log.parse()?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Unhurried::stderr()?)
        .with_ansi(false)
        .init();
    // Before the threads that carry, and after the one that logs: that may wait.
    let protection = protect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the tunnel's threads")?;
    runtime.block_on(tunnel::run(args.table.clone(), &args.socket, protection))?;
    // Nothing is carried, and nothing is waited for.
    runtime.shutdown_background();
    Ok(Exit::Success)
}
