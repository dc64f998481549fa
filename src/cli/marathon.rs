//! `hawser marathon`: whether an app of Marathon is right, and how another plugin's becomes hawser's.
//! Without a daemon and without a cluster.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Subcommand;
use serde::Serialize;
use similar::TextDiff;

use super::{Exit, config::Source, output};
use crate::{
    config::Config,
    marathon::{self, Context, Level, Report},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check apps by Marathon's rules for volumes and by hawser's
    Check {
        /// Apps, lists of apps or groups, as JSON; `-` is the standard input
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// What hawser's driver is called
        #[arg(long, value_name = "NAME", default_value = "hawser")]
        driver: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Also ask whether a node with this configuration can make the volumes (--config, --set)
        #[arg(long)]
        resolve: bool,
        #[command(flatten)]
        source: Source,
    },
    /// Print apps of REX-Ray or Portworx as hawser's, and on stderr what was changed
    Convert {
        /// An app, a list of apps or a group, as JSON; `-` is the standard input
        file: PathBuf,
        /// What hawser's driver is called
        #[arg(long, value_name = "NAME", default_value = "hawser")]
        driver: String,
    },
}

pub(super) fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Check { files, driver, json, resolve, source } => {
            let defaults = if resolve { Some(source.read()?) } else { None };
            let defaults = defaults.map(|config: Config| config.engine.defaults);
            check(&files, &Context { driver, defaults }, json)
        }
        Command::Convert { file, driver } => convert(&file, &driver),
    }
}

/// What was found in a file.
#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    #[serde(flatten)]
    report: Report,
}

fn check(files: &[PathBuf], context: &Context, json: bool) -> anyhow::Result<Exit> {
    let mut all = Vec::new();
    for file in files {
        let report = marathon::check(&read(file)?, context)
            .with_context(|| format!("{}", file.display()))?;
        all.push(Checked { file: file.display().to_string(), report });
    }
    if json {
        output::json(&all)?;
    } else {
        all.iter().for_each(print);
    }
    let wrong = all.iter().any(|checked| checked.report.count(Level::Error) > 0);
    Ok(if wrong { Exit::Failure } else { Exit::Success })
}

fn print(checked: &Checked) {
    let Checked { file, report } = checked;
    for finding in &report.findings {
        print!("{file}: {finding}");
    }
    let count = |level| report.count(level);
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    let advice = count(Level::Advice);
    let apps = report.apps;
    println!("{file}: apps: {apps}, errors: {errors}, warnings: {warnings}, advice: {advice}");
}

fn convert(file: &Path, driver: &str) -> anyhow::Result<Exit> {
    let text = read(file)?;
    let name = file.display();
    let converted = marathon::convert(&text, driver).with_context(|| format!("{name}"))?;
    io::stdout().write_all(converted.text.as_bytes())?;
    let diff = TextDiff::from_lines(&text, &converted.text);
    eprint!("{}", diff.unified_diff().header(&name.to_string(), "for hawser"));
    for note in &converted.notes {
        eprintln!("{note}");
    }
    if converted.volumes + converted.left == 0 {
        eprintln!("{name}: there is no volume of REX-Ray or Portworx in it");
    }
    let context = Context { driver: driver.to_owned(), defaults: None };
    let report = marathon::check(&converted.text, &context)?;
    for finding in &report.findings {
        eprint!("{finding}");
    }
    Ok(if converted.left > 0 { Exit::Failure } else { Exit::Success })
}

fn read(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("cannot read the standard input")?;
        return Ok(text);
    }
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
