//! `hawser snapshot create|ls|rm`.

use clap::Subcommand;

use super::{
    Client, Exit,
    output::{self, Consent},
};
use crate::{
    backend::Snapshot,
    engine::{Consistency, Engine},
    http::admin::wire::{SnapshotRequest, SnapshotResponse},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a snapshot of a volume, also while it is in use
    Create(CreateArgs),
    /// List snapshots
    Ls(ListArgs),
    /// Delete snapshots
    Rm(RemoveArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// The volume
    volume: String,
    /// What the snapshot is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Of this volume only
    volume: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RemoveArgs {
    /// The snapshots' ids
    #[arg(required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(client: &Client, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Create(args) => create(client, args).await,
        Command::Ls(args) => list(client, args).await,
        Command::Rm(args) => remove(client, args).await,
    }
}

async fn create(client: &Client, args: CreateArgs) -> anyhow::Result<Exit> {
    let name = Engine::parse(&args.volume)?.name;
    let request = SnapshotRequest { description: args.description };
    let made: SnapshotResponse =
        client.post(&format!("/volumes/{name}/snapshots"), &request).await?;
    if args.json {
        output::json(&made)?;
        return Ok(Exit::Success);
    }
    println!("{}", made.snapshot.id);
    if made.consistency == Consistency::Crash {
        eprintln!(
            "{name} was in use and could not be held still: the snapshot is as after a power failure, and its journal is replayed at the first mount."
        );
    }
    Ok(Exit::Success)
}

async fn list(client: &Client, args: ListArgs) -> anyhow::Result<Exit> {
    let query = match &args.volume {
        Some(volume) => format!("?volume={}", Engine::parse(volume)?.name),
        None => String::new(),
    };
    let snapshots: Vec<Snapshot> = client.get(&format!("/snapshots{query}")).await?;
    if args.json {
        output::json(&snapshots)?;
        return Ok(Exit::Success);
    }
    let row = |snapshot: &Snapshot| {
        vec![
            snapshot.id.clone(),
            snapshot.name.clone(),
            snapshot.size.to_string(),
            snapshot.state.clone(),
            snapshot.created_at.to_string(),
        ]
    };
    output::table(&["ID", "VOLUME", "SIZE", "STATE", "CREATED"], snapshots.iter().map(row));
    Ok(Exit::Success)
}

async fn remove(client: &Client, args: RemoveArgs) -> anyhow::Result<Exit> {
    for id in &args.ids {
        // What is not an id never reaches a URL.
        let is_id = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        anyhow::ensure!(
            is_id && !id.is_empty(),
            "`{id}` is not a snapshot's id, such as snap-0abc"
        );
    }
    let known: Vec<Snapshot> = client.get("/snapshots").await?;
    for id in &args.ids {
        anyhow::ensure!(
            known.iter().any(|snapshot| snapshot.id == *id),
            "no snapshot `{id}` of this cluster (`hawser snapshot ls`): nothing was deleted"
        );
    }
    args.consent.to(&format!("{} deleted for good: {}.", count(&args.ids), args.ids.join(", ")))?;
    for id in &args.ids {
        let () = client.delete(&format!("/snapshots/{id}")).await?;
        println!("{id}");
    }
    Ok(Exit::Success)
}

fn count(ids: &[String]) -> String {
    if ids.len() == 1 {
        "One snapshot is".to_owned()
    } else {
        format!("{} snapshots are", ids.len())
    }
}
