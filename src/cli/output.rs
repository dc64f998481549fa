//! How commands print: tables for people, JSON for programs, and questions before destruction.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, bail};
use comfy_table::{Table, presets};
use serde::Serialize;

/// Prints a value as JSON.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value).context("cannot write JSON")?);
    Ok(())
}

/// Prints rows under a header, in aligned columns; an empty header is none.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !header.is_empty() {
        table.set_header(header);
    }
    for row in rows {
        table.add_row(row);
    }
    for line in table.lines() {
        // The padding of the first column, and not what a name is indented by.
        println!("{}", line.strip_prefix(' ').unwrap_or(&line).trim_end());
    }
}

/// The option of commands that destroy something.
#[derive(Debug, clap::Args)]
pub(super) struct Consent {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Consent {
    /// Asks for a yes to the plan, unless `--yes` was given; without a terminal, only that will do.
    pub(super) fn to(&self, plan: &str) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            bail!("{plan}\nNothing was done: say --yes to do it");
        }
        print!("{plan}\nGo on? [y/N] ");
        io::stdout().flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        bail!("nothing was done")
    }
}
