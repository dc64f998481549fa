//! The command line: one file per command. Commands about volumes talk to the daemon through the
//! admin socket; a table for people by default, `--json` for programs.

mod agent;
mod backends;
mod client;
mod cluster;
mod completions;
mod config;
mod dcos;
mod doctor;
mod dvdcli;
mod images;
mod marathon;
mod mount_helper;
mod node;
mod output;
mod pki;
mod release;
#[cfg(feature = "ebs")]
mod selftest;
mod serve;
mod snapshot;
mod spec;
mod store;
mod stream;
mod tunnel;
mod volume;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Parser, Subcommand};

pub use client::Client;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Success,
    /// It did not, and said why.
    Failure,
    /// The command line or the configuration is wrong (`EX_USAGE`).
    Usage,
    /// As [`Exit::Usage`], of `dvdcli`, whose callers know it so.
    Dvdcli,
}

impl Exit {
    /// How two parts of a command ended together.
    const fn worse(self, other: Self) -> Self {
        match self {
            Self::Success => other,
            Self::Failure | Self::Usage | Self::Dvdcli => self,
        }
    }

    /// The process's exit code.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 64,
            Self::Dvdcli => 2,
        }
    }
}

/// Volumes for containers, sized by the app that uses them.
#[derive(Debug, Parser)]
#[command(name = "hawser", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    /// The daemon's admin socket.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "HAWSER_ADMIN_SOCKET",
        default_value = "/run/hawser/admin.sock"
    )]
    admin_socket: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Serve(serve::Args),
    /// Create, list, inspect, grow and remove volumes
    #[command(subcommand)]
    Volume(volume::Command),
    /// Create, list and delete snapshots
    #[command(subcommand)]
    Snapshot(snapshot::Command),
    /// List, drain and forget the nodes of the cluster
    #[command(subcommand)]
    Node(node::Command),
    /// Explain what a name or an inline spec means
    Spec(spec::Args),
    /// Check apps of Marathon, and convert those of REX-Ray and Portworx
    #[command(subcommand)]
    Marathon(marathon::Command),
    /// Mount volumes for the Mesos agent, as EMC's dvdcli does; also as a link named `dvdcli`
    Dvdcli(dvdcli::Args),
    /// Look for what is wrong on this host, and say what to do
    Doctor(doctor::Args),
    /// Check the configuration, or print a sample
    #[command(subcommand)]
    Config(config::Command),
    /// Make the cluster's CA and the certificates by which nodes know each other
    #[command(subcommand)]
    Pki(pki::Command),
    /// Rescue the records: export and import them as JSON
    #[command(subcommand)]
    Store(store::Command),
    /// Install hawser as a service of this host, and look after it: for a task on every agent
    #[command(subcommand)]
    Agent(agent::Command),
    /// Unmount everything and free all devices: for the host's shutdown, after Docker stopped
    Release(release::Args),
    /// Try hawser on the real thing: on your AWS account
    #[cfg(feature = "ebs")]
    #[command(subcommand)]
    Selftest(selftest::Command),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Make one mount(2) or umount(2) for the daemon, which starts this itself
    #[command(name = crate::sys::nfs::SUBCOMMAND, hide = true)]
    MountHelper,
    /// Carry volumes between nodes for the daemon, which starts this itself
    #[command(name = crate::share::tunnel::SUBCOMMAND, hide = true)]
    Tunnel(tunnel::Args),
}

impl Command {
    /// Whether nothing is left half-done when it ends in the middle of its output.
    const fn only_prints(&self) -> bool {
        match self {
            Self::Volume(_)
            | Self::Snapshot(_)
            | Self::Node(_)
            | Self::Spec(_)
            | Self::Marathon(_)
            | Self::Doctor(_)
            | Self::Config(_)
            | Self::Completions(_) => true,
            #[cfg(feature = "ebs")]
            Self::Selftest(_) => false,
            Self::Serve(_)
            | Self::Pki(_)
            | Self::Store(_)
            | Self::Release(_)
            | Self::Agent(_)
            | Self::Dvdcli(_)
            | Self::MountHelper
            | Self::Tunnel(_) => false,
        }
    }
}

/// Reads the command line and runs the command.
pub fn run(mut arguments: impl Iterator<Item = OsString>) -> Exit {
    let name = arguments.next();
    if dcos::is_called(name.as_deref()) {
        return dcos::run(arguments);
    }
    parse_and_run(with_verb(name.into_iter().chain(arguments)).collect())
}

fn parse_and_run(arguments: Vec<OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Success };
            // Nothing can be done about a closed terminal.
            let _ = error.print();
            return exit;
        }
    };
    if cli.command.only_prints() {
        // `hawser … | head`: a reader that has seen enough ends us, as it does other commands.
        sigpipe::reset();
    }
    carry_out(cli.command, &cli.admin_socket).unwrap_or_else(|error| {
        eprintln!("hawser: {error:#}");
        Exit::Failure
    })
}

/// The command line, as if `dvdcli …` had been called `hawser dvdcli …`.
fn with_verb(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let mut arguments = arguments.peekable();
    let name = arguments.peek().map(Path::new).and_then(Path::file_name);
    let dvdcli = name.is_some_and(|name| name == "dvdcli");
    let verb = dvdcli.then(|| OsString::from("dvdcli"));
    let first = arguments.next();
    first.into_iter().chain(verb).chain(arguments)
}

fn carry_out(command: Command, admin_socket: &Path) -> anyhow::Result<Exit> {
    let client = Client::new(admin_socket.to_owned());
    match command {
        Command::Serve(args) => in_runtime(serve::run(args, admin_socket)),
        Command::Volume(command) => in_runtime(volume::run(&client, command)),
        Command::Snapshot(command) => in_runtime(snapshot::run(&client, command)),
        Command::Node(command) => in_runtime(node::run(&client, command)),
        Command::Spec(args) => spec::run(&args),
        Command::Marathon(command) => marathon::run(command),
        Command::Dvdcli(args) => in_runtime(dvdcli::run(args)),
        Command::Doctor(args) => in_runtime(doctor::run(&args, admin_socket)),
        Command::Config(command) => config::run(command),
        Command::Pki(command) => pki::run(&command),
        Command::Store(command) => in_runtime(async { store::run(&command) }),
        Command::Agent(command) => in_runtime(agent::run(command)),
        Command::Release(args) => in_runtime(release::run(&args)),
        #[cfg(feature = "ebs")]
        Command::Selftest(command) => in_runtime(selftest::run(command)),
        Command::Completions(args) => completions::run(&args),
        Command::MountHelper => mount_helper::run(),
        // It makes a runtime of its own.
        Command::Tunnel(args) => tunnel::run(&args),
    }
}

fn in_runtime(command: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start hawser's threads")?;
    let result = runtime.block_on(command);
    // It is not ended: that would drop the steps under way, and with them kill an mkfs or a resize2fs.
    // They end by themselves, and the next start finds their device in use until then.
    std::mem::forget(runtime);
    result
}
