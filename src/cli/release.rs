//! `hawser release`: at the host's shutdown, after Docker stopped, unmounts every volume and frees
//! every device. The records stay; what a busy mount keeps is said, and stops nothing else.

use std::time::Duration;

use super::{Exit, config::Source, serve::open_host};
use crate::{
    cluster::Store,
    config::Config,
    engine::{Host, Subject},
    volume::{
        Observed, Record,
        effect::{self, Effect, Outcome},
        plan,
    },
};

/// A shutdown does not wait longer for one volume.
const LIMIT: Duration = Duration::from_secs(15);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Exit> {
    let config: Config = args.source.read()?;
    if !config.state_dir.exists() {
        println!("There is no state directory {}: nothing to do.", config.state_dir.display());
        return Ok(Exit::Success);
    }
    // Takes the store's lock: a daemon that still runs would mount everything again.
    let (_store, records) = Store::open(&config.state_dir)?;
    let host = open_host(&config)?;
    let mut exit = Exit::Success;
    for record in records {
        let name = record.name.clone();
        match tokio::time::timeout(LIMIT, release(&host, record)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(_)) => println!("{name}: released"),
            Ok(Err(error)) => {
                eprintln!("{name}: {error}");
                exit = Exit::Failure;
            }
            Err(_) => {
                eprintln!("{name}: not released within {} s", LIMIT.as_secs());
                exit = Exit::Failure;
            }
        }
    }
    Ok(exit)
}

/// Takes the steps of the plan towards nothing being in the kernel; how many there were.
async fn release(host: &Host, record: Record) -> Result<usize, crate::engine::StepError> {
    let mut subject = Subject { record, device: None, mounts: None };
    let observed = host.execute(Effect::Observe, &subject).await?;
    let Outcome::Observed(mut seen) = observed else { return Ok(0) };
    let mut steps = 0;
    while let Some(step) = plan::release(&seen) {
        subject.device.clone_from(&seen.device);
        let outcome = host.execute(step, &subject).await?;
        (seen, _) = effect::absorb(seen, step, outcome);
        steps += 1;
    }
    debug_assert!(Observed::is_released(&seen), "the plan ends when nothing is left");
    Ok(steps)
}
