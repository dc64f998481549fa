//! `hawser agent install|supervise|status|uninstall`: hawser as a systemd service of its host, for a
//! Marathon task on every agent.

mod leave;

use std::{env, io::IsTerminal, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::Subcommand;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{Exit, cluster::identity_of, config::Source};
use leave::leave;

use crate::{
    agent::{AgentError, Changes, Environment, Place, Systemd, Watch, check, install, supervise},
    config::Config,
    peer::{
        Identity,
        pki::{Installed, certify},
    },
};

/// How often the end of the certificate is looked at.
const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Install this program as systemd units of this host, or upgrade the ones that are there, and start it
    ///
    /// The settings (HAWSER_…) of this command's environment become the service's; the host's
    /// /etc/hawser/hawser.toml counts as well, where there is one. Volumes stay mounted while it is
    /// upgraded. Where all is as it should be, nothing is done.
    Install(Args),
    /// Install it, and then look after it until this command is ended, which leaves it running
    Supervise(Args),
    /// Say whether the installed service runs and answers: exit code 0 if so
    Status,
    /// Take the service away from this host. Records and volumes stay
    ///
    /// In a cluster this node is drained first, as by `hawser node drain`: others can have what it owned then.
    Uninstall,
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Make this node's certificate with the CA in that directory (ca.pem and ca.key), where it has none
    /// or one that ends within 30 days
    #[arg(long, value_name = "DIR")]
    ca_dir: Option<PathBuf>,
}

pub(super) async fn run(command: Command) -> anyhow::Result<Exit> {
    if !rustix::process::geteuid().is_root() {
        bail!("root is needed: it writes units of systemd, and starts them");
    }
    let place = Place::here();
    let source = Source::default();
    match command {
        Command::Install(args) => say(&put(&place, &source.read_anew()?, &args).await?),
        Command::Supervise(args) => watch(&place, &source.read_anew()?, &args).await?,
        Command::Status => {
            let config = source.read()?;
            watched(&place, &config)?.running().await?;
            println!("hawser.service runs and answers on {}", config.admin_socket.display());
        }
        Command::Uninstall => leave(&place, &source.read()?).await?,
    }
    Ok(Exit::Success)
}

async fn put(place: &Place, config: &Config, args: &Args) -> anyhow::Result<Changes> {
    // Before anything is changed: the certificate may be another installation's.
    check(place)?;
    certified(config, args)?;
    if let Some(cluster) = &config.cluster {
        // As `hawser serve` does: it would not start, and Docker wait for it.
        Identity::load(identity_of(cluster)).context(
            "nothing was installed: nodes of a cluster know each other by certificates. Give this one its own (`hawser pki node`), or have it made (--ca-dir; in the package for DC/OS security.ca_secret)",
        )?;
    }
    let itself = env::current_exe().context("cannot find this program")?;
    let program = std::fs::read(&itself).with_context(|| format!("read {}", itself.display()))?;
    let environment = Environment::of(|name| env::var(name).ok());
    Ok(install(place, program, &environment, config).await?)
}

/// The service takes up a new certificate by itself.
fn certified(config: &Config, args: &Args) -> anyhow::Result<()> {
    let (Some(dir), Some(cluster)) = (&args.ca_dir, &config.cluster) else { return Ok(()) };
    let installed =
        Installed { ca: &cluster.ca, certificate: &cluster.certificate, key: &cluster.key };
    if certify(dir, (&cluster.cluster, &cluster.node), installed)? {
        println!(
            "Node `{}` has a new certificate: {}",
            cluster.node,
            installed.certificate.display()
        );
    }
    Ok(())
}

fn say(changes: &Changes) {
    if changes.written.is_empty() {
        println!("Hawser {} is installed, and runs: nothing to do.", env!("CARGO_PKG_VERSION"));
        return;
    }
    for file in &changes.written {
        println!("  {}", file.path.display());
    }
    println!("Hawser {} is installed, and runs.", env!("CARGO_PKG_VERSION"));
}

async fn watch(place: &Place, config: &Config, args: &Args) -> anyhow::Result<()> {
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr);
    log.with_ansi(std::io::stderr().is_terminal()).init();
    // Before it is installed: that is not to be cut off in the middle.
    let stop = CancellationToken::new();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
        told.cancel();
    });
    say(&put(place, config, args).await?);
    let watch = watched(place, config)?;
    loop {
        if let Ok(ended) = timeout(DAY, supervise(&watch, &stop)).await {
            ended?;
            break;
        }
        // One that ends soon is replaced.
        certified(config, args)?;
    }
    println!("Hawser goes on as a service of this host.");
    Ok(())
}

fn watched(place: &Place, config: &Config) -> Result<Watch, AgentError> {
    Ok(Watch { systemd: Systemd::of(place)?, socket: config.admin_socket.clone() })
}

#[cfg(test)]
mod tests;
