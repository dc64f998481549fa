//! `hawser volume rm|undelete|purge`.

use crate::{
    cli::{Client, Exit, output},
    http::admin::wire::{NameRequest, NameResponse},
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RmArgs {
    /// The volumes
    #[arg(required = true)]
    names: Vec<String>,
    /// Delete the data at once, without an undelete window
    #[arg(long)]
    now: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(super) async fn rm(client: &Client, args: RmArgs) -> anyhow::Result<Exit> {
    let names = args.names.join(", ");
    let plan = if args.now {
        format!("The volumes {names} are removed and their data is deleted NOW, for good.")
    } else {
        format!(
            "The volumes {names} are removed. Their data is kept for the undelete window (hawser volume ls --removed shows it)."
        )
    };
    output::confirm(&plan, args.yes)?;
    let mut exit = Exit::Success;
    for name in &args.names {
        let call = super::path(name, if args.now { "?now=true" } else { "" })?;
        match client.delete(&call).await {
            Ok(()) => println!("{name}"),
            Err(error) => {
                eprintln!("hawser: {error:#}");
                exit = Exit::Failure;
            }
        }
    }
    Ok(exit)
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct UndeleteArgs {
    /// Its name or id (see `hawser volume ls --removed`)
    which: String,
    /// A new name, where the old one is in use again
    #[arg(long)]
    name: Option<String>,
}

pub(super) async fn undelete(client: &Client, args: UndeleteArgs) -> anyhow::Result<Exit> {
    let request = NameRequest { name: args.name };
    let call = super::removed_path(&args.which, "/undelete")?;
    let NameResponse { name } = client.post(&call, &request).await?;
    println!("{name}");
    Ok(Exit::Success)
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PurgeArgs {
    /// Its name or id (see `hawser volume ls --removed`)
    which: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(super) async fn purge(client: &Client, args: PurgeArgs) -> anyhow::Result<Exit> {
    let plan = format!("The data of the removed volume {} is deleted NOW, for good.", args.which);
    output::confirm(&plan, args.yes)?;
    client.post::<()>(&super::removed_path(&args.which, "/purge")?, &()).await?;
    println!("{}", args.which);
    Ok(Exit::Success)
}
