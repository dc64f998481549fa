//! `hawser store`: the records as JSON, for rescue. The daemon must be stopped.

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::Subcommand;

use super::{Exit, config::Source, output};
use crate::cluster::rescue;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print every record as JSON, also from a store that does not open for its records
    Export {
        #[command(flatten)]
        source: Source,
    },
    /// Read such JSON into an empty state directory; removed volumes are kept until purged by hand
    Import {
        /// The file to read
        file: PathBuf,
        #[command(flatten)]
        source: Source,
    },
}

pub(super) fn run(command: &Command) -> anyhow::Result<Exit> {
    match command {
        Command::Export { source } => {
            let config = source.read()?;
            output::json(&rescue::export(&config.state_dir)?)?;
        }
        Command::Import { file, source } => {
            let config = source.read()?;
            let text = fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let export = serde_json::from_str(&text)
                .with_context(|| format!("{} is not an export of hawser's", file.display()))?;
            let imported = rescue::import(&config.state_dir, &export)?;
            let (records, dir) = (imported.records, config.state_dir.display());
            println!("{records} records were imported into {dir}.");
            if imported.retained > 0 {
                println!(
                    "{} of them are of removed volumes: their data is kept until `hawser volume purge`.",
                    imported.retained
                );
            }
        }
    }
    Ok(Exit::Success)
}
