//! `hawser volume rm|undelete|purge`.

use crate::{
    cli::{Client, Exit, output::Consent},
    http::admin::wire::{NameRequest, NameResponse, VolumeInfo},
    spec::OnRemove,
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RmArgs {
    /// The volumes
    #[arg(required = true)]
    names: Vec<String>,
    /// Delete the data at once, without an undelete window
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn rm(client: &Client, args: RmArgs) -> anyhow::Result<Exit> {
    let mut exit = Exit::Success;
    let mut fail = |error: anyhow::Error| {
        eprintln!("hawser: {error:#}");
        exit = Exit::Failure;
    };
    let (mut plan, mut found) = (Vec::new(), Vec::new());
    for name in &args.names {
        match client.get::<VolumeInfo>(&super::path(name, "")?).await {
            Ok(volume) => {
                plan.push(foretell(&volume, &args));
                found.push(name);
            }
            Err(error) => fail(error),
        }
    }
    if found.is_empty() {
        return Ok(exit);
    }
    args.consent.to(&plan.join("\n"))?;
    for name in found {
        let call = super::path(name, if args.now { "?now=true" } else { "" })?;
        match client.delete(&call).await {
            Ok(()) => println!("{name}"),
            Err(error) => fail(error),
        }
    }
    Ok(exit)
}

/// What removing it does, in a sentence.
fn foretell(volume: &VolumeInfo, args: &RmArgs) -> String {
    let group = volume.spec.scale.map(|_| format!(" with its {} members", volume.members.len()));
    let name = format!("{}{}", volume.name, group.unwrap_or_default());
    match (volume.spec.on_remove, args.now) {
        (Some(OnRemove::Retain), _) => format!(
            "The volume {name} is removed. Its data is kept until `hawser volume purge` (on_remove=retain)."
        ),
        (Some(OnRemove::Delete) | None, true) => {
            format!("The volume {name} is removed and its data is deleted NOW, for good.")
        }
        (Some(OnRemove::Delete) | None, false) => format!(
            "The volume {name} is removed. Its data is kept for the undelete window (hawser volume ls --removed shows it)."
        ),
    }
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
    /// Their names or ids (see `hawser volume ls --removed`)
    #[arg(required = true)]
    which: Vec<String>,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn purge(client: &Client, args: PurgeArgs) -> anyhow::Result<Exit> {
    let say = |which| format!("The data of the removed volume {which} is deleted NOW, for good.");
    args.consent.to(&args.which.iter().map(say).collect::<Vec<_>>().join("\n"))?;
    let mut exit = Exit::Success;
    for which in &args.which {
        match client.post::<()>(&super::removed_path(which, "/purge")?, &()).await {
            Ok(()) => println!("{which}"),
            Err(error) => {
                eprintln!("hawser: {error:#}");
                exit = Exit::Failure;
            }
        }
    }
    Ok(exit)
}
