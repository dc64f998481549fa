//! `hawser volume create`.

use crate::{
    cli::{Client, Exit, output, spec::key_value},
    http::admin::wire::{CreateRequest, VolumeInfo},
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A name or an inline spec, such as `size=2GiB,name=pgdata`
    name: String,
    /// An option, as with `docker volume create -o`
    #[arg(short = 'o', long = "opt", value_name = "KEY=VALUE", value_parser = key_value)]
    options: Vec<(String, String)>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, args: Args) -> anyhow::Result<Exit> {
    // Pairs, not a map: a key that is given twice is an error that the daemon must see.
    let request = CreateRequest { name: args.name, options: args.options };
    let volume: VolumeInfo = client.post("/volumes", &request).await?;
    if args.json {
        output::json(&volume)?;
    } else {
        println!("{}", volume.name);
    }
    Ok(Exit::Success)
}
