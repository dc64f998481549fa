//! `hawser agent uninstall`: what is asked of the daemon before it is taken away, so that no task waits for
//! what only this node could give it.

use std::io;

use anyhow::{Context, bail};

use super::super::Client;
use crate::{
    agent::{AgentError, Place, check, uninstall, unused},
    cluster::Embedded,
    config::Config,
    engine::{DrainRequest, Drained, Whereabouts},
    http::admin::wire::VolumeInfo,
    spec::BackendKind,
    volume::{NodeName, Record},
};

pub(super) async fn leave(place: &Place, config: &Config) -> anyhow::Result<()> {
    check(place)?;
    let served = served(config).await?;
    if !served.is_empty() {
        return Err(AgentError::InUse(served).into());
    }
    unused(place, config).await?;
    // Where it is not installed, a daemon may run that this command does not end.
    let drained = config.cluster.as_ref().filter(|_| place.unit("hawser.service").exists());
    if let Some(cluster) = drained {
        give_free(config, &cluster.node).await?;
    }
    uninstall(place, config).await?;
    let kept = config.state_dir.display();
    println!(
        "Hawser is no service of this host any more. Its records and local volumes are still in {kept}."
    );
    if drained.is_some() {
        println!("Installed again, it takes volumes once `hawser node drain --undo` was said.");
    }
    Ok(())
}

/// Drains this node. An idle volume that stays attached is this node's, and is taken from no node that is
/// gone while its machine runs: each mount elsewhere would wait, and fail.
async fn give_free(config: &Config, node: &NodeName) -> anyhow::Result<()> {
    let client = Client::new(config.admin_socket.clone());
    let drain = DrainRequest { drained: true };
    let drained = client.post::<Drained>(&format!("/nodes/{node}/drain"), &drain).await;
    let owned = match owned(&client, node).await {
        // Where it runs, its records are locked.
        Err(error) => recorded(config, node).map_err(|_| error),
        known => known,
    };
    let mut owned = owned.with_context(|| {
        stays(&format!("it is not known which volumes node {node} owns, and others"), node)
    })?;
    if let Ok(drained) = &drained {
        // The node had the name of one before, and that one's volumes are no hindrance.
        owned.retain(|name| !drained.released.contains(name));
    }
    if owned.is_empty() {
        return Ok(());
    }
    let names = owned.join(", ");
    let drained =
        drained.with_context(|| stays(&format!("node {node} owns {names}: others"), node))?;
    let why = |name: &String| {
        let held = drained.held.iter().find(|(held, _)| held == name);
        held.map_or_else(|| name.clone(), |(_, why)| format!("{name} ({why})"))
    };
    let names: Vec<_> = owned.iter().map(why).collect();
    bail!(
        "nothing was taken away: node {node} is drained, and still owns {}: others would wait for that. Repeat this when that is over (`hawser volume inspect NAME`). Until `hawser node drain --undo` the node takes no volumes",
        names.join(", ")
    )
}

fn stays(why: &str, node: &NodeName) -> String {
    format!(
        "nothing was taken away: {why} would wait for that. Only hawser gives volumes free, where it runs and reaches ZooKeeper (`systemctl start hawser`, `journalctl -u hawser`): see to that, and repeat this. Where that cannot be, stop this machine, or take hawser away by hand (docs/install.md), and say `hawser node rm {node} --force` on another node"
    )
}

/// The volumes that this node owns, but those on its own disks.
async fn owned(client: &Client, node: &NodeName) -> anyhow::Result<Vec<String>> {
    let volumes: Vec<VolumeInfo> = client.get("/volumes").await?;
    let owned = volumes.into_iter().filter(|volume| {
        volume.owner.as_deref() == Some(node.as_str())
            && volume.spec.backend.kind() != BackendKind::Local
    });
    Ok(owned.map(|volume| volume.name).collect())
}

/// The same, by the records of a daemon that does not run.
fn recorded(config: &Config, node: &NodeName) -> anyhow::Result<Vec<String>> {
    let records = Embedded::read(&config.state_dir)?;
    let owned = |record: &&Record| {
        record.lease.is_of(node) && record.spec.backend.kind() != BackendKind::Local
    };
    Ok(records.iter().filter(owned).map(|record| record.name.to_string()).collect())
}

/// The volumes of this node that tasks on others use by way of it: they would hang without it.
async fn served(config: &Config) -> anyhow::Result<Vec<String>> {
    let Some(cluster) = &config.cluster else { return Ok(Vec::new()) };
    let servers = config.run_dir().join("share");
    let none = match std::fs::read_dir(&servers) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(error).with_context(|| servers.display().to_string()),
    };
    if none {
        return Ok(Vec::new());
    }
    let client = Client::new(config.admin_socket.clone());
    let volumes: Vec<VolumeInfo> = client.get("/volumes").await.context(
        "this node serves volumes to others, and it is not known who uses them: start hawser (`systemctl start hawser`)",
    )?;
    let mut served = Vec::new();
    let mine = |volume: &&VolumeInfo| volume.owner.as_deref() == Some(cluster.node.as_str());
    for VolumeInfo { name, .. } in volumes.iter().filter(mine) {
        let found: Whereabouts = client.get(&format!("/volumes/{name}/where")).await?;
        let elsewhere = found.nodes.iter().filter(|node| node.node != cluster.node);
        // A node that does not say may have it.
        let users = elsewhere.filter(|at| at.presence.as_ref().is_none_or(|has| has.mounted));
        served.extend(users.map(|at| format!("{name} (on {})", at.node)));
    }
    Ok(served)
}

#[cfg(test)]
mod tests;
