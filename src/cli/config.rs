//! `hawser config`: checks what was written, and prints what could be.

use std::{fs, io, path::PathBuf};

use anyhow::Context;
use clap::Subcommand;

use super::Exit;
use crate::config::{Config, DEFAULT_FILE, Values, reference, sample_file};

/// Where a command's configuration comes from.
#[derive(Debug, Clone, clap::Args)]
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
}

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
    }
    Ok(Exit::Success)
}
