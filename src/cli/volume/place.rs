//! `hawser volume where` and `hawser volume move`.

use super::ways;
use crate::{
    cli::{Client, Exit, output},
    engine::{Effort, NodePresence, Whereabouts},
    http::admin::wire::MoveVolumeRequest,
    volume::NodeName,
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct WhereArgs {
    /// The volume
    volume: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct MoveArgs {
    /// The volume
    volume: String,
    /// The node that is to have it
    #[arg(long, value_name = "NODE")]
    to: NodeName,
    /// Also from a node that does not answer though its machine runs: what its tasks have not synced
    /// is lost
    #[arg(long)]
    force: bool,
}

pub(super) async fn find(client: &Client, args: WhereArgs) -> anyhow::Result<Exit> {
    let found: Whereabouts = client.get(&super::path(&args.volume, "/where")?).await?;
    if args.json {
        output::json(&found)?;
        return Ok(Exit::Success);
    }
    match (&found.owner, &found.fencing) {
        (Some(owner), Some(from)) => {
            println!("{} is taken over by {owner} from {from} (epoch {})", found.name, found.epoch)
        }
        (Some(owner), None) => {
            println!("{} is owned by {owner} (epoch {})", found.name, found.epoch);
        }
        (None, _) if found.alone => println!(
            "This node is in no cluster, and knows {} by itself: `hawser volume inspect {}` says who uses it here",
            found.name, found.name
        ),
        (None, _) => println!("{} is owned by no node (epoch {})", found.name, found.epoch),
    }
    let owns = |writer: &NodeName| found.owner.as_ref() == Some(writer);
    if let Some(writer) = found.writer.as_ref().filter(|writer| !owns(writer)) {
        println!(
            "Its tasks are on {writer}, and write by way of the owner, over the network (with attach=follow it would come to them)"
        );
    } else if let Some(line) = users(&found) {
        println!("{line}");
    }
    if !found.nodes.is_empty() {
        output::table(&["NODE", "REACH", "STATE", "HOLDERS"], found.nodes.iter().map(row));
    }
    for node in &found.nodes {
        for (what, how) in node.presence.iter().flat_map(|has| ways::told(&has.ways)) {
            println!("{}: {what} {how}", node.node);
        }
        let failure = node.presence.as_ref().and_then(|has| has.failure.as_ref());
        if let Some(why) = failure.or(node.error.as_ref()) {
            println!("{}: {why}", node.node);
        }
    }
    Ok(Exit::Success)
}

/// The nodes that have it by another way than its owner.
fn users(found: &Whereabouts) -> Option<String> {
    let users = found.users.iter().filter(|user| found.owner.as_ref() != Some(*user));
    let users: Vec<_> = users.map(NodeName::as_str).collect();
    let users = (!users.is_empty()).then(|| users.join(", "))?;
    // What has an owner is reached through it; a directory on a server needs none.
    Some(match &found.owner {
        Some(owner) => format!("Tasks on {users} reach it through {owner}"),
        None => format!("It is mounted on {users}, for which it needs no owner"),
    })
}

fn row(node: &NodePresence) -> Vec<String> {
    let name = node.node.to_string();
    let Some(has) = &node.presence else {
        return vec![name, "?".to_owned(), "does not answer".to_owned(), "?".to_owned()];
    };
    let reach = match (has.attached, &has.ways.reaches, has.mounted) {
        (true, _, _) => "direct".to_owned(),
        (false, Some(reaches), _) => format!("remote through {}", reaches.through),
        (false, None, true) => "native".to_owned(),
        (false, None, false) => "-".to_owned(),
    };
    let state = match (&has.doing, has.mounted, has.attached) {
        (Some(doing), _, _) => doing.clone(),
        (None, true, _) => "mounted".to_owned(),
        (None, false, true) => "attached".to_owned(),
        (None, false, false) => "-".to_owned(),
    };
    let holders = if has.holders.is_empty() { "-".to_owned() } else { has.holders.join(", ") };
    vec![name, reach, state, holders]
}

pub(super) async fn move_to(client: &Client, args: MoveArgs) -> anyhow::Result<Exit> {
    let effort = if args.force { Effort::Force } else { Effort::Usual };
    let request = MoveVolumeRequest { to: args.to.to_string(), effort };
    let () = client.post(&super::path(&args.volume, "/move")?, &request).await?;
    println!("{} is on {}", args.volume, args.to);
    Ok(Exit::Success)
}
