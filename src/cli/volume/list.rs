//! `hawser volume ls` and `hawser volume inspect`.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::ways;
use crate::{
    cli::{Client, Exit, output},
    engine::State,
    http::admin::wire::VolumeInfo,
    spec::{BackendSpec, Bytes, Preempt, Sticky},
    volume::Membership,
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Removed volumes, whose data is still there
    #[arg(long)]
    removed: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, args: ListArgs) -> anyhow::Result<Exit> {
    let mut volumes: Vec<VolumeInfo> = client.get("/volumes").await?;
    volumes.retain(|volume| (volume.state == State::Removed) == args.removed);
    if args.json {
        output::json(&volumes)?;
    } else if args.removed {
        output::table(&["NAME", "ID", "SIZE", "REMOVED", "DELETED"], volumes.iter().map(removed));
        print_failures(&volumes);
    } else {
        let mut header = vec!["NAME", "STATE", "SIZE", "USED", "FS", "BACKEND", "HOLDERS"];
        // Of a cluster alone: who is alone has no use for it.
        let owned = volumes.iter().any(|volume| volume.owner.is_some());
        if owned {
            header.push("NODE");
        }
        let volumes = grouped(std::mem::take(&mut volumes));
        let row = |(depth, volume): &(Depth, VolumeInfo)| {
            let mut row = present(*depth, volume);
            row.extend(owned.then(|| volume.owner.clone().unwrap_or_else(|| "-".to_owned())));
            row
        };
        output::table(&header, volumes.iter().map(row));
        print_failures(volumes.iter().map(|(_, volume)| volume));
    }
    Ok(Exit::Success)
}

fn print_failures<'a>(volumes: impl IntoIterator<Item = &'a VolumeInfo>) {
    for volume in volumes {
        if let Some(failure) = &volume.failure {
            println!("{}: {failure}", volume.name);
        }
    }
}

/// Whether it is shown below its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Top,
    Member,
}

/// Each group's members below it, by number; what is of a group that is gone stands for itself.
fn grouped(volumes: Vec<VolumeInfo>) -> Vec<(Depth, VolumeInfo)> {
    let groups: HashSet<_> =
        volumes.iter().filter(|v| v.spec.scale.is_some()).map(|v| v.id).collect();
    let (mut members, top): (Vec<_>, Vec<_>) = volumes
        .into_iter()
        .partition(|volume| volume.member.as_ref().is_some_and(|m| groups.contains(&m.group)));
    members.sort_by_key(|volume| volume.member.as_ref().map(|member| member.number));
    let mut rows = Vec::new();
    for volume in top {
        let id = volume.id;
        rows.push((Depth::Top, volume));
        let of_it = |volume: &VolumeInfo| volume.member.as_ref().is_some_and(|m| m.group == id);
        let (of_it, others) = members.into_iter().partition(of_it);
        rows.extend(Vec::into_iter(of_it).map(|member| (Depth::Member, member)));
        members = others;
    }
    rows
}

fn present(depth: Depth, volume: &VolumeInfo) -> Vec<String> {
    if let Some(scale) = volume.spec.scale {
        // It has no storage: its size is each member's.
        return vec![
            volume.name.clone(),
            format!("scale={scale}"),
            format!("{} each", volume.spec.size),
            "-".to_owned(),
            volume.spec.file_system().to_owned(),
            volume.spec.backend.kind().to_string(),
            "-".to_owned(),
        ];
    }
    vec![
        match depth {
            Depth::Top => volume.name.clone(),
            Depth::Member => format!("  {}", volume.name),
        },
        volume.state.as_str().to_owned(),
        volume.spec.size.to_string(),
        volume.used_bytes.map_or_else(|| "-".into(), |used| Bytes::new(used).rounded().to_string()),
        volume.spec.file_system().to_owned(),
        volume.spec.backend.kind().to_string(),
        volume.holders.len().to_string(),
    ]
}

fn removed(volume: &VolumeInfo) -> Vec<String> {
    let now = Timestamp::now();
    vec![
        volume.name.clone(),
        volume.id.to_string(),
        volume.spec.size.to_string(),
        volume
            .removed_at
            .map_or_else(|| "-".into(), |at| format!("{} ago", brief(now.duration_since(at)))),
        match volume.deleted_at {
            None => "never (retained)".into(),
            Some(at) if at <= now => "now".into(),
            Some(at) => format!("in {}", brief(at.duration_since(now))),
        },
    ]
}

/// A time in its largest unit: `23h`.
fn brief(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        ..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        _ => format!("{}h", seconds / 3600),
    }
}

/// What only its backend knows.
fn storage(volume: &VolumeInfo) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    rows.extend(volume.storage.clone().map(|storage| ("storage", storage)));
    match &volume.spec.backend {
        BackendSpec::Local(local) => rows.push(("provision", local.provision.to_string())),
        BackendSpec::Ebs(ebs) => {
            rows.push(("type", ebs.volume_type.to_string()));
            rows.extend(ebs.iops.map(|iops| ("iops", iops.to_string())));
            rows.extend(ebs.throughput.map(|mib| ("throughput", format!("{mib} MiB/s"))));
            rows.extend(ebs.encrypted.map(|yes| ("encrypted", yes.to_string())));
            rows.extend(ebs.kms_key.clone().map(|key| ("kms key", key)));
            rows.extend(ebs.zone.clone().map(|zone| ("zone", zone)));
            rows.extend(ebs.snapshot.clone().map(|id| ("made from", id)));
            rows.push(("attach", ebs.attach.to_string()));
        }
        BackendSpec::Nfs(nfs) => {
            rows.push(("export", nfs.export.clone()));
            rows.push(("path", nfs.path.clone()));
            rows.push(("layout", nfs.layout.to_string()));
        }
    }
    rows
}

fn state(volume: &VolumeInfo) -> String {
    let state = volume.state.as_str();
    match volume.spec.scale {
        Some(scale) => format!("{state}, a group of up to {scale} volumes"),
        None => state.to_owned(),
    }
}

fn membership(member: &Membership) -> String {
    let claim = member.claim.as_ref();
    let whose = claim.map_or_else(|| "free".to_owned(), ToString::to_string);
    format!("number {} of {}: {whose}", member.number, member.name)
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct InspectArgs {
    /// The volume
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn inspect(client: &Client, args: InspectArgs) -> anyhow::Result<Exit> {
    let volume: VolumeInfo = client.get(&super::path(&args.name, "")?).await?;
    if args.json {
        output::json(&volume)?;
        return Ok(Exit::Success);
    }
    let mut rows = vec![
        ("name", volume.name.clone()),
        ("id", volume.id.to_string()),
        ("state", state(&volume)),
        ("size", volume.spec.size.to_string()),
        ("file system", volume.spec.file_system().to_owned()),
        ("backend", volume.spec.backend.kind().to_string()),
        ("created", volume.created_at.to_string()),
    ];
    rows.extend(storage(&volume));
    let mut optional = |key, value: Option<String>| rows.extend(value.map(|value| (key, value)));
    optional("used", volume.used_bytes.map(|used| Bytes::new(used).rounded().to_string()));
    let preempt = volume.spec.preempt;
    optional("preempt", (preempt != Preempt::default()).then(|| preempt.to_string()));
    optional("sticky", (volume.spec.sticky == Sticky::Yes).then(|| "cannot be removed".to_owned()));
    optional("on removal", volume.spec.on_remove.map(|what| what.to_string()));
    let options = volume.spec.mount_options.join(",");
    optional("mount options", Some(options).filter(|options| !options.is_empty()));
    for (key, value) in &volume.spec.labels {
        optional("label", Some(format!("{key}={value}")));
    }
    optional("member", volume.member.as_ref().map(membership));
    optional("path", volume.path.map(|path| path.display().to_string()));
    optional("device", volume.device.map(|device| device.display().to_string()));
    optional("growing to", volume.growing_to_bytes.map(|to| Bytes::new(to).to_string()));
    optional(
        "file system grows",
        volume.grows_at_next_mount.then(|| "at the next mount".to_owned()),
    );
    for (what, how) in volume.sharing.iter().flat_map(ways::told) {
        optional(what, Some(how));
    }
    optional("doing", volume.doing);
    optional("failure", volume.failure);
    for holder in &volume.holders {
        let since = holder.since;
        let often =
            if holder.count > 1 { format!("{} times, ", holder.count) } else { String::new() };
        rows.push(("holder", format!("{holder}, {often}since {since}")));
    }
    for member in &volume.members {
        let of_group = member.member.as_ref();
        let claim = of_group.and_then(|of_group| of_group.claim.as_ref());
        let whose = claim.map_or_else(|| "free".to_owned(), ToString::to_string);
        let owner = member.owner.as_ref().map(|owner| format!(", storage at node {owner}"));
        let state = member.state.as_str();
        let row = format!("{}: {whose}, {state}{}", member.name, owner.unwrap_or_default());
        rows.push(("member", row));
    }
    let rows = rows.into_iter().map(|(key, value)| vec![key.to_owned(), value]);
    output::table(&[], rows);
    Ok(Exit::Success)
}
