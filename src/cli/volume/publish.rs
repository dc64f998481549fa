//! `hawser volume publish`, `unpublish` and `published`.

use crate::{
    cli::{Client, Exit, output},
    engine::Engine,
    http::admin::wire::{PublishRequest, PublishResponse},
    publish::{By, PublishedVolume},
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PublishArgs {
    /// A name or an inline spec, such as `name=assets,size=10GiB,shared=true`
    volume: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct UnpublishArgs {
    /// The volume
    volume: String,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn publish(client: &Client, args: PublishArgs) -> anyhow::Result<Exit> {
    let request = PublishRequest { name: args.volume };
    let answer: PublishResponse = client.post("/published", &request).await?;
    if args.json {
        output::json(&answer)?;
    } else {
        println!("{}", answer.path.display());
    }
    Ok(Exit::Success)
}

pub(super) async fn unpublish(client: &Client, args: UnpublishArgs) -> anyhow::Result<Exit> {
    let name = Engine::parse(&args.volume)?.name;
    client.delete::<()>(&format!("/published/{name}")).await?;
    Ok(Exit::Success)
}

pub(super) async fn list(client: &Client, args: ListArgs) -> anyhow::Result<Exit> {
    let published: Vec<PublishedVolume> = client.get("/published").await?;
    if args.json {
        output::json(&published)?;
        return Ok(Exit::Success);
    }
    output::table(&["VOLUME", "PATH", "BY"], published.iter().map(row));
    for volume in &published {
        if let Some(why) = &volume.failure {
            println!("{}: {why}", volume.name);
        }
    }
    Ok(Exit::Success)
}

fn row(volume: &PublishedVolume) -> Vec<String> {
    let path = volume.path.as_ref().map(|path| path.display().to_string());
    let by = match volume.by {
        By::Configuration => "volumes.publish",
        By::Command => "command",
    };
    vec![volume.name.clone(), path.unwrap_or_else(|| "(not mounted)".to_owned()), by.to_owned()]
}
