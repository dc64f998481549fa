//! `hawser node ls|drain|hand-over|rm`.

use std::time::Duration;

use clap::Subcommand;
use jiff::Timestamp;

use super::{
    Client, Exit,
    output::{self, Consent},
};
use crate::{
    engine::{DrainRequest, Drained, NodeRow},
    http::admin::wire::ForgottenResponse,
    sys::process::Tool,
    volume::NodeName,
};

const SYSTEMCTL: Tool = Tool::new("systemctl");
/// How long systemd may take to say how it is.
const SOON: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the nodes of the cluster
    Ls(ListArgs),
    /// Have a node give its volumes free and take no more, before it is serviced
    Drain(DrainArgs),
    /// Give the volumes of this node that tasks on other nodes use to one of those, before its machine stops
    HandOver(HandOverArgs),
    /// Forget a node that is gone for good; others may take its volumes then
    Rm(RemoveArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct DrainArgs {
    /// The node; this one, if none is named
    node: Option<NodeName>,
    /// Take volumes again
    #[arg(long)]
    undo: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct HandOverArgs {
    /// Only when systemd is stopping the machine, and nothing otherwise: for the unit of the service, which
    /// is stopped at each restart, too
    #[arg(long)]
    if_stopping: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RemoveArgs {
    /// The node
    node: NodeName,
    /// Also when its machine runs, or the cloud does not say: what its tasks have not synced is lost
    #[arg(long)]
    force: bool,
    /// Also forget the volumes on its own disks
    #[arg(long)]
    forget_local: bool,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(client: &Client, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Ls(args) => list(client, args).await,
        Command::Drain(args) => drain(client, args).await,
        Command::HandOver(args) => hand_over(client, args).await,
        Command::Rm(args) => remove(client, args).await,
    }
}

async fn list(client: &Client, args: ListArgs) -> anyhow::Result<Exit> {
    let nodes: Vec<NodeRow> = client.get("/nodes").await?;
    if args.json {
        output::json(&nodes)?;
        return Ok(Exit::Success);
    }
    let header =
        ["NODE", "STATE", "OWNS", "FREE SLOTS", "ZONE", "MACHINE", "ADDRESS", "VERSION", "UP"];
    output::table(&header, nodes.iter().map(row));
    Ok(Exit::Success)
}

fn row(node: &NodeRow) -> Vec<String> {
    let state = match (node.alive, node.info.drained) {
        (false, _) => "away",
        (true, true) => "drained",
        (true, false) => "alive",
    };
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let up = Timestamp::now().duration_since(node.info.started_at);
    let here = if node.here { " (here)" } else { "" };
    vec![
        format!("{}{here}", node.info.name),
        state.to_owned(),
        node.owns.to_string(),
        node.info.free_slots.map_or_else(|| "-".to_owned(), |slots| slots.to_string()),
        or_none(&node.info.zone),
        or_none(&node.info.machine),
        or_none(&node.info.address),
        node.info.version.clone(),
        if node.alive { format!("{} min", up.as_mins()) } else { "-".to_owned() },
    ]
}

async fn drain(client: &Client, args: DrainArgs) -> anyhow::Result<Exit> {
    let node = match args.node {
        Some(node) => node,
        None => here(client).await?,
    };
    let request = DrainRequest { drained: !args.undo };
    let done: Drained = client.post(&format!("/nodes/{node}/drain"), &request).await?;
    if args.json {
        output::json(&done)?;
    } else if args.undo {
        println!("{node} takes volumes again.");
    } else {
        println!("{node} takes no more volumes; {} given free.", done.released.len());
        list_kept(&done);
    }
    Ok(if done.held.is_empty() { Exit::Success } else { Exit::Failure })
}

fn list_kept(done: &Drained) {
    for (volume, why) in &done.held {
        println!("{volume}: still there: {why}");
    }
    if !done.local.is_empty() {
        println!("On its own disks, and staying there: {}.", done.local.join(", "));
    }
}

async fn hand_over(client: &Client, args: HandOverArgs) -> anyhow::Result<Exit> {
    if args.if_stopping && !is_machine_stopping().await {
        return Ok(Exit::Success);
    }
    let call = format!("/hand-over?shutdown={}", args.if_stopping);
    let done: Drained = client.post(&call, &()).await?;
    if args.json {
        output::json(&done)?;
    } else {
        println!("Given to nodes that use them: {}.", done.released.len());
        list_kept(&done);
    }
    Ok(if done.held.is_empty() { Exit::Success } else { Exit::Failure })
}

/// By systemd's word. Without systemd nobody knows.
async fn is_machine_stopping() -> bool {
    // It ends with an error where it says anything but "running".
    let asked = SYSTEMCTL.run_any(["is-system-running"], SOON).await;
    asked.is_ok_and(|said| said.stdout.trim() == "stopping")
}

async fn here(client: &Client) -> anyhow::Result<NodeName> {
    let nodes: Vec<NodeRow> = client.get("/nodes").await?;
    let here = nodes.into_iter().find(|node| node.here);
    here.map(|node| node.info.name).ok_or_else(|| {
        anyhow::anyhow!("this node is not yet among the cluster's: is ZooKeeper there?")
    })
}

async fn remove(client: &Client, args: RemoveArgs) -> anyhow::Result<Exit> {
    let node = &args.node;
    args.consent
        .to(&format!("Node {node} is forgotten, and what it owns may be taken by other nodes."))?;
    let call = format!("/nodes/{node}?force={}&local={}", args.force, args.forget_local);
    let done: ForgottenResponse = client.delete(&call).await?;
    println!("{node} is forgotten; {} volumes are free.", done.volumes.len());
    Ok(Exit::Success)
}
