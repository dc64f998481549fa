//! `hawser selftest aws`: the plan and its price, the question, the signals, the report.

use std::sync::Arc;

use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;

use super::{
    exercise::Exercise,
    report::{Lines, Report},
};
use crate::{
    cli::{
        Exit, backends,
        config::Source,
        output::{self, Consent},
    },
    config::Config,
    spec::{Spec, VolumeName, parse_options},
    volume::VolumeId,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The size of the volume; it is grown by 1GiB
    #[arg(long, default_value = "1GiB")]
    size: String,
    /// The volume type
    #[arg(long = "type", value_name = "TYPE", default_value = "gp3")]
    volume_type: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    source: Source,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let config = args.source.read()?;
    let Some(ebs) = backends::open_ebs(&config) else {
        bail!(
            "the EBS backend is off: set backends.ebs.enabled, or say --set backends.ebs.enabled=true"
        );
    };
    if !rustix::process::geteuid().is_root() {
        bail!("it mounts a volume: run it as root, as the daemon is");
    }
    let (name, spec) = asked(&args, &config)?;
    let plan = plan(&name, &spec, &args.volume_type);
    if args.json {
        args.consent.to(&plan)?;
    } else {
        println!("{plan}\n");
        args.consent.to("It makes and deletes a volume and a snapshot in your AWS account.")?;
    }
    let interrupted = CancellationToken::new();
    let listener = tokio::spawn(until_interrupted(interrupted.clone()));
    let lines = if args.json { Lines::Silent } else { Lines::Print };
    let mut report = Report::new(lines, interrupted.clone());
    // `backends.ebs.enabled` gave us the backend, and with it its settings.
    let sys_dir = config.ebs.context("the EBS backend is off")?.sys_dir;
    Exercise::new(Arc::new(ebs), sys_dir, name, spec, interrupted).run(&mut report).await;
    listener.abort();
    if args.json {
        output::json(&report)?;
    } else if report.ok() {
        println!("\nEBS works here, and nothing is left of the test.");
    }
    Ok(if report.ok() { Exit::Success } else { Exit::Failure })
}

/// The volume that the test makes, with the defaults of the configuration for what is not said.
fn asked(args: &Args, config: &Config) -> anyhow::Result<(VolumeName, Spec)> {
    let name: VolumeName = format!("hawser-selftest-{}", VolumeId::random()).parse()?;
    let options = [("backend", "ebs"), ("size", &args.size), ("type", &args.volume_type)];
    let spec = parse_options(options)?.resolve(&name, &config.engine.defaults)?;
    Ok((name, spec))
}

fn plan(name: &VolumeName, spec: &Spec, volume_type: &str) -> String {
    format!(
        "On this EC2 instance, with the daemon's configuration:\n  \
         create the EBS volume {name} ({} of {volume_type}), check its tags, attach it,\n  \
         make a file system, write and read back, grow it by 1GiB, make and delete a snapshot,\n  \
         detach it, attach it again, compare, detach and delete it.\n\
         No other volume is touched. It takes some minutes; AWS bills the volume for that time \
         (for 1GiB of gp3 less than one US cent).\n\
         hawser's authors never ran this on AWS itself: please report what it says.",
        spec.size
    )
}

/// Ctrl-C, or the SIGTERM of a service manager: the step under way ends, and is cleaned up after.
async fn until_interrupted(interrupted: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};

    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    loop {
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => if pressed.is_err() { return },
            _ = terminate.recv() => {}
        }
        eprintln!("hawser: interrupted: this step is ended, then everything is cleaned up");
        interrupted.cancel();
    }
}
