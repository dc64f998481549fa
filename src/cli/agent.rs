//! `hawser agent install|supervise|status|uninstall`: hawser as a systemd service of its host, for a
//! Marathon task on every agent.

use std::{env, io::IsTerminal, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::Subcommand;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{Exit, config::Source};
use crate::{
    agent::{
        AgentError, Changes, Environment, Place, Systemd, Watch, install, supervise, uninstall,
    },
    config::Config,
    peer::pki::{Installed, certify},
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
    let config = Source::default().read()?;
    match command {
        Command::Install(args) => say(&put(&place, &config, &args).await?),
        Command::Supervise(args) => watch(&place, &config, &args).await?,
        Command::Status => {
            watched(&place, &config)?.running().await?;
            println!("hawser.service runs and answers on {}", config.admin_socket.display());
        }
        Command::Uninstall => {
            uninstall(&place, &config).await?;
            let kept = config.state_dir.display();
            println!(
                "Hawser is no service of this host any more. Its records and local volumes are still in {kept}."
            );
        }
    }
    Ok(Exit::Success)
}

async fn put(place: &Place, config: &Config, args: &Args) -> anyhow::Result<Changes> {
    certified(config, args)?;
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
    say(&put(place, config, args).await?);
    let stop = CancellationToken::new();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
        told.cancel();
    });
    let watch = watched(place, config)?;
    // A certificate that ends soon is replaced on the way.
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
