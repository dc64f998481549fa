//! `hawser dvdcli`: what the Mesos agent calls to mount volumes (its isolator `docker/volume`), for agents
//! without EMC's dvdcli. The verbs, flags, output and exit codes are that one's; a link named `dvdcli` is enough.
//!
//! ```text
//! mount    Get ──an error──▶ Create (not with --explicitcreate) ──▶ Mount    the path on stdout
//! unmount  Get ──▶ Unmount
//! remove   Get ──▶ Remove
//! path     Get ──no path──▶ Path                                            the path on stdout
//! ```
//!
//! It differs in three things, each of them where the original fails: a value keeps what follows its
//! second `=`; a volume that cannot be found is unmounted all the same, so that Mesos can clean up after a
//! mount that failed; and a driver that does not answer is no reason to create a volume.

mod discovery;
mod plugin;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, Write},
};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};

use super::Exit;
use plugin::{CallError, Plugin};

/// Everything that follows `hawser dvdcli`: it has a command line of its own.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub(super) struct Args {
    /// A verb and its flags, such as `mount --volumedriver=hawser --volumename=NAME`; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Volumes of Docker's volume plugins, without Docker.
#[derive(Debug, Parser)]
#[command(name = "dvdcli", version)]
struct Dvdcli {
    /// The volume's driver
    #[arg(long, global = true, value_name = "NAME", default_value = "")]
    volumedriver: String,
    /// The volume
    #[arg(long, global = true, value_name = "NAME", default_value = "")]
    volumename: String,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create a volume
    Create(Options),
    /// Remove a volume
    Remove,
    /// Mount a volume, which is created if it is not there, and print where
    Mount {
        #[command(flatten)]
        options: Options,
        /// Do not create the volume
        #[arg(long, alias = "explicitCreate", num_args = 0..=1, require_equals = true)]
        #[arg(default_value_t = false, default_missing_value = "true", value_name = "BOOL")]
        explicitcreate: bool,
    },
    /// Unmount a volume
    Unmount,
    /// Print where a volume is mounted
    Path,
    /// Print the volume's name, if it is there
    Get,
    /// Print the names of all volumes
    List,
    /// Print the version
    Version,
}

#[derive(Debug, clap::Args)]
struct Options {
    /// Options for the driver; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = option)]
    volumeopts: Vec<(String, String)>,
}

fn option(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or(
        "it is not KEY=VALUE; a value cannot have a comma here: write `;` in lists, or all into the name",
    )?;
    Ok((key.to_owned(), value.to_owned()))
}

/// As the original: 1 for what fails, 2 for a command line that cannot be read.
pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let name = OsString::from("dvdcli");
    let command = match Dvdcli::try_parse_from([name].into_iter().chain(args.arguments)) {
        Ok(command) => command,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Dvdcli } else { Exit::Success };
            // Nothing can be done about a closed terminal.
            let _ = error.print();
            return Ok(exit);
        }
    };
    let about = format!("{} {}", command.volumedriver, command.volumename);
    let lines = carry_out(&command).await.with_context(|| about.trim().to_owned())?;
    let mut stdout = io::stdout().lock();
    lines.iter().try_for_each(|line| writeln!(stdout, "{line}")).context("cannot say so")?;
    Ok(Exit::Success)
}

/// The lines that it prints.
async fn carry_out(command: &Dvdcli) -> anyhow::Result<Vec<String>> {
    if matches!(command.verb, Verb::Version) {
        return Ok(vec![format!("hawser {}", env!("CARGO_PKG_VERSION"))]);
    }
    if command.volumedriver.is_empty() {
        bail!("no driver is named: add --volumedriver=NAME");
    }
    if command.volumename.is_empty() && !matches!(command.verb, Verb::List) {
        bail!("no volume is named: add --volumename=NAME");
    }
    let plugin = Plugin::find(&command.volumedriver).await?;
    let name = command.volumename.as_str();
    match &command.verb {
        Verb::Create(options) => {
            plugin.create(name, &options.all()).await?;
            Ok(Vec::new())
        }
        Verb::Remove => {
            plugin.get(name).await?;
            plugin.of_name("Remove", name).await?;
            Ok(Vec::new())
        }
        Verb::Mount { options, explicitcreate } => {
            mount(&plugin, name, &options.all(), *explicitcreate).await
        }
        Verb::Unmount => unmount(&plugin, name).await,
        Verb::Path => {
            let path = match plugin.get(name).await?.mountpoint {
                path if path.is_empty() => plugin.path("Path", name).await?,
                path => path,
            };
            Ok([path].into_iter().filter(|path| !path.is_empty()).collect())
        }
        Verb::Get => Ok(vec![plugin.get(name).await?.name]),
        Verb::List => Ok(plugin.list().await?),
        Verb::Version => Ok(Vec::new()),
    }
}

impl Options {
    /// Of an option that is given twice the last counts.
    fn all(&self) -> BTreeMap<&str, &str> {
        self.volumeopts.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }
}

async fn mount(
    plugin: &Plugin,
    name: &str,
    options: &BTreeMap<&str, &str>,
    explicit: bool,
) -> anyhow::Result<Vec<String>> {
    match plugin.get(name).await {
        Ok(_) => {}
        Err(CallError::Answered(_)) if !explicit => plugin.create(name, options).await?,
        Err(error) => return Err(error.into()),
    }
    Ok(vec![plugin.path("Mount", name).await?])
}

async fn unmount(plugin: &Plugin, name: &str) -> anyhow::Result<Vec<String>> {
    match plugin.get(name).await {
        Ok(_) => drop(plugin.of_name("Unmount", name).await?),
        Err(CallError::Answered(why)) => {
            // What was never made is not mounted, as the driver will say; and if not, this is why.
            if plugin.of_name("Unmount", name).await.is_err() {
                bail!(why);
            }
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Vec::new())
}
