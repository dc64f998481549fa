//! `hawser spec`: what a name or an inline spec means, without a daemon.

use anyhow::Context;

use super::{Exit, config::Source, output};
use crate::spec::{self, Asked};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A name or an inline spec, such as `size=2GiB,name=pgdata`
    #[arg(required_unless_present = "help_keys")]
    spec: Option<String>,
    /// An option, as with `docker volume create -o`
    #[arg(short = 'o', long = "opt", value_name = "KEY=VALUE", value_parser = key_value)]
    options: Vec<(String, String)>,
    /// Print the table of keys
    #[arg(long)]
    help_keys: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

/// `KEY=VALUE`; a key alone has an empty value, as in `docker volume create -o help`.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let options = args.options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let Some(text) = args.spec.as_deref().filter(|_| !args.help_keys) else {
        return help(args);
    };
    let request = match spec::parse(text, options) {
        Ok(Asked::Help) => return help(args),
        Ok(Asked::Volume(request)) => request,
        Err(error) => {
            eprintln!("hawser: {error}");
            return Ok(Exit::Failure);
        }
    };
    let config = args.source.read().context("the defaults come from the configuration")?;
    let explanation = spec::explain(&request, &config.engine.defaults);
    if args.json {
        output::json(&explanation)?;
    } else {
        print!("{explanation}");
    }
    Ok(if explanation.refused.is_some() { Exit::Failure } else { Exit::Success })
}

fn help(args: &Args) -> anyhow::Result<Exit> {
    if args.json {
        output::json(&spec::help())?;
    } else {
        print!("{}", spec::help_text());
    }
    Ok(Exit::Success)
}
