//! `hawser config`: checks what was written, and prints what could be.

use std::{fs, io, path::PathBuf};

use anyhow::Context;
use clap::Subcommand;

use super::Exit;
use crate::config::{
    Config, DEFAULT_FILE, Values, reference,
    rexray::{self, Secrets},
    sample_file, universe,
};

/// Where a command's configuration comes from.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Source {
    /// The configuration file [default: /etc/hawser/hawser.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "HAWSER_CONFIG")]
    config: Option<PathBuf>,
    /// Sets any setting of the file; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::spec::key_value)]
    set: Vec<(String, String)>,
}

impl Source {
    /// Everything that was written.
    pub(super) fn values(&self) -> anyhow::Result<Values> {
        let mut values = Values::default();
        let path = self.config.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        match fs::read_to_string(&path) {
            Ok(text) => values.add_file(&path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.config.is_none() => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot read the configuration {}", path.display()));
            }
        }
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        values.add_environment(environment);
        for (key, value) in &self.set {
            values.add_option(key, value);
        }
        Ok(values)
    }

    /// The configuration.
    pub(super) fn read(&self) -> anyhow::Result<Config> {
        Ok(Config::read(self.values()?)?)
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say whether the configuration is right, and everything that is wrong with it
    Check {
        #[command(flatten)]
        source: Source,
    },
    /// Print a sample file with every setting and its default
    Sample,
    /// Print the reference of all settings (Markdown)
    Reference,
    /// Print a file of the DC/OS Universe package
    #[command(hide = true)]
    Universe {
        /// Which: config.json or marathon.json.mustache
        file: UniverseFile,
    },
    /// Print the IAM policy that the nodes' role needs for volumes on EBS
    #[cfg(feature = "ebs")]
    IamPolicy {
        /// The cluster's name [default: daemon.cluster of the configuration]
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
        #[command(flatten)]
        source: Source,
    },
    /// Print the configuration that means the same as REX-Ray's, and on stderr what became of each key
    ImportRexray {
        /// REX-Ray's file [default: /etc/rexray/config.yml or /etc/rexray/rexray.yml]
        file: Option<PathBuf>,
        /// The cluster's name, the same on every node [default: REX-Ray's tag, or `rexray`]
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
        /// Write credentials too; otherwise a comment says where they go
        #[arg(long)]
        with_secrets: bool,
    },
}

/// What the package is made of, besides what is written by hand.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum UniverseFile {
    #[value(name = "config.json")]
    Options,
    #[value(name = "marathon.json.mustache")]
    App,
}

/// Where REX-Ray's configuration is looked for: on a host, and in its managed plugin.
const REXRAY_FILES: [&str; 2] = ["/etc/rexray/config.yml", "/etc/rexray/rexray.yml"];

pub(super) fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Check { source } => match Config::read(source.values()?) {
            Ok(_) => println!("The configuration is right."),
            Err(mistakes) => {
                eprintln!("{mistakes}");
                return Ok(Exit::Usage);
            }
        },
        Command::Sample => print!("{}", sample_file()),
        Command::Reference => print!("{}", reference()),
        Command::Universe { file: UniverseFile::Options } => print!("{}", universe::options()),
        Command::Universe { file: UniverseFile::App } => print!("{}", universe::app()),
        #[cfg(feature = "ebs")]
        Command::IamPolicy { cluster, source } => iam_policy(cluster, &source)?,
        Command::ImportRexray { file, cluster, with_secrets } => {
            let secrets = if with_secrets { Secrets::Write } else { Secrets::LeaveOut };
            return import_rexray(file, cluster.as_deref(), secrets);
        }
    }
    Ok(Exit::Success)
}

#[cfg(feature = "ebs")]
fn iam_policy(cluster: Option<String>, source: &Source) -> anyhow::Result<()> {
    let cluster = match cluster {
        Some(cluster) => cluster,
        None => source.read()?.ebs.map(|ebs| ebs.cluster).context(
            "the policy is for one cluster's volumes: add --cluster NAME, or set daemon.cluster and backends.ebs.enabled",
        )?,
    };
    super::output::json(&crate::backend::ebs::policy(&cluster))
}

fn import_rexray(
    file: Option<PathBuf>,
    cluster: Option<&str>,
    secrets: Secrets,
) -> anyhow::Result<Exit> {
    let default = || REXRAY_FILES.iter().map(PathBuf::from).find(|path| path.exists());
    let Some(file) = file.or_else(default) else {
        anyhow::bail!("there is neither {}: name REX-Ray's file", REXRAY_FILES.join(" nor "));
    };
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    match rexray::import(&text, cluster, secrets) {
        Ok(imported) => {
            print!("{}", imported.toml);
            for told in imported.told {
                eprintln!("{told}");
            }
            Ok(Exit::Success)
        }
        Err(error) => {
            for line in error.to_string().lines() {
                eprintln!("hawser: {}: {line}", file.display());
            }
            Ok(Exit::Failure)
        }
    }
}
